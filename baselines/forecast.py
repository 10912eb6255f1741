"""Forecasts of arrival rates, each updated by one observation per decision, as compiled functions.

What is known of the agents of an environment is an array (rows, N) of a batch's memory, as
`Remembering` keeps it, all 0 at the start: `observed` counts a decision, `update` takes the rate of
an agent in the last interval [1/s], `ahead` returns that expected in the h-th interval from now,
h ≥ 1, never below 0, and `within` the sum up to the h-th. `path` is a rule of its own.

    ewma            x ← x + max(α, 1/k)·(rate − x) at the k-th rate, the same for all leads
    holt_winters    level, damped trend and additive season:
                    l' = α·(x − s) + (1 − α)·(l + φ·b)
                    b' = β·(l' − l) + (1 − β)·φ·b
                    s' = γ·(x − l − φ·b) + (1 − γ)·s
                    forecast = l + (φ + … + φ^h)·b + s of that place in the season
    seasonal        the rate of the same interval in the last season, or the last rate until one is
                    over
    quantile        a quantile of the last rates, the same for all leads: how much is enough that
                    often; interpolated as `numpy.quantile` does

R. G. Brown (1956); with weights of at least 1/k first estimates are the plain mean and not drawn
towards zero. C. C. Holt (1957) and P. R. Winters (1960), damped after E. S. Gardner and E. McKenzie
(1985), as in R. J. Hyndman and G. Athanasopoulos, Forecasting: Principles and Practice (3rd
edition), chapter 8; it begins at the first rate, without trend and season. The seasonal one is in
chapter 5 there.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.kernel.compile import compiled_in_place, stamped
from .compiled import ARRIVALS, is_new, rule

FORECASTS = ("ewma", "holt_winters", "seasonal", "quantile")
EWMA, HOLT_WINTERS, SEASONAL, QUANTILE = range(4)

# Places in `method`: which forecast, its weights, the quantile and the length of its window.
KIND, ALPHA, BETA, GAMMA, DAMPING, RANK, LENGTH = range(7)

# Rows of the memory; `window` rates or deviations of a season follow, for the quantile twice: in
# the order in which they came, and sorted.
SEEN, LEVEL, TREND, WINDOW = range(4)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_DIGEST = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def forecasting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a rule that may call the functions of this file as well (see `rule`)."""
    return stamped(rule(function), _DIGEST)


@dataclass(frozen=True)
class Forecast:
    """A forecast and its parameters, of which it looks at its own.

    Attributes:
        name: One of `FORECASTS`.
        alpha: Weight of the newest rate in the level, in [0, 1]; above 0 for `ewma`.
        beta: Weight of the newest step in the trend, in [0, 1].
        gamma: Weight of the newest deviation in the season, in [0, 1].
        damping: φ in (0, 1); 1 would let a burst's trend run on for ever.
        quantile: In [0, 1].
        window: Intervals in a season, or intervals of which the quantile is taken.
    """

    name: str
    alpha: float = 1.0
    beta: float = 0.0
    gamma: float = 0.0
    damping: float = 0.5
    quantile: float = 0.5
    window: int = 1

    def method(self) -> Floats:
        """Return what the compiled functions take: which forecast, and its parameters, (7,)."""
        kind = FORECASTS.index(self.name)
        weights = (self.alpha, self.beta, self.gamma, self.damping)
        return np.array([kind, *weights, self.quantile, self.window], dtype=np.float64)

    def memory_shape(self, n_agents: int) -> tuple[int, int]:
        """Return the shape of one environment's memory, (rows, N)."""
        windows = (0, 1, 1, 2)[FORECASTS.index(self.name)]
        return WINDOW + windows * self.window, n_agents


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
    length_s = window_s if name == "quantile" else season_s
    window = max(1, round(length_s / interval_s))
    alpha = -math.expm1(-interval_s / window_s)
    return Forecast(name, alpha, beta, gamma, damping, quantile, window)


@compiled_in_place
def observed(memory: Floats, b: int, new: bool) -> int:
    """Return how many rates environment b has seen, with that of this decision if it is new."""
    memory[b, SEEN, 0] += new
    return int(memory[b, SEEN, 0])


@compiled_in_place
def update(memory: Floats, b: int, i: int, seen: int, rate: float, method: Floats) -> None:
    """Take the `seen`-th rate of agent i; at the first nothing that is stored counts."""
    kind = method[KIND]
    if kind == EWMA:
        weight = max(method[ALPHA], 1.0 / seen)
        memory[b, LEVEL, i] += weight * (rate - memory[b, LEVEL, i])
    elif kind == HOLT_WINTERS:
        _smooth(memory, b, i, seen, rate, method)
    elif kind == SEASONAL:
        memory[b, LEVEL, i] = rate
        memory[b, WINDOW + (seen - 1) % int(method[LENGTH]), i] = rate
    else:
        _take_quantile(memory, b, i, seen, rate, method)


