"""Many comparisons at once: no more false alarms among all of them than in one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import stdtr

from ...envs.errors import ConfigError
from .interval import Floats, Interval, t_interval

FLIPS = 10_000


@dataclass(frozen=True)
class Comparison:
    """One allocator against another, among many comparisons.

    Attributes:
        a: The one.
        b: The other.
        difference: Of `a` minus `b`, with the interval of this comparison alone.
        p: Two-sided p-value of the paired t test, of this comparison alone.
        adjusted: The same after Holm, for all comparisons.
    """

    a: str
    b: str
    difference: Interval
    p: float
    adjusted: float


def paired_p_value(differences: Floats) -> float:
    """Return the two-sided p-value of the paired t test, 2·P(T_{n−1} > |d̄|·√n/s).

    Student 1908; 1 where a single block says nothing, or where nothing differs at all.

    Args:
        differences: Of independent blocks, (n,).
    """
    return (
        float(2 * stdtr(len(differences) - 1, -abs(_t(differences))))
        if len(differences) > 1
        else 1.0
    )


def holm(p_values: Sequence[float]) -> Floats:
    """Return p-values adjusted for all of them, in the order given, (n,).

    Step-down (S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian
    Journal of Statistics 6(2), 1979): with p_(1) ≤ … ≤ p_(n), the adjusted p̃_(i) is the largest of
    min(1, (n − j + 1)·p_(j)) over j ≤ i. To reject where p̃ ≤ α rejects any true hypothesis at all
    with probability α at most, however they depend on each other.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(np.minimum(1.0, p[order] * np.arange(len(p), 0, -1)))
    adjusted = np.empty_like(p)
    adjusted[order] = stepped
    return adjusted


def sign_flip_p_values(differences: Floats) -> Floats:
    """Return p-values adjusted for all comparisons, by step-down max-T, (comparisons,).

    Under the hypothesis a block's differences are as likely with the other sign, in all comparisons
    together. `FLIPS` draws of signs give the joint distribution of |t|, whose largest value among
    the comparisons not yet rejected is what a |t| has to exceed (P. H. Westfall and S. S. Young,
    Resampling-Based Multiple Testing, 1993, algorithm 4.1). Where comparisons go together, as those
    to one reference do, it rejects more than Holm. The draws as given count as one (B. Phipson and
    G. K. Smyth, 2010), so that no p-value is 0.

    Args:
        differences: Of every comparison on every block, (comparisons, blocks), at least two blocks.
    """
    n = differences.shape[1]
    signs = _signs(n)
    means = signs @ differences.T / n
    # Flips leave the squares alone, so that a variance needs the mean only.
    variances = (differences**2).mean(axis=1) - means**2
    flipped = _ratio(np.abs(means), np.maximum(variances, 0.0) / (n - 1))
    observed = np.abs([_t(row) for row in differences])
    order = np.argsort(-observed, kind="stable")
    largest = np.maximum.accumulate(flipped[:, order[::-1]], axis=1)[:, ::-1]
    # Draws with the same signs as the data must not lose to it by rounding.
    beyond = (largest >= observed[order] * (1 - 1e-9)).sum(axis=0)
    adjusted = np.empty(len(observed))
    adjusted[order] = np.maximum.accumulate((beyond + 1) / (FLIPS + 1))
    return adjusted


@lru_cache(maxsize=4)
def _signs(n_blocks: int) -> Floats:
    """Return signs of every block in every draw, (FLIPS, blocks), the same for as many blocks."""
    return np.random.default_rng(0).choice([-1.0, 1.0], size=(FLIPS, n_blocks))


def compare_all(values: Mapping[str, Floats], reference: str | None = None) -> list[Comparison]:
    """Return the paired comparisons of all allocators with each other, or with the reference.

    Args:
        values: By allocator, the mean of each block, (blocks,), the same blocks for all.
        reference: The one that the others are compared to; without it, all pairs.

    Raises:
        ConfigError: The reference is none of them, or there is nothing to compare.
    """
    pairs = _pairs(list(values), reference)
    differences = [values[a] - values[b] for a, b in pairs]
    p = [paired_p_value(row) for row in differences]
    found = zip(pairs, differences, p, holm(p), strict=True)
    return [Comparison(a, b, t_interval(d), own, float(all_)) for (a, b), d, own, all_ in found]


def _pairs(names: list[str], reference: str | None) -> list[tuple[str, str]]:
    if reference is not None and reference not in names:
        raise ConfigError(f"reference must be one of {', '.join(names)}, got {reference!r}")
    if len(names) < 2:
        raise ConfigError(f"a comparison needs at least 2 allocators, got {names}")
    if reference is not None:
        return [(name, reference) for name in names if name != reference]
    return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]


def _t(differences: Floats) -> float:
    mean, variance = differences.mean(), differences.var(ddof=1) / len(differences)
    return float(math.copysign(_ratio(np.abs(mean), variance), mean))


def _ratio(size: Floats, variance: Floats) -> Floats:
    """Return size over standard deviation: 0 for a size of 0, infinite without variance."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(size / np.sqrt(variance), nan=0.0, posinf=np.inf)
