"""One instance for every simulator in the tests: a scenario, its calls and the shares asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from slicegym.envs import Scenario, Tape
from slicegym.envs.kernel.layout import CHANGE


@dataclass(frozen=True)
class Call:
    """One call of the tape.

    `release` is the release time [s] of a call without predecessors; `delay` is the wait [s]
    after the last predecessor of any other.
    """

    agent: int
    work: float
    task: int
    release: float = math.nan
    delay: float = 0.0
    predecessors: tuple[int, ...] = ()


@dataclass(frozen=True)
class Change:
    """What a decision finds changed: `what` (as in `layout`), of which node or agent, to what."""

    decision: int
    what: int
    target: int
    value: float = 0.0


@dataclass(frozen=True)
class Case:
    """A scenario, a tape as a list of calls, and what is requested at each decision.

    A row of `shares` holds a share for each agent [GPU], and may go on as docs/platform.md says.
    """

    scenario: Scenario
    calls: tuple[Call, ...]
    shares: tuple[tuple[float, ...], ...]
    note: str = field(default="", compare=False)
    changes: tuple[Change, ...] = ()

    def tape(self) -> Tape:
        """The same calls as the package's own tape."""
        tape = tape_of(self.calls, self.scenario)
        rows = sorted((c.decision, c.what, c.target, c.value) for c in self.changes)
        return replace(tape, changes=np.array(rows, CHANGE)) if rows else tape

    def changes_at(self, decision: int) -> list[Change]:
        """What the tape says of one decision."""
        return [change for change in self.changes if change.decision == decision]

    def requested(self) -> np.ndarray:
        """What is requested, shape (intervals, agents or more), as `simulate` takes it."""
        return np.array(self.shares, dtype=np.float64)


def tape_of(calls: Sequence[Call], scenario: Scenario) -> Tape:
    """Hands the calls to `Tape.from_calls`, whose `release` is a delay after predecessors."""
    return Tape.from_calls(
        agent=[call.agent for call in calls],
        work=[call.work for call in calls],
        release=[call.delay if call.predecessors else call.release for call in calls],
        task=[call.task for call in calls],
        predecessors=[list(call.predecessors) for call in calls],
        horizon_s=scenario.horizon_s,
    )


def number_of_intervals(scenario: Scenario) -> int:
    """Whole intervals, the last one possibly short."""
    return max(1, math.ceil(scenario.horizon_s / scenario.interval_s - 1e-9))
