"""Independent gaps of any variability: smoother or burstier than Poisson."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .. import checks
from ..kinds import nested
from .base import STREAMS, Floats, Synthetic
from .work import WORK, Constant, Work

FAMILIES = ("gamma", "weibull")
SMALLEST_CV, LARGEST_CV = 0.02, 50.0


@STREAMS("renewal")
@dataclass(frozen=True, kw_only=True)
class Renewal(Synthetic):
    """Gaps drawn independently from one distribution.

    The process is an equilibrium renewal process: it has been running for ever when the episode
    starts. Its first gap is U · X with U uniform and X a gap drawn with probability proportional
    to its length (the gap in which a random moment falls), so that the expected number of calls in
    [0, t) is exactly rate · t. For a Gamma(k) the length-biased gap is Gamma(k + 1); for a Weibull
    of shape k it is scale · Gamma(1 + 1/k)^(1/k).

    Attributes:
        rate: Mean calls per second [1/s].
        cv: Standard deviation over mean of the gaps; 1 is Poisson, above 1 bursty.
        family: `gamma` or `weibull`.
        work: Work of the calls.
    """

    rate: float
    cv: float
    family: str = "gamma"
    work: Work = field(default=Constant(), metadata=nested(WORK))

    def __post_init__(self) -> None:
        checks.number("rate", self.rate, at_least=0)
        checks.number("cv", self.cv, at_least=SMALLEST_CV, at_most=LARGEST_CV)
        checks.one_of("family", self.family, FAMILIES)

    def mean_rate(self, horizon_s: float) -> float:
        """Expected calls per second [1/s]."""
        return float(self.rate)

    def arrivals(
        self, rng: np.random.Generator, start_s: float, horizon_s: float
    ) -> tuple[Floats, Floats]:
        """Return release times [s] and work, both (calls,)."""
        release = self._times(rng, horizon_s) if self.rate else np.empty(0)
        return release, self.work.draw(rng, release.size)

    def _times(self, rng: np.random.Generator, horizon_s: float) -> Floats:
        expected = self.rate * horizon_s
        chunk = math.ceil(expected + 3 * self.cv * math.sqrt(expected)) + 4
        gamma = self.family == "gamma"
        return renewal_times(rng, gamma, self._shape, self._scale, chunk, horizon_s)

    @cached_property
    def _shape(self) -> float:
        return self.cv**-2 if self.family == "gamma" else weibull_shape(self.cv)

    @cached_property
    def _scale(self) -> float:
        if self.family == "gamma":
            return 1 / (self.rate * self._shape)
        return 1 / (self.rate * math.gamma(1 + 1 / self._shape))


def renewal_times(
    rng: np.random.Generator, gamma: bool, shape: float, scale: float, chunk: int, horizon_s: float
) -> Floats:
    """Draw an equilibrium renewal process.

    Args:
        rng: Generator.
        gamma: Whether gaps are Gamma; otherwise they are Weibull.
        shape: Shape of the gaps.
        scale: Scale of the gaps [s].
        chunk: Gaps to draw at once: mostly enough for the horizon.
        horizon_s: End [s].

    Returns:
        Sorted times in [0, horizon_s), shape (calls,) [s].
    """
    times = rng.random(1)
    if gamma:
        times *= rng.gamma(shape + 1, scale)
    else:
        times *= scale * rng.standard_gamma(1 + 1 / shape) ** (1 / shape)
    while times[-1] < horizon_s:  # mostly once
        gaps = rng.gamma(shape, scale, chunk) if gamma else scale * rng.weibull(shape, chunk)
        times = np.concatenate((times, times[-1] + np.cumsum(gaps)))
    return times[: np.searchsorted(times, horizon_s)]


def weibull_shape(cv: float) -> float:
    """Return the shape k of the Weibull with this CV: 1 + cv² = Γ(1 + 2/k) / Γ(1 + 1/k)²."""
    low, high = 0.1, 100.0  # CV 4.3e2 and 0.013: outside of what a stream accepts
    for _ in range(60):  # bisection: the CV falls with k
        middle = math.sqrt(low * high)
        log_ratio = math.lgamma(1 + 2 / middle) - 2 * math.lgamma(1 + 1 / middle)
        low, high = (middle, high) if log_ratio > math.log1p(cv**2) else (low, middle)
    return math.sqrt(low * high)
