"""Calls at fixed times: nothing random."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from .. import checks
from ..kinds import nested
from .base import STREAMS, Floats, Synthetic
from .work import WORK, Constant, Work

# k·rate·batch_s may come out a rounding error below a whole number of calls.
ROUNDING = 1e-9


@STREAMS("deterministic")
@dataclass(frozen=True, kw_only=True)
class Deterministic(Synthetic):
    """Evenly spaced calls, or batches of them.

    Attributes:
        rate: Calls per second [1/s].
        batch_s: Without it call k comes at k/rate. With it the calls of each `batch_s` seconds
            come together at their start [s]: the paper's arrivals "per step".
        work: Work of the calls.
    """

    rate: float
    batch_s: float | None = None
    work: Work = field(default=Constant(), metadata=nested(WORK))

    def __post_init__(self) -> None:
        checks.number("rate", self.rate, at_least=0)
        if self.batch_s is not None:
            checks.number("batch_s", self.batch_s, above=0)

    @property
    def is_random(self) -> bool:  # type: ignore[override]
        """Whether two episodes differ: only in work."""
        return self.work.is_random

    def mean_rate(self, horizon_s: float) -> float:
        """Expected calls per second [1/s]."""
        return float(self.rate)

    def arrivals(
        self, rng: np.random.Generator, start_s: float, horizon_s: float
    ) -> tuple[Floats, Floats]:
        """Return release times [s] and work, both (calls,)."""
        release = self._batches(horizon_s) if self.batch_s else self._spaced(horizon_s)
        return release, self.work.draw(rng, release.size)

    def _spaced(self, horizon_s: float) -> Floats:
        if self.rate == 0:
            return np.empty(0)
        times = np.arange(math.ceil(horizon_s * self.rate - ROUNDING)) / self.rate
        return times[times < horizon_s]

    def _batches(self, horizon_s: float) -> Floats:
        assert self.batch_s is not None
        batches = math.ceil(horizon_s / self.batch_s - ROUNDING)
        # Rounded down in the running total, so that a rate of 0.5 makes a call every second batch.
        total = np.floor(np.arange(batches + 1) * (self.rate * self.batch_s) + ROUNDING)
        return np.repeat(np.arange(batches) * self.batch_s, np.diff(total).astype(np.int64))
