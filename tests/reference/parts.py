"""The things of the plain simulator: deployments, the lives of calls, and what is seen of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from . import batched
from .case import Call

COLD, WAITING, LOADING, WARM = 0, 1, 2, 3
NEVER = math.inf


@dataclass
class Agent:
    """One elastic deployment."""

    throughput: float
    concurrency: int
    queue_limit: int | None
    cold_start_s: float
    keep_alive_s: float
    footprint: float
    memory_mb: float
    batched: bool = False
    half_batch: float = 0.0
    prefill: float = 0.0
    node: int = 0
    speed: float = 1.0
    """Of its node."""
    price: float = 1.0
    """Of its node, in prices of a mean GPU of the pool."""
    hold: float = 1.0
    """Factor on the footprint, of its node."""
    health: float = 1.0
    load_factor: float = 1.0
    share: float = 0.0
    status: int = COLD
    ready_at: float = NEVER
    """End of loading."""
    cold_at: float = NEVER
    """End of keep-alive."""
    resume_at: float = -NEVER
    """End of the pause; a pause runs on whatever becomes of the agent."""
    paused: bool = False
    waiting: list[int] = field(default_factory=list)
    serving: list[int] = field(default_factory=list)
    prefilling: list[int] = field(default_factory=list)
    """Those in service that are in prefill."""
    arrivals: int = 0
    completions: int = 0
    rejections: int = 0
    cold_starts: int = 0

    @property
    def works(self) -> bool:
        """Whether calls start and make progress."""
        return self.status == WARM and self.share > 0 and not self.paused and self.health > 0

    @property
    def load_s(self) -> float:
        """Time of a load that begins now."""
        return self.cold_start_s * self.load_factor

    def rate(self, index: int) -> float:
        """Work per second of a call in service."""
        if not self.works:
            return 0.0
        full = self.throughput * self.speed * self.health * self.share
        if not self.batched:
            return full / self.concurrency
        if index in self.prefilling:
            return full / len(self.serving)
        return full * batched.decoding(*self.batch)

    @property
    def batch(self) -> tuple[int, int, float, int]:
        """Calls in prefill and in decoding, and what says how fast they are."""
        n_prefill = len(self.prefilling)
        return n_prefill, len(self.serving) - n_prefill, self.half_batch, self.concurrency

    @property
    def billed(self) -> float:
        """GPUs billed now."""
        held = self.footprint * self.hold
        return max(self.share, held) if self.status in (LOADING, WARM) else 0.0

    @property
    def busy(self) -> float:
        """GPUs at work now. A frozen call makes nothing busy, whatever froze it.

        A faster node or a sick agent is as busy as any other: it is time that counts.
        """
        if not self.works:
            return 0.0
        if self.batched:
            return batched.busy(*self.batch) * self.share
        return len(self.serving) / self.concurrency * self.share


@dataclass
class Job:
    """The life of one call."""

    call: Call
    remaining: float
    """Work left at `since`, of its phase where there are two; between changes of rate it is only
    derived, never updated."""
    missing: int
    """Predecessors that have not completed."""
    due: float = NEVER
    """When it will be released, if nothing rejects its task before."""
    decode: float = 0.0
    """Work that follows the phase that it is in."""
    since: float = math.nan
    rate: float = 0.0
    completes_at: float = NEVER
    """End of its service, or of its prefill where decoding follows."""
    released: float = math.nan
    started: float = math.nan
    completed: float = math.nan
    rejected: bool = False


@dataclass
class Snapshot:
    """What an allocator sees of one agent at a decision; counts are of the last interval."""

    status: int
    share: float
    queue: int
    in_service: int
    arrivals: int
    completions: int
    rejected: int
    oldest_wait_s: float
    """How long the first waiting call has waited; 0 where none waits."""
    ready_in_s: float
    """Until it could serve: 0 warm, the rest of a load, or a whole cold start."""
    keep_alive_left_s: float
    """How long it stays warm without a share; 0 where it is not warm."""
    pause_left_s: float
    node: int
    available: float
    """GPUs of its node that are ready and not lost."""
    ordered: float
    """GPUs of the pool that are on order."""
    health: float
