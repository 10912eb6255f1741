"""A rate that follows the time of day."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from .. import checks
from ..kinds import nested
from .base import STREAMS, Floats, Synthetic
from .poisson import poisson_times
from .work import WORK, Constant, Work


@STREAMS("diurnal")
@dataclass(frozen=True, kw_only=True)
class Diurnal(Synthetic):
    """Poisson calls at rate · (1 + amplitude · sin(2π(t/period_s + phase))), by thinning.

    Attributes:
        rate: Calls per second, averaged over a period [1/s].
        amplitude: Swing of the rate as a fraction of its mean, 0 to 1.
        period_s: Length of a "day" [s].
        phase: Time of day at which episodes start, as a fraction of the period; by default every
            episode starts at another one, drawn uniformly.
        work: Work of the calls.
    """

    rate: float
    amplitude: float
    period_s: float
    phase: float | None = None
    work: Work = field(default=Constant(), metadata=nested(WORK))

    def __post_init__(self) -> None:
        checks.number("rate", self.rate, at_least=0)
        checks.number("amplitude", self.amplitude, at_least=0, at_most=1)
        checks.number("period_s", self.period_s, above=0)
        if self.phase is not None:
            checks.number("phase", self.phase, at_least=0, at_most=1)

    def mean_rate(self, horizon_s: float) -> float:
        """Expected calls per second over an episode [1/s]."""
        if self.phase is None:
            return float(self.rate)
        start, end = self.phase, self.phase + horizon_s / self.period_s
        swing = (math.cos(2 * math.pi * start) - math.cos(2 * math.pi * end)) / (2 * math.pi)
        return self.rate * (1 + self.amplitude * swing * self.period_s / horizon_s)

    def arrivals(
        self, rng: np.random.Generator, start_s: float, horizon_s: float
    ) -> tuple[Floats, Floats]:
        """Return release times [s] and work, both (calls,)."""
        phase = rng.random() if self.phase is None else self.phase
        peak = 1 + self.amplitude
        times = poisson_times(rng, self.rate * peak, horizon_s)
        level = 1 + self.amplitude * np.sin(2 * np.pi * (times / self.period_s + phase))
        release = times[rng.random(times.size) * peak < level]
        return release, self.work.draw(rng, release.size)
