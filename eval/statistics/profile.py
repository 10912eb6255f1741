"""Performance profiles: which part of the runs reaches a score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import smirnovi

from .improvement import wilson_ends
from .interval import CONFIDENCE, Floats


@dataclass(frozen=True)
class Profile:
    """The part of blocks whose score is above τ, for each τ; all arrays (thresholds,).

    Attributes:
        thresholds: τ.
        fraction: Part of the blocks with a score above τ.
        low: Lower end of its 95 % interval at this τ alone.
        high: Upper end, likewise.
        band_low: Lower end of the band that holds the whole curve with 95 %.
        band_high: Upper end, likewise.
        n_blocks: Independent blocks.
    """

    thresholds: Floats
    fraction: Floats
    low: Floats
    high: Floats
    band_low: Floats
    band_high: Floats
    n_blocks: int


def performance_profile(scores: Floats, thresholds: Floats) -> Profile:
    """Return the part of scores above each threshold, with intervals (Agarwal et al. 2021, § 4.2).

    At one τ the number of scores above it is binomial, and the interval is Wilson's (`wilson`). The
    band is the fraction ± d, where P(sup|F̂ − F| > d) = 5 % is taken as twice the one-sided
    probability, whose exact distribution is N. Smirnov's (Z. W. Birnbaum and F. H. Tingey,
    One-sided confidence contours for probability distribution functions, Annals of Mathematical
    Statistics 22(4), 1951); both sides at once happen with less than 10⁻³ of that. Where scores
    tie, the band is wider than it need be.

    Args:
        scores: Of independent blocks, (n,).
        thresholds: τ, (thresholds,).

    Raises:
        ValueError: There is no score.
    """
    n = len(scores)
    if n == 0:
        raise ValueError("a performance profile needs at least one score, got none")
    fraction = (scores[:, None] > thresholds).mean(axis=0)
    ends = np.array([wilson_ends(part, n) for part in fraction]).reshape(-1, 2)
    width = float(smirnovi(n, 0.5 - CONFIDENCE / 2))
    low, high = np.clip(fraction - width, 0, 1), np.clip(fraction + width, 0, 1)
    return Profile(thresholds, fraction, ends[:, 0], ends[:, 1], low, high, n)
