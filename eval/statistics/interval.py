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
STUDENT = "Student's t"
# Below this there is no room between static and the bound, and no score (docs/model.md).
LEAST_ROOM = 1e-9


@dataclass(frozen=True)
class Interval:
    """An estimate over blocks with its two-sided 95 % interval.

    Attributes:
        mean: The estimate; a mean over blocks unless the function says otherwise.
        low: Lower end, `None` where fewer than two blocks allow no interval.
        high: Upper end, likewise.
        n_blocks: Independent blocks.
        note: What a reader must know about it; empty where there is nothing.
        method: Which interval it is.
    """

    mean: float
    low: float | None
    high: float | None
    n_blocks: int
    note: str
    method: str = STUDENT


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
    """Return mean ± t·s/√n of independent values, (n,) (Student, Biometrika 6(1), 1908).

    Raises:
        ValueError: There is no value.
    """
    n = len(means)
    if n == 0:
        raise ValueError("an interval needs at least one block, got none")
    centre = float(np.mean(means))
    if n < 2:
        return Interval(centre, None, None, n, "one block: no interval")
    half = t_quantile(n - 1) * float(np.std(means, ddof=1)) / math.sqrt(n)
    return Interval(centre, centre - half, centre + half, n, few(n))


def t_quantile(freedom: float) -> float:
    """Return the quantile of Student's t that bounds a two-sided interval."""
    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2))


def few(n_blocks: int) -> str:
    """Return the note that says that blocks are few, empty where they are enough."""
    return "" if n_blocks >= ENOUGH_BLOCKS else f"{n_blocks} blocks: indicative"


def paired_difference(
    values: Sequence[float], reference: Sequence[float], blocks: Sequence[str]
) -> Interval:
    """Return the interval of `values − reference`, both in the same order of tapes.

    Raises:
        ValueError: Lengths differ, or there is nothing to compare.
    """
    differences = [a - b for a, b in zip(values, reference, strict=True)]
    return t_interval(block_means(differences, blocks))


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
