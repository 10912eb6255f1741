"""What open tasks cost: rows that hold a task open for as long as its calls are, and the charge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .calls import Groups, Tasks
from .cells import Cells
from .limits import ROUNDING, Limits
from .rows import COST, LATENCY, Program
from .service import Blocks, Detail

if TYPE_CHECKING:
    from ...envs.spec import Scenario
    from ...envs.tape import Tape

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def add_charges(
    program: Program,
    scenario: Scenario,
    limits: Limits,
    tasks: Tasks,
    groups: Groups,
    blocks: Blocks,
    beyond: Floats,
) -> None:
    """Charge at the horizon the work that is left, and tasks that cannot complete by then."""
    calls, last = groups.calls, blocks.done[blocks.is_last]
    undone = groups.count * calls.work * limits.charge / scenario.throughput[calls.agent]
    program.add_cost(COST, last, -undone)
    program.constant[COST] += undone.sum()
    program.constant[COST] += np.sum(beyond / scenario.throughput) * limits.charge
    end = limits.held_time(limits.edges[-1:])
    open_for = end - limits.held_time(tasks.opened[tasks.lost])
    charge = scenario.reference_latency_s * limits.holding[-1]
    program.constant[LATENCY] += np.sum(tasks.weight[tasks.lost] * (open_for + charge))


class Holding:
    """Time that each group's task is open, as a sum over what is served when.

    A call that is served is open at least until the block in which it is served, and for its
    service. Where that is at most an interval, its time in a block is at least min(p, room) for all
    of it; where it is longer, half of it is added to the middle of its service.

    Attributes:
        is_long: Whether the shortest service is longer than an interval, (G,).
        inside: Shortest time in a block per fraction served in it, (S,) [s].
        per_second: What a second more in a block costs, 0 where it may cost nothing, (S,).
        served: Cost per fraction served in a block, (S,).
        unserved: Cost per fraction never served, (G,).
        charge: Horizon charge per fraction never served.
        path: Cost of the fastest way from a task's opening through a call to its end, (G,).
    """

    def __init__(self, scenario: Scenario, limits: Limits, groups: Groups, blocks: Blocks) -> None:
        calls, g, k = groups.calls, blocks.group, blocks.first
        end = limits.held_time(limits.edges[-1:])[0]
        least = limits.holding.min()
        self.is_long = calls.service > limits.length[0]
        half = np.where(self.is_long, calls.service / 2, 0.0) * least
        begin = np.maximum(limits.edges[k], calls.earliest[g])
        room = limits.edges[k + 1] - begin
        tail, until = calls.tail[g], limits.edges[blocks.end]
        counts = limits.held_time(until + tail) + half[g] <= end * (1 + ROUNDING)
        counts &= until + tail <= limits.edges[-1] * (1 + ROUNDING)
        counts &= ~calls.lost[g]
        exact = blocks.is_fine & (tail == 0)
        self.room = room
        self.inside = np.where(self.is_long[g], 0.0, np.minimum(calls.service[g], room)) * counts
        self.per_second = np.where(exact, limits.holding[k], least) * counts
        until_then = np.minimum(limits.held_time(begin + tail) + half[g], end)
        self.served = until_then - groups.held[g] + self.inside * self.per_second
        self.unserved = end - groups.held - half
        fastest = limits.held_time(calls.earliest + calls.service + calls.tail)
        self.path = groups.before + fastest - groups.held
        self.charge = scenario.reference_latency_s * limits.holding[-1]


def add_latency(
    program: Program,
    scenario: Scenario,
    limits: Limits,
    tasks: Tasks,
    groups: Groups,
    blocks: Blocks,
    cells: Cells,
    detail: Detail,
) -> None:
    """Hold tasks open: those of one call directly, others by each of their calls."""
    holding = Holding(scenario, limits, groups, blocks)
    calls, g = groups.calls, blocks.group
    slow = np.full(len(g), -1)
    counts = blocks.is_fine & (holding.per_second > 0) & (detail.slopes > 0)
    if limits.loads_between:
        counts &= ~blocks.is_first
    chosen = np.flatnonzero(counts)
    slow[chosen] = program.columns(len(chosen), holding.room[chosen])
    _add_slopes(program, limits, groups, blocks, cells, holding, slow, detail)
    _add_queues(program, limits, groups, blocks, cells, holding, slow, detail)
    single = calls.alone & ~calls.lost
    weight = groups.count * calls.weight * single
    # Put on what is done by a block's end, so that each interval bears its own part.
    after = np.append(holding.served[1:], 0.0)[: len(g)]
    waits = np.where(blocks.is_last, (holding.unserved + holding.charge)[g], after)
    program.add_cost(LATENCY, blocks.done, weight[g] * (holding.served - waits))
    program.add_cost(LATENCY, slow[chosen], (weight[g] * holding.per_second)[chosen])
    never = weight * (holding.unserved + holding.charge)
    program.constant[LATENCY] += np.sum(never + weight * groups.before)
    _add_tasks(program, tasks, groups, blocks, holding, slow)


def _add_slopes(
    program: Program,
    limits: Limits,
    groups: Groups,
    blocks: Blocks,
    cells: Cells,
    holding: Holding,
    slow: Ints,
    detail: Detail,
) -> None:
    """Bound a call's time in a block by its agent's share: tangents to what is convex in it.

    All of a call takes p(g) = w·c/(T·g) and s of it at least s²·p(g): 2·θ·s − θ²/p(g) for any θ,
    and half of it for the middle of a service.
    """
    chosen = np.flatnonzero(slow >= 0)
    g, k = blocks.group[chosen], blocks.first[chosen]
    calls = groups.calls
    i, room = calls.agent[g], holding.room[chosen]
    per_share = limits.one_call[i, k] / calls.work[g] / limits.length[k]
    half = np.where(holding.is_long[g], 0.5, 1.0)
    left = calls.earliest[g] + calls.service[g] - limits.edges[k]
    natural = np.where((left > 0) & (left < room), left, room)
    first = np.where(holding.is_long[g], natural, holding.inside[chosen])
    for nth in range(detail.slopes):
        theta = first * (room / first) ** (nth / max(detail.slopes - 1, 1))
        if nth and nth == detail.slopes - 1:
            theta = room
        program.at_most.add(
            0.0,
            (blocks.part[chosen], 2 * half * theta - holding.inside[chosen]),
            (cells.share[i, k], -half * theta**2 * per_share),
            (slow[chosen], -1.0),
            at=k,
        )


def _add_queues(
    program: Program,
    limits: Limits,
    groups: Groups,
    blocks: Blocks,
    cells: Cells,
    holding: Holding,
    slow: Ints,
    detail: Detail,
) -> None:
    """Bound the times of an agent's calls together: X of work has X²/(2·T·g) of area in a block."""
    calls, g, k = groups.calls, blocks.group, blocks.first
    on_time = calls.earliest[g] <= limits.edges[k]
    on_time &= groups.held[g] <= limits.held_time(limits.edges[k]) * (1 + ROUNDING)
    chosen = np.flatnonzero((slow >= 0) & (~blocks.is_first | on_time))
    i, k = calls.agent[g[chosen]], k[chosen]
    n_intervals = len(limits.length)
    cell, row = np.unique(i * n_intervals + k, return_inverse=True)
    several = np.bincount(row, groups.count[g[chosen]], len(cell)) > 1
    number = np.cumsum(several) - 1
    inside = several[row]
    chosen, row = chosen[inside], number[row[inside]]
    i, k = np.divmod(cell[several], n_intervals)
    work = groups.count[g[chosen]] * calls.work[g[chosen]]
    for nth in range(detail.slopes):
        theta = limits.length[k] * 0.5**nth
        rows = program.at_most.add(
            0.0, (cells.share[i, k], -(theta**2) * limits.rate[i, k] / limits.length[k] / 2), at=k
        )
        gain = theta[row] - holding.inside[chosen]
        program.at_most.extend(rows[row], blocks.part[chosen], work * gain)
        program.at_most.extend(rows[row], slow[chosen], -work)


