"""Intervals of paired differences, over the blocks that are independent of each other.

All allocators play the same tapes, so the difference on a tape is free of the tape's own luck.
Tapes of one block (windows of one trace that overlap or adjoin, say) are not independent: their
differences are averaged first, and the block counts as one observation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
# Below this many blocks Student's quantile is large and normality is faith.
ENOUGH_BLOCKS = 8
RESAMPLES = 20_000
# Below this there is no room between static and the bound, and no score (docs/model.md).
LEAST_ROOM = 1e-9


@dataclass(frozen=True)
class Interval:
    """A mean over blocks with its two-sided 95 % t-interval.

    Attributes:
        mean: Mean over blocks.
        low: Lower end, `None` where fewer than two blocks allow no interval.
        high: Upper end, likewise.
        n_blocks: Independent blocks.
        note: What a reader must know about it; empty where there is nothing.
    """

    mean: float
    low: float | None
    high: float | None
    n_blocks: int
    note: str


def block_means(values: Sequence[float], blocks: Sequence[str]) -> Floats:
    """Return the mean of each block, in order of first appearance, (blocks,).

    Raises:
        ValueError: The two differ in length.
    """
    groups: dict[str, list[float]] = {}
    for value, block in zip(values, blocks, strict=True):
        groups.setdefault(block, []).append(value)
    return np.array([float(np.mean(group)) for group in groups.values()])


def t_interval(means: Floats) -> Interval:
    """Return mean ± t·s/√n of independent values, (n,).

    Raises:
        ValueError: There is no value.
    """
    n = len(means)
    if n == 0:
        raise ValueError("an interval needs at least one block, got none")
    centre = float(np.mean(means))
    if n < 2:
        return Interval(centre, None, None, n, "one block: no interval")
    quantile = float(stdtrit(n - 1, 0.5 + CONFIDENCE / 2))
    half = quantile * float(np.std(means, ddof=1)) / math.sqrt(n)
    note = "" if n >= ENOUGH_BLOCKS else f"{n} blocks: indicative"
    return Interval(centre, centre - half, centre + half, n, note)


def paired_difference(
    values: Sequence[float], reference: Sequence[float], blocks: Sequence[str]
) -> Interval:
    """Return the interval of `values − reference`, both in the same order of tapes.

    Raises:
        ValueError: Lengths differ, or there is nothing to compare.
    """
    differences = [a - b for a, b in zip(values, reference, strict=True)]
    return t_interval(block_means(differences, blocks))


def crossed_difference(differences: Floats) -> Interval:
    """Return the mean of paired differences that training seeds and blocks share, and its interval.

    Every seed plays every block, so that differences of one seed go together, and those of one
    block, too. The pigeonhole bootstrap (A. B. Owen, The pigeonhole bootstrap, Annals of Applied
    Statistics 1(2), 2007) draws seeds and blocks anew, independently of each other, and takes the
    mean over what was drawn; the interval lies between the 2.5 and 97.5 % quantiles of such means.
    Of n seeds it sees (n − 1)/n of their variance, so that with few of them it is a little narrow.
    Below `ENOUGH_BLOCKS` blocks it is Student's over the blocks, each with its mean over the seeds,
    which says nothing of other seeds.

    Args:
        differences: Of every training seed on every block, (seeds, blocks).

    Raises:
        ValueError: There is none.
    """
    by_block = differences.mean(axis=0)
    n_seeds, n_blocks = differences.shape
    plain = t_interval(by_block)
    if n_blocks < ENOUGH_BLOCKS:
        return plain
    rng = np.random.default_rng(0)  # the same differences have the same interval
    seeds = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), RESAMPLES) / n_seeds
    blocks = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), RESAMPLES) / n_blocks
    means = np.einsum("rs,sb,rb->r", seeds, differences, blocks, optimize=True)
    low, high = np.quantile(means, [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2])
    note = "one seed: nothing about others" if n_seeds == 1 else ""
    return Interval(plain.mean, float(low), float(high), n_blocks, note)


def score_interval(
    gains: Sequence[float], rooms: Sequence[float], blocks: Sequence[str]
) -> Interval | None:
    """Return the score, mean gain over mean room, with its interval; None where it is undefined.

    A ratio of means. Its interval is that of the ratio estimator (Cochran, Sampling Techniques,
    3rd ed. 1977, ch. 6), by the delta method: near the ratio R = ḡ/r̄ it varies as the mean of
    R + (g − R·r)/r̄ over the blocks, of which Student's interval is taken. Blocks with much room
    thereby count for more, and what the room itself varies is accounted for. It is an
    approximation for rooms whose mean is well known, and its upper end may lie above 1.

    Args:
        gains: Reward above static's, by tape.
        rooms: The bound above static's reward, by tape.
        blocks: Block of each tape.

    Raises:
        ValueError: Lengths differ, or there is nothing to score.
    """
    gain, room = block_means(gains, blocks), block_means(rooms, blocks)
    mean_room = t_interval(room).mean
    if not mean_room >= LEAST_ROOM:  # NaN has no score either
        return None
    ratio = float(np.mean(gain)) / mean_room
    return t_interval(ratio + (gain - ratio * room) / mean_room)
