"""The mean over consecutive windows of one trace, which are not independent."""

from __future__ import annotations

import math

import numpy as np

from .interval import ENOUGH_BLOCKS, Floats, Interval, t_interval, t_quantile

CIRCULAR = "circular block bootstrap, post-blackened"
# A block of fewer windows holds next to nothing of how they hang together.
LEAST_LENGTH = 3
LARGEST_CORRELATION = 0.9


def windows_interval(values: Floats) -> Interval:
    """Return the mean over consecutive windows of one trace with its block bootstrap interval.

    A block bootstrap draws whole runs of ℓ windows, so that what hangs together stays together
    (H. R. Künsch, The jackknife and the bootstrap for general stationary observations, Annals of
    Statistics 17(3), 1989); on a circle every window is drawn as often as any other (D. N. Politis
    and J. P. Romano, A circular block-resampling procedure for stationary data, 1992). The block
    length is a rule: ℓ = ⌊n/8⌋, the longest of which there are `ENOUGH_BLOCKS`.

    So short a series needs help with what crosses the ends of blocks. It is post-blackened (A. C.
    Davison and D. V. Hinkley, Bootstrap Methods and their Application, 1997, § 8.2.3): with φ the
    correlation of neighbours, plus (1 + 3φ)/n for its bias (M. G. Kendall, Note on bias in the
    estimation of autocorrelation, Biometrika 41, 1954), blocks are drawn from
    u_i = (y_i − ȳ) − φ·(y_{i−1} − ȳ). The variance of the mean over all draws has a closed form,
    and none is drawn: V = ℓ/m² · Σ(ū_i − ū)² / (1 − ℓ/m) · (m/n) / (1 − φ)² with m = n − 1 and ū_i
    the means over the ℓ values from i on. 1 − ℓ/m makes it unbiased for independent windows. The
    interval is mean ± t·√V with n/ℓ − 1 degrees of freedom, and indicative where ℓ < 3.

    Args:
        values: In the order of time, (n,), of windows as long as each other.

    Raises:
        ValueError: There is no value.
    """
    n = len(values)
    if n < ENOUGH_BLOCKS or not np.ptp(values):
        return t_interval(values)
    length = n // ENOUGH_BLOCKS
    mean = float(np.mean(values))
    half = t_quantile(n / length - 1) * math.sqrt(_variance(values - mean, length))
    note = "" if length >= LEAST_LENGTH else f"{n} windows of one trace: indicative"
    return Interval(mean, mean - half, mean + half, n, note, CIRCULAR)


def neighbour_correlation(centred: Floats) -> float:
    """Return the correlation of neighbours in a series about its mean, less its bias."""
    found = float(centred[1:] @ centred[:-1] / (centred @ centred))
    found += (1 + 3 * found) / len(centred)
    return min(max(found, -LARGEST_CORRELATION), LARGEST_CORRELATION)


def circular_variance(values: Floats, length: int) -> float:
    """Return the variance of the circular block bootstrap's mean, over all draws.

    n/ℓ blocks, each with one of n beginnings: it is Σ(ȳ_i − ȳ)²/n over n/ℓ, with the means ȳ_i of
    the blocks.
    """
    sums = np.cumsum([0.0, *values, *values[: length - 1]])
    means = (sums[length:] - sums[:-length]) / length
    return float(np.mean((means - values.mean()) ** 2)) * length / len(values)


def _variance(centred: Floats, length: int) -> float:
    phi = neighbour_correlation(centred)
    whitened = centred[1:] - phi * centred[:-1]
    n, m = len(centred), len(whitened)
    white = circular_variance(whitened, length) / (1 - length / m)
    return white * (m / n) / (1 - phi) ** 2
