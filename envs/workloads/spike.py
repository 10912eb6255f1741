"""A Poisson stream whose rate jumps up once."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .. import checks
from ..errors import ConfigError
from ..kinds import nested
from .base import STREAMS, Floats, Synthetic
from .poisson import piecewise_times
from .work import WORK, Constant, Work


@STREAMS("spike")
@dataclass(frozen=True, kw_only=True)
class Spike(Synthetic):
    """Poisson calls at `rate`, and at `multiplier` times that from `begin_s` to `end_s`.

    Attributes:
        rate: Mean calls per second outside of the spike [1/s].
        multiplier: Factor of the rate inside it.
        begin_s: Start of the spike, from the start of the episode [s].
        end_s: End of the spike [s].
        work: Work of the calls.
    """

    rate: float
    multiplier: float
    begin_s: float
    end_s: float
    work: Work = field(default=Constant(), metadata=nested(WORK))

    def __post_init__(self) -> None:
        checks.number("rate", self.rate, at_least=0)
        checks.number("multiplier", self.multiplier, at_least=0)
        checks.number("begin_s", self.begin_s, at_least=0)
        checks.number("end_s", self.end_s)
        if not self.end_s > self.begin_s:
            raise ConfigError(
                f"end_s must lie after begin_s = {self.begin_s:g}, got {self.end_s:g}"
            )

    def mean_rate(self, horizon_s: float) -> float:
        """Expected calls per second [1/s]."""
        inside = max(0.0, min(self.end_s, horizon_s) - self.begin_s)
        return self.rate * (1 + (self.multiplier - 1) * inside / horizon_s)

    def arrivals(
        self, rng: np.random.Generator, start_s: float, horizon_s: float
    ) -> tuple[Floats, Floats]:
        """Return release times [s] and work, both (calls,)."""
        edges = np.minimum((0.0, self.begin_s, self.end_s, np.inf), horizon_s)
        rates = np.array((self.rate, self.rate * self.multiplier, self.rate))
        expected = np.concatenate(((0.0,), np.cumsum(rates * np.diff(edges))))
        release = piecewise_times(rng, edges, expected, horizon_s)
        return release, self.work.draw(rng, release.size)
