"""Registers every shipped scenario with Gymnasium: `paper-spike` as `slicegym/PaperSpike-v0`."""

from __future__ import annotations

import gymnasium as gym

from .loading import scenario_names

VERSION = 0


def env_id(scenario: str) -> str:
    """Return the Gymnasium id of a scenario, `slicegym/PaperSpike-v0` for `paper-spike`."""
    return f"slicegym/{''.join(part.capitalize() for part in scenario.split('-'))}-v{VERSION}"


def register_all() -> None:
    """Register the shipped scenarios, and `slicegym/Custom-v0` for anybody's own."""
    for scenario in scenario_names():
        _register(env_id(scenario), {"scenario": scenario})
    _register(f"slicegym/Custom-v{VERSION}", {})


def _register(name: str, kwargs: dict[str, str]) -> None:
    gym.register(
        id=name,
        entry_point=f"{__package__}.env:SliceEnv",
        vector_entry_point=f"{__package__}.vector_env:SliceVectorEnv",
        # The tests run Gymnasium's full checker over every id; its passive one would cost more
        # than the simulation at each step.
        disable_env_checker=True,
        kwargs=kwargs,
    )


register_all()