def _add_tasks(
    program: Program,
    tasks: Tasks,
    groups: Groups,
    blocks: Blocks,
    holding: Holding,
    slow: Ints,
) -> None:
    """Hold a task of several calls open for its critical path and longer where a call is late."""
    calls, g = groups.calls, blocks.group
    many = np.flatnonzero(~calls.alone & ~calls.lost)
    present, nth = np.unique(calls.task[many], return_inverse=True)
    weight = tasks.weight[present]
    path = np.zeros(len(present))
    np.maximum.at(path, nth, holding.path[many])
    program.constant[LATENCY] += np.sum(weight * path)
    longer = program.columns(len(present), 1.0 + holding.unserved.max(initial=0.0), latency=weight)
    left = program.columns(len(present), 1.0, latency=weight * holding.charge)
    rows = np.full(len(calls.task), -1)
    rows[many] = program.at_most.add(
        path[nth] - (groups.before + holding.unserved)[many],
        (longer[nth], -1.0),
        at=groups.start[many],
    )
    mine = np.flatnonzero(rows[g] >= 0)
    program.at_most.extend(rows[g[mine]], blocks.part[mine], holding.served[mine])
    timed = mine[slow[mine] >= 0]
    program.at_most.extend(rows[g[timed]], slow[timed], holding.per_second[timed])
    last = blocks.done[blocks.is_last][many]
    program.at_most.extend(rows[many], last, -holding.unserved[many])
    at = blocks.end[blocks.is_last][many] - 1
    program.at_most.add(-1.0, (left[nth], -1.0), (last, -1.0), at=at)


def add_order(program: Program, tape: Tape, limits: Limits, groups: Groups, blocks: Blocks) -> None:
    """Let no call run ahead of its predecessors and the delay after them."""
    if tape.graph is None:
        return
    position = np.full(tape.n_calls, -1)
    position[groups.calls.call] = np.arange(len(groups.calls.call))
    before = np.repeat(np.arange(tape.n_calls), np.diff(tape.graph.successor_ptr))
    after = tape.graph.successors
    known = (position[before] >= 0) & (position[after] >= 0)
    edges = np.stack([position[before], position[after]])[:, known]
    begin = np.searchsorted(blocks.group, np.arange(len(groups.start) + 1))
    for earlier, later in edges.T:
        mine = slice(begin[later], begin[later + 1])
        theirs = slice(begin[earlier], begin[earlier + 1])
        at = limits.edges[blocks.end[mine]] - tape.graph.delay[groups.calls.call[later]]
        ends = limits.edges[blocks.end[theirs]]
        match = np.searchsorted(ends, at * (1 - ROUNDING))
        ok = match < len(ends)
        columns = blocks.done[theirs][np.minimum(match, len(ends) - 1)]
        last = blocks.end[mine][ok] - 1
        program.at_most.add(0.0, (blocks.done[mine][ok], 1.0), (columns[ok], -1.0), at=last)
