"""What happened over time, in the form that pictures of an episode are drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .kernel.layout import COLD, LOADING, WARM
from .observation import SHORT_WINDOW_S, Observation
from .run import Run
from .spec import Scenario

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Frame:
    """What one observation adds to a timeline: N agents at one instant.

    Attributes:
        time_s: When [s].
        share: Shares in force up to then, (N,) [GPU].
        queue: Calls that wait, (N,).
        wait_s: How long the first of them has waited, (N,) [s].
        status: Lifecycle, (N,), numbered as in `kernel.layout`.
        asked: GPUs that the arrivals of the last seconds ask for, at work 1 a call.
        capacity: GPUs that were ready and not lost up to then.
    """

    time_s: float
    share: Floats
    queue: Floats
    wait_s: Floats
    status: Ints
    asked: float
    capacity: float

    @classmethod
    def of(cls, observation: Observation, capacity: float | None = None) -> Frame:
        """Copy what is drawn out of an observation of a single environment.

        Args:
            observation: What the last interval led to.
            capacity: GPUs that were ready and not lost in it; by default the whole pool's.

        Raises:
            ValueError: An observation of a batch.
        """
        scenario = observation.scenario
        if np.shape(observation.queue) != (scenario.n_agents,):
            raise ValueError(
                f"observation must be of one environment, its arrays of the shape "
                f"({scenario.n_agents},), got {np.shape(observation.queue)}; pick one of the batch"
            )
        return cls(
            min(float(observation.time_s), float(scenario.horizon_s)),
            observation.share.copy(),
            observation.queue.copy(),
            observation.oldest_wait_s.copy(),
            observation.status.copy(),
            float(np.sum(observation.rate_short / scenario.throughput)),
            float(scenario.gpus if capacity is None else capacity),
        )


@dataclass(frozen=True, eq=False)
class Timeline:
    """K successive intervals of N agents.

    Attributes:
        scenario: The system.
        edges: Starts and ends of the intervals, (K + 1,) [s].
        share: Shares in force in each interval, (K, N) [GPU].
        queue: Calls waiting at each edge, (K + 1, N).
        wait_s: Wait of the first of them, (K + 1, N) [s].
        status: Lifecycle at each edge, (K + 1, N).
        asked: GPUs that the arrivals of the last 10 s ask for, at each edge, (K + 1,).
        capacity: GPUs that were ready and not lost in each interval, (K,).
    """

    scenario: Scenario
    edges: Floats
    share: Floats
    queue: Floats
    wait_s: Floats
    status: Ints
    asked: Floats
    capacity: Floats

    @classmethod
    def of_frames(cls, scenario: Scenario, frames: Sequence[Frame]) -> Timeline:
        """Join successive frames; the first only says where the first interval starts."""
        return cls(
            scenario,
            np.array([frame.time_s for frame in frames]),
            np.array([frame.share for frame in frames])[1:],
            np.array([frame.queue for frame in frames]),
            np.array([frame.wait_s for frame in frames]),
            np.array([frame.status for frame in frames]),
            np.array([frame.asked for frame in frames]),
            np.array([frame.capacity for frame in frames])[1:],
        )

    @classmethod
    def of_run(cls, run: Run) -> Timeline:
        """Read a whole episode off its records and the times of its calls."""
        scenario = run.scenario
        edges = np.concatenate([[0.0], scenario.interval_ends])
        at_start = np.flatnonzero((run.released_at == 0) & ~run.rejected)
        queue = np.bincount(run.tape.agent[at_start], minlength=scenario.n_agents)
        status = np.full(scenario.n_agents, COLD)
        return cls(
            scenario,
            edges,
            run.shares,
            np.vstack([queue, run.records["queue"]]).astype(np.float64),
            _oldest_waits(run, edges),
            np.vstack([status, run.records["status"]]).astype(np.int64),
            _asked(run),
            run.history["capacity"],
        )

    @property
    def lifecycle(self) -> Ints:
        """Lifecycle in each interval, (K, N): at its end, but a load that ended in it is shown."""
        before, after = self.status[:-1], self.status[1:]
        # A load as short as an interval may have begun in it, too; one without a time has not.
        loaded = (before == LOADING) | ((before != WARM) & (self.scenario.cold_start_s > 0))
        return np.where(loaded & (after == WARM), LOADING, after)

    @property
    def peaks(self) -> Floats:
        """Largest queue, wait [s] and asked capacity [GPU], (3,)."""
        return np.array([self.queue.max(), self.wait_s.max(), self.asked.max()])


def _oldest_waits(run: Run, edges: Floats) -> Floats:
    """Wait of each agent's first waiting call at each edge, (K + 1, N) [s].

    Calls start in the order in which they were released, so the first that has not started before
    an edge is the one. Rejected calls are left out: how long one waited before is not known.
    """
    waits = np.zeros((len(edges), run.scenario.n_agents))
    for i in range(run.scenario.n_agents):
        calls = (run.tape.agent == i) & ~run.rejected & ~np.isnan(run.released_at)
        started = np.where(np.isnan(run.started_at[calls]), np.inf, run.started_at[calls])
        order = np.lexsort((started, run.released_at[calls]))
        started = np.append(started[order], np.inf)
        released = np.append(run.released_at[calls][order], np.inf)
        first = released[np.searchsorted(started, edges, side="left")]
        waits[:, i] = np.maximum(0.0, edges - first)
    return waits


def _asked(run: Run) -> Floats:
    """GPUs asked for at each edge, by the exponential window that an observation has, (K + 1,)."""
    scenario = run.scenario
    gain = -np.expm1(-scenario.interval_s / SHORT_WINDOW_S)
    at_start = np.bincount(run.tape.agent[run.released_at == 0], minlength=scenario.n_agents)
    arrivals = np.vstack([at_start, run.records["arrivals"]])
    now = arrivals @ (1.0 / (scenario.throughput * scenario.interval_s))
    asked = np.empty(len(now))
    level = 0.0
    for k, value in enumerate(now):
        level += max(gain, 1.0 / (k + 1)) * (value - level)
        asked[k] = level
    return asked
