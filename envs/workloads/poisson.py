"""Poisson arrivals, at a constant rate or one that is constant in pieces."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .. import checks
from ..kinds import nested
from .base import STREAMS, Floats, Synthetic
from .compiled import sorted_times
from .work import WORK, Constant, Work


def piecewise_times(
    rng: np.random.Generator, edges: Floats, expected: Floats, horizon_s: float
) -> Floats:
    """Draw a Poisson process whose rate is constant between edges.

    Args:
        rng: Generator.
        edges: Increasing from 0 to the horizon, shape (pieces + 1,) [s].
        expected: Expected calls up to each edge, shape (pieces + 1,).
        horizon_s: The last edge [s].

    Returns:
        Sorted times in [0, horizon_s), shape (calls,) [s].
    """
    n = rng.poisson(expected[-1])
    if not n:
        return np.empty(0)
    times: Floats = sorted_times(rng.standard_exponential(n + 1), edges, expected, horizon_s)
    return times


def poisson_times(rng: np.random.Generator, rate: float, horizon_s: float) -> Floats:
    """Draw a Poisson process of constant rate; sorted times in [0, horizon_s), (calls,) [s]."""
    edges, expected = np.array(((0.0, horizon_s), (0.0, rate * horizon_s)))
    return piecewise_times(rng, edges, expected, horizon_s)


@STREAMS("poisson")
@dataclass(frozen=True, kw_only=True)
class Poisson(Synthetic):
    """Calls without memory, at a constant rate. Dispersion and CV of gaps 1.

    Attributes:
        rate: Mean calls per second [1/s].
        work: Work of the calls.
    """

    rate: float
    work: Work = field(default=Constant(), metadata=nested(WORK))

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
