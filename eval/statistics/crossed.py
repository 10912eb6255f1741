"""The interval of a mean that training seeds and blocks share."""

from __future__ import annotations

import math
from dataclasses import replace

from .components import mean_squares
from .interval import ENOUGH_BLOCKS, Floats, Interval, t_interval, t_quantile

CROSSED = "Student's t over seeds and blocks (Satterthwaite)"
# With fewer seeds than this, 95 % are not reached where seeds differ much.
ENOUGH_SEEDS = 5


def crossed_difference(differences: Floats) -> Interval:
    """Return the mean of paired differences that training seeds and blocks share, and its interval.

    Every seed plays every block, so that differences of one seed go together, and those of one
    block, too: both are random effects, and the variance of the mean over S seeds and B blocks is
    estimated by V = (MS_S + MS_B − MS_R)/(S·B), with the mean squares of seeds, blocks and
    residuals (`mean_squares`), and the interval is mean ± t·√V with

    ν = (MS_S + MS_B − MS_R)² / (MS_S²/(S−1) + MS_B²/(B−1) + MS_R²/((S−1)(B−1)))

    degrees of freedom (F. E. Satterthwaite, An approximate distribution of estimates of variance
    components, Biometrics Bulletin 2(6), 1946). A factor whose mean square is below that of the
    residuals shows no effect and is left out: V and ν are those of the other factor's means.
    (The pigeonhole bootstrap, Owen 2007, sees (S − 1)/S of the seeds' variance and ends in
    quantiles of few values: with 5 seeds it covers far less than it promises.)

    Below `ENOUGH_BLOCKS` blocks it is Student's over the blocks, each with its mean over the seeds,
    which says nothing of other seeds; so it is with a single seed.

    Args:
        differences: Of every training seed on every block, (seeds, blocks).

    Raises:
        ValueError: There is none.
    """
    n_seeds, n_blocks = differences.shape
    plain = t_interval(differences.mean(axis=0))
    if n_blocks < ENOUGH_BLOCKS:
        return plain
    if n_seeds == 1:
        return replace(plain, note="one seed: nothing about others")
    variance, freedom = _variance(differences)
    half = t_quantile(freedom) * math.sqrt(variance)
    note = "" if n_seeds >= ENOUGH_SEEDS else f"{n_seeds} seeds: narrow where seeds differ"
    return Interval(plain.mean, plain.mean - half, plain.mean + half, n_blocks, note, CROSSED)


def _variance(table: Floats) -> tuple[float, float]:
    """Return the variance of the mean and its degrees of freedom."""
    n_seeds, n_blocks = table.shape
    seeds, blocks, rest = mean_squares(table)
    if seeds <= rest:
        return max(blocks, rest) / table.size, n_blocks - 1
    if blocks <= rest:
        return seeds / table.size, n_seeds - 1
    total = seeds + blocks - rest
    parts = seeds**2 / (n_seeds - 1) + blocks**2 / (n_blocks - 1)
    freedom = total**2 / (parts + rest**2 / ((n_seeds - 1) * (n_blocks - 1)))
    return total / table.size, freedom
