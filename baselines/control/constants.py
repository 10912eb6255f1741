"""What the program knows of a scenario before the first observation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...envs.platform import footprint_factor

if TYPE_CHECKING:
    from ...envs.spec import Scenario

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Constants:
    """Constants of N agents; costs are in units of one interval's reward.

    Attributes:
        rate: Calls of work 1 that one GPU completes in an interval, (N,).
        waiting: Cost of one call in the system for an interval, (N,).
        billed: Cost of one GPU billed for an interval, (N,).
        busy: What one busy GPU takes off it, (N,).
        rented: Cost of one GPU rented for an interval; 0 where the agents are billed.
        charge: The reward's horizon charge of one call, (N,).
        footprint: Of a model in memory [GPU], (N,).
        load: Intervals of a cold start, (N,).
        keep: Whole intervals that memory outlasts a share, (N,).
        memory: MB of each model, (N,).
        gpus: Most that the agents of each node can have, (nodes,) [GPU].
        room: Memory of each node, (nodes,) [MB]; infinite where there is no limit.
        provision: From an order of GPUs until they are ready [intervals].
    """

    rate: Floats
    waiting: Floats
    billed: Floats
    busy: Floats
    rented: float
    charge: Floats
    footprint: Floats
    load: Floats
    keep: Ints
    memory: Floats
    gpus: Floats
    room: Floats
    provision: float

    def memory_with(self, available: Floats) -> Floats:
        """Return the memory of each node where so many of its GPUs are available, (nodes,) [MB]."""
        finite = np.isfinite(self.room)  # no limit stays none with no GPU
        return np.where(finite, np.where(finite, self.room, 0.0) * available / self.gpus, np.inf)

    @classmethod
    def of(cls, scenario: Scenario, home: Ints, slow: float = 1.0) -> Constants:
        """Derive the constants where agent i is on node home[i] and loads take `slow` times."""
        weights, delta = scenario.weights, scenario.interval_s
        speed, price, footprint = _on_nodes(scenario, home)
        rate = scenario.throughput * speed * delta
        waiting = weights.latency * scenario.weight / _reference(scenario)
        elastic = scenario.elastic
        paid = (weights.cost + weights.idle) / scenario.gpus
        left = scenario.reference_latency_s / delta
        work = weights.cost / (scenario.throughput * delta * scenario.gpus)
        nodes = scenario.nodes
        sizes = [node.gpus for node in nodes] or [scenario.gpus]
        rooms = [node.memory_mb for node in nodes] or [scenario.pool_memory_mb]
        provision = 0.0 if elastic is None else elastic.provision_s
        return cls(
            rate=rate,
            waiting=waiting,
            billed=paid * price * (elastic is None),
            busy=weights.idle / scenario.gpus * price,
            rented=0.0 if elastic is None else paid,
            charge=waiting * left + work,
            footprint=footprint,
            load=slow * scenario.cold_start_s / delta,
            keep=np.floor(scenario.keep_alive_s / delta + 1e-9).astype(np.int64),
            memory=scenario.memory_mb,
            gpus=np.array(sizes, dtype=np.float64),
            room=np.array([np.inf if one is None else one for one in rooms], dtype=np.float64),
            provision=provision / delta,
        )


def _reference(scenario: Scenario) -> float:
    return scenario.reference_rate * scenario.reference_latency_s


def _on_nodes(scenario: Scenario, home: Ints) -> tuple[Floats, Floats, Floats]:
    """Return speed, relative price and footprint of each agent where it is, each (N,)."""
    if not scenario.nodes:
        one = np.ones(scenario.n_agents)
        return one, one, np.array(scenario.footprint)
    speed = np.array([node.speed for node in scenario.nodes])[home]
    price = np.array([node.price for node in scenario.nodes])[home]
    factor = np.array([footprint_factor(scenario, m) for m in range(scenario.n_nodes)])[home]
    return speed, price / scenario.price_per_gpu_hour, scenario.footprint * factor
