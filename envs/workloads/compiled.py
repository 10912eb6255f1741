"""The compiled parts of drawing Poisson processes: from exponential numbers to sorted times.

Random numbers come from outside, so that a stream's own generator decides everything.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..kernel.compile import compiled

Floats = NDArray[np.float64]


@compiled
def sorted_times(units: Floats, edges: Floats, expected: Floats, horizon_s: float) -> Floats:
    """Times of a Poisson process that is known to have n calls.

    Given their number, its calls are n sorted uniform numbers on the axis of the expected count,
    and partial sums of n + 1 exponentials, divided by the last, are sorted uniforms: no sorting.

    Args:
        units: Exponential numbers of mean 1, shape (n + 1,); overwritten.
        edges: Between them the rate is constant; increasing from 0, shape (pieces + 1,) [s].
        expected: Expected calls up to each edge, from 0 to more than 0, shape (pieces + 1,).
        horizon_s: End of the last piece [s].

    Returns:
        Sorted times in [0, horizon_s), shape (n,): a view of `units` [s].
    """
    n = units.size - 1
    last = edges.size - 2
    latest = np.nextafter(horizon_s, 0.0)
    scale = expected[last + 1] / units.sum()
    total = 0.0
    piece = -1
    end = 0.0
    slope = 0.0
    for i in range(n):
        total += units[i]
        count = total * scale
        while count >= end and piece < last:
            piece += 1
            end = expected[piece + 1]
            if end > expected[piece]:
                slope = (edges[piece + 1] - edges[piece]) / (end - expected[piece])
        units[i] = min(edges[piece] + (count - expected[piece]) * slope, latest)
    return units[:n]


@compiled
def on_off_periods(
    units: Floats,
    mean_on_s: float,
    mean_off_s: float,
    low: float,
    high: float,
    rate_off: float,
    horizon_s: float,
    edges: Floats,
    expected: Floats,
) -> int:
    """Alternate exponential on and off periods up to the horizon, from the stationary state.

    Args:
        units: Exponential numbers of mean 1, shape (2·periods + 1,): one for the state at 0, then
            two a period, for its length and its rate.
        mean_on_s: Mean length of a burst [s].
        mean_off_s: Mean length of a pause [s].
        low: Least rate of a burst [1/s].
        high: Greatest rate of a burst [1/s].
        rate_off: Rate between bursts [1/s].
        horizon_s: End of the last period [s].
        edges: Filled with the ends of the periods, from 0 on, shape (periods + 1,) [s].
        expected: Filled with the expected calls up to each edge, shape (periods + 1,).

    Returns:
        The number of periods filled in, or -1 where `units` end before the horizon.
    """
    on = -math.expm1(-units[0]) * (mean_on_s + mean_off_s) < mean_on_s
    edges[0] = expected[0] = 0.0
    for i in range((units.size - 1) // 2):
        length = units[2 * i + 1] * (mean_on_s if on else mean_off_s)
        edges[i + 1] = min(edges[i] + length, horizon_s)
        rate = low - math.expm1(-units[2 * i + 2]) * (high - low) if on else rate_off
        expected[i + 1] = expected[i] + rate * (edges[i + 1] - edges[i])
        if edges[i + 1] >= horizon_s:
            return i + 1
        on = not on
    return -1
