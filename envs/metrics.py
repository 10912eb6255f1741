"""The metrics of a run, each a pure function of its books; a new one is one function.

Latencies are of tasks [s]: from the release of the first call to the completion of the last. Next
to every figure of completed tasks stands Little's mean latency, with the open and the rejected
tasks in it: latency of completed tasks alone flatters starvation. Means over nothing are NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .run import Run

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SECONDS_PER_HOUR = 3600.0


class Books:
    """What became of the tasks of a run, worked out once for all metrics.

    Args:
        run: The run; never written to.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.scenario = run.scenario
        self.horizon_s = float(run.scenario.horizon_s)

    @cached_property
    def opened_at(self) -> Floats:
        """Release of each task's first call, (tasks,) [s]; NaN where it never came."""
        return np.asarray(self.run.released_at[self.run.tape.first_call], dtype=np.float64)

    @cached_property
    def opened(self) -> Bools:
        """Tasks that opened, (tasks,)."""
        return ~np.isnan(self.opened_at)

    @cached_property
    def closed_at(self) -> Floats:
        """Completion of each task's last call, (tasks,) [s]; NaN where one never completed."""
        completed_at = np.asarray(self.run.completed_at, dtype=np.float64)
        if self.run.tape.is_independent:
            return completed_at
        # One call that never completed leaves its task open.
        ends = np.where(np.isnan(completed_at), np.inf, completed_at)
        closed_at = np.full(self.run.tape.n_tasks, -np.inf)
        np.maximum.at(closed_at, self.run.tape.task, ends)
        return np.where(np.isinf(closed_at), np.nan, closed_at)

    @cached_property
    def completed(self) -> Bools:
        """Tasks that closed, (tasks,)."""
        return ~np.isnan(self.closed_at)

    @cached_property
    def rejected(self) -> Bools:
        """Tasks with a rejected call, (tasks,)."""
        if self.run.tape.is_independent:
            return np.asarray(self.run.rejected, dtype=np.bool_)
        hits = np.bincount(self.run.tape.task[self.run.rejected], minlength=self.run.tape.n_tasks)
        return hits > 0

    @cached_property
    def open(self) -> Bools:
        """Tasks that opened and neither closed nor were rejected, (tasks,)."""
        return self.opened & ~self.completed & ~self.rejected

    @cached_property
    def latency_s(self) -> Floats:
        """Latency of the completed tasks, (completed,) [s]."""
        return np.asarray((self.closed_at - self.opened_at)[self.completed])

    @cached_property
    def call_latency_s(self) -> Floats:
        """Latency of each call, (calls,) [s]; NaN where it did not complete."""
        return np.asarray(self.run.completed_at - self.run.released_at, dtype=np.float64)

    def latency_of_agent(self, agent: int) -> Floats:
        """Latency of the completed calls of one agent [s]."""
        of_agent: Bools = (self.run.tape.agent == agent) & ~np.isnan(self.call_latency_s)
        return self.call_latency_s[of_agent]

    @cached_property
    def billed_gpu_s(self) -> float:
        """GPU-seconds billed: those of the agents, or those that an elastic pool rented."""
        if self.scenario.elastic is None:
            return float(np.sum(self.run.records["billed"]))
        lengths = np.diff(self.scenario.interval_ends, prepend=0.0)
        return float(np.sum(self.run.history["rented"] * lengths))


Metric = Callable[[Books], float]
METRICS: dict[str, Metric] = {}


def metric(function: Metric) -> Metric:
    """Register a metric under its function's name; rows and reports pick it up."""
    if function.__name__ in METRICS:
        raise ValueError(f"metric name {function.__name__!r} must be unique")
    METRICS[function.__name__] = function
    return function


def compute(run: Run) -> dict[str, float]:
    """Return every metric of a run by name."""
    books = Books(run)
    return {name: function(books) for name, function in METRICS.items()}


@metric
def little_latency_s(books: Books) -> float:
    """Time in the system per task opened, open and rejected ones counted up to the horizon [s].

    Little's law: ∫ n dt over the tasks opened, with n the tasks in the system.
    """
    left_at = np.where(books.completed, books.closed_at, books.horizon_s)
    return mean((left_at - books.opened_at)[books.opened])


@metric
def latency_mean_s(books: Books) -> float:
    """Mean latency of completed tasks [s]."""
    return mean(books.latency_s)


