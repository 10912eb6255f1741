"""What tuning may change in a training configuration, and from where it draws it.

Each name is a field of `TrainConfig` or one of the two that `with_values` turns into fields: it is
their ratio to another field that matters. A further field is a further line in `SPACE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, get_type_hints

from ..baselines.parameters import Range
from .config import TrainConfig

DIGITS = 3  # more would claim a precision that the search does not have

Values = Mapping[str, Any]


class Ladder(NamedTuple):
    """A few values in order; the search takes neighbours for alike."""

    name: str
    values: tuple[Any, ...]


# `final_part` is final_learning_rate / learning_rate; `minibatches` is n_envs · n_steps /
# batch_size. More than 32 minibatches an epoch cost more time than they learn.
SPACE: tuple[Range | Ladder, ...] = (
    Range("learning_rate", 1e-4, 1e-2, log=True),
    Range("final_part", 0.01, 1.0, log=True),
    Ladder("n_steps", (16, 32, 64, 128, 256)),
    Ladder("minibatches", (2, 4, 8, 16, 32)),
    Range("n_epochs", 1, 6),
    Ladder("gamma", (0.9, 0.95, 0.98, 0.99, 0.995, 0.999)),
    Ladder("gae_lambda", (0.8, 0.9, 0.95, 0.98, 0.99, 1.0)),
    Range("clip_range", 0.1, 0.4),
    Ladder("ent_coef", (0.0, 1e-4, 1e-3, 3e-3, 1e-2)),
    Range("log_std_init", -2.0, 0.0),
    Ladder("net_arch", ((32, 32), (64, 64), (128, 128), (256, 256))),
)
# The equivariant network runs once for every agent, and would take minutes more where it is wide.
NARROW = Ladder("net_arch", ((16, 16), (32, 32), (64, 64)))
DERIVED = ("final_part", "minibatches")


def space_around(config: TrainConfig) -> tuple[Range | Ladder, ...]:
    """Return the search space, widened where the configuration's own values lie outside."""
    own = own_values(config)
    narrow = {NARROW.name: NARROW} if config.network == "equivariant" else {}
    return tuple(_widened(narrow.get(one.name, one), own[one.name]) for one in SPACE)


def _widened(one: Range | Ladder, own: Any) -> Range | Ladder:
    if isinstance(one, Range):
        return one._replace(low=min(one.low, own), high=max(one.high, own))
    return one if own in one.values else one._replace(values=tuple(sorted((*one.values, own))))


def own_values(config: TrainConfig) -> dict[str, Any]:
    """Return what the configuration has for each name of the search space."""
    derived = {
        "final_part": config.final_learning_rate / config.learning_rate,
        "minibatches": config.timesteps_per_update // config.batch_size,
    }
    return {
        one.name: derived[one.name] if one.name in DERIVED else getattr(config, one.name)
        for one in SPACE
    }


def with_values(config: TrainConfig, values: Values) -> TrainConfig:
    """Return the configuration with other values of the search space.

    Where so many minibatches would not be of one size, there are fewer.
    """
    if values == own_values(config):
        return config
    fields = {name: value for name, value in values.items() if name not in DERIVED}
    timesteps = config.n_envs * values["n_steps"]
    most = min(values["minibatches"], timesteps // 2)  # of two decisions at least
    minibatches = next(m for m in range(most, 0, -1) if timesteps % m == 0)
    return replace(
        config,
        **fields,
        batch_size=timesteps // minibatches,
        final_learning_rate=_rounded(values["learning_rate"] * values["final_part"]),
    )


def as_parameters(config: TrainConfig, values: Values) -> dict[str, Any]:
    """Return values as Optuna keeps them: numbers, and places on ladders."""
    return {
        one.name: values[one.name] if isinstance(one, Range) else one.values.index(values[one.name])
        for one in space_around(config)
    }


def draw(config: TrainConfig, trial: Any) -> dict[str, Any]:
    """Let Optuna's trial draw a value for each name of the search space."""
    own = own_values(config)
    return {one.name: _draw_one(one, own[one.name], trial) for one in space_around(config)}


def _draw_one(one: Range | Ladder, own: Any, trial: Any) -> Any:
    if isinstance(one, Ladder):
        return one.values[trial.suggest_int(one.name, 0, len(one.values) - 1)]
    if get_type_hints(TrainConfig).get(one.name) is int:
        return trial.suggest_int(one.name, int(one.low), int(one.high), log=one.log)
    value = trial.suggest_float(one.name, float(one.low), float(one.high), log=one.log)
    return own if value == own else min(max(_rounded(value), one.low), one.high)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
