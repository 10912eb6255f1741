"""Columns and rows of calls: when they are served, and what they hold open until then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .calls import Groups
from .cells import Cells
from .limits import Limits
from .rows import COST, IDLE, Program

if TYPE_CHECKING:
    from ...envs.spec import Scenario

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Detail:
    """How finely a program looks; every choice gives a bound, a finer one a tighter bound.

    Attributes:
        ratio: Calls of an agent and interval whose works differ by less than this are one group.
        fine: Intervals after a call's earliest start that are looked at one by one.
        growth: Later ones are blocks, each longer than the one before by this factor.
        slopes: Tangents to a call's time in service over its agent's share.
        loads: Whether every call waits for its own load at the end of every block.
        core: Intervals that are settled at a time; 0 for all at once.
        look: Intervals after them that are in sight.
        method: HiGHS's: dual simplex, or interior point, which takes a fraction of the time where
            rows of call graphs reach over many intervals, and twice as long elsewhere.
    """

    ratio: float = 1.0
    fine: int = 1_000_000
    growth: float = 1.5
    slopes: int = 4
    loads: bool = True
    core: int = 0
    look: int = 0
    method: str = "highs-ds"


@dataclass(frozen=True, eq=False)
class Blocks:
    """Blocks of intervals in which groups can be served; S in all, a group's in a row.

    Attributes:
        group: (S,).
        first: First interval, (S,).
        end: The interval after the last, (S,).
        part: Column of the fraction served in it, (S,).
        done: Column of the fraction served by its end, (S,).
        is_first: Whether it is its group's first, (S,).
        is_last: Whether it is its group's last, (S,).
    """

    group: Ints
    first: Ints
    end: Ints
    part: Ints
    done: Ints
    is_first: Bools
    is_last: Bools

    @property
    def is_fine(self) -> Bools:
        """Whether it is one interval, (S,)."""
        return np.asarray(self.end - self.first == 1)


def offsets(n_intervals: int, detail: Detail) -> Ints:
    """Return where blocks begin, counted in intervals from the call's first, and where all end."""
    marks = list(range(min(detail.fine, n_intervals) + 1))
    length = 1.0
    while marks[-1] < n_intervals:
        length *= detail.growth
        marks.append(marks[-1] + max(1, int(length)))
    return np.array(marks)


def add_blocks(
    program: Program, groups: Groups, n_intervals: int, detail: Detail, worth: Floats
) -> Blocks:
    """Add the fractions of each group that are served in each block, and by its end."""
    marks = offsets(n_intervals, detail)
    first = groups.start[:, None] + marks[None, :-1]
    end = np.minimum(groups.start[:, None] + marks[None, 1:], n_intervals)
    group, nth = np.nonzero(first < n_intervals)
    n = len(group)
    part, done = program.columns(n, 1.0), program.columns(n, 1.0)
    is_first = nth == 0
    before = np.where(is_first, -1, np.concatenate([[-1], done[:-1]])[:n])
    program.equal.add(
        0.0, (done, 1.0), (before, -1.0), (part, -1.0), at=end[group, nth] - 1, guess=-worth[group]
    )
    is_last = np.append(is_first[1:], True)[:n]
    return Blocks(group, first[group, nth], end[group, nth], part, done, is_first, is_last)


def add_rates(
    program: Program, groups: Groups, blocks: Blocks, cells: Cells, limits: Limits, detail: Detail
) -> None:
    """Serve calls within their agents' shares, each at most at its own rate, and when warm."""
    calls = groups.calls
    chosen = np.flatnonzero(blocks.is_fine)
    g, k = blocks.group[chosen], blocks.first[chosen]
    i, part = calls.agent[g], blocks.part[chosen]
    work = groups.count[g] * calls.work[g]
    program.at_most.extend(cells.served[i, k], part, work)
    _count_busy(program, cells, limits, i, k, part, work)
    room = _room(groups, limits, g, k)
    used = limits.length[k] if limits.loads_between else room
    fastest = limits.one_call[i, k] * used / limits.length[k] / calls.work[g]
    program.at_most.add(0.0, (part, 1.0), (cells.share[i, k], -fastest), at=k)
    warm = np.flatnonzero(limits.is_held[i])
    serves = cells.serves[i, k][warm]
    most = np.minimum(1.0, room[warm] / calls.service[g][warm])
    program.at_most.add(0.0, (part[warm], 1.0), (serves, -most), at=k[warm])
    if detail.loads:
        _wait_for_loads(program, groups, blocks, cells, limits)


