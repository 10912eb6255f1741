"""The calls of a tape as the program sees them: when they can be served, what they hold open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .limits import ROUNDING, Limits

if TYPE_CHECKING:
    from ...envs.spec import Scenario
    from ...envs.tape import Tape

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Calls:
    """Calls of opened tasks that can start before the horizon.

    Attributes:
        call: Number on the tape, (calls,).
        agent: (calls,).
        work: (calls,).
        earliest: Earliest start of service, (calls,) [s].
        service: Shortest service, (calls,) [s].
        tail: Shortest time from its completion to that of its task, (calls,) [s].
        opened: When its task opens, (calls,) [s].
        weight: ω of its task, (calls,).
        alone: Whether its task is this call alone, (calls,).
        lost: Whether its task cannot complete by the horizon, (calls,).
        task: (calls,).
    """

    call: Ints
    agent: Ints
    work: Floats
    earliest: Floats
    service: Floats
    tail: Floats
    opened: Floats
    weight: Floats
    alone: Bools
    lost: Bools
    task: Ints

    def take(self, chosen: NDArray[np.generic]) -> Calls:
        """Return some of the calls."""
        return Calls(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


@dataclass(frozen=True, eq=False)
class Tasks:
    """Tasks of a tape.

    Attributes:
        opened: Release of the first call, (tasks,) [s].
        weight: ω of the first call's agent, (tasks,).
        is_open: Whether it opens before the horizon, (tasks,).
        lost: Whether it opens and cannot complete by the horizon, (tasks,).
        size: Its calls, (tasks,).
    """

    opened: Floats
    weight: Floats
    is_open: Bools
    lost: Bools
    size: Ints


def read_calls(scenario: Scenario, tape: Tape, limits: Limits) -> tuple[Tasks, Calls, Floats]:
    """Work out for every call when it can be served at the earliest.

    Returns:
        The tasks, the calls that can start before the horizon, and the work per agent that cannot
        be done but belongs to opened tasks, (N,).
    """
    agent = tape.agent.astype(np.int64)
    service = tape.work * limits.fastest[agent]
    start, tail = _critical_paths(tape, service, limits.load_s[agent])
    end = limits.edges[-1]
    is_open = tape.opened_at < end
    late = start + service + tail > end * (1 + ROUNDING)
    lost = is_open & (np.bincount(tape.task, late, tape.n_tasks) > 0)
    weight = scenario.weight[agent[tape.first_call]]
    size = np.bincount(tape.task, minlength=tape.n_tasks)
    tasks = Tasks(tape.opened_at, weight, is_open, lost, size)
    playable = is_open[tape.task] & (start < end)
    task = tape.task.astype(np.int64)
    opened, of_task = tape.opened_at[task], weight[task]
    everything = np.arange(tape.n_calls)
    alone, doomed = size[task] == 1, lost[task]
    calls = Calls(
        everything, agent, tape.work, start, service, tail, opened, of_task, alone, doomed, task
    )
    undone = is_open[task] & ~playable
    beyond = np.bincount(agent[undone], tape.work[undone], scenario.n_agents).astype(np.float64)
    return tasks, calls.take(playable), beyond


def _critical_paths(tape: Tape, service: Floats, load_s: Floats) -> tuple[Floats, Floats]:
    """Return earliest starts of service, and shortest times from completion to the task's end."""
    start = np.where(tape.n_predecessors > 0, 0.0, tape.release)
    tail = np.zeros(tape.n_calls)
    if tape.graph is None:
        return np.maximum(start, load_s), tail
    graph, order = tape.graph, topological_order(tape)
    for call in order:
        start[call] = max(start[call], load_s[call])
        done = start[call] + service[call]
        for after in graph.successors[graph.successor_ptr[call] : graph.successor_ptr[call + 1]]:
            start[after] = max(start[after], done + graph.delay[after])
    for call in order[::-1]:
        for after in graph.successors[graph.successor_ptr[call] : graph.successor_ptr[call + 1]]:
            tail[call] = max(tail[call], graph.delay[after] + service[after] + tail[after])
    return start, tail


def topological_order(tape: Tape) -> list[int]:
    """Return the calls of a graph, predecessors first (Kahn 1962)."""
    assert tape.graph is not None
    left = tape.graph.n_predecessors.tolist()
    pointer, successors = tape.graph.successor_ptr.tolist(), tape.graph.successors.tolist()
    order = [call for call, before in enumerate(left) if before == 0]
    for call in order:
        for after in successors[pointer[call] : pointer[call + 1]]:
            left[after] -= 1
            if left[after] == 0:
                order.append(after)
    return order


@dataclass(frozen=True, eq=False)
class Groups:
    """Calls of one agent that the program serves alike; G groups.

    A group's calls can start in the same interval, and each of them has the work of the shortest
    and the earliest start of all. What they have on top is work without a place in the queue.

    Attributes:
        calls: The representative of each group.
        count: Calls in it, (G,).
        start: Interval of the earliest start, (G,).
        held: Mean of `limits.held_time` at the calls' own earliest starts, (G,).
        before: Mean of the same from the opening of the task to the earliest start, (G,).
        excess: Work on top of the representative's, of all calls together, (G,).
    """

    calls: Calls
    count: Ints
    start: Ints
    held: Floats
    before: Floats
    excess: Floats


def group(calls: Calls, limits: Limits, ratio: float) -> Groups:
    """Put calls of tasks of their own together whose works differ by less than a ratio.

    Args:
        calls: Calls.
        limits: The scenario's limits.
        ratio: Work of the longest call of a group over that of the shortest; at 1 only equal calls
            come together.
    """
    start = np.searchsorted(limits.edges, calls.earliest, side="right") - 1
    if ratio > 1:
        bucket = np.floor(np.log(calls.work) / np.log(ratio)).astype(np.int64)
        instant = np.zeros(len(start))
    else:
        bucket = np.unique(calls.work, return_inverse=True)[1]
        instant = calls.earliest
    single = np.where(calls.alone, -1, np.arange(len(start)))
    keys = (instant, bucket, calls.lost, calls.weight, start, calls.agent, single)
    order = np.lexsort((calls.work, *keys))
    differs = np.zeros(len(order), dtype=bool)
    for key in keys:
        differs[1:] |= key[order][1:] != key[order][:-1]
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.cumsum(differs)
    first = order[np.flatnonzero(np.concatenate([[True], differs[1:]]))] if len(order) else order
    n = len(first)
    count = np.bincount(number, minlength=n)
    earliest = np.full(n, np.inf)
    np.minimum.at(earliest, number, calls.earliest)
    held = limits.held_time(calls.earliest)
    before = held - limits.held_time(calls.opened)
    chosen = calls.take(first)
    object.__setattr__(chosen, "earliest", earliest)
    return Groups(
        chosen,
        count,
        start[first],
        np.bincount(number, held, n) / np.maximum(count, 1),
        np.bincount(number, before, n) / np.maximum(count, 1),
        np.bincount(number, calls.work, n) - count * chosen.work,
    )
