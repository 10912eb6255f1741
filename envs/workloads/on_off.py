"""Bursts: a Poisson stream switched on and off (a Markov-modulated Poisson process)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from .. import checks
from ..errors import ConfigError
from ..kinds import nested
from .base import STREAMS, Floats, Synthetic
from .compiled import on_off_periods
from .poisson import piecewise_times
from .work import WORK, Constant, Work


@STREAMS("on_off")
@dataclass(frozen=True, kw_only=True)
class OnOff(Synthetic):
    """Poisson calls at one rate while on and at another while off.

    On and off periods are exponential, and an episode starts in the stationary state: on with
    probability mean_on_s / (mean_on_s + mean_off_s), in the middle of a period like any other
    moment, so that no allocator can learn the start by heart.

    Attributes:
        rate_on: Calls per second while on [1/s]; a pair [low, high] draws every burst's own rate,
            uniformly.
        rate_off: Calls per second while off [1/s].
        mean_on_s: Mean length of a burst [s].
        mean_off_s: Mean length of a pause [s].
        work: Work of the calls.
    """

    rate_on: float | tuple[float, float]
    mean_on_s: float
    mean_off_s: float
    rate_off: float = 0.0
    work: Work = field(default=Constant(), metadata=nested(WORK))

    def __post_init__(self) -> None:
        if isinstance(self.rate_on, (list, tuple)):
            object.__setattr__(self, "rate_on", _range("rate_on", tuple(self.rate_on)))
        else:
            checks.number("rate_on", self.rate_on, at_least=0)
        checks.number("rate_off", self.rate_off, at_least=0)
        checks.number("mean_on_s", self.mean_on_s, above=0)
        checks.number("mean_off_s", self.mean_off_s, above=0)

    def mean_rate(self, horizon_s: float) -> float:
        """Expected calls per second [1/s]."""
        on = self.mean_on_s / (self.mean_on_s + self.mean_off_s)
        return on * float(np.mean(self.rate_on)) + (1 - on) * self.rate_off

    def arrivals(
        self, rng: np.random.Generator, start_s: float, horizon_s: float
    ) -> tuple[Floats, Floats]:
        """Return release times [s] and work, both (calls,)."""
        edges, expected = self._periods(rng, horizon_s)
        release = piecewise_times(rng, edges, expected, horizon_s)
        return release, self.work.draw(rng, release.size)

    def _periods(self, rng: np.random.Generator, horizon_s: float) -> tuple[Floats, Floats]:
        """Draw the ends of the periods and the expected calls up to each, both (periods + 1,)."""
        cycles = horizon_s / (self.mean_on_s + self.mean_off_s)
        periods = math.ceil(2 * cycles + 6 * math.sqrt(cycles)) + 4
        low, high = self._rates
        units = rng.standard_exponential(2 * periods + 1)
        while True:  # almost always once
            edges, expected = np.empty((2, units.size // 2 + 1))
            filled = on_off_periods(
                units,
                self.mean_on_s,
                self.mean_off_s,
                low,
                high,
                self.rate_off,
                horizon_s,
                edges,
                expected,
            )
            if filled >= 0:
                return edges[: filled + 1], expected[: filled + 1]
            units = np.concatenate((units, rng.standard_exponential(2 * periods)))

    @property
    def _rates(self) -> tuple[float, float]:
        return self.rate_on if isinstance(self.rate_on, tuple) else (self.rate_on, self.rate_on)


def _range(name: str, values: tuple[object, ...]) -> tuple[float, float]:
    if len(values) != 2:
        raise ConfigError(f"{name} must be a number or a pair [low, high], got {list(values)!r}")
    low = checks.number(f"{name}[0]", values[0], at_least=0)
    return low, checks.number(f"{name}[1]", values[1], at_least=low)
