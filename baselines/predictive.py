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
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..envs import checks
from .base import Choice, Range, Shares, register
from .compiled import (
    ARRIVALS,
    READY_IN,
    Remembering,
    calls_at,
    either,
    fit,
    hold,
    is_new,
    rows,
    rule,
    serves,
    wanted,
)
from .forecast import (
    FORECASTS,
    Forecast,
    ahead,
    forecasting,
    make_forecast,
    observed,
    update,
    within,
)

if TYPE_CHECKING:
    from ..envs.spec import Scenario


@forecasting
def _decide(
    raw: Shares,
    decision: NDArray[np.int64],
    clock: NDArray[np.int64],
    memory: Shares,
    constants: Shares,
    method: Shares,
    gpus: float,
    held: float,
    interval_s: float,
    wake: float,
    drain_s: float,
) -> Shares:
    throughput, servers, least, cold = constants[0], constants[1], constants[2], constants[3]
    shares = np.empty(raw.shape[:2])
    for b in range(len(raw)):
        new = is_new(decision, clock, memory, b)
        seen = observed(memory, b, new)
        for i in range(raw.shape[1]):
            if new:
                update(memory, b, i, seen, raw[b, i, ARRIVALS] / interval_s, method)
            calls = calls_at(raw, b, i)
            # With calls it is in memory anyway.
            reload = 0 if calls > 0.0 else _lead(cold[i], interval_s)
            expected = within(memory, b, i, seen, reload, method) * interval_s
            rate = ahead(memory, b, i, seen, _lead(raw[b, i, READY_IN], interval_s), method)
            need = wanted(rate, calls, throughput[i], servers[i], drain_s)
            need = either(serves(raw, b, i, interval_s), max(need, least[i]), held)
            shares[b, i] = need * ((calls > 0.0) | (expected >= wake))
        fit(shares, b, gpus, held)
    return shares


@rule
def _lead(ready_s: float, interval_s: float) -> int:
    """Return the first interval that a model serves throughout; 1 is the one that begins now."""
    return 1 + int(np.ceil(ready_s / interval_s - 1e-9))


@register("predictive")
@dataclass(eq=False)
class Predictive(Remembering):
    """Needs by forecast, each at its own lead: O(N), remembers what its forecast does.

    That is a rate for `ewma`, and a season or a window for the others: `holt_winters` and
    `seasonal` are O(N·lead), `quantile` is O(N·window).

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
    _rule = staticmethod(_decide)

    def __post_init__(self) -> None:
        checks.one_of("predictive.forecast", self.forecast, FORECASTS)
        for name in ("window_s", "season_s", "wake", "drain_s"):
            checks.number(f"predictive.{name}", getattr(self, name), above=0)
        for name in ("beta", "gamma", "quantile"):
            checks.number(f"predictive.{name}", getattr(self, name), at_least=0, at_most=1)
        checks.number("predictive.damping", self.damping, above=0, at_most=0.999)

    @classmethod
    def examples(cls) -> tuple[str, ...]:
        """One of each forecast."""
        return tuple(f"predictive:forecast={name}" for name in FORECASTS)

    def _forecast(self, scenario: Scenario) -> Forecast:
        return make_forecast(
            self.forecast,
            scenario.interval_s,
            window_s=self.window_s,
            season_s=self.season_s,
            quantile=self.quantile,
            beta=self.beta,
            gamma=self.gamma,
            damping=self.damping,
        )

    def _memory_shape(self, scenario: Scenario) -> tuple[int, ...]:
        return self._forecast(scenario).memory_shape(scenario.n_agents)

    def _prepare(self, scenario: Scenario) -> tuple[Any, ...]:
        held = hold(scenario)
        return (
            rows(
                scenario.throughput,
                scenario.concurrency,
                np.maximum(scenario.footprint, held),
                scenario.cold_start_s,
            ),
            self._forecast(scenario).method(),
            float(scenario.gpus),
            held,
            float(scenario.interval_s),
            float(self.wake),
            float(self.drain_s),
        )
