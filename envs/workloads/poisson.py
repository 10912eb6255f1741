"""Poisson arrivals, at a constant rate or one that is constant in pieces."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .. import checks
from ..kinds import nested
from .base import STREAMS, Floats, Synthetic
from .work import WORK, Constant, Work


def poisson_times(rng: np.random.Generator, rate: float, horizon_s: float) -> Floats:
    """Draw a Poisson process on [0, horizon_s): given their number, the times are uniform."""
    times = rng.random(rng.poisson(rate * horizon_s))
    times.sort()
    times *= horizon_s
    return times


def piecewise_times(
    rng: np.random.Generator, edges: Floats, rates: Floats, horizon_s: float
) -> Floats:
    """Draw a Poisson process whose rate is `rates[j]` on `[edges[j], edges[j+1])`.

    Args:
        rng: Generator.
        edges: Increasing, from 0 to at least the horizon, shape (pieces + 1,) [s].
        rates: At least 0, shape (pieces,) [1/s].
        horizon_s: Edges beyond it are cut [s].

    Returns:
        Sorted times in [0, horizon_s), shape (calls,).
    """
    edges = np.minimum(edges, horizon_s)
    expected = np.zeros(edges.size)
    np.cumsum(rates * (edges[1:] - edges[:-1]), out=expected[1:])
    # Time change: the process has rate 1 on the axis of its expected count.
    counts = rng.random(rng.poisson(expected[-1]))
    counts.sort()
    counts *= expected[-1]
    times = np.interp(counts, expected, edges)
    return times if not times.size or times[-1] < horizon_s else _clip(times, horizon_s)


def _clip(times: Floats, horizon_s: float) -> Floats:
    """Move times that rounding put on the horizon to just before it."""
    return np.minimum(times, math.nextafter(horizon_s, 0.0))


@STREAMS("poisson")
@dataclass(frozen=True, kw_only=True)
class Poisson(Synthetic):
    """Calls without memory, at a constant rate. Dispersion and CV of gaps 1.

    Attributes:
        rate: Mean calls per second [1/s].
        work: Work of the calls.
    """

    rate: float
    work: Work = nested(WORK, default=Constant())

    def __post_init__(self) -> None:
        checks.number("rate", self.rate, at_least=0)

    def mean_rate(self, horizon_s: float) -> float:
        """Expected calls per second [1/s]."""
        return float(self.rate)

    def arrivals(
        self, rng: np.random.Generator, start_s: float, horizon_s: float
    ) -> tuple[Floats, Floats]:
        """Return release times [s] and work, both (calls,)."""
        release = poisson_times(rng, self.rate, horizon_s)
        return release, self.work.draw(rng, release.size)
