"""Studentised bootstrap of a mean over blocks, within families (strata) or of one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from .interval import CONFIDENCE, ENOUGH_BLOCKS, Floats, Interval, t_interval, t_quantile

BOOTSTRAP = "studentised bootstrap"
WELCH = "Student's t over strata (Satterthwaite)"
RESAMPLES = 10_000
# Of fewer blocks than this in a stratum, draws anew show too few different spreads.
ENOUGH_IN_STRATUM = 4
# Draws whose variance is below this part of the sample's are of one value, up to rounding.
NO_VARIANCE = 1e-12


def studentised_interval(values: Floats) -> Interval:
    """Return the mean of independent values, (n,), with its studentised bootstrap interval.

    `stratified_interval` of a single stratum, for values that are skewed: costs, latencies, gaps.
    Below `ENOUGH_BLOCKS` values it is Student's.

    Raises:
        ValueError: There is no value.
    """
    return t_interval(values) if len(values) < ENOUGH_BLOCKS else _bootstrap([values])


def stratified_interval(strata: Mapping[str, Floats]) -> Interval:
    """Return the mean of the strata's means, each as heavy as any other, with its interval.

    With H strata, n_h blocks in stratum h and s_h their standard deviation, the variance of the
    mean is V = Σ s_h²/n_h / H². The studentised bootstrap (B. Efron, 1979; P. Hall, Theoretical
    comparison of bootstrap confidence intervals, Annals of Statistics 16(3), 1988) draws n_h blocks
    with replacement in every stratum and takes t* = (mean* − mean)/√V*; between the 2.5 % quantile
    a and the 97.5 % quantile b of t*, the interval is [mean − b·√V, mean − a·√V]. Unlike quantiles
    of mean* it follows skewness, and is not too narrow with few blocks.

    Where a stratum has fewer than `ENOUGH_IN_STRATUM` blocks, or Σ(n_h − 1) is less than
    `ENOUGH_BLOCKS` − 1, it is mean ± t·√V with ν = V²/Σ((s_h²/n_h/H²)²/(n_h − 1)) degrees of
    freedom (B. L. Welch, The generalization of "Student's" problem …, Biometrika 34, 1947;
    Satterthwaite 1946), and indicative.

    Args:
        strata: Values by stratum, one for each independent block, (blocks,).

    Raises:
        ValueError: There is no stratum, or an empty one.
    """
    parts = list(strata.values())
    if not parts or not all(map(len, parts)):
        raise ValueError("an interval needs at least one block, got none in a stratum")
    if len(parts) == 1:
        return studentised_interval(parts[0])
    alone = [name for name, part in strata.items() if len(part) < 2]
    if alone:
        note = f"one block in {', '.join(alone)}: no interval"
        mean = float(np.mean([part.mean() for part in parts]))
        return Interval(mean, None, None, sum(map(len, parts)), note)
    return _welch(parts) if few_in_strata(parts) else _bootstrap(parts)


def moments(parts: Sequence[Floats]) -> tuple[float, float, float]:
    """Return the mean of the strata's means, its variance V and its degrees of freedom ν."""
    mean = float(np.mean([part.mean() for part in parts]))
    added = np.array([part.var(ddof=1) / len(part) for part in parts]) / len(parts) ** 2
    freedom = np.array([len(part) - 1 for part in parts])
    if not added.any():
        return mean, 0.0, float(freedom.sum())
    return mean, float(added.sum()), float(added.sum() ** 2 / (added**2 / freedom).sum())


def few_in_strata(parts: Sequence[Floats]) -> str:
    """Return the note that says that blocks are few in all or in one stratum, or empty."""
    n_blocks, least = sum(map(len, parts)), min(map(len, parts))
    if n_blocks - len(parts) < ENOUGH_BLOCKS - 1:
        return f"{n_blocks} blocks in {len(parts)} families: indicative"
    return "" if least >= ENOUGH_IN_STRATUM else f"{least} blocks in a family: indicative"


def _welch(parts: Sequence[Floats]) -> Interval:
    mean, variance, freedom = moments(parts)
    half = t_quantile(freedom) * math.sqrt(variance)
    n_blocks, note = sum(map(len, parts)), few_in_strata(parts)
    return Interval(mean, mean - half, mean + half, n_blocks, note, WELCH)


def _bootstrap(parts: Sequence[Floats]) -> Interval:
    # Without interpolation, which knows no infinity.
    ends = 0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2
    low, high = np.quantile(_pivots(parts), ends, method="inverted_cdf")
    if not np.isfinite([low, high]).all():  # draws of nothing but ties
        return _welch(parts)
    mean, variance, _ = moments(parts)
    low, high = (mean - float(end) * math.sqrt(variance) for end in (high, low))
    return Interval(mean, low, high, sum(map(len, parts)), "", BOOTSTRAP)


def _pivots(parts: Sequence[Floats]) -> Floats:
    """Return t* of every draw, (RESAMPLES,); infinite where a draw shows no variance."""
    shift, variance = np.zeros(RESAMPLES), np.zeros(RESAMPLES)
    for part, draws in zip(parts, _draws(tuple(map(len, parts))), strict=True):
        centred = part - part.mean()
        mean = draws @ centred
        shift += mean
        variance += (draws @ centred**2 - mean**2) / (len(part) - 1)
    scale = max(float(part.var()) for part in parts)
    known = variance > NO_VARIANCE * scale
    pivots = np.where(shift == 0, 0.0, np.copysign(np.inf, shift))
    return np.divide(shift, np.sqrt(np.where(known, variance, 1.0)), out=pivots, where=known)


@lru_cache(maxsize=8)
def _draws(sizes: tuple[int, ...]) -> tuple[Floats, ...]:
    """Return how often each block is drawn, in parts of one, [(RESAMPLES, blocks)].

    The same for the same sizes, so that the same data have the same interval.
    """
    rng = np.random.default_rng(0)
    return tuple(rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n for n in sizes)
