"""One way to play an instance by any simulator, and to lay the outcomes side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pytest

from slicegym.envs import Agent, Observation, Run, Scenario, simulate

from . import plain
from .case import Call, Case, Change

# What an allocator sees of each agent, under the names of `Observation` and of `plain.Snapshot`.
COUNTS = ("status", "queue", "in_service", "arrivals", "completions", "rejected")
CLOCKS = ("oldest_wait_s", "ready_in_s", "keep_alive_left_s", "pause_left_s")
SEEN = (*COUNTS, *CLOCKS)
PLATFORM = ("available", "ordered", "node")
RECORDED = {"rejected": "rejections"}  # where `Run.records` has another name


@dataclass(frozen=True)
class Outcome:
    """What one episode showed, whoever played it.

    Arrays over calls, over (intervals, agents), over intervals, or (cold starts) over agents;
    `seen` holds arrays over (decisions, agents) of what was observed at each decision, `ends` of
    what was recorded at the end of each interval. `area` is the integral over time of the open
    tasks, by the agent that opened them. `dollars` is what all cost, without the charge. `rented`
    is nan where the pool is not elastic, `nodes` and `crossings` where it is not several machines.
    """

    released_at: np.ndarray
    started_at: np.ndarray
    completed_at: np.ndarray
    rejected: np.ndarray
    shares: np.ndarray
    area: np.ndarray
    billed: np.ndarray
    busy: np.ndarray
    latency_term: np.ndarray
    cost_term: np.ndarray
    idle_term: np.ndarray
    rewards: np.ndarray
    cold_starts: np.ndarray
    dollars: np.ndarray
    rented: np.ndarray
    nodes: np.ndarray
    crossings: np.ndarray
    seen: dict[str, np.ndarray]
    ends: dict[str, np.ndarray]


TIMES = ("released_at", "started_at", "completed_at")
AMOUNTS = ("shares", "area", "billed", "busy", "latency_term", "cost_term", "idle_term", "rewards")
BILLS = ("dollars", "rented")

Player = Callable[..., Outcome]


class Recorder:
    """An allocator that asks for fixed shares and keeps a copy of all that it was shown."""

    name, causal = "recorder", True

    def __init__(self, shares: np.ndarray) -> None:
        self.shares = shares
        self.seen: dict[str, list[np.ndarray]] = {}

    def reset(self, scenario: Scenario) -> None:
        self.decision = 0
        self.seen = {key: [] for key in columns(scenario)}

    def allocate(self, observation: Observation) -> np.ndarray:
        n = observation.scenario.n_agents
        for key, rows in self.seen.items():
            value = np.array(getattr(observation, key), dtype=np.float64)
            rows.append(np.broadcast_to(value, (n,)))
        self.decision += 1
        row: np.ndarray = self.shares[self.decision - 1]
        return row


def columns(scenario: Scenario) -> tuple[str, ...]:
    """What is seen in a scenario."""
    more = {
        "available": scenario.elastic is not None or scenario.n_nodes > 1,
        "ordered": scenario.elastic is not None,
        "node": scenario.n_nodes > 1,
    }
    return (*SEEN, *(key for key in PLATFORM if more[key]))


def by_plain(case: Case, horizon_charge: bool = True) -> Outcome:
    """Played by the plain simulator."""
    run = plain.play(case, horizon_charge)
    seen = {
        key: np.array([[getattr(a, key) for a in row] for row in run.snapshots[:-1]], dtype=float)
        for key in columns(case.scenario)
    }
    ends = {
        key: np.array([[getattr(a, key) for a in row] for row in run.snapshots[1:]], dtype=int)
        for key in COUNTS
    }
    names = {f.name for f in fields(Outcome)} - {"seen", "ends"}
    values = {name: np.array(getattr(run, name)) for name in names}
    values["dollars"] = values["dollars"].sum()
    values |= absent(case.scenario)
    return Outcome(**values, seen=seen, ends=ends)


def absent(scenario: Scenario) -> dict[str, np.ndarray]:
    """What a scenario without an elastic pool, or without nodes, has not."""
    names = () if scenario.elastic else ("rented",)
    names += () if scenario.n_nodes > 1 else ("nodes", "crossings")
    return {name: np.array(np.nan) for name in names}


def by_kernel(case: Case, horizon_charge: bool = True, **options: Any) -> Outcome:
    """Played by the package, on the path that the tape calls for."""
    recorder = Recorder(case.requested())
    run = simulate(case.scenario, case.tape(), recorder, horizon_charge=horizon_charge, **options)
    return outcome_of(run, {key: np.array(rows) for key, rows in recorder.seen.items()})


def by_general_path(case: Case, horizon_charge: bool = True) -> Outcome:
    """Played by the package, on its path for call graphs whatever the tape."""
    return by_kernel(case, horizon_charge, force_graph=True)


def outcome_of(run: Run, seen: dict[str, np.ndarray]) -> Outcome:
    """The package's own run as an outcome."""
    own = {
        name: np.array(getattr(run, name)) for name in (*TIMES, "rejected", "shares", "cold_starts")
    }
    return Outcome(
        **own,
        **platform_of(run),
        dollars=np.array(run.metrics["cost_usd"]),
        area=np.array(run.records["area"]),
        billed=np.array(run.records["billed"]),
        busy=np.array(run.records["busy"]),
        latency_term=np.array(run.latency_term),
        cost_term=np.array(run.cost_term),
        idle_term=np.array(run.idle_term),
        rewards=np.array(run.rewards),
        seen=seen,
        ends={key: np.array(run.records[RECORDED.get(key, key)]) for key in COUNTS},
    )


