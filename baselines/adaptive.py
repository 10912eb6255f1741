"""The paper's Algorithm 1 (Zhang, Guo, Tan: arXiv 2512.22149), unrepaired.

    d_i = λ_i·R_i/P_i
    g_i = max(R_i, G·d_i/Σd), all 0 where Σd = 0
    if Σg > G: scale all by G/Σg

with λ_i the arrivals of the last interval per second, R_i the minimum share and P_i the priority.
At the paper's steady load it allocates 0.2385, 0.2538, 0.2115, 0.2961. The normalisation may push
shares below their minima, as in the paper, whose minima add up to the whole pool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .base import Shares, register
from .compiled import ARRIVALS, Compiled, rows, rule

if TYPE_CHECKING:
    from ..envs.spec import Scenario


@rule
def _decide(raw: Shares, constants: Shares, gpus: float, interval_s: float) -> Shares:
    minimum, priority = constants[0], constants[1]
    shares = np.empty(raw.shape[:2])
    for b in range(len(raw)):
        total, given = 0.0, 0.0
        for i in range(raw.shape[1]):
            demand = raw[b, i, ARRIVALS] / interval_s * minimum[i] / priority[i]
            shares[b, i] = demand
            total += demand
        some = total > 0.0
        for i in range(raw.shape[1]):
            wanted = gpus * shares[b, i] / total if some else 0.0
            shares[b, i] = max(wanted, minimum[i]) if some else 0.0
            given += shares[b, i]
        # Equal to "scale by G/Σg where Σg > G" without dividing by the sum of nothing.
        scale = gpus / max(given, gpus)
        for i in range(raw.shape[1]):
            shares[b, i] *= scale
    return shares


@register("adaptive")
class Adaptive(Compiled):
    """Shares by demand over priority, with minima, normalised to the pool: O(N).

    Nobody gets anything where no call has just arrived.
    """

    _rule = staticmethod(_decide)

    def _prepare(self, scenario: Scenario) -> tuple[Any, ...]:
        return (
            rows(scenario.min_share, scenario.priority),
            float(scenario.gpus),
            float(scenario.interval_s),
        )