@metric
def latency_p50_s(books: Books) -> float:
    """Median latency of completed tasks [s]."""
    return percentile(books.latency_s, 50)


@metric
def latency_p95_s(books: Books) -> float:
    """95th percentile of the latency of completed tasks [s]."""
    return percentile(books.latency_s, 95)


@metric
def latency_p99_s(books: Books) -> float:
    """99th percentile of the latency of completed tasks [s]."""
    return percentile(books.latency_s, 99)


@metric
def slo(books: Books) -> float:
    """Share of the tasks opened that completed within `reference_latency_s`."""
    opened = int(books.opened.sum())
    within = int(np.sum(books.latency_s <= books.scenario.reference_latency_s))
    return within / opened if opened else np.nan


@metric
def throughput(books: Books) -> float:
    """Tasks completed per second of the episode [tasks/s]."""
    return int(books.completed.sum()) / books.horizon_s


@metric
def throughput_calls(books: Books) -> float:
    """Calls completed per second of the episode [calls/s]."""
    return int(np.sum(~np.isnan(books.call_latency_s))) / books.horizon_s


@metric
def cost_usd(books: Books) -> float:
    """Price of the GPU-seconds billed [$]."""
    return books.billed_gpu_s * books.scenario.price_per_gpu_hour / SECONDS_PER_HOUR


@metric
def usd_per_1000_tasks(books: Books) -> float:
    """Cost per 1,000 completed tasks [$]."""
    completed = int(books.completed.sum())
    return 1000.0 * cost_usd(books) / completed if completed else np.nan


@metric
def utilization(books: Books) -> float:
    """Busy over billed GPU-seconds; NaN where nothing was billed."""
    busy = float(np.sum(books.run.records["busy"]))
    return busy / books.billed_gpu_s if books.billed_gpu_s > 0 else np.nan


@metric
def completed(books: Books) -> float:
    """Tasks completed."""
    return int(books.completed.sum())


@metric
def open(books: Books) -> float:
    """Tasks still open at the horizon."""
    return int(books.open.sum())


@metric
def open_age_s(books: Books) -> float:
    """Mean age of the tasks open at the horizon [s]."""
    return mean(books.horizon_s - books.opened_at[books.open])


@metric
def rejected(books: Books) -> float:
    """Tasks rejected."""
    return int(books.rejected.sum())


@metric
def cold_starts(books: Books) -> float:
    """Loads that were begun, by agents whose cold start takes time."""
    return int(books.run.cold_starts.sum())


@metric
def crossings(books: Books) -> float:
    """Calls that followed one on another node."""
    return int(books.run.history["crossings"][-1])


@metric
def jain(books: Books) -> float:
    """Jain's fairness of the agents' mean call latencies, (Σx)²/(n·Σx²): 1 is equal.

    Agents that completed no call are left out: they have no latency.
    """
    means = [mean(books.latency_of_agent(agent)) for agent in range(books.scenario.n_agents)]
    known = np.array([value for value in means if not np.isnan(value)])
    squares = float(np.sum(known**2))
    return float(np.sum(known)) ** 2 / (len(known) * squares) if squares > 0 else np.nan


@metric
def churn(books: Books) -> float:
    """Mean Σ|Δg| of the feasible shares per decision, the first left out [GPU]."""
    shares = np.asarray(books.run.shares)
    return mean(np.abs(np.diff(shares, axis=0)).sum(axis=1))


@metric
def decision_us(books: Books) -> float:
    """Mean time that the allocator took per decision [µs]; NaN for shares given as an array."""
    return 1e6 * mean(books.run.decision_s)


def per_agent(run: Run) -> dict[str, dict[str, float]]:
    """Return mean and percentiles of the completed calls' latency by agent name [s]."""
    books = Books(run)
    table = {}
    for agent, name in enumerate(run.scenario.agent_names):
        latency = books.latency_of_agent(agent)
        table[name] = {
            "completed": len(latency),
            "latency_mean_s": mean(latency),
            **{f"latency_p{q}_s": percentile(latency, q) for q in (50, 95, 99)},
        }
    return table


def mean(values: Floats) -> float:
    """Mean, or NaN of nothing."""
    return float(np.mean(values)) if len(values) else float("nan")


def percentile(values: Floats, q: float) -> float:
    """Percentile by linear interpolation, or NaN of nothing."""
    return float(np.percentile(values, q)) if len(values) else float("nan")