def platform_of(run: Run) -> dict[str, np.ndarray]:
    """What the pool did, where it can do anything."""
    has = {
        "rented": lambda: np.array(run.history["rented"]),
        "nodes": lambda: np.array(run.records["node"]),
        "crossings": lambda: np.array([run.metrics["crossings"]]),
    }
    missing = absent(run.scenario)
    return {name: missing[name] if name in missing else get() for name, get in has.items()}


judged = pytest.mark.parametrize(
    "play",
    [by_plain, by_kernel, by_general_path],
    ids=["plain reference", "package", "package, general path"],
)
"""Runs a hand-walked instance by the reference and by both paths of the package."""


def assert_agree(one: Outcome, other: Outcome, tolerance: float) -> None:
    """Same discrete outcomes, and times and amounts within a tolerance (0: to the last bit).

    Amounts are sums of products in another order, so that they get 1e-9 at least.
    """
    np.testing.assert_array_equal(one.rejected, other.rejected, "rejected")
    np.testing.assert_array_equal(one.cold_starts, other.cold_starts, "cold starts")
    for name in ("nodes", "crossings"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
    for name in TIMES:
        a, b = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance, err_msg=name)
    for name in COUNTS:
        np.testing.assert_array_equal(one.seen[name], other.seen[name], name)
        np.testing.assert_array_equal(one.ends[name], other.ends[name], name)
    for name in one.seen.keys() & {"node"}:
        np.testing.assert_array_equal(one.seen[name], other.seen[name], name)
    for name in (*CLOCKS, *(one.seen.keys() & {"available", "ordered"})):
        a, b = one.seen[name], other.seen[name]
        np.testing.assert_allclose(a, b, rtol=0, atol=max(tolerance, 1e-12), err_msg=name)
    for name in (*AMOUNTS, *BILLS):
        a, b = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=name)


# ---- instances written by hand -----------------------------------------------------------------

NAN = math.nan


def agent(name: str = "a", throughput: float = 1.0, **others: Any) -> Agent:
    """One call of work 1 takes one second on one GPU, unless told otherwise."""
    return Agent(name, throughput=throughput, **others)


def case(
    agents: Agent | Sequence[Agent],
    calls: Sequence[Call],
    shares: Sequence[float | Sequence[float]],
    changes: Sequence[Change] = (),
    **others: Any,
) -> Case:
    """An instance with one decision a second, and one row of requests for each decision."""
    agents = (agents,) if isinstance(agents, Agent) else tuple(agents)
    rows = tuple(tuple(row) if isinstance(row, Sequence) else (row,) for row in shares)
    settings = {"interval_s": 1.0, "horizon_s": float(len(rows)), "share_quantum": 1 / 64}
    scenario = Scenario(agents=agents, **{**settings, **others})
    return Case(scenario, tuple(calls), rows, changes=tuple(changes))


def near(actual: np.ndarray, expected: Sequence[Any] | np.ndarray) -> bool:
    """Equal but for rounding, nan equal to nan."""
    return np.allclose(actual, np.array(expected, dtype=float), rtol=0, atol=1e-12, equal_nan=True)


def singles(*releases: float, agent: int = 0, work: float = 1.0) -> list[Call]:
    """Calls of one agent, each a task of its own."""
    return [Call(agent, work, task, release) for task, release in enumerate(releases)]


def same(actual: np.ndarray, expected: Sequence[Any] | np.ndarray) -> bool:
    """Equal to the last bit, nan equal to nan."""
    return np.array_equal(actual, np.array(expected, dtype=float), equal_nan=True)
