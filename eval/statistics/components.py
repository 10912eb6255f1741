"""How much of the variance is the allocator's, the tape's and the seed's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...envs.errors import ConfigError
from .interval import Floats


@dataclass(frozen=True)
class Components:
    """Variances of the random effects; an estimate below zero is given as 0.

    Attributes:
        allocator: σ²_A, between allocators.
        tape: σ²_T, between tapes, the same for all allocators; what pairing removes.
        interaction: σ²_AT, of allocators on tapes: what is left in a paired difference. Without
            seeds, any noise is in it.
        seed: σ²_S, between training seeds of one allocator; None where none has seeds.
        residual: σ²_R, of seeds on tapes; None likewise.
    """

    allocator: float
    tape: float
    interaction: float
    seed: float | None
    residual: float | None


def mean_squares(table: Floats) -> tuple[float, float, float]:
    """Return the mean squares of rows, columns and residuals of a two-way table.

    With r rows, c columns and y_i·, y_·j, y_·· for means: MS_row = c·Σ(y_i· − y_··)²/(r − 1),
    MS_col = r·Σ(y_·j − y_··)²/(c − 1) and
    MS_res = Σ(y_ij − y_i· − y_·j + y_··)²/((r − 1)(c − 1)). Where rows and columns are random,
    they estimate σ²_res + c·σ²_row, σ²_res + r·σ²_col and σ²_res (S. R. Searle, G. Casella and
    C. E. McCulloch, Variance Components, 1992, ch. 4).

    Args:
        table: (rows, columns), at least two of each.
    """
    n_rows, n_columns = table.shape
    rows = table.mean(axis=1, keepdims=True) - table.mean()
    columns = table.mean(axis=0, keepdims=True) - table.mean()
    rest = table - table.mean() - rows - columns
    return (
        n_columns * float((rows**2).sum()) / (n_rows - 1),
        n_rows * float((columns**2).sum()) / (n_columns - 1),
        float((rest**2).sum()) / ((n_rows - 1) * (n_columns - 1)),
    )


def variance_components(tables: Mapping[str, Floats]) -> Components:
    """Return the variances of y_ats = μ + A_a + T_t + (AT)_at + S_s(a) + R_ats, by moments.

    Allocators and tapes are crossed, seeds are nested in their allocator. An allocator with one row
    has no seeds, and neither S nor R. With k allocators, n tapes, n_a seeds of allocator a and
    h = Σ(1/n_a)/k, the sum over those with seeds, the mean squares of the table of means over seeds
    and those within allocators estimate

    - MS_A: σ²_AT + h·σ²_R + n·(σ²_A + h·σ²_S), MS_T: σ²_AT + h·σ²_R + k·σ²_T,
      MS_AT: σ²_AT + h·σ²_R;
    - MS_S: σ²_R + n·σ²_S, MS_R: σ²_R, each pooled over the allocators that have seeds,

    which are solved from the last to the first (Searle, Casella and McCulloch, Variance Components,
    1992, ch. 4; of unweighted means where numbers of seeds differ, ch. 5).

    Args:
        tables: By allocator, (seeds, tapes), the same tapes in the same order for all.

    Raises:
        ConfigError: There are fewer than two allocators or tapes, or tapes differ in number.
    """
    parts = list(tables.values())
    _check(tables)
    n_tapes, h = parts[0].shape[1], _share_of_seeds(parts)
    allocator, tape, both = mean_squares(np.array([part.mean(axis=0) for part in parts]))
    seed, residual = _within([part for part in parts if len(part) > 1])
    seeds = max(0.0, (seed - residual) / n_tapes)
    return Components(
        allocator=max(0.0, (allocator - both) / n_tapes - h * (seed - residual) / n_tapes),
        tape=max(0.0, (tape - both) / len(parts)),
        interaction=max(0.0, both - h * residual),
        seed=seeds if h else None,
        residual=residual if h else None,
    )


def _share_of_seeds(parts: list[Floats]) -> float:
    return sum(1 / len(part) for part in parts if len(part) > 1) / len(parts)


def _within(parts: list[Floats]) -> tuple[float, float]:
    """Return the mean squares of seeds and residuals, pooled by their degrees of freedom."""
    if not parts:
        return 0.0, 0.0
    freedom = [len(part) - 1 for part in parts]
    seeds, _, rest = zip(*map(mean_squares, parts), strict=True)
    return float(np.average(seeds, weights=freedom)), float(np.average(rest, weights=freedom))


def _check(tables: Mapping[str, Floats]) -> None:
    if len(tables) < 2:
        raise ConfigError(f"variance components need at least 2 allocators, got {list(tables)}")
    counts = {name: table.shape[1] for name, table in tables.items()}
    if len(set(counts.values())) > 1:
        raise ConfigError(
            f"variance components need the same tapes for all allocators, got {counts}; "
            "evaluate them in one run"
        )
    if min(counts.values()) < 2:
        raise ConfigError("variance components need at least 2 tapes, got 1")
