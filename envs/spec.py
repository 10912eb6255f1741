"""What is simulated: agents, the pool they share, and how a run is scored."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from . import checks
from .agent import Agent
from .errors import ConfigError
from .faults import Fault, check_faults, with_faults
from .faults.changes import OBSERVED
from .mig import SPEED, Partitions, partitions
from .platform import Elastic, Node, check_platform, totals

if TYPE_CHECKING:
    from .tape import Tape
    from .workloads.base import Episode, Workload

Array = TypeVar("Array", bound=NDArray[Any])
Vector = NDArray[np.float64]
IntVector = NDArray[np.int64]

MAX_AGENTS = 1_048_576
MAX_INTERVALS = 10_000_000
# An interval shorter than this fraction of the others is float noise of H/Δ, not an interval.
INTERVAL_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Weights:
    """Weights of the reward's three terms, all dimensionless and at least 0."""

    latency: float = 1.0
    cost: float = 1.0
    idle: float = 1.0

    def __post_init__(self) -> None:
        for name in ("latency", "cost", "idle"):
            checks.number(f"weights.{name}", getattr(self, name), at_least=0)


@dataclass(frozen=True)
class Scenario:
    """A pool, its agents, its clock and its prices; one value, never changed.

    Attributes:
        agents: The N agents, in the order of every array over agents.
        gpus: Capacity of the pool (G) [GPU].
        interval_s: Time between decisions (Δ) [s].
        horizon_s: Length of an episode (H) [s].
        share_quantum: Shares below it count as zero [GPU]; by default min(0.001, G/(100·N)).
        price_per_gpu_hour: Price of the pool's GPU type [$/h], billed per second.
        reconfigure_s: Pause of an agent's service after a change of its share [s].
        pool_memory_mb: Memory that loaded models must fit into [MB]; `None` for no limit.
        partition: `None` for divisible shares; `"mig"` or `"mig-a100"` for instances of one H100 or
            A100, cut by NVIDIA's rules, with `pool_memory_mb` as the GPU's memory.
        nodes: Machines that the pool consists of; empty for one pool. `gpus` is then their sum and
            `price_per_gpu_hour` their mean.
        cross_node_s: Additional delay of a call whose predecessor ran on another node [s].
        elastic: How the pool grows and shrinks; `None` for a pool of fixed size.
        faults: What goes wrong, drawn into each tape.
        reference_rate: λ_ref of the latency term [tasks/s].
        reference_latency_s: L_ref of the latency term, and the latency objective (SLO) [s].
        weights: Weights of the reward's terms.
        name: Name under which results are reported.
        workload: Where the tapes of the scenario come from; `None` where only given tapes play.

    Raises:
        TypeError: A value of the wrong type.
        ConfigError: A value out of its range (a `ValueError`).
    """

    agents: tuple[Agent, ...]
    gpus: float = 1.0
    interval_s: float = 1.0
    horizon_s: float = 100.0
    share_quantum: float = None  # type: ignore[assignment]  # resolved below
    price_per_gpu_hour: float = 1.0
    reconfigure_s: float = 0.0
    pool_memory_mb: float | None = None
    partition: str | None = None
    nodes: tuple[Node, ...] = ()
    cross_node_s: float = 0.0
    elastic: Elastic | None = None
    faults: tuple[Fault, ...] = ()
    reference_rate: float = 1.0
    reference_latency_s: float = 1.0
    weights: Weights = field(default_factory=Weights)
    name: str = "custom"
    workload: Workload | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "agents", _checked_agents(self.agents))
        for name in ("nodes", "faults"):
            checks.listing(name, getattr(self, name))
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self._take_over_nodes()
        checks.number("gpus", self.gpus, above=0)
        if self.share_quantum is None:
            quantum = min(0.001, self.gpus / (100 * len(self.agents)))
            object.__setattr__(self, "share_quantum", quantum)
        checks.number("share_quantum", self.share_quantum, at_least=0, at_most=self.gpus)
        checks.number("interval_s", self.interval_s, above=0)
        checks.number("horizon_s", self.horizon_s, above=0)
        if self.horizon_s / self.interval_s > MAX_INTERVALS:
            raise ConfigError(
                f"horizon_s / interval_s must be at most {MAX_INTERVALS} decisions, got "
                f"{self.horizon_s:g} / {self.interval_s:g}; lengthen the interval"
            )
        checks.number("price_per_gpu_hour", self.price_per_gpu_hour, at_least=0)
        checks.number("reconfigure_s", self.reconfigure_s, at_least=0)
        checks.number("reference_rate", self.reference_rate, above=0)
        checks.number("reference_latency_s", self.reference_latency_s, above=0)
        checks.text("name", self.name)
        if not isinstance(self.weights, Weights):
            raise TypeError(f"weights must be a Weights(latency, cost, idle), got {self.weights!r}")
        checks.number("cross_node_s", self.cross_node_s, at_least=0)
        self._check_memory()
        self._check_partition()
        check_platform(self)
        check_faults(self)
        if self.workload is None:
            return
        if not hasattr(self.workload, "check"):
            raise TypeError(
                f"workload must be a Workload (build_workload makes one of a mapping), got "
                f"{self.workload!r}"
            )
        self.workload.check(self)

    def _take_over_nodes(self) -> None:
        """Set capacity and price to those of the nodes, where there are some."""
        for position, node in enumerate(self.nodes):
            if not isinstance(node, Node):
                raise TypeError(f"nodes[{position}] must be a Node, got {node!r}")
        if not self.nodes:
            return
        for name, total in zip(("gpus", "price_per_gpu_hour"), totals(self.nodes), strict=True):
            given = getattr(self, name)
            if given not in (1, total):
                raise ConfigError(
                    f"{name} must not stand beside nodes, which decide it ({total:g}), got {given}"
                )
            object.__setattr__(self, name, total)

    def _check_memory(self) -> None:
        if self.pool_memory_mb is None:
            return
        checks.number("pool_memory_mb", self.pool_memory_mb, above=0)
        for agent in self.agents:
            if agent.memory_mb > self.pool_memory_mb:
                raise ConfigError(
                    f"agent {agent.name!r}: memory_mb must fit into pool_memory_mb = "
                    f"{self.pool_memory_mb:g}, got {agent.memory_mb:g}; it could never load"
                )

    def _check_partition(self) -> None:
        if self.partition is None:
            return
        checks.one_of("partition", self.partition, SPEED)
        if self.gpus != 1:
            raise ConfigError(
                f"partition {self.partition!r} cuts one GPU, so gpus must be 1, got {self.gpus:g}"
            )
        partitions(self.partition, tuple(a.memory_mb for a in self.agents), self.pool_memory_mb)

    def tape(self, episode: Episode) -> Tape:
        """Return the tape of an episode, with what goes wrong in it.

        Raises:
            ConfigError: The scenario has no workload, or an episode outside of its data.
            TraceError: A trace is absent or damaged.
        """
        if self.workload is None:
            raise ConfigError(
                f"scenario {self.name!r} must have a workload to draw tapes from, got none; add "
                "`workload:` to its file"
            )
        return with_faults(self, episode, self.workload.tape(self, episode))

    @property
    def n_agents(self) -> int:
        """Number of agents, N."""
        return len(self.agents)

    @property
    def agent_names(self) -> tuple[str, ...]:
        """Names of the agents, in array order."""
        return tuple(agent.name for agent in self.agents)

    @property
    def n_nodes(self) -> int:
        """Number of machines that agents can be on, M; 1 for a pool without nodes."""
        return max(1, len(self.nodes))

    @property
    def n_requests(self) -> int:
        """Entries of a request: N shares, an elastic pool's size, N nodes (docs/platform.md)."""
        moves = self.n_agents if self.n_nodes > 1 else 0
        return self.n_agents + (self.elastic is not None) + moves

    @cached_property
    def observed(self) -> frozenset[str]:
        """Extra columns of the observation, of what can change in this scenario."""
        effects = [effect for fault in self.faults for effect in fault.effects(self)]
        found = {OBSERVED[effect.what] for effect in effects if effect.what in OBSERVED}
        found |= {"available", "ordered"} if self.elastic is not None else set()
        found |= {"available", "node"} if self.n_nodes > 1 else set()
        return frozenset(found)

    @cached_property
    def home(self) -> IntVector:
        """Node that each agent begins on, shape (N,)."""
        names = [node.name for node in self.nodes]
        homes = [
            i % self.n_nodes if agent.node is None else names.index(agent.node)
            for i, agent in enumerate(self.agents)
        ]
        return _frozen(np.array(homes, dtype=np.int64))

    @cached_property
    def partitions(self) -> Partitions:
        """The partitions that can be cut; empty where shares are divisible."""
        if self.partition is None:
            return Partitions.none(self.n_agents)
        return partitions(self.partition, tuple(self.memory_mb.tolist()), self.pool_memory_mb)

    @cached_property
    def n_intervals(self) -> int:
        """Number of decisions in an episode; the last interval may be shorter."""
        return max(1, math.ceil(self.horizon_s / self.interval_s - INTERVAL_TOLERANCE))

    @cached_property
    def decision_times(self) -> Vector:
        """Times k·Δ at which shares are decided, shape (n_intervals,) [s]."""
        return _frozen(np.arange(self.n_intervals, dtype=np.float64) * self.interval_s)

    @cached_property
    def interval_ends(self) -> Vector:
        """Ends of the decision intervals, shape (n_intervals,) [s]; the last is the horizon."""
        ends = np.arange(1, self.n_intervals + 1, dtype=np.float64) * self.interval_s
        ends[-1] = self.horizon_s
        return _frozen(ends)

    @cached_property
    def throughput(self) -> Vector:
        """T per agent, shape (N,) [calls/s on one GPU]."""
        return self._per_agent("throughput")

    @cached_property
    def min_share(self) -> Vector:
        """R per agent, shape (N,) [GPU]."""
        return self._per_agent("min_share")

    @cached_property
    def priority(self) -> Vector:
        """P per agent, shape (N,)."""
        return self._per_agent("priority")

    @cached_property
    def weight(self) -> Vector:
        """ω = 1/P per agent, shape (N,)."""
        return self._per_agent("weight")

    @cached_property
    def memory_mb(self) -> Vector:
        """Model memory per agent, shape (N,) [MB]."""
        return self._per_agent("memory_mb")

    @cached_property
    def cold_start_s(self) -> Vector:
        """Loading time per agent, shape (N,) [s]."""
        return self._per_agent("cold_start_s")

    @cached_property
    def keep_alive_s(self) -> Vector:
        """Keep-alive time per agent, shape (N,) [s]."""
        return self._per_agent("keep_alive_s")

    @cached_property
    def footprint(self) -> Vector:
        """GPUs billed at least while in memory, shape (N,) [GPU]; defaults filled in."""
        values = [self.share_quantum if a.footprint is None else a.footprint for a in self.agents]
        return _frozen(np.array(values, dtype=np.float64))

    @cached_property
    def concurrency(self) -> IntVector:
        """Calls in service at once (c) per agent, shape (N,)."""
        return _frozen(np.array([agent.concurrency for agent in self.agents], dtype=np.int64))

    @property
    def services(self) -> tuple[str, ...]:
        """How each agent serves: `"fcfs"` or `"batched"`."""
        return tuple(agent.service for agent in self.agents)

    @cached_property
    def half_batch(self) -> Vector:
        """Batch at which decoding reaches half of its unlimited speed (h) per agent, shape (N,)."""
        return self._per_agent("half_batch")

    @cached_property
    def prefill(self) -> Vector:
        """Part of each call's work that is prefill per agent, shape (N,)."""
        return self._per_agent("prefill")

    @cached_property
    def queue_limit(self) -> IntVector:
        """Queue limit per agent, shape (N,); -1 where there is none."""
        limits = [-1 if a.queue_limit is None else a.queue_limit for a in self.agents]
        return _frozen(np.array(limits, dtype=np.int64))

    def _per_agent(self, name: str) -> Vector:
        return _frozen(np.array([getattr(agent, name) for agent in self.agents], dtype=np.float64))


def _checked_agents(agents: object) -> tuple[Agent, ...]:
    if not isinstance(agents, (tuple, list)):
        raise TypeError(f"agents must be a sequence of Agent, got {agents!r}")
    if not 1 <= len(agents) <= MAX_AGENTS:
        raise ConfigError(f"agents must hold 1 to {MAX_AGENTS} agents, got {len(agents)}")
    seen: set[str] = set()
    for position, agent in enumerate(agents):
        if not isinstance(agent, Agent):
            raise TypeError(f"agents[{position}] must be an Agent, got {agent!r}")
        if agent.name in seen:
            raise ConfigError(f"agents[{position}].name must be unique, got {agent.name!r} twice")
        seen.add(agent.name)
    return tuple(agents)


def _frozen(array: Array) -> Array:
    array.setflags(write=False)
    return array
