"""What a pool is made of: machines that are far from each other, units that come and go."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import checks
from .errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from .spec import Scenario

MAX_NODES = 1024
MAX_UNITS = 65_536
# A size asked for that exceeds whole units by less than this is float noise.
UNIT_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Node:
    """A machine with GPUs of one type.

    Attributes:
        name: Unique within a scenario.
        gpus: Its capacity [GPU].
        speed: Service on it is so many times as fast as an agent's throughput says.
        price: Price of one of its GPUs [$/h].
        memory_mb: Memory that the models on it must fit into [MB]; `None` for no limit.
    """

    name: str
    gpus: float
    speed: float = 1.0
    price: float = 1.0
    memory_mb: float | None = None

    def __post_init__(self) -> None:
        checks.text("node.name", self.name)
        at = f"node {self.name!r}: "
        checks.number(at + "gpus", self.gpus, above=0)
        checks.number(at + "speed", self.speed, above=0)
        checks.number(at + "price", self.price, above=0)
        if self.memory_mb is not None:
            checks.number(at + "memory_mb", self.memory_mb, above=0)


@dataclass(frozen=True)
class Elastic:
    """A pool whose size the allocator sets, up to `Scenario.gpus`.

    Attributes:
        min_gpus: Always rented, and ready at the start [GPU].
        unit_gpus: GPUs that come and go together [GPU].
        provision_s: From an order until its GPUs are ready [s]; billed from the order on.
    """

    min_gpus: float = 0.0
    unit_gpus: float = 1.0
    provision_s: float = 0.0

    def __post_init__(self) -> None:
        checks.number("elastic.min_gpus", self.min_gpus, at_least=0)
        checks.number("elastic.unit_gpus", self.unit_gpus, above=0)
        checks.number("elastic.provision_s", self.provision_s, at_least=0)


def totals(nodes: tuple[Node, ...]) -> tuple[float, float]:
    """Return the GPUs of all nodes and their mean price per GPU-hour."""
    gpus = _sum(node.gpus for node in nodes)
    return gpus, _sum(node.gpus * node.price for node in nodes) / gpus


def _sum(values: Iterable[float]) -> float:
    try:
        return math.fsum(values)
    except OverflowError:  # beyond the floats, where `fsum` alone does not say infinity
        return math.inf


def footprint_factor(scenario: Scenario, node: int) -> float:
    """Return what a footprint counts on a node: the mean memory of a GPU over that of its own."""
    per_gpu = [(n.memory_mb, n.gpus) for n in scenario.nodes if n.memory_mb is not None]
    if not per_gpu or len(per_gpu) < len(scenario.nodes):
        return 1.0
    mean = math.fsum(memory for memory, _ in per_gpu) / scenario.gpus
    memory, gpus = per_gpu[node]
    return mean / (memory / gpus)  # exactly 1 where all are alike


def check_platform(scenario: Scenario) -> None:
    """Check what nodes, an elastic pool and the rest of a scenario ask of each other.

    Raises:
        TypeError: A value of the wrong type.
        ConfigError: Values that do not go together.
    """
    _check_nodes(scenario)
    _check_elastic(scenario)


def _check_nodes(scenario: Scenario) -> None:
    names = [node.name for node in scenario.nodes]
    for agent in scenario.agents:
        if agent.node is not None and agent.node not in names:
            hint = did_you_mean(agent.node, names) if names else "; the scenario has no nodes"
            raise ConfigError(f"agent {agent.name!r}: node {agent.node!r} is not known{hint}")
    if not scenario.nodes:
        if scenario.cross_node_s > 0:
            raise ConfigError(
                f"cross_node_s must be 0 without nodes, got {scenario.cross_node_s:g}; add nodes"
            )
        return
    if len(scenario.nodes) > MAX_NODES:
        raise ConfigError(f"nodes must be at most {MAX_NODES}, got {len(names)}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"nodes must have unique names, got {twice!r} twice")
    for field, value in (
        ("elastic", scenario.elastic),
        ("partition", scenario.partition),
        ("pool_memory_mb", scenario.pool_memory_mb),
    ):
        if value is not None:
            raise ConfigError(f"{field} must not stand beside nodes, got {value!r}; remove one")
    for agent in scenario.agents:
        if not any(n.memory_mb is None or agent.memory_mb <= n.memory_mb for n in scenario.nodes):
            raise ConfigError(
                f"agent {agent.name!r}: memory_mb must fit into a node's memory, got "
                f"{agent.memory_mb:g}; it could never load"
            )


def _check_elastic(scenario: Scenario) -> None:
    elastic = scenario.elastic
    if elastic is None:
        return
    if not isinstance(elastic, Elastic):
        raise TypeError(
            f"elastic must be an Elastic(min_gpus, unit_gpus, provision_s), got {elastic!r}"
        )
    if scenario.partition is not None:
        raise ConfigError(
            f"elastic must not stand beside partition {scenario.partition!r}; remove one"
        )
    units = scenario.gpus / elastic.unit_gpus
    whole = math.isfinite(units) and abs(units - round(units)) <= UNIT_TOLERANCE * units
    if not whole or not 1 <= round(units) <= MAX_UNITS:
        raise ConfigError(
            f"gpus must be 1 to {MAX_UNITS} whole units of elastic.unit_gpus = "
            f"{elastic.unit_gpus:g}, got {scenario.gpus:g}"
        )
    if elastic.min_gpus > scenario.gpus * (1.0 + UNIT_TOLERANCE):
        raise ConfigError(
            f"elastic.min_gpus must be at most gpus = {scenario.gpus:g}, got {elastic.min_gpus:g}"
        )
