"""From strikes to the table of changes that a tape carries."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import pairwise
from operator import or_
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..kernel.layout import BLOCKED, CHANGE, EVICTION, HEALTH, LOAD_FACTOR, LOST

if TYPE_CHECKING:
    from ..spec import Scenario

# A time that is this part of an interval after a decision is float noise, not a later time.
GRID_TOLERANCE = 1e-9
# What comes first at one decision: what is left, how it serves, who leaves memory.
ORDER = (LOST, BLOCKED, LOAD_FACTOR, HEALTH, EVICTION)

# Columns of the observation that show what is changed; the others are felt only.
OBSERVED = {LOST: "available", BLOCKED: "available", HEALTH: "health"}


class Strike(NamedTuple):
    """One strike on the decision grid.

    Attributes:
        start: First decision that finds it.
        end: First decision that finds it over, after `start`; the number of decisions where none
            does.
    """

    start: int
    end: int


class Effect(NamedTuple):
    """What a strike changes while it lasts.

    Attributes:
        what: LOST, BLOCKED, HEALTH, LOAD_FACTOR or EVICTION of `kernel.layout`.
        targets: Nodes or agents.
        value: GPUs lost, bit mask of slices, factor; nothing for EVICTION.
    """

    what: int
    targets: range
    value: float = 0.0


def on_grid(scenario: Scenario, start_s: float, end_s: float) -> Strike:
    """Move start and end to the next decision, the end to one after the start's."""
    start, end = (
        math.ceil(min(time / scenario.interval_s, scenario.n_intervals) - GRID_TOLERANCE)
        for time in (start_s, end_s)
    )
    return Strike(start, max(end, start + 1))


def change_table(
    effects: Iterable[tuple[Effect, Sequence[Strike]]], n_intervals: int
) -> NDArray[Any]:
    """Return what each decision finds changed: absolute values, real changes alone.

    Args:
        effects: What each fault changes, with its strikes.
        n_intervals: Number of decisions.

    Returns:
        Shape (changes,), dtype `layout.CHANGE`, by decision, `ORDER` and target.
    """
    parts = [np.zeros(0, CHANGE)]
    for what, targets, group in _groups(effects):
        steps = _starts(group) if what == EVICTION else _values(COMBINED[what], group)
        parts.append(_rows(what, targets, [step for step in steps if step[0] < n_intervals]))
    table = np.concatenate(parts)
    rank = np.argsort(ORDER)[table["what"]]
    return table[np.lexsort((table["target"], rank, table["decision"]))]


def _groups(
    effects: Iterable[tuple[Effect, Sequence[Strike]]],
) -> Iterator[tuple[int, range, list[tuple[Strike, float]]]]:
    """Yield all strikes of one `what`, with values, for targets that the same effects meet."""
    by_what: dict[int, list[tuple[Effect, Sequence[Strike]]]] = defaultdict(list)
    for effect, strikes in effects:
        by_what[effect.what].append((effect, strikes))
    for what, met in by_what.items():
        cuts = sorted({cut for e, _ in met for cut in (e.targets.start, e.targets.stop)})
        for first, end in pairwise(cuts):
            mine = [(e.value, strikes) for e, strikes in met if first in e.targets]
            yield what, range(first, end), [(s, value) for value, found in mine for s in found]


def _starts(group: list[tuple[Strike, float]]) -> list[tuple[int, float]]:
    """Decisions at which a strike starts."""
    return [(decision, 0.0) for decision in sorted({strike.start for strike, _ in group})]


def _values(
    combined: Callable[[list[float]], float], group: list[tuple[Strike, float]]
) -> Iterator[tuple[int, float]]:
    """Yield each decision at which the combination of all active strikes changes, and to what.

    It is worked out anew from the set of strikes, so that the last end leaves no rounding behind.
    """
    to_come = sorted(group, reverse=True)
    active: list[tuple[Strike, float]] = []
    before = combined([])
    for decision in sorted({bound for strike, _ in group for bound in strike}):
        active = [entry for entry in active if entry[0].end > decision]
        while to_come and to_come[-1][0].start <= decision:
            active.append(to_come.pop())
        now = combined(sorted(value for _, value in active))
        if now != before:
            yield decision, now
        before = now


def _rows(what: int, targets: range, steps: list[tuple[int, float]]) -> NDArray[Any]:
    rows = np.zeros((len(steps), len(targets)), CHANGE)
    rows["decision"] = np.array([decision for decision, _ in steps], dtype=np.int64)[:, None]
    rows["value"] = np.array([value for _, value in steps], dtype=np.float64)[:, None]
    rows["what"], rows["target"] = what, np.array(targets)
    return rows.ravel()


def _union(masks: list[float]) -> float:
    return float(reduce(or_, map(int, masks), 0))


# How strikes at the same time on the same target add up; of none: the value without faults.
COMBINED: dict[int, Callable[[list[float]], float]] = {
    LOST: math.fsum,
    BLOCKED: _union,
    HEALTH: lambda factors: float(math.prod(factors)),
    LOAD_FACTOR: lambda factors: float(math.prod(factors)),
}


def check_changes(changes: NDArray[Any], scenario: Scenario) -> None:
    """Refuse a table of changes that a scenario cannot have; a tape may be anybody's.

    Raises:
        TypeError: Another dtype than `layout.CHANGE`.
        ConfigError: Changes out of order, or one that is unknown, without its target or value.
    """
    if changes.dtype != CHANGE:
        raise TypeError(f"tape.changes must have the dtype layout.CHANGE, got {changes.dtype}")
    if not len(changes):
        return
    slices = 2.0**8 - 1.0 if scenario.partition is not None else 0.0
    ends = np.array([scenario.n_nodes, 1, scenario.n_agents, scenario.n_agents, scenario.n_agents])
    most = np.array([np.inf, slices, 1.0, np.inf, np.inf])
    what, value = changes["what"], changes["value"]
    known = (what >= LOST) & (what <= EVICTION)
    kind = np.where(known, what, 0)
    good = known & (changes["target"] >= 0) & (changes["target"] < ends[kind])
    good &= np.isfinite(value) & (value >= 0) & (value <= most[kind])
    good[1:] &= np.diff(changes["decision"]) >= 0
    if not good.all():
        bad = int(np.argmin(good))
        raise ConfigError(
            f"tape.changes[{bad}] must be in the order of the decisions and change something of "
            f"scenario {scenario.name!r}, got {changes[bad]}; Scenario.tape draws such tables"
        )
