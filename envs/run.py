"""Playing one tape under shares or an allocator, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import metrics
from .kernel import layout
from .observation import Observation
from .simulator import Simulator
from .spec import Scenario
from .tape import Tape

Floats = NDArray[np.float64]


class Decides(Protocol):
    """Anything that turns observations into shares."""

    def allocate(self, observation: Observation, /) -> NDArray[np.floating[Any]]:
        """Return requested shares, shape (..., N) [GPU]."""


@dataclass(frozen=True, eq=False)
class Run:
    """One tape played to its horizon; K intervals, N agents.

    Attributes:
        scenario: The system.
        tape: The calls.
        released_at: (calls,) [s]; like the next two in the tape's order, NaN where not happened.
        started_at: (calls,) [s].
        completed_at: (calls,) [s].
        rejected: (calls,), whether the call was released and rejected.
        records: (K, N), dtype `layout.RECORD`: share, billed and busy GPU-seconds, queue, …
        history: (K,), dtype `layout.ENVIRONMENT`: reward and its terms, churn.
        cold_starts: Loads begun per agent, those that take no time left out, (N,).
        decision_s: Wall-clock time of each decision, (K,) [s]; NaN for a given schedule.
    """

    scenario: Scenario
    tape: Tape
    released_at: Floats
    started_at: Floats
    completed_at: Floats
    rejected: NDArray[np.bool_]
    records: NDArray[Any]
    history: NDArray[Any]
    cold_starts: NDArray[np.int32]
    decision_s: Floats

    @property
    def rewards(self) -> Floats:
        """Reward of each interval, (K,)."""
        return self.history["reward"].copy()

    @property
    def latency_term(self) -> Floats:
        """Unweighted latency term of each interval, (K,)."""
        return self.history["latency_term"].copy()

    @property
    def cost_term(self) -> Floats:
        """Unweighted cost term of each interval, (K,)."""
        return self.history["cost_term"].copy()

    @property
    def idle_term(self) -> Floats:
        """Unweighted idle term of each interval, (K,)."""
        return self.history["idle_term"].copy()

    @property
    def shares(self) -> Floats:
        """Feasible shares in force, (K, N) [GPU]."""
        return self.records["share"].copy()

    @cached_property
    def metrics(self) -> Mapping[str, Any]:
        """Mean reward and terms per interval, and everything registered in `metrics`."""
        means = {
            name: float(np.mean(self.history[name]))
            for name in ("reward", "latency_term", "cost_term", "idle_term")
        }
        return means | metrics.compute(self)


def simulate(
    scenario: Scenario,
    tape: Tape,
    shares: ArrayLike | Decides,
    *,
    horizon_charge: bool = True,
    force_graph: bool = False,
) -> Run:
    """Play a tape under a schedule of shares or under an allocator.

    Args:
        scenario: The system.
        tape: The calls; its horizon is the scenario's.
        shares: Requested shares, shape (intervals, agents) [GPU], or an object with
            `allocate(observation) -> shares`.
        horizon_charge: Whether the last interval pays for what is left open.
        force_graph: Take the general path even for independent calls; results are the same.

    Raises:
        TypeError: Something else than a scenario, a tape, and numbers or an allocator.
        ConfigError: Tape and scenario do not go together.
        ValueError: Shares of the wrong shape, or not finite.
    """
    if not isinstance(scenario, Scenario):
        raise TypeError(f"scenario must be a Scenario, got {scenario!r}; load_scenario makes one")
    if not isinstance(tape, Tape):
        raise TypeError(f"tape must be a Tape, got {tape!r}; Tape.from_calls makes one")
    simulator = Simulator(
        scenario,
        graph=force_graph or not tape.is_independent,
        horizon_charge=horizon_charge,
        capacity=tape.n_calls,
    )
    simulator.load(0, tape)
    if hasattr(shares, "allocate"):
        records, history, decision_s = _decide_and_play(simulator, shares)
    else:
        schedule = _schedule(scenario, shares)
        records, history = simulator.play(schedule)
        decision_s = np.full(len(schedule), np.nan)
    return Run(
        scenario,
        tape,
        *simulator.call_times(),
        records,
        history,
        simulator.agents["cold_starts"][0].copy(),
        decision_s,
    )


def _schedule(scenario: Scenario, shares: Any) -> Floats:
    expected = (scenario.n_intervals, scenario.n_agents)
    whole = (scenario.n_intervals, scenario.n_requests)
    rule = f"shares must have the shape (intervals, agents) = {expected}"
    if whole != expected:
        rule += f", or that of whole requests, {whole}"
    try:
        schedule = np.asarray(shares)
    except ValueError as error:
        raise ValueError(f"{rule}, got {shares!r:.60}") from error
    if schedule.dtype.kind not in "fiub":
        raise TypeError(
            f"{rule}, or be an allocator with allocate(observation); got {shares!r:.60}"
        )
    if schedule.shape not in (expected, whole):
        raise ValueError(f"{rule}, got {schedule.shape}")
    return np.ascontiguousarray(schedule, dtype=np.float64)


def _decide_and_play(
    simulator: Simulator, allocator: Any
) -> tuple[NDArray[Any], NDArray[Any], Floats]:
    scenario = simulator.scenario
    records = np.zeros((scenario.n_intervals, scenario.n_agents), layout.RECORD)
    history = np.zeros(scenario.n_intervals, layout.ENVIRONMENT)
    decision_s = np.zeros(scenario.n_intervals)
    if hasattr(allocator, "reset"):
        allocator.reset(scenario)
    for k in range(scenario.n_intervals):
        seen = simulator.observe()
        observation = Observation(scenario, seen.decision[0], seen.raw[0])
        begun = time.perf_counter()
        requested = allocator.allocate(observation)
        decision_s[k] = time.perf_counter() - begun
        try:
            simulator.step(requested)
        except (TypeError, ValueError) as error:
            name = type(allocator).__name__
            raise type(error)(f"{name}.allocate() at decision {k}: {error}") from error
        simulator.record(records[k])
        history[k] = simulator.environments[0]
    return records, history, decision_s
