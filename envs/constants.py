"""A scenario as the records of constants that the kernel reads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .kernel import layout
from .kernel.observe import EXTRA_COLUMNS
from .observation import LONG_WINDOW_S, SHORT_WINDOW_S, raw_columns
from .platform import footprint_factor
from .spec import Scenario


def system_constants(scenario: Scenario, horizon_charge: bool) -> NDArray[Any]:
    """Return the constants of the system, shape (1,), dtype `layout.SYSTEM`."""
    system = np.zeros(1, layout.SYSTEM)
    for name in ("gpus", "share_quantum", "interval_s", "horizon_s", "reconfigure_s"):
        system[name] = getattr(scenario, name)
    system["reference_rate"] = scenario.reference_rate
    system["reference_latency_s"] = scenario.reference_latency_s
    for name in ("latency", "cost", "idle"):
        system[f"weight_{name}"] = getattr(scenario.weights, name)
    system["short_gain"] = -math.expm1(-scenario.interval_s / SHORT_WINDOW_S)
    system["long_gain"] = -math.expm1(-scenario.interval_s / LONG_WINDOW_S)
    system["n_intervals"] = scenario.n_intervals
    system["horizon_charge"] = horizon_charge
    system["mig"] = scenario.partition is not None
    system["mig_speed"] = scenario.partitions.speed
    system["cross_node_s"] = scenario.cross_node_s
    system["limited"] = np.isfinite(machines(scenario)["memory_mb"]).any()
    columns = raw_columns(scenario)
    system["columns"] = [columns.index(c) if c in columns else -1 for c in EXTRA_COLUMNS]
    if scenario.elastic is not None:
        system["elastic"] = 1
        for name in ("unit_gpus", "min_gpus", "provision_s"):
            system[name] = getattr(scenario.elastic, name)
    return system


def machines(scenario: Scenario) -> NDArray[Any]:
    """Return the nodes as an episode begins, shape (M,); a pool without nodes is one."""
    nodes = np.zeros(scenario.n_nodes, layout.MACHINE)
    memory: list[float | None] = [scenario.pool_memory_mb]
    nodes["gpus"], nodes["speed"], nodes["value"] = scenario.gpus, 1.0, 1.0
    if scenario.nodes:
        nodes["gpus"] = [node.gpus for node in scenario.nodes]
        nodes["speed"] = [node.speed for node in scenario.nodes]
        price = scenario.price_per_gpu_hour
        nodes["value"] = [node.price / price for node in scenario.nodes]
        memory = [node.memory_mb for node in scenario.nodes]
    nodes["hold"] = [footprint_factor(scenario, m) for m in range(scenario.n_nodes)]
    nodes["memory_mb"] = [math.inf if m is None else m for m in memory]
    return nodes


def most_units(scenario: Scenario) -> int:
    """Return how many units of an elastic pool can be rented."""
    if scenario.elastic is None:
        return 1
    return round(scenario.gpus / scenario.elastic.unit_gpus)


def servers(scenario: Scenario) -> NDArray[np.int64]:
    """Slots of each agent: a batched one has as many for prefill as for decoding."""
    batched = np.array(scenario.services) == "batched"
    return np.asarray(scenario.concurrency * np.where(batched, 2, 1))


def agent_constants(scenario: Scenario) -> NDArray[Any]:
    """Return the constants of the agents, shape (N,), dtype `layout.AGENT_CONSTANTS`."""
    constants = np.zeros(scenario.n_agents, layout.AGENT_CONSTANTS)
    computed = ("batched", "first_server")
    for name in layout.AGENT_CONSTANTS.names or ():
        if name not in computed:
            constants[name] = getattr(scenario, name)
    constants["batched"] = np.array(scenario.services) == "batched"
    constants["first_server"][1:] = np.cumsum(servers(scenario))[:-1]
    return constants
