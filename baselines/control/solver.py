"""Solving a filled program with HiGHS."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp

from .constants import Floats
from .matrix import Frame
from .numbers import Numbers

OUT_OF_TIME = 1


def solve(
    frame: Frame, numbers: Numbers, whole: NDArray[np.bool_] | None, time_limit_s: float
) -> tuple[Floats, float]:
    result = milp(
        numbers.cost,
        integrality=whole,
        bounds=Bounds(numbers.least, numbers.most),
        constraints=LinearConstraint(frame.matrix, numbers.low, numbers.high),
        options={"time_limit": time_limit_s},
    )
    if result.status != 0:
        raise RuntimeError(result.message)
    return result.x, float(result.fun)
