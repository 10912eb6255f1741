"""The paper's Algorithm 1 (Zhang, Guo, Tan: arXiv 2512.22149), unrepaired.

    d_i = λ_i·R_i/P_i
    g_i = max(R_i, G·d_i/Σd), all 0 where Σd = 0
    if Σg > G: scale all by G/Σg

with λ_i the arrivals of the last interval per second, R_i the minimum share and P_i the priority.
At the paper's steady load it allocates 0.2385, 0.2538, 0.2115, 0.2961. The normalisation may push
shares below their minima, as in the paper, whose minima add up to the whole pool.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .base import Allocator, Shares, register

if TYPE_CHECKING:
    from ..envs.observation import Observation


@register("adaptive")
class Adaptive(Allocator):
    """Shares by demand over priority, with minima, normalised to the pool: O(N)."""

    def allocate(self, observation: Observation) -> Shares:
        """Return Algorithm 1's shares; nothing for anybody where no call has just arrived."""
        scenario = observation.scenario
        demand = observation.arrival_rate * scenario.min_share / scenario.priority
        total = np.add.reduce(demand, axis=-1, keepdims=True)  # `sum` costs twice the time
        some = total > 0
        wanted = scenario.gpus * demand / np.where(some, total, 1.0)
        shares = np.maximum(wanted, scenario.min_share) * some
        given = np.add.reduce(shares, axis=-1, keepdims=True)
        # Equal to "scale by G/Σg where Σg > G" without dividing by the sum of nothing.
        fits: Shares = shares * (scenario.gpus / np.maximum(given, scenario.gpus))
        return fits
