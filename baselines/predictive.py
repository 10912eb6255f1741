"""Shares for the arrivals that are forecast for the moment at which a share can take effect.

With λ̂_i(h) the rate forecast for the h-th interval from now, Δ its length, n_i the calls in the
system and C_i the cold start,

    in memory where n_i > 0 or Σ λ̂_i(h)·Δ ≥ wake, over h = 1 … ⌈(C_i + Δ)/Δ⌉
    g_i = (λ̂_i(⌈(ready_i + Δ)/Δ⌉) + max(n_i, c_i)/drain_s)/T_i, at least the footprint

where ready_i is 0 for a loaded model and else the time until it is. An agent for which fewer than
`wake` calls are expected while it would be loaded again is let go: predictive autoscaling in the
manner of N. Roy, A. Dubey and A. Gokhale, "Efficient autoscaling in the cloud using predictive
models for workload forecasting", IEEE CLOUD 2011, with the lead set by the cold start. The
forecasts are in `forecast.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..envs import checks
from .base import Allocator, Choice, Range, Shares, register
from .compiled import hold
from .forecast import FORECASTS, Watch, make_forecast

if TYPE_CHECKING:
    from ..envs.observation import Observation
    from ..envs.spec import Scenario


@register("predictive")
@dataclass(eq=False)
class Predictive(Allocator):
    """Needs by forecast, each at its own lead; in NumPy, O(N), and O(N·window·log) for `quantile`.

    Remembers like the compiled ones: a decision seen again is answered as before, one that lies
    before the last begins a new episode of its environment.

    Attributes:
        forecast: `ewma`, `holt_winters`, `seasonal` (the last season again) or `quantile`.
        window_s: Window of `ewma`, of the level of `holt_winters`, and of `quantile` [s].
        season_s: Length of a season, for `holt_winters` and `seasonal` [s].
        beta: Weight of the newest step in the trend of `holt_winters`, in [0, 1].
        gamma: Weight of the newest deviation in the season of `holt_winters`, in [0, 1].
        damping: Part of the trend of `holt_winters` that is left after an interval, in (0, 0.999].
        quantile: Quantile of the rates in the window, in [0, 1].
        wake: Calls expected during a load for which a model is in memory, above 0.
        drain_s: Time in which the calls in the system are to be done [s].
    """

    forecast: str = "ewma"
    window_s: float = 10.0
    season_s: float = 60.0
    beta: float = 0.1
    gamma: float = 0.1
    damping: float = 0.9
    quantile: float = 0.8
    wake: float = 10.0
    drain_s: float = 5.0

    search_space = (
        Choice("forecast", FORECASTS),
        Range("window_s", 1.0, 120.0, log=True),
        Range("season_s", 10.0, 300.0, log=True),
        Range("beta", 0.0, 1.0),
        Range("gamma", 0.0, 1.0),
        Range("damping", 0.5, 0.99),
        Range("quantile", 0.0, 1.0),
        Range("wake", 0.1, 50.0, log=True),
        Range("drain_s", 0.5, 50.0, log=True),
    )

    def __post_init__(self) -> None:
        checks.one_of("predictive.forecast", self.forecast, FORECASTS)
        for name in ("window_s", "season_s", "wake", "drain_s"):
            checks.number(f"predictive.{name}", getattr(self, name), above=0)
        for name in ("beta", "gamma", "quantile"):
            checks.number(f"predictive.{name}", getattr(self, name), at_least=0, at_most=1)
        checks.number("predictive.damping", self.damping, above=0, at_most=0.999)
        self._scenario: Scenario | None = None

    @classmethod
    def examples(cls) -> tuple[str, ...]:
        """One of each forecast."""
        return tuple(f"predictive:forecast={name}" for name in FORECASTS)

    def reset(self, scenario: Scenario) -> None:
        """Forget everything and work out the leads."""
        self._scenario = scenario
        forecast = make_forecast(
            self.forecast,
            scenario.interval_s,
            window_s=self.window_s,
            season_s=self.season_s,
            quantile=self.quantile,
            beta=self.beta,
            gamma=self.gamma,
            damping=self.damping,
        )
        self._watch = Watch(forecast)
        self._hold = hold(scenario)
        self._reload = _steps(scenario.cold_start_s, scenario.interval_s)
        self._least = np.maximum(scenario.footprint, self._hold)

    def allocate(self, observation: Observation) -> Shares:
        """Return needs by forecast, cut in proportion where the pool is short."""
        scenario = observation.scenario
        if scenario is not self._scenario:
            self.reset(scenario)
        self._watch.show(observation)
        forecast = self._watch.forecast
        interval_s = scenario.interval_s
        ready_s = np.reshape(observation.ready_in_s, (-1, scenario.n_agents))
        calls = np.reshape(observation.queue + observation.in_service, ready_s.shape)
        reload = np.broadcast_to(self._reload, ready_s.shape)
        expected = forecast.within(reload) * interval_s
        active = (calls > 0) | (expected >= self.wake)
        rate = forecast.ahead(_steps(ready_s, interval_s))
        present = np.where(calls > 0, np.maximum(calls, scenario.concurrency), 0.0)
        need = np.maximum((rate + present / self.drain_s) / scenario.throughput, self._least)
        need = np.where(ready_s < interval_s, need, self._hold)
        shares = self._fit(np.where(active, need, 0.0), scenario.gpus)
        return shares.reshape(observation.queue.shape)

    def _fit(self, shares: Shares, gpus: float) -> Shares:
        """Cut what lies above the hold in proportion where a row sums to more than the pool."""
        held = np.where(shares > 0, self._hold, 0.0)
        extra, room = shares - held, gpus - held.sum(axis=-1, keepdims=True)
        sought = extra.sum(axis=-1, keepdims=True)
        part = np.where(sought > room, room / np.where(sought > 0, sought, 1.0), 1.0)
        fits: Shares = held + np.maximum(part, 0.0) * extra
        return fits


def _steps(ready_s: Shares, interval_s: float) -> NDArray[np.int64]:
    """Return the first interval that a model serves throughout; 1 is the one that begins now."""
    return 1 + np.ceil(ready_s / interval_s - 1e-9).astype(np.int64)
