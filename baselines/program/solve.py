"""Solving a program with HiGHS, and a bound that its rounding cannot break."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from .rows import Program

Floats = NDArray[np.float64]


class SolverError(RuntimeError):
    """The solver gave no optimum."""


@dataclass(frozen=True, eq=False)
class Solution:
    """An optimum.

    Attributes:
        value: A value that no point of the program is below, and nearly its optimum.
        terms: The three terms of the optimal point, (3,).
        status: What the solver said.
    """

    value: float
    terms: Floats
    status: str


def solve(program: Program, weights: Floats, time_limit_s: float, method: str = "highs") -> Solution:
    """Minimise the weighted terms.

    Raises:
        SolverError: Infeasible, unbounded, out of time or out of numerical reach.
    """
    terms, upper = program.terms, np.concatenate(program.upper)
    cost = weights @ terms
    a_ub, b_ub = program.at_most.matrix(program.n_columns)
    a_eq, b_eq = program.equal.matrix(program.n_columns)
    scale = 1.0 / max(float(np.abs(cost).max(initial=0.0)), 1e-300)
    result = linprog(
        cost * scale,
        a_ub,
        b_ub,
        a_eq,
        b_eq,
        bounds=np.stack([np.zeros_like(upper), upper], axis=1),
        method=method,
        options={"time_limit": time_limit_s},
    )
    if result.status != 0:
        raise SolverError(result.message)
    # Weak duality: any multipliers give a bound, so that rounding in them costs tightness at most.
    y, z = np.minimum(result.ineqlin.marginals, 0.0) / scale, result.eqlin.marginals / scale
    reduced = cost - a_ub.T @ y - a_eq.T @ z
    value = b_ub @ y + b_eq @ z + np.sum(np.minimum(reduced * upper, 0.0))
    constant = float(weights @ program.constant)
    return Solution(float(value) + constant, program.constant + terms @ result.x, result.message)
