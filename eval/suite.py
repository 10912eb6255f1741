"""Evaluation suites as data: a scenario and the episodes of one of its splits.

There is one suite a scenario and split, named `SCENARIO-SPLIT`; what its episodes are (windows of
a trace, or seeds) and which of them are independent is the workload's to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..envs.errors import ConfigError, unknown_name
from ..envs.loading import is_scenario_name, load_scenario, scenario_names
from ..envs.spec import Scenario
from ..envs.workloads.base import SPLITS, Episode


@dataclass(frozen=True)
class Suite:
    """A finished list of episodes, the same for every allocator.

    Attributes:
        name: `SCENARIO-SPLIT`.
        scenario: What is simulated.
        split: `train`, `validation` or `heldout`.
        episodes: Each one names its tape completely.
    """

    name: str
    scenario: Scenario
    split: str
    episodes: tuple[Episode, ...]

    @property
    def family(self) -> str:
        """The scenario's name, as results and their files are called."""
        return re.sub(r"[^\w.-]", "_", self.scenario.name)

    def first(self, n_episodes: int | None) -> Suite:
        """Return the suite cut to its first episodes; `None` leaves it whole.

        Raises:
            ConfigError: `n_episodes` is less than 1.
        """
        if n_episodes is None:
            return self
        if n_episodes < 1:
            raise ConfigError(f"episodes must be at least 1, got {n_episodes}")
        return Suite(self.name, self.scenario, self.split, self.episodes[:n_episodes])


def suite_names() -> tuple[str, ...]:
    """Names of all suites of the shipped scenarios."""
    return tuple(f"{name}-{split}" for name in scenario_names() for split in SPLITS)


def load_suite(name: str) -> Suite:
    """Load `SCENARIO-SPLIT`; SCENARIO may also be the path of a scenario's YAML file.

    Raises:
        ConfigError: Unknown name, or a scenario without a workload.
        TraceError: The workload's trace is missing or damaged.
    """
    stem, dash, split = name.rpartition("-")
    is_path = stem.endswith((".yaml", ".yml")) or "/" in stem
    if not dash or split not in SPLITS or not (is_path or is_scenario_name(stem)):
        raise unknown_name("suite", name, suite_names())
    scenario = load_scenario(stem)
    if scenario.workload is None:
        raise ConfigError(f"suite {name!r} needs a scenario with a workload; add `workload:` to it")
    return Suite(name, scenario, split, tuple(scenario.workload.suite(scenario, split)))
