"""Bursts: a Poisson stream switched on and off (a Markov-modulated Poisson process)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .. import checks
from ..errors import ConfigError
from ..kinds import nested
from .base import STREAMS, Floats, Synthetic
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
    work: Work = nested(WORK, default=Constant())

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
        first = int(rng.random() * (self.mean_on_s + self.mean_off_s) >= self.mean_on_s)
        edges = self._edges(rng, first, horizon_s)
        rates = np.full(edges.size - 1, float(self.rate_off))
        rates[first::2] = self._burst_rates(rng, rates[first::2].size)
        release = piecewise_times(rng, edges, rates, horizon_s)
        return release, self.work.draw(rng, release.size)

    def _edges(self, rng: np.random.Generator, first: int, horizon_s: float) -> Floats:
        """Draw the ends of the periods up to the horizon; period 0 is off where `first` is 1."""
        cycle = self.mean_on_s + self.mean_off_s
        pairs = math.ceil(horizon_s / cycle + 4 * math.sqrt(horizon_s / cycle)) + 2
        edges = np.zeros(1)
        while edges[-1] < horizon_s:  # almost always once
            lengths = rng.standard_exponential(2 * pairs)
            lengths[first::2] *= self.mean_on_s
            lengths[1 - first :: 2] *= self.mean_off_s
            edges = np.concatenate((edges, edges[-1] + np.cumsum(lengths)))
        return edges

    def _burst_rates(self, rng: np.random.Generator, bursts: int) -> Floats | float:
        if isinstance(self.rate_on, tuple):
            return rng.uniform(*self.rate_on, size=bursts)
        return self.rate_on


def _range(name: str, values: tuple[object, ...]) -> tuple[float, float]:
    if len(values) != 2:
        raise ConfigError(f"{name} must be a number or a pair [low, high], got {list(values)!r}")
    low = checks.number(f"{name}[0]", values[0], at_least=0)
    return low, checks.number(f"{name}[1]", values[1], at_least=low)
