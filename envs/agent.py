"""An agent: what one elastic deployment of a model is like."""

from __future__ import annotations

from dataclasses import dataclass

from . import checks
from .errors import ConfigError

SERVICES = ("fcfs", "batched")


@dataclass(frozen=True)
class Agent:
    """An LLM agent type, served by one elastic deployment.

    Attributes:
        name: Unique within a scenario.
        throughput: Calls of mean work that one whole GPU completes per second (T) [1/s].
        min_share: Share that the agent asks to be guaranteed (R) [GPU].
        priority: 1 is the most important (P); an agent's weight is ω = 1/P.
        memory_mb: GPU memory of the loaded model [MB].
        footprint: GPUs billed at least while the model is in memory (f) [GPU]; by default the
            scenario's share quantum.
        cold_start_s: Time from the first share to the first service [s].
        keep_alive_s: Time that the model stays in memory after its share went to zero [s].
        concurrency: Calls in service at once (c).
        queue_limit: Calls that may wait; `None` for no limit.
        service: `"fcfs"`, each call in service at T·g/c, or `"batched"`, continuous batching.
        half_batch: Batch at which decoding reaches half of its unlimited speed (h); 0: batching
            gains nothing.
        prefill: Part of each call's work that is prefill, in [0, 1]; only where batched.
        node: Name of the node that the agent begins on; by default agent i at node i mod M.

    Raises:
        TypeError: A value of the wrong type.
        ConfigError: A value out of its range (a `ValueError`).
    """

    name: str
    throughput: float
    min_share: float = 0.0
    priority: float = 1.0
    memory_mb: float = 0.0
    footprint: float | None = None
    cold_start_s: float = 0.0
    keep_alive_s: float = 0.0
    concurrency: int = 1
    queue_limit: int | None = None
    service: str = "fcfs"
    half_batch: float = 0.0
    prefill: float = 0.0
    node: str | None = None

    def __post_init__(self) -> None:
        checks.text("agent.name", self.name)
        at = f"agent {self.name!r}: "
        checks.number(at + "throughput", self.throughput, above=0)
        checks.number(at + "min_share", self.min_share, at_least=0)
        checks.number(at + "priority", self.priority, above=0)
        checks.number(at + "memory_mb", self.memory_mb, at_least=0)
        if self.footprint is not None:
            checks.number(at + "footprint", self.footprint, at_least=0)
        checks.number(at + "cold_start_s", self.cold_start_s, at_least=0)
        checks.number(at + "keep_alive_s", self.keep_alive_s, at_least=0)
        checks.integer(at + "concurrency", self.concurrency, at_least=1, at_most=65_536)
        if self.queue_limit is not None:
            checks.integer(at + "queue_limit", self.queue_limit, at_least=0)
        checks.one_of(at + "service", self.service, SERVICES)
        checks.number(at + "half_batch", self.half_batch, at_least=0)
        checks.number(at + "prefill", self.prefill, at_least=0, at_most=1)
        if self.service == "fcfs" and (self.half_batch or self.prefill):
            raise ConfigError(
                f"{at}half_batch and prefill must be 0 unless service is 'batched', got "
                f"{self.half_batch:g} and {self.prefill:g}; add service: batched"
            )
        if self.node is not None:
            checks.text(at + "node", self.node)

    @property
    def weight(self) -> float:
        """Holding cost rate of a task that this agent opens, ω = 1/P."""
        return 1.0 / self.priority
