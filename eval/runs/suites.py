"""Suites of one or several families: by name, by split, or from somebody's YAML file.

name: mine
parts:
  - {scenario: azure, split: validation}               # every episode of azure-validation
  - {scenario: bursty, split: heldout, episodes: 4}    # the first four
  - {scenario: mine.yaml, split: train, episodes: [0, 3, 5]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...envs import checks
from ...envs.errors import ConfigError, TraceError
from ...envs.loading import read_yaml, scenario_names
from ...envs.workloads.base import SPLITS, check_split
from ..suite import Suite, load_suite
from .identity import trace_sums

YAML = (".yaml", ".yml")


@dataclass(frozen=True)
class Suites:
    """Parts of different families, played one after the other.

    Attributes:
        name: As it was asked for.
        parts: One suite for each family.
        absent: Why a family is left out, by its name: its trace is missing, say.
        is_strict: Whether a failure ends the run; where it does not, the others go on.

    Raises:
        ConfigError: No part, or two of one family.
    """

    name: str
    parts: tuple[Suite, ...]
    absent: Mapping[str, str] = field(default_factory=dict)
    is_strict: bool = False

    def __post_init__(self) -> None:
        families = [part.family for part in self.parts]
        if not families:
            why = "; ".join(f"{family}: {why}" for family, why in self.absent.items())
            raise ConfigError(
                f"suite {self.name!r} must have at least one part; {why or 'add one'}"
            )
        for family in families:
            if families.count(family) > 1:
                raise ConfigError(
                    f"suite {self.name!r}: families must differ from each other, got {family!r} "
                    "twice; give one scenario another `name:`, or make two suites"
                )

    def first(self, n_episodes: int | None) -> Suites:
        """Return the suites with each part cut to its first episodes; `None` leaves them whole.

        Raises:
            ConfigError: `n_episodes` is less than 1.
        """
        return replace(self, parts=tuple(part.first(n_episodes) for part in self.parts))


def load_suites(name: str) -> Suites:
    """Load what `--suite` names.

    Args:
        name: `SCENARIO-SPLIT`; `train`, `validation` or `heldout` for every shipped scenario; or
            the path of a suite's YAML file.

    Raises:
        ConfigError: An unknown name, or a file with a key or value that it may not have.
        TypeError: A value of the wrong type in a file.
        TraceError: A trace is missing or damaged; of a whole split, that family is left out.
    """
    if name in SPLITS:
        return of_families(scenario_names(), name)
    if name.endswith(YAML):
        return read_suites(Path(name))
    return Suites(name, (load_suite(name),), is_strict=True)


def of_families(scenarios: Sequence[str], split: str) -> Suites:
    """Return one split of several scenarios; one without its trace is left out, with the reason.

    Raises:
        ConfigError: An unknown name, or none that can be played.
    """
    parts, absent = [], {}
    for scenario in scenarios:
        try:
            suite = load_suite(f"{scenario}-{split}")
            trace_sums([suite])
            parts.append(suite)
        except TraceError as error:
            absent[scenario] = str(error)
    return Suites(split, tuple(parts), absent)


def read_suites(path: Path) -> Suites:
    """Read a suite's YAML file; the paths of scenarios in it are relative to its folder.

    Raises:
        ConfigError, TypeError: A key or value that it may not have.
        TraceError: A trace is missing or damaged.
    """
    content = read_yaml(path)
    at = f"suite {path}"
    checks.keys(at, content, ("name", "description", "parts"), required=("parts",))
    name = checks.text(f"{at}: name", content.get("name", path.stem))
    parts = content["parts"]
    if not isinstance(parts, list):
        raise TypeError(f"{at}: parts must be a list of mappings, got {parts!r:.80}")
    return Suites(
        name, tuple(_part(entry, f"{at}: parts[{i}]", path) for i, entry in enumerate(parts))
    )


def _part(entry: object, at: str, path: Path) -> Suite:
    values = checks.mapping(at, entry)
    checks.keys(at, values, ("scenario", "split", "episodes"), required=("scenario", "split"))
    scenario = checks.text(f"{at}.scenario", values["scenario"])
    if scenario.endswith(YAML):
        scenario = str(path.parent / scenario)
    split = checks.text(f"{at}.split", values["split"])
    try:
        suite = load_suite(f"{scenario}-{check_split(split)}")
    except ConfigError as error:
        raise ConfigError(f"{at}: {error}") from error
    return _chosen(suite, values["episodes"], at) if "episodes" in values else suite


def _chosen(suite: Suite, episodes: object, at: str) -> Suite:
    """Return the first `n` episodes of a suite, or those at a list of indices."""
    n = len(suite.episodes)
    if not isinstance(episodes, list):
        count = checks.integer(f"{at}.episodes", episodes, at_least=1, at_most=n)
        return suite.first(count)
    if not episodes:
        raise ConfigError(f"{at}.episodes must name at least one index, got []")
    indices = [
        checks.integer(f"{at}.episodes[{i}]", value, at_least=0, at_most=n - 1)
        for i, value in enumerate(episodes)
    ]
    if len(set(indices)) < len(indices):
        raise ConfigError(f"{at}.episodes must differ from each other, got {indices}")
    return replace(suite, episodes=tuple(suite.episodes[i] for i in indices))