@compiled_in_place
def _smooth(memory: Floats, b: int, i: int, seen: int, rate: float, method: Floats) -> None:
    alpha, beta, gamma, damping = method[ALPHA], method[BETA], method[GAMMA], method[DAMPING]
    place = WINDOW + (seen - 1) % int(method[LENGTH])
    level = rate if seen == 1 else memory[b, LEVEL, i]
    trend, season = damping * memory[b, TREND, i], memory[b, place, i]
    newest = alpha * (rate - season) + (1.0 - alpha) * (level + trend)
    memory[b, LEVEL, i] = newest
    memory[b, TREND, i] = beta * (newest - level) + (1.0 - beta) * trend
    memory[b, place, i] = gamma * (rate - level - trend) + (1.0 - gamma) * season


@compiled_in_place
def _take_quantile(memory: Floats, b: int, i: int, seen: int, rate: float, method: Floats) -> None:
    window = int(method[LENGTH])
    n, first, place = min(seen, window), WINDOW + window, WINDOW + (seen - 1) % window
    k = n - 1
    if seen > window:  # the sorted place of the rate that leaves
        while k > 0 and memory[b, first + k, i] != memory[b, place, i]:
            k -= 1
    memory[b, place, i] = rate
    _sort_in(memory, b, i, first, n, k, rate)
    at = method[RANK] * (n - 1)
    low, high = first + int(np.floor(at)), first + int(np.ceil(at))
    part = at - np.floor(at)
    memory[b, LEVEL, i] = memory[b, low, i] * (1.0 - part) + memory[b, high, i] * part


@compiled_in_place
def _sort_in(memory: Floats, b: int, i: int, first: int, n: int, k: int, rate: float) -> None:
    """Put a rate into n sorted ones, of which the k-th is free."""
    while k > 0 and memory[b, first + k - 1, i] > rate:
        memory[b, first + k, i] = memory[b, first + k - 1, i]
        k -= 1
    while k < n - 1 and memory[b, first + k + 1, i] < rate:
        memory[b, first + k, i] = memory[b, first + k + 1, i]
        k += 1
    memory[b, first + k, i] = rate


@compiled_in_place
def ahead(memory: Floats, b: int, i: int, seen: int, h: int, method: Floats) -> float:
    """Return the rate of agent i expected in the h-th interval from now [1/s]."""
    if _is_flat(method):
        return memory[b, LEVEL, i]  # type: ignore[no-any-return]
    damping, place = method[DAMPING], (seen + h - 1) % int(method[LENGTH])
    damped = damping * (1.0 - damping**h) / (1.0 - damping)
    return _expected(memory, b, i, seen, place, damped, method)  # type: ignore[no-any-return]


@compiled_in_place
def within(memory: Floats, b: int, i: int, seen: int, h: int, method: Floats) -> float:
    """Return the sum of the rates of agent i expected over the next h intervals [1/s]."""
    if _is_flat(method):
        return memory[b, LEVEL, i] * h  # type: ignore[no-any-return]
    damping, window = method[DAMPING], int(method[LENGTH])
    place, power, damped, total = seen % window, 1.0, 0.0, 0.0
    for _ in range(h):
        power *= damping
        damped += power
        total += _expected(memory, b, i, seen, place, damped, method)
        place = place + 1 if place + 1 < window else 0
    return total


@compiled_in_place
def _is_flat(method: Floats) -> bool:
    """Return whether all leads have the same forecast."""
    return (method[KIND] == EWMA) | (method[KIND] == QUANTILE)  # type: ignore[no-any-return]


@compiled_in_place
def _expected(
    memory: Floats, b: int, i: int, seen: int, place: int, damped: float, method: Floats
) -> float:
    """Return the rate at a place of the season, with the trend times φ + … + φ^h."""
    level, season = memory[b, LEVEL, i], memory[b, WINDOW + place, i]
    if method[KIND] == HOLT_WINTERS:
        return max(level + damped * memory[b, TREND, i] + season, 0.0)  # type: ignore[no-any-return]
    return season if seen >= method[LENGTH] else level  # type: ignore[no-any-return]


@rule
def path(
    raw: Floats,
    decision: Ints,
    clock: Ints,
    memory: Floats,
    method: Floats,
    horizon: int,
    interval_s: float,
) -> Floats:
    """Follow raw observations; return the rates expected in the next intervals, (B, N, horizon)."""
    rates = np.empty((len(raw), raw.shape[1], horizon))
    for b in range(len(raw)):
        new = is_new(decision, clock, memory, b)
        seen = observed(memory, b, new)
        for i in range(raw.shape[1]):
            if new:
                update(memory, b, i, seen, raw[b, i, ARRIVALS] / interval_s, method)
            for h in range(horizon):
                rates[b, i, h] = ahead(memory, b, i, seen, h + 1, method)
    return rates
