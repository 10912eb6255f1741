"""Solving a filled program with HiGHS, or saying why there is no plan."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from ..program.solve import OUT_OF_TIME, SolverError

if TYPE_CHECKING:
    from .constants import Floats
    from .numbers import Numbers
    from .program import Layout

NUMERICAL = 4  # scipy's status where HiGHS gives none, or met numbers that it cannot scale


def solve(
    layout: Layout, numbers: Numbers, time_limit_s: float, whole: bool = False
) -> tuple[Floats, float]:
    """Minimise the cost.

    Every solution starts afresh: one that begins at the last basis would depend on what was solved
    before, and with blocks it is not needed.

    Args:
        layout: Columns and rows.
        numbers: Costs and bounds.
        time_limit_s: For the solver [s].
        whole: Loads and memory as whole numbers.

    Returns:
        The columns, (columns,), and the cost.

    Raises:
        SolverError: Infeasible, unbounded or out of time: there is no plan then.
    """
    integrality = np.zeros(len(numbers.cost))
    if whole:
        for one in (layout.columns.held, layout.columns.loads, layout.columns.keeps):
            integrality[one] = 1
    attempt = partial(
        milp,
        numbers.cost,
        integrality=integrality,
        bounds=Bounds(numbers.least, numbers.most),
        constraints=LinearConstraint(layout.frame.matrix, numbers.low, numbers.high),
    )
    result = attempt(options={"time_limit": time_limit_s})
    if result.status == NUMERICAL:  # most often of presolving, with some hundreds of blocks
        result = attempt(options={"time_limit": time_limit_s, "presolve": False})
    if result.status == OUT_OF_TIME:
        raise SolverError(
            f"mpc: HiGHS found no optimum in {time_limit_s:g} s for {len(numbers.cost)} columns, "
            "so there are no shares; raise mpc.time_limit_s or lower mpc.horizon"
        )
    if result.status != 0:
        raise SolverError(
            f"mpc: HiGHS found no optimum, so there are no shares: {result.message}; lower "
            "mpc.horizon or raise mpc.growth"
        )
    return result.x, float(result.fun)
