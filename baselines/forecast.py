"""Forecasts of arrival rates, each updated by one observation per decision.

All work on arrays (B, N), environments by agents: `start` makes room, `forget` clears environments
that begin anew, `update` takes the rates of the last interval [1/s], `ahead` returns those expected
in the h-th interval from now on, h ≥ 1, never below 0, and `within` their sum up to the h-th.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..envs.observation import Observation

FORECASTS = ("ewma", "holt_winters", "seasonal", "quantile")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Forecast(ABC):
    """One forecast of every agent of every environment.

    Attributes:
        shape: (B, N).
        seen: Updates of each environment since it was last forgotten, (B, 1).
    """

    shape: tuple[int, int]
    seen: Ints

    def start(self, n_environments: int, n_agents: int) -> None:
        """Make room for a batch and forget everything."""
        self.shape = (n_environments, n_agents)
        self.seen = np.zeros((n_environments, 1), dtype=np.int64)
        self._start(n_environments, n_agents)

    def forget(self, which: Ints) -> None:
        """Begin anew in the environments of these indices."""
        self.seen[which] = 0

    def update(self, which: Ints, rate: Floats) -> None:
        """Take the rates (len(which), N) that were seen in the environments of these indices."""
        self._update(which, rate)
        self.seen[which] += 1

    @abstractmethod
    def ahead(self, steps: Ints) -> Floats:
        """Return the rates expected `steps` intervals ahead, both (B, N)."""

    def within(self, steps: Ints) -> Floats:
        """Return the sum of the rates expected over the next `steps` intervals, both (B, N)."""
        total = np.zeros(steps.shape)
        for h in range(1, int(steps.max(initial=0)) + 1):
            total += np.where(h <= steps, self.ahead(np.full(steps.shape, h)), 0.0)
        return total

    def path(self, horizon: int) -> Floats:
        """Return the rates expected in each of the next intervals, (B, N, horizon)."""
        ahead = [self.ahead(np.full(self.shape, h)) for h in range(1, horizon + 1)]
        return np.stack(ahead, axis=-1)

    @abstractmethod
    def _start(self, n_environments: int, n_agents: int) -> None: ...

    @abstractmethod
    def _update(self, which: Ints, rate: Floats) -> None:
        """Take rates; where `seen` is 0 nothing that is stored counts."""


@dataclass(eq=False)
class Ewma(Forecast):
    """Exponentially weighted mean: x ← x + max(α, 1/k)·(rate − x), the same for all leads.

    R. G. Brown (1956). The k-th observation weighs at least 1/k, so that first estimates are the
    plain mean and not drawn towards zero.

    Attributes:
        alpha: Weight of the newest rate, in (0, 1].
    """

    alpha: float

    def _start(self, n_environments: int, n_agents: int) -> None:
        self.level = np.zeros((n_environments, n_agents))

    def _update(self, which: Ints, rate: Floats) -> None:
        weight = np.maximum(self.alpha, 1.0 / (self.seen[which] + 1))
        self.level[which] += weight * (rate - self.level[which])

    def ahead(self, steps: Ints) -> Floats:
        """Return the mean, whatever the lead."""
        return np.broadcast_to(self.level, steps.shape).copy()

    def within(self, steps: Ints) -> Floats:
        """Return the mean for each interval."""
        return self.level * steps

    def path(self, horizon: int) -> Floats:
        """Return the mean for each interval."""
        return np.repeat(self.level[..., None], horizon, axis=-1)


@dataclass(eq=False)
class HoltWinters(Forecast):
    """Level, damped trend and additive season.

        l' = α·(x − s) + (1 − α)·(l + φ·b)
        b' = β·(l' − l) + (1 − β)·φ·b
        s' = γ·(x − l − φ·b) + (1 − γ)·s
        forecast = l + (φ + … + φ^h)·b + s of that place in the season

    C. C. Holt (1957), P. R. Winters (1960), damped after E. S. Gardner and E. McKenzie (1985), as
    in R. J. Hyndman and G. Athanasopoulos, Forecasting: Principles and Practice (3rd edition),
    chapter 8. It begins at the first rate, without trend and season.

    Attributes:
        alpha: Weight of the newest rate in the level, in [0, 1].
        beta: Weight of the newest step in the trend, in [0, 1].
        gamma: Weight of the newest deviation in the season, in [0, 1].
        damping: φ in (0, 1); 1 would let a burst's trend run on for ever.
        season: Intervals in a season.
    """

    alpha: float
    beta: float
    gamma: float
    damping: float
    season: int

    def _start(self, n_environments: int, n_agents: int) -> None:
        self.level = np.zeros((n_environments, n_agents))
        self.trend = np.zeros((n_environments, n_agents))
        self.seasonal = np.zeros((n_environments, self.season, n_agents))

    def forget(self, which: Ints) -> None:
        """Begin anew in the environments of these indices."""
        super().forget(which)
        self.trend[which] = 0.0
        self.seasonal[which] = 0.0

    def _update(self, which: Ints, rate: Floats) -> None:
        place = self.seen[which, 0] % self.season
        first = self.seen[which] == 0
        level = np.where(first, rate, self.level[which])
        trend = self.damping * self.trend[which]
        season = self.seasonal[which, place]
        newest = self.alpha * (rate - season) + (1.0 - self.alpha) * (level + trend)
        self.level[which] = newest
        self.trend[which] = self.beta * (newest - level) + (1.0 - self.beta) * trend
        deviation = rate - level - trend
        self.seasonal[which, place] = self.gamma * deviation + (1.0 - self.gamma) * season

    def ahead(self, steps: Ints) -> Floats:
        """Return level, trend so far ahead, and the season of that interval."""
        damped = self.damping * (1.0 - self.damping**steps) / (1.0 - self.damping)
        place = (self.seen + steps - 1) % self.season
        season = np.take_along_axis(self.seasonal, place[:, None, :], axis=1)[:, 0]
        return np.maximum(self.level + damped * self.trend + season, 0.0)


@dataclass(eq=False)
class SeasonalNaive(Forecast):
    """The rate of the same interval in the last season, or the last rate until one is over.

    Hyndman and Athanasopoulos (3rd edition), chapter 5.

    Attributes:
        season: Intervals in a season.
    """

    season: int

    def _start(self, n_environments: int, n_agents: int) -> None:
        self.last = np.zeros((n_environments, n_agents))
        self.rates = np.zeros((n_environments, self.season, n_agents))

    def _update(self, which: Ints, rate: Floats) -> None:
        self.rates[which, self.seen[which, 0] % self.season] = rate
        self.last[which] = rate

    def ahead(self, steps: Ints) -> Floats:
        """Return what was seen a whole number of seasons before."""
        place = (self.seen + steps - 1) % self.season
        before = np.take_along_axis(self.rates, place[:, None, :], axis=1)[:, 0]
        return np.where(self.seen >= self.season, before, self.last)


@dataclass(eq=False)
class WindowQuantile(Forecast):
    """A quantile of the last rates, the same for all leads: how much is enough that often.

    Attributes:
        quantile: In [0, 1]; interpolated as `numpy.quantile` does.
        window: Intervals that are remembered.
    """

    quantile: float
    window: int

    def _start(self, n_environments: int, n_agents: int) -> None:
        self.rates = np.full((n_environments, self.window, n_agents), np.nan)

    def forget(self, which: Ints) -> None:
        """Begin anew in the environments of these indices."""
        super().forget(which)
        self.rates[which] = np.nan

    def _update(self, which: Ints, rate: Floats) -> None:
        self.rates[which, self.seen[which, 0] % self.window] = rate

    def ahead(self, steps: Ints) -> Floats:
        """Return the quantile of what is remembered, whatever the lead; 0 before the first."""
        # NaN sorts behind every rate, so that the first min(seen, window) places are the rates.
        ordered = np.sort(self.rates, axis=1)
        at = self.quantile * np.maximum(np.minimum(self.seen, self.window) - 1, 0)
        low = np.floor(at).astype(np.int64)
        high = np.ceil(at).astype(np.int64)
        part = at - low
        values = _along(ordered, low) * (1.0 - part) + _along(ordered, high) * part
        return np.broadcast_to(np.nan_to_num(values), steps.shape).copy()

    def within(self, steps: Ints) -> Floats:
        """Return the quantile for each interval."""
        return self.ahead(steps) * steps

    def path(self, horizon: int) -> Floats:
        """Return the quantile for each interval."""
        now = self.ahead(np.ones(self.shape, dtype=np.int64))
        return np.repeat(now[..., None], horizon, axis=-1)


def _along(ordered: Floats, place: Ints) -> Floats:
    """Return (B, N) from (B, window, N) at one place for each environment, (B, 1)."""
    return np.take_along_axis(ordered, place[:, :, None], axis=1)[:, 0]


def make_forecast(
    name: str,
    interval_s: float,
    *,
    window_s: float,
    season_s: float,
    quantile: float,
    beta: float = 0.1,
    gamma: float = 0.1,
    damping: float = 0.9,
) -> Forecast:
    """Return one of `FORECASTS`, with times in seconds instead of intervals."""
    alpha = -math.expm1(-interval_s / window_s)
    season = max(1, round(season_s / interval_s))
    if name == "ewma":
        return Ewma(alpha)
    if name == "holt_winters":
        return HoltWinters(alpha, beta, gamma, damping, season)
    if name == "seasonal":
        return SeasonalNaive(season)
    return WindowQuantile(quantile, max(1, round(window_s / interval_s)))


class Watch:
    """A forecast that follows a batch: every decision counts once, an earlier one begins anew."""

    def __init__(self, forecast: Forecast) -> None:
        self.forecast = forecast
        self._clock = np.zeros(0, dtype=np.int64)

    def show(self, observation: Observation) -> None:
        """Take the arrivals of the last interval in the environments where it is new."""
        decision = np.reshape(observation.decision, -1)
        if decision.size != self._clock.size:
            self._clock = np.full(decision.size, -1, dtype=np.int64)
            self.forecast.start(decision.size, observation.scenario.n_agents)
        self.forecast.forget(np.flatnonzero(decision < self._clock))
        new = np.flatnonzero(decision != self._clock)
        rate = np.reshape(observation.arrival_rate, (decision.size, -1))
        self.forecast.update(new, rate[new])
        self._clock = decision.astype(np.int64)
