"""Building, checking and drawing the faults of a scenario."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ..kinds import prefixed
from ..workloads.randomness import keyed, label_key
from .base import FAULTS, Draw, Fault
from .changes import change_table

if TYPE_CHECKING:
    from ..spec import Scenario
    from ..tape import Tape
    from ..workloads.base import Episode


def build_faults(content: object, at: str = "faults") -> tuple[Fault, ...]:
    """Build faults from a list of mappings; `at` is the list's path in error messages.

    Raises:
        ConfigError: No or an unknown kind, an unknown or missing key, a value out of range.
        TypeError: A value of the wrong type.
    """
    if not isinstance(content, list):
        raise TypeError(f"{at} must be a list of mappings, got {content!r}")
    return tuple(FAULTS.build(entry, f"{at}[{i}]") for i, entry in enumerate(content))


def check_faults(scenario: Scenario) -> None:
    """Check that all faults of a scenario can happen to it.

    Raises:
        TypeError: Something else than a fault of a registered kind.
        ConfigError: A fault of something that the scenario does not have.
    """
    for position, fault in enumerate(scenario.faults):
        at = f"faults[{position}]"
        if not isinstance(fault, Fault):
            raise TypeError(f"{at} must be a Fault (build_faults makes them), got {fault!r}")
        FAULTS.kind_of(fault)  # names its random numbers
        with prefixed(at):
            fault.check(scenario)


def with_faults(scenario: Scenario, episode: Episode, tape: Tape) -> Tape:
    """Return the tape of an episode with what goes wrong in it: a pure function of its arguments.

    Raises:
        ConfigError: More calls than a tape may have.
    """
    if not scenario.faults:
        return tape
    effects = []
    for fault, label in zip(scenario.faults, _labels(scenario.faults), strict=True):
        draw = _draw(episode.seed, label)
        strikes = fault.strikes(scenario, draw("strikes"))
        effects += [(effect, strikes) for effect in fault.effects(scenario)]
        tape = fault.add_calls(scenario, tape, strikes, draw)
    changes = change_table(effects, scenario.n_intervals)
    return replace(tape, changes=changes) if len(changes) else tape


def _labels(faults: Sequence[Fault]) -> list[str]:
    """Name each fault's random numbers by its kind and its place among the faults of that kind."""
    seen: Counter[str] = Counter()
    labels = []
    for fault in faults:
        kind = FAULTS.kind_of(fault)
        labels.append(f"fault/{kind}/{seen[kind]}")
        seen[kind] += 1
    return labels


def _draw(seed: int, label: str) -> Draw:
    def draw(part: str) -> np.random.Generator:
        return keyed(seed, label_key(f"{label}/{part}"))

    return draw
