"""What no allocator can exceed in a scenario: rates, capacity, prices, loading times.

On several machines a share counts times the speed of its machine, so that every unit of it serves
alike: machine m has gpus·speed units, a unit costs price/speed there, at least the least of all
machines, and a footprint takes f_m·speed units of it. With u units in force and w of work served,
m's bill is max(u, f_m·speed_m)·price_m/speed_m and idle is that less (w/T)·price_m/speed_m, so both
are at least what the least price of a unit and the least f_m·speed_m make of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...envs.constants import machines
from ...envs.kernel import layout

if TYPE_CHECKING:
    from ...envs.spec import Scenario
    from ...envs.tape import Tape

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Relative slack in counting whole intervals, so that rounding loses none of them.
ROUNDING = 1e-12

# Horizons that a call of work 1 takes where its agent is stuck throughout: finite, for arithmetic.
NEVER = 1e6


@dataclass(frozen=True, eq=False)
class Limits:
    """Limits of a scenario on a tape; N agents, K intervals.

    Attributes:
        edges: Decision times and the horizon, (K + 1,) [s].
        length: Lengths of the intervals, (K,) [s].
        holding: What an open task of weight 1 adds to the mean latency term, (K,) [1/s].
        price: What a billed GPU-second adds to the mean cost term, (K,) [1/(GPU·s)].
        charge: The same of a GPU-second that is left at the horizon [1/(GPU·s)].
        capacity: GPUs that shares may sum to, (K,).
        most: GPUs that one agent may have, the largest machine's.
        rate: Most work per second and GPU of share, (N, K).
        occupied: Most GPU-seconds counted as busy for a unit of work, (N, K).
        one_call: Most work per second and GPU of share on a single call, (N, K).
        fastest: Shortest service of a call of work 1, (N,) [s].
        footprint: f, (N,) [GPU].
        load_s: Shortest time that a load takes, (N,) [s].
        load_lag: Whole intervals of a load without service, (N,).
        load_up: Whole intervals that a completed load is billed for, (N,).
        keep_up: Whole intervals that memory outlasts a positive share, (N,).
        is_held: Whether memory matters: a footprint or a loading time, (N,).
        loads_between: Whether loads may begin between decisions.
    """

    edges: Floats
    length: Floats
    holding: Floats
    price: Floats
    charge: float
    capacity: Floats
    most: float
    rate: Floats
    occupied: Floats
    one_call: Floats
    fastest: Floats
    footprint: Floats
    load_s: Floats
    load_lag: Ints
    load_up: Ints
    keep_up: Ints
    is_held: NDArray[np.bool_]
    loads_between: bool

    def held_time(self, times: Floats) -> Floats:
        """Return ∫ holding dt from 0 to each time, capped at the horizon."""
        total = np.concatenate([[0.0], np.cumsum(self.holding * self.length)])
        return np.asarray(np.interp(times, self.edges, total), dtype=np.float64)


def limits(scenario: Scenario, tape: Tape) -> Limits:
    """Collect the limits of a scenario with what goes wrong on a tape."""
    edges = np.append(scenario.decision_times, scenario.horizon_s)
    length = np.diff(edges)
    n_intervals = len(length)
    fast, slow, whole, cheapest, hold = _machine(scenario)
    capacity, health, load_factor = _changes(scenario, tape, n_intervals)
    alone = np.array([_alone(agent) for agent in scenario.agents])
    throughput = scenario.throughput[:, None] * health
    reference = scenario.reference_rate * scenario.reference_latency_s
    load_s = scenario.cold_start_s * load_factor
    between = _memory_binds(scenario, tape)
    settled = not (between or scenario.elastic or scenario.nodes or len(tape.changes))
    loads = load_s / scenario.interval_s
    keeps = scenario.keep_alive_s / scenario.interval_s
    up = np.floor(loads) if between else np.maximum(np.ceil(loads * (1 - ROUNDING)), 1)
    kept = np.floor(keeps * (1 + ROUNDING)) if settled else np.zeros(scenario.n_agents)
    with np.errstate(divide="ignore"):
        occupied = np.where(throughput > 0, 1.0 / (throughput * slow), 0.0)
        fastest = alone / (throughput.max(axis=1) * whole)
    footprint = np.zeros(scenario.n_agents) if scenario.elastic else scenario.footprint * hold
    return Limits(
        edges=edges,
        length=length,
        holding=1.0 / (n_intervals * length * reference),
        price=cheapest / (n_intervals * length * scenario.gpus),
        charge=1.0 / (n_intervals * length[-1] * scenario.gpus),
        capacity=capacity,
        most=whole if scenario.nodes else scenario.gpus,
        rate=throughput * fast,
        occupied=occupied,
        one_call=throughput * fast / alone[:, None],
        fastest=np.minimum(fastest, NEVER * scenario.horizon_s),
        footprint=footprint,
        load_s=load_s,
        load_lag=np.floor(loads * (1 + ROUNDING)).astype(np.int64),
        load_up=(np.maximum(up, 1) + kept).astype(np.int64),
        keep_up=kept.astype(np.int64),
        is_held=(footprint > 0) | (load_s > 0),
        loads_between=between,
    )


def _memory_binds(scenario: Scenario, tape: Tape) -> bool:
    """Return whether a model may ever wait for memory."""
    sizes = [node.memory_mb for node in scenario.nodes] or [scenario.pool_memory_mb]
    least = min((size for size in sizes if size is not None), default=np.inf)
    shrinks = scenario.elastic is not None or len(tape.changes) > 0
    return bool(least < np.inf and (shrinks or scenario.memory_mb.sum() > least))


def _machine(scenario: Scenario) -> tuple[float, float, float, float, float]:
    """Return the most and least speed per share, the most speed of one agent, the least price.

    The last is the least factor on a footprint. A share is times the speed of its machine already.
    """
    if scenario.nodes:
        nodes = machines(scenario)
        whole = (nodes["gpus"] * nodes["speed"]).max()
        cheapest = (nodes["value"] / nodes["speed"]).min()
        hold = (nodes["hold"] * nodes["speed"]).min()
        return 1.0, 1.0, float(whole), float(cheapest), float(hold)
    if scenario.partition:
        slices = np.array([1, 2, 3, 4, 7])
        speed = scenario.partitions.speed[slices]
        per_share = speed / (slices / 7.0)
        return float(per_share.max()), float(per_share.min()), float(speed.max()), 1.0, 1.0
    return 1.0, 1.0, scenario.gpus, 1.0, 1.0


def _alone(agent: Any) -> float:
    """Return how many times as long as the whole rate a call takes at least, if it is alone."""
    if agent.service == "fcfs":
        return float(agent.concurrency)
    if agent.prefill > 0:
        return 1.0
    return float(
        agent.concurrency * (1 + agent.half_batch) / (agent.concurrency + agent.half_batch)
    )


def _changes(scenario: Scenario, tape: Tape, n_intervals: int) -> tuple[Floats, Floats, float]:
    """Return capacity (K,) and health (N, K) as a tape changes them, and the least load factor."""
    lost = np.zeros((scenario.n_nodes, n_intervals))
    health = np.ones((scenario.n_agents, n_intervals))
    load_factor = 1.0
    for change in tape.changes:
        first, what, target, value = change.tolist()
        if what == layout.LOST:
            lost[target, first:] = value
        elif what == layout.HEALTH:
            health[target, first:] = value
        elif what == layout.LOAD_FACTOR:
            load_factor = min(load_factor, value)
    nodes = machines(scenario)
    left = np.maximum(nodes["gpus"][:, None] - lost, 0.0)
    capacity = (left * nodes["speed"][:, None]).sum(axis=0)
    return capacity, health, load_factor
