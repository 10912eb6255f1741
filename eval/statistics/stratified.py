"""Studentised bootstrap of a mean over blocks, within families (strata) or of one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from .interval import ENOUGH_BLOCKS, Floats, Interval, t_interval, t_quantile

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
    Satterthwaite 1946), indicative where ν < `ENOUGH_BLOCKS` − 1.

    Args:
        strata: Values by stratum, one for each independent block, (blocks,).

    Raises:
        ValueError: There is no stratum, or an empty one.
    """
    empty = [name for name, part in strata.items() if len(part) == 0]
    if empty or not strata:
        raise ValueError(
            f"an interval needs at least one block, got none in {empty or 'no strata'}"
        )
    parts = [np.asarray(part, dtype=np.float64) for part in strata.values()]
    if len(parts) == 1:
        return studentised_interval(parts[0])
    alone = [name for name, part in strata.items() if len(part) < 2]
    if alone:
        note = f"one block in {', '.join(alone)}: no interval"
        return Interval(_mean(parts), None, None, sum(map(len, parts)), note)
    is_enough = sum(len(part) - 1 for part in parts) >= ENOUGH_BLOCKS - 1
    is_enough &= min(map(len, parts)) >= ENOUGH_IN_STRATUM
    return _bootstrap(parts) if is_enough else _welch(parts)


def _mean(parts: list[Floats]) -> float:
    return float(np.mean([part.mean() for part in parts]))


def _variances(parts: list[Floats]) -> Floats:
    """Return what each stratum adds to the variance of the mean, (strata,)."""
    return np.array([part.var(ddof=1) / len(part) for part in parts]) / len(parts) ** 2


def _freedom(parts: list[Floats]) -> float:
    """Return Satterthwaite's degrees of freedom; all there are where nothing varies."""
    added, freedom = _variances(parts), np.array([len(part) - 1 for part in parts])
    if not added.any():
        return float(freedom.sum())
    return float(added.sum() ** 2 / (added**2 / freedom).sum())


def _welch(parts: list[Floats]) -> Interval:
    mean, freedom, n_blocks = _mean(parts), _freedom(parts), sum(map(len, parts))
    half = t_quantile(freedom) * math.sqrt(_variances(parts).sum())
    note = "" if freedom >= ENOUGH_BLOCKS - 1 else f"worth {freedom + 1:.1f} blocks: indicative"
    return Interval(mean, mean - half, mean + half, n_blocks, note, WELCH)


def _bootstrap(parts: list[Floats]) -> Interval:
    low, high = np.quantile(_pivots(parts), [0.025, 0.975])
    if not np.isfinite([low, high]).all():  # draws of nothing but ties
        return _welch(parts)
    mean, deviation = _mean(parts), math.sqrt(_variances(parts).sum())
    ends = mean - high * deviation, mean - low * deviation
    return Interval(mean, float(ends[0]), float(ends[1]), sum(map(len, parts)), "", BOOTSTRAP)


def _pivots(parts: list[Floats]) -> Floats:
    """Return t* of every draw, (RESAMPLES,); infinite where a draw shows no variance."""
    shift, variance = np.zeros(RESAMPLES), np.zeros(RESAMPLES)
    for part, draws in zip(parts, _draws(tuple(map(len, parts))), strict=True):
        centred = part - part.mean()
        mean = draws @ centred
        shift += mean
        variance += (draws @ centred**2 - mean**2) / (len(part) - 1)
    scale = max((float(part.var()) for part in parts), default=0.0)
    known = variance > NO_VARIANCE * scale
    pivots = np.where(shift == 0, 0.0, np.copysign(np.inf, shift))
    return np.divide(shift, np.sqrt(variance, where=known), out=pivots, where=known)


@lru_cache(maxsize=8)
def _draws(sizes: tuple[int, ...]) -> tuple[Floats, ...]:
    """Return how often each block is drawn, in parts of one, [(RESAMPLES, blocks)].

    The same for the same sizes, so that the same data have the same interval.
    """
    rng = np.random.default_rng(0)
    return tuple(rng.multinomial(n, np.full(n, 1 / n), RESAMPLES) / n for n in sizes)
