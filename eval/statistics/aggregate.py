"""One number for many scores: interquartile mean and optimality gap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from .interval import LEAST_ROOM, Floats, Interval, block_means, few, t_quantile
from .stratified import few_in_strata, moments, studentised_interval

TRIMMED = "Student's t of the trimmed mean (Tukey and McLaughlin)"
# So close to a quartile, a sum of weights has reached it, but for rounding.
ROUNDING = 1e-9


def block_scores(gains: Sequence[float], rooms: Sequence[float], blocks: Sequence[str]) -> Floats:
    """Return the score of each block, mean gain over mean room, in order of first appearance.

    0 is static, 1 the bound. A block whose room is below `LEAST_ROOM` has no score and is left out.

    Args:
        gains: Reward above static's, by tape.
        rooms: The bound above static's reward, by tape.
        blocks: Block of each tape.

    Raises:
        ValueError: Lengths differ.
    """
    gain, room = block_means(gains, blocks), block_means(rooms, blocks)
    known = room >= LEAST_ROOM
    return gain[known] / room[known]


def interquartile_mean(scores: Floats, weights: Floats | None = None) -> float:
    """Return the mean of the middle half of the scores, 2·∫ Q(u) du from ¼ to ¾.

    Q is the quantile function of the scores, each with its weight; a score across a quartile counts
    with the part of it that lies inside. Of 4, 8, 12 … scores it is the mean of all but the lowest
    and the highest quarter (R. Agarwal et al., Deep reinforcement learning at the edge of the
    statistical precipice, NeurIPS 2021, § 4.3), less sensitive to single scores than the mean and
    less uncertain than the median.

    Args:
        scores: (n,).
        weights: (n,), 1 each by default.

    Raises:
        ValueError: There is no score.
    """
    return _middle(scores, np.ones(len(scores)) if weights is None else weights)[0]


def iqm_interval(strata: Mapping[str, Floats]) -> Interval:
    """Return the interquartile mean over families (strata), with its interval.

    Each family is as heavy as any other, and the blocks of one as each other. The interval is the
    trimmed mean's (J. W. Tukey and D. H. McLaughlin, Less vulnerable confidence and significance
    procedures for location based on a single sample, Sankhyā A 25(3), 1963): to the first order the
    estimate varies as the mean of z = 2·min(max(x, q₁), q₃), q₁ and q₃ the quartiles (halfway
    between two scores where a quarter ends with one, which covers better than either). With H
    families, n_h blocks in family h and s_h the standard deviation of z there, it is
    IQM ± t·√V, V = Σ s_h²/n_h / H², with half of Satterthwaite's degrees of freedom,
    ν = ½·V²/Σ((s_h²/n_h/H²)²/(n_h − 1)), because half of the scores decide the quartiles alone.

    (Agarwal et al. take quantiles of a stratified bootstrap instead, which covers less than it
    promises with so few runs as here.)

    Args:
        strata: Scores by family, one for each independent block, (blocks,); a family without
            scores (`block_scores`) is left out.

    Raises:
        ValueError: There is no score.
    """
    known = {name: part for name, part in strata.items() if len(part)}
    sizes = [len(part) for part in known.values()]
    scores = np.concatenate([*known.values(), np.array([])])
    mean, pulled = _middle(scores, np.repeat(1 / np.array(sizes, dtype=np.float64), sizes))
    alone = [name for name, part in known.items() if len(part) < 2]
    if alone:
        note = f"one block in {', '.join(alone)}: no interval"
        return Interval(mean, None, None, len(scores), note, TRIMMED)
    parts = np.split(pulled, np.cumsum(sizes)[:-1])
    _, variance, freedom = moments(parts)
    half = t_quantile(max(1.0, freedom / 2)) * math.sqrt(variance)
    note = few(len(scores)) if len(parts) == 1 else few_in_strata(parts)
    return Interval(mean, mean - half, mean + half, len(scores), note, TRIMMED)


def optimality_gap(scores: Floats, target: float = 1.0) -> Interval:
    """Return the mean shortfall to a target score, 1 being the bound, with its interval.

    The mean of max(0, target − score) over blocks (Agarwal et al. 2021, § 4.3): what is better than
    the target makes up for nothing. Its studentised bootstrap interval ends at 0.

    Args:
        scores: Of independent blocks, (n,).
        target: The score from which on nothing is missing.

    Raises:
        ValueError: There is no score.
    """
    found = studentised_interval(np.maximum(0.0, target - scores))
    return found if found.low is None else replace(found, low=max(0.0, found.low))


def _middle(scores: Floats, weights: Floats) -> tuple[float, Floats]:
    """Return the interquartile mean and twice the scores pulled in to the quartiles, (n,)."""
    if len(scores) == 0:
        raise ValueError("an interquartile mean needs at least one score, got none")
    order = np.argsort(scores, kind="stable")
    ranked, upto = scores[order], np.cumsum(weights[order]) / weights.sum()
    before = np.concatenate([[0.0], upto[:-1]])
    inside = np.clip(np.minimum(upto, 0.75) - np.maximum(before, 0.25), 0.0, None)
    quartiles = np.array([0.25, 0.75])
    ends = [ranked[np.searchsorted(upto, quartiles + side)] for side in (-ROUNDING, ROUNDING)]
    first, third = np.mean(ends, axis=0)
    return 2 * float(inside @ ranked), 2 * np.clip(scores, first, third)
