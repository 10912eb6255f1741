"""Solving a program with HiGHS, at once or in windows, and a bound that rounding cannot break."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array, vstack

from .rows import Program

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OUT_OF_TIME = 1
DUAL_SIMPLEX, INTERIOR_POINT = "highs-ds", "highs-ipm"
PATIENCE_S = 60.0  # with interior point in one window, before dual simplex is asked


class SolverError(ValueError):
    """The solver gave no optimum, so that there is no bound."""


class OutOfTime(SolverError):
    """The solver gave none in its time."""


@dataclass(frozen=True, eq=False)
class Solution:
    """What came of a program.

    Attributes:
        value: What no point of the program is below.
        terms: The three terms of the relaxed optimum, (3,).
        status: What the solver said.
        point: The relaxed optimum, (columns,); zeros where none was found in time.
    """

    value: float
    terms: Floats
    status: str
    point: Floats


@dataclass(frozen=True, eq=False)
class Matrix:
    """A program in one piece: minimise cost · x over rows · x ≤ right or = right, 0 ≤ x ≤ upper.

    Attributes:
        cost: (columns,).
        rows: (rows, columns).
        right: (rows,).
        is_equal: Whether a row is an equation, (rows,).
        at: Interval of each row, (rows,).
        upper: (columns,).
        guess: Multipliers to begin with, (rows,).
    """

    cost: Floats
    rows: csr_array
    right: Floats
    is_equal: NDArray[np.bool_]
    at: Ints
    upper: Floats
    guess: Floats

    @classmethod
    def of(cls, program: Program, weights: Floats) -> Matrix:
        """Weigh the terms and put the rows together."""
        parts = (program.at_most, program.equal)
        (a, b), (c, d) = (part.matrix(program.n_columns) for part in parts)
        return cls(
            cost=weights @ program.terms,
            rows=csr_array(vstack([a, c])),
            right=np.concatenate([b, d]),
            is_equal=np.arange(len(b) + len(d)) >= len(b),
            at=np.concatenate([tags for part in parts for tags in part.at]),
            upper=np.concatenate(program.upper),
            guess=np.concatenate([guess for part in parts for guess in part.guess]),
        )

    def bound(self, multipliers: Floats) -> float:
        """Return a value that no point is below, whatever the multipliers (≤ 0 on inequalities).

        Weak duality: where a column is bounded on both sides, what a multiplier lacks in accuracy
        costs tightness and never validity (Neumaier and Shcherbina 2004).
        """
        reduced = self.cost - self.rows.T @ multipliers
        return float(self.right @ multipliers + np.sum(np.minimum(reduced * self.upper, 0.0)))

    def part(self, rows: Ints, multipliers: Floats) -> tuple[Matrix, Ints]:
        """Return some rows with the columns in them, which pay the multipliers of other rows."""
        others = multipliers.copy()
        others[rows] = 0.0
        cost = self.cost - self.rows.T @ others
        inside = self.rows[rows]
        columns = np.unique(inside.indices)
        piece = replace(
            self,
            cost=cost[columns],
            rows=csr_array(inside[:, columns]),
            right=self.right[rows],
            is_equal=self.is_equal[rows],
            at=self.at[rows],
            upper=self.upper[columns],
            guess=self.guess[rows],
        )
        return piece, columns


def solve(
    program: Program,
    weights: Floats,
    time_limit_s: float,
    core: int = 0,
    look: int = 0,
    method: str = "highs-ds",
) -> Solution:
    """Minimise the weighted terms.

    In windows the multipliers of `core` intervals at a time are found with `look` intervals after
    them in sight, those before them given. Every vector of multipliers gives a bound, so windows
    cost tightness alone.

    Args:
        program: Terms, rows and columns.
        weights: Weights of the terms, (3,).
        time_limit_s: For all windows together [s].
        core: Intervals of a window that are settled; 0 solves everything at once.
        look: Intervals after them that are in sight.
        method: `highs-ds` or `highs-ipm`, see `service.Detail`.

    Raises:
        SolverError: Infeasible, unbounded, out of time or out of numerical reach.
    """
    matrix = Matrix.of(program, weights)
    until = time.monotonic() + time_limit_s
    multipliers, point, status = matrix.guess.copy(), np.zeros(len(matrix.cost)), "nothing to do"
    last = int(matrix.at.max(initial=-1)) + 1
    begin = 0
    while begin < last:
        end = begin + core + look
        end = last if core == 0 or end + look >= last else end
        rows = np.flatnonzero((matrix.at >= begin) & (matrix.at < end))
        piece, columns = matrix.part(rows, multipliers)
        found = _solve_piece(piece, until - time.monotonic(), method)
        point[columns], multipliers[rows], status = found
        begin = last if end == last else begin + core
    value = matrix.bound(multipliers) + float(weights @ program.constant)
    return Solution(value, _scaled(program, point, weights, value), status, point)


def _solve_piece(piece: Matrix, time_limit_s: float, method: str) -> tuple[Floats, Floats, str]:
    """Return the optimal point, the multipliers of the rows, and what the solver said.

    Interior point is fast, but now and then it does not come to an end where dual simplex does.
    """
    if method != INTERIOR_POINT or time_limit_s <= PATIENCE_S:
        return _solve_by(method, piece, time_limit_s)
    try:
        return _solve_by(method, piece, PATIENCE_S)
    except OutOfTime:
        return _solve_by(DUAL_SIMPLEX, piece, time_limit_s - PATIENCE_S)


def _solve_by(method: str, piece: Matrix, time_limit_s: float) -> tuple[Floats, Floats, str]:
    scale = 1.0 / max(float(np.abs(piece.cost).max(initial=0.0)), 1e-300)
    equal = piece.is_equal
    result = linprog(
        piece.cost * scale,
        piece.rows[~equal],
        piece.right[~equal],
        piece.rows[equal],
        piece.right[equal],
        bounds=np.stack([np.zeros(len(piece.upper)), piece.upper], axis=1),
        method=method,
        options={"time_limit": max(time_limit_s, 1e-3)},
    )
    _check(result.status, result.message, time_limit_s)
    multipliers = np.empty(len(equal))
    multipliers[~equal] = np.minimum(result.ineqlin.marginals, 0.0) / scale
    multipliers[equal] = result.eqlin.marginals / scale
    return result.x, multipliers, result.message


def solve_whole(
    program: Program, weights: Floats, time_limit_s: float, *, unfinished: bool = False
) -> Solution:
    """Minimise the weighted terms with loads, memory and service as whole numbers.

    Args:
        program: Terms, rows and columns.
        weights: Weights of the terms, (3,).
        time_limit_s: For the solver [s].
        unfinished: Out of time, to return what is proven by then: a bound as well, a looser one.

    Raises:
        SolverError: As `solve`; out of time where `unfinished` does not allow it, or where nothing
            is proven.
    """
    if not np.concatenate(program.whole).any():
        return solve(program, weights, time_limit_s)
    matrix = Matrix.of(program, weights)
    scale = 1.0 / max(float(np.abs(matrix.cost).max(initial=0.0)), 1e-300)
    least = np.where(matrix.is_equal, matrix.right, -np.inf)
    result = milp(
        matrix.cost * scale,
        integrality=np.concatenate(program.whole).astype(np.int64),
        bounds=Bounds(0.0, matrix.upper),
        constraints=LinearConstraint(matrix.rows, least, matrix.right),
        options={"time_limit": time_limit_s, "mip_rel_gap": 0.0},
    )
    proven = unfinished and result.status == OUT_OF_TIME and result.mip_dual_bound is not None
    if not (proven and np.isfinite(result.mip_dual_bound)):
        _check(result.status, result.message, time_limit_s)
    value = float(result.mip_dual_bound) / scale + float(weights @ program.constant)
    point = np.zeros(len(matrix.cost)) if result.x is None else result.x
    return Solution(value, _scaled(program, point, weights, value), result.message, point)


def _check(status: int, message: str, time_limit_s: float) -> None:
    if status == OUT_OF_TIME:
        raise OutOfTime(
            f"HiGHS found no optimum in the {max(time_limit_s, 0):.3g} s that were left, so there "
            "is no bound; raise time_limit_s"
        )
    if status != 0:
        raise SolverError(f"HiGHS found no optimum, so there is no bound: {message}")


def _scaled(program: Program, point: Floats, weights: Floats, value: float) -> Floats:
    """Return the terms of a point, scaled to the bound: they differ by windows and rounding."""
    terms = program.constant + program.terms @ point
    total = float(weights @ terms)
    return terms * (value / total) if total > 0 else terms
