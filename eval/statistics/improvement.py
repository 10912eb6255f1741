"""How probably one allocator is better than another."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from .interval import CONFIDENCE, Floats, Interval, block_means, few, t_quantile

WILSON = "Wilson's score interval"
LOGIT = "normal, on the scale of log odds"
Z = float(ndtri(0.5 + CONFIDENCE / 2))


def wins(values: Sequence[float], reference: Sequence[float], blocks: Sequence[str]) -> Floats:
    """Return the part of each block's tapes on which `values` are higher, ties half, (blocks,).

    Raises:
        ValueError: Lengths differ.
    """
    won = [0.5 * ((a > b) + (a >= b)) for a, b in zip(values, reference, strict=True)]
    return block_means(won, blocks)


def probability_of_improvement(
    values: Sequence[float], reference: Sequence[float], blocks: Sequence[str]
) -> Interval:
    """Return the probability to be higher on a tape, P(X > Y) + ½·P(X = Y), with its interval.

    X and Y are on the same tape: the mean over blocks of the part of its tapes that is won, ties
    half, with the interval of `wilson`.

    Raises:
        ValueError: Lengths differ, or there is nothing to compare.
    """
    return wilson(wins(values, reference, blocks))


def wilson(parts: Floats) -> Interval:
    """Return the mean of independent values from 0 to 1, (n,), with Wilson's score interval.

    With p their mean, m their effective number and z the normal quantile, the ends are
    (p + z²/2m ± z·√(p(1 − p)/m + z²/4m²)) / (1 + z²/m) (E. B. Wilson, Probable inference, the law
    of succession, and statistical inference, JASA 22, 1927). Of zeros and ones m = n; of values in
    between, which vary less, it is how many zeros and ones would tell as much,
    m = max(n, n·p(1 − p)/s²·(z/t)²), with their variance s² and Student's quantile t of n − 1
    degrees of freedom (E. L. Korn and B. I. Graubard, Confidence intervals for proportions with
    small expected number of positive counts, Survey Methodology 24(2), 1998).

    Raises:
        ValueError: There is no value.
    """
    n = len(parts)
    if n == 0:
        raise ValueError("an interval needs at least one block, got none")
    p = float(np.mean(parts))
    low, high = wilson_ends(p, _effective_number(parts, p))
    return Interval(p, low, high, n, few(n), WILSON)


def _effective_number(parts: Floats, p: float) -> float:
    n = len(parts)
    variance = float(np.var(parts, ddof=1)) if n > 1 else 0.0
    if not variance:
        return n
    return max(n, n * p * (1 - p) / variance * (Z / t_quantile(n - 1)) ** 2)


def wilson_ends(p: float, m: float) -> tuple[float, float]:
    """Return the ends of Wilson's score interval of a part `p` of `m`."""
    centre = p + Z**2 / (2 * m)
    half = Z * math.sqrt(p * (1 - p) / m + Z**2 / (4 * m**2))
    scale = 1 + Z**2 / m
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def improvement_over_all_pairs(values: Floats, reference: Floats) -> Interval:
    """Return P(X > Y) + ½·P(X = Y) for X and Y from any two blocks, with its interval.

    The mean over all n² pairs of blocks (Agarwal et al. 2021, § 4.3, after H. B. Mann and D. R.
    Whitney, 1947): whether one allocator's good days are better than the other's, which tapes that
    differ much pull towards ½; on the same tape it is `probability_of_improvement`.

    With F_i the part of the reference below value i and G_i the part of the values above
    reference i, ties half, p varies as the mean of F_i + G_i over the blocks, which both share:
    √V = sd(F + G)/√n (U. Munzel, Nonparametric methods for paired samples, Statistica Neerlandica
    53(3), 1999). The interval is logit(p) ± z·√V/(p(1 − p)), taken back to probabilities. Where
    all pairs, or none, are won, it is Wilson's of n blocks.

    Args:
        values: Mean of each block, (blocks,).
        reference: Of the same blocks in the same order, (blocks,).

    Raises:
        ValueError: Lengths differ, or there is nothing to compare.
    """
    n = len(values)
    if n == 0 or n != len(reference):
        raise ValueError(f"both must have the same blocks, got {n} and {len(reference)}")
    above, below = values[:, None] > reference, values[:, None] < reference
    won = 0.5 + 0.5 * above - 0.5 * below
    p = float(won.mean())
    deviation = float(np.std(won.mean(axis=1) + won.mean(axis=0), ddof=min(1, n - 1))) / math.sqrt(
        n
    )
    if not 0 < p < 1 or not deviation:
        return Interval(p, *wilson_ends(p, n), n, few(n), WILSON)
    centre, half = math.log(p / (1 - p)), Z * deviation / (p * (1 - p))
    low, high = (1 / (1 + math.exp(-end)) for end in (centre - half, centre + half))
    return Interval(p, low, high, n, few(n), LOGIT)