def _room(groups: Groups, limits: Limits, g: Ints, k: Ints) -> Floats:
    """Return how much of interval k is left after the earliest start of group g [s]."""
    return limits.edges[k + 1] - np.maximum(limits.edges[k], groups.calls.earliest[g])


def _count_busy(
    program: Program, cells: Cells, limits: Limits, i: Ints, k: Ints, column: Ints, work: Floats
) -> None:
    """Count served work as busy."""
    if cells.counted is not None:
        program.at_most.extend(cells.counted[i, k], column, -limits.occupied[i, k] * work)
        return
    program.add_cost(IDLE, column, -limits.price[k] * limits.occupied[i, k] * work)


def _wait_for_loads(
    program: Program, groups: Groups, blocks: Blocks, cells: Cells, limits: Limits
) -> None:
    """Let no call be done that has not seen its agent warm: in memory before, or loaded since."""
    later = ~blocks.is_first & limits.is_held[groups.calls.agent[blocks.group]]
    chosen = np.flatnonzero(later)
    i, k = groups.calls.agent[blocks.group[chosen]], groups.start[blocks.group[chosen]]
    ended = blocks.end[chosen] - 1 - limits.load_lag[i]
    loaded = np.where(ended >= 0, cells.loads[i, np.maximum(ended, 0)], -1)
    terms = (cells.held[i, k], -1.0), (cells.loads[i, k], 1.0), (loaded, -1.0)
    program.at_most.add(0.0, (blocks.done[chosen], 1.0), *terms, at=blocks.end[chosen] - 1)


def add_backlog(
    program: Program,
    scenario: Scenario,
    groups: Groups,
    blocks: Blocks,
    cells: Cells,
    limits: Limits,
) -> None:
    """Find room for work that is served somewhere in a block, and for work without a place.

    What is served of it lies, summed over time, between the blocks that have ended and those that
    have begun.
    """
    calls, coarse = groups.calls, np.flatnonzero(~blocks.is_fine)
    agents = np.union1d(calls.agent[blocks.group[coarse]], calls.agent[groups.excess > 0])
    shape, n = cells.share.shape, len(limits.length)
    owed, ahead, served = (np.full(shape, -1) for _ in range(3))
    owed_rows, ahead_rows = np.full(shape, -1), np.full(shape, -1)
    k = np.arange(n)
    for i in agents:
        mine = calls.agent == i
        total = float(np.sum((groups.count * calls.work + groups.excess)[mine]))
        most = limits.rate[i] * limits.capacity * limits.length
        served[i] = program.columns(n, np.minimum(most, total))
        owed[i], ahead[i] = program.columns(n, total), program.columns(n, total)
        program.at_most.extend(cells.served[i], served[i], 1.0)
        _count_busy(program, cells, limits, np.full(n, i), k, served[i], np.ones(n))
        if limits.is_held[i]:
            program.at_most.add(
                0.0, (served[i], 1.0), (cells.serves[i], -np.minimum(most, total)), at=k
            )
        entered = np.zeros(n)
        np.add.at(entered, groups.start[mine], groups.excess[mine])
        # ahead: served before its blocks' ends; owed: begun and not yet served.
        terms = [(column, sign) for column, sign in ((served[i], 1.0),)]
        before = np.concatenate([[-1], ahead[i][:-1]])
        ahead_rows[i] = program.equal.add(
            0.0, (ahead[i], 1.0), (before, -1.0), (served[i], -1.0), at=k
        )
        before = np.concatenate([[-1], owed[i][:-1]])
        owed_rows[i] = program.equal.add(
            entered,
            (owed[i], 1.0),
            (before, -1.0),
            *terms,
            at=k,
            guess=scenario.weights.cost * limits.price.min() / scenario.throughput[i],
        )
        program.add_cost(COST, owed[i][-1:], limits.charge / scenario.throughput[i])
    g = blocks.group[coarse]
    i, work = calls.agent[g], groups.count[g] * calls.work[g]
    program.equal.extend(ahead_rows[i, blocks.end[coarse] - 1], blocks.part[coarse], work)
    program.equal.extend(owed_rows[i, blocks.first[coarse]], blocks.part[coarse], -work)
