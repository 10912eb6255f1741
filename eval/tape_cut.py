"""Some intervals cut out of a tape: what opens in them, and what is wrong then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..envs.kernel.layout import CHANGE, EVICTION
from ..envs.spec import Scenario
from ..envs.tape import Tape

Changes = NDArray[np.void]


def cut(scenario: Scenario, tape: Tape, first: int, n: int) -> tuple[Scenario, Tape]:
    """Cut n intervals out of a tape, from decision `first` on.

    The cut holds the tasks that open in it, at the times that they had. Agents begin cold, as in
    every episode; what was wrong at its first decision is so from the start.

    Returns:
        The scenario with the shorter horizon, and the tape.
    """
    begin, length = first * scenario.interval_s, n * scenario.interval_s
    inside = (tape.opened_at >= begin) & (tape.opened_at < begin + length)
    calls = np.flatnonzero(inside[tape.task])
    number = np.full(tape.n_calls, -1)
    number[calls] = np.arange(len(calls))
    before: list[list[int]] = [[] for _ in calls]
    if tape.graph is not None:
        pairs = zip(
            np.repeat(np.arange(tape.n_calls), np.diff(tape.graph.successor_ptr)).tolist(),
            tape.graph.successors.tolist(),
            strict=True,
        )
        for earlier, later in pairs:
            if number[later] >= 0:
                before[number[later]].append(int(number[earlier]))
    is_root = tape.n_predecessors[calls] == 0
    release = np.where(is_root, tape.release[calls] - begin, tape.delay[calls])
    task = np.unique(tape.task[calls], return_inverse=True)[1]
    shorter = Tape.from_calls(
        tape.agent[calls],
        tape.work[calls],
        release,
        None if tape.is_independent else task,
        None if tape.is_independent else before,
        horizon_s=length,
        routing=tape.routing,
    )
    changes = _changes(tape.changes, first, n)
    # What goes wrong stands on the tape; the kinds stay, since they decide what is observed.
    faults = tuple(f if f.at_s is None else replace(f, at_s=0.0) for f in scenario.faults)
    shorter_scenario = replace(scenario, horizon_s=length, workload=None, faults=faults)
    return shorter_scenario, replace(shorter, changes=changes)


def _changes(changes: Changes, first: int, n: int) -> Changes:
    """Return what is wrong from decision `first` on, counted from there."""
    past = changes[(changes["decision"] <= first) & (changes["what"] != EVICTION)]
    last = {(row["what"], row["target"]): row for row in past}
    known = np.array(list(last.values()), CHANGE)
    later = changes[(changes["decision"] > first) & (changes["decision"] < first + n)]
    found = np.concatenate([known, later])
    found["decision"] = np.maximum(found["decision"] - first, 0)
    return found
