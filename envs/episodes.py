"""Where an environment's tapes come from: a scenario's workload on one split of its data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from . import checks
from .errors import ConfigError
from .loading import load_scenario
from .observation import n_features
from .spec import Scenario
from .tape import Tape
from .workloads.base import Episode, Workload, check_split


def as_scenario(scenario: Scenario | str | Path) -> Scenario:
    """Return a scenario given as such, by the name of a shipped one, or as a YAML file."""
    return scenario if isinstance(scenario, Scenario) else load_scenario(scenario)


class EpisodeSource:
    """Draws the episodes of one split.

    Args:
        scenario: Must have a workload.
        split: `train`, `validation` or `heldout`.

    Raises:
        ConfigError: An unknown split, or a scenario without a workload.
    """

    def __init__(self, scenario: Scenario, split: str) -> None:
        if scenario.workload is None:
            raise ConfigError(
                f"scenario {scenario.name!r} must have a workload for an environment to draw tapes "
                "from, got none; add `workload:` to its file, or pass a tape to simulate()"
            )
        self.scenario = scenario
        self.split = check_split(split)
        self.workload: Workload = scenario.workload
        self._only: Tape | None = None
        faults = any(fault.is_random for fault in scenario.faults)
        self._always_the_same = not self.workload.is_random and not faults

    def draw(
        self, rng: np.random.Generator, options: Mapping[str, Any] | None = None
    ) -> tuple[Episode | None, Tape]:
        """Draw the next episode, or take the one that `options` ask for.

        Args:
            rng: Decides which episode comes next.
            options: `{"episode": Episode}` plays that one, `{"tape": Tape}` that tape.
        """
        wanted: dict[str, Any] = dict(checks.mapping("options", options or {}))
        tape, episode = wanted.pop("tape", None), wanted.pop("episode", None)
        if wanted:
            raise ConfigError(f"options may hold 'episode' or 'tape', got {sorted(wanted)}")
        if tape is not None:
            if not isinstance(tape, Tape):
                raise TypeError(f"options['tape'] must be a Tape, got {tape!r}")
            return None, tape
        if episode is None:
            episode = self.workload.sample(self.scenario, self.split, rng)
        self._checked(episode)
        if self._only is not None:
            return episode, self._only
        tape = self.scenario.tape(episode)
        if self._always_the_same:
            self._only = tape
        return episode, tape

    def _checked(self, episode: Episode) -> Episode:
        if not isinstance(episode, Episode):
            raise TypeError(f"options['episode'] must be an Episode, got {episode!r}")
        if episode.split != self.split:
            raise ConfigError(
                f"options['episode'] must be of the environment's split {self.split!r}, got one of "
                f"{episode.split!r}; make the environment with split={episode.split!r}"
            )
        return episode


def observation_space(scenario: Scenario) -> spaces.Space[NDArray[np.float32]]:
    """Flat observations: every feature lies in [0, 1]."""
    return spaces.Box(0.0, 1.0, (scenario.n_agents * n_features(scenario),), np.float32)
