"""Calls of a real trace, as they came."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from .. import checks
from ..kinds import nested
from ..traces import load_spec, load_trace
from .base import STREAMS, Floats
from .work import WORK, Work


@STREAMS("replay")
@dataclass(frozen=True, kw_only=True)
class Replay:
    """A window of a trace. Load is matched by the pool, never by bending the trace.

    Thinning would make a burst more Poisson, warping time would change its length against cold
    starts: scale `gpus` or the agents' throughput instead.

    Attributes:
        trace: A trace of the registry, or the path of one's own YAML or CSV (from the
            scenario file's folder).
        agent: The agent in the trace whose calls to replay, where it names several.
        work: Work to draw instead of the trace's own.
    """

    trace: str
    agent: str | None = None
    work: Work | None = field(default=None, metadata=nested(WORK))

    is_random: ClassVar[bool] = True  # training starts anywhere in the window

    def __post_init__(self) -> None:
        checks.text("trace", self.trace)
        if self.agent is not None:
            checks.text("agent", self.agent)

    @property
    def clock(self) -> str:
        """Name of the clock that the trace runs on."""
        return load_spec(self.trace).clock

    def window(self, split: str) -> tuple[float, float]:
        """Start and end of the split's window on the clock [s]."""
        return load_spec(self.trace).window(split)

    def mean_rate(self, horizon_s: float) -> float:
        """Calls per second over the training window [1/s]; reads the trace."""
        start, end = self.window("train")
        return load_trace(self.trace, self.agent).n_calls("train") / (end - start)

    def arrivals(
        self, rng: np.random.Generator, start_s: float, horizon_s: float
    ) -> tuple[Floats, Floats]:
        """Return release times [s] and work, both (calls,)."""
        release, work = load_trace(self.trace, self.agent).cut(start_s, horizon_s)
        return release, work if self.work is None else self.work.draw(rng, release.size)
