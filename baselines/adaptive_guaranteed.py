"""The paper's Algorithm 1 with its minima kept: water-filling in place of normalisation.

    d_i = (λ_i + n_i/drain_s)·R_i/P_i
    g_i = max(R_i, θ·d_i),   θ so that Σg = G

over the agents with work, and 0 for the others; compare `adaptive`, after Zhang, Guo and Tan (arXiv
2512.22149). Their rule takes θ = G/Σd and then scales everybody down, minima too. Here θ is the
level at which the shares fill the pool, so that who lies above its minimum makes room for who does
not: the least change, in proportion to demand, that breaks no minimum.

Decided where the paper is silent: λ_i are the arrivals of the last interval per second, as there;
the n_i calls in the system are demand too, or a backlog would be left to the minima when arrivals
end; a zero share is for those alone that have no demand, and only after `keep_warm_s` without it;
an agent that loads has its minimum and no more; one without a minimum counts with the share quantum
for R_i. Where the minima add up to the pool, as the paper's do, the shares are the minima.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..envs import checks
from .base import Range, Shares, register
from .compiled import (
    ARRIVALS,
    Compiled,
    calls_at,
    duration,
    either,
    fit,
    hold,
    is_active,
    rows,
    rule,
    serves,
)
from .parameters import guaranteeable

if TYPE_CHECKING:
    from ..envs.spec import Scenario


@rule
def _decide(
    raw: Shares,
    constants: Shares,
    gpus: float,
    held: float,
    interval_s: float,
    drain_s: float,
    keep_warm_s: float,
) -> Shares:
    minimum, worth = constants[0], constants[1]
    shares = np.empty(raw.shape[:2])
    demand = np.empty(raw.shape[1])
    claims = np.empty((2, raw.shape[1]))
    for b in range(len(raw)):
        room, above, n = gpus, 0.0, 0
        for i in range(raw.shape[1]):
            calls = calls_at(raw, b, i)
            work = raw[b, i, ARRIVALS] / interval_s + calls / drain_s
            active = (work > 0.0) | is_active(raw, b, i, calls, keep_warm_s)
            kept = minimum[i] * active
            demand[i] = sought = work * worth[i] * serves(raw, b, i, interval_s)
            shares[b, i] = kept
            above += sought
            claims[0, n], claims[1, n] = kept, sought
            n += 1 if sought > 0.0 else 0
            room -= either(sought > 0.0, 0.0, kept)
        if n > 0:
            level = _level(claims, n, above, room)
            for i in range(raw.shape[1]):
                shares[b, i] = max(shares[b, i], level * demand[i])
        fit(shares, b, gpus, held)
    return shares


@rule
def _level(claims: Shares, n: int, above: float, room: float) -> float:
    """Return θ with Σ max(R, θ·d) = room, by Newton's method: it falls and ends exactly.

    The sum is convex in θ and made of straight pieces, so that each step either leaves somebody
    more at its minimum or is the last. Who stays there leaves the others to the next step.

    Args:
        claims: Minima and demands above 0, (2, at least n); used up.
        n: Number of agents.
        above: Sum of their demands.
        room: What the others leave of the pool.
    """
    level = np.inf
    while above > 0.0:
        level, before, n, above = min(level, max(0.0, room) / above), n, 0, 0.0
        for k in range(before):
            minimum, demand = claims[0, k], claims[1, k]
            kept = minimum >= level * demand
            room -= minimum if kept else 0.0
            above += 0.0 if kept else demand
            claims[0, n], claims[1, n] = minimum, demand
            n += 0 if kept else 1
        if n == before:
            return level
    return 0.0


@register("adaptive_guaranteed")
@dataclass(eq=False)
class AdaptiveGuaranteed(Compiled):
    """Algorithm 1 with water-filling above the minima: a few passes of O(N).

    Attributes:
        drain_s: Time over which the calls in the system count as arrivals [s]; inf for not at all.
        keep_warm_s: Idle time after which an agent is let go [s]; inf never, 0 at once.
    """

    drain_s: float = 5.0
    keep_warm_s: float = 2.0

    search_space = (
        Range("drain_s", 0.5, 50.0, log=True),
        Range("keep_warm_s", 0.5, 300.0, log=True),
    )
    _rule = staticmethod(_decide)

    def __post_init__(self) -> None:
        if self.drain_s != math.inf:
            checks.number("adaptive_guaranteed.drain_s", self.drain_s, above=0)
        duration("adaptive_guaranteed.keep_warm_s", self.keep_warm_s)

    @classmethod
    def examples(cls) -> tuple[str, ...]:
        """With backlog as demand, and with arrivals alone as in the paper."""
        return ("adaptive_guaranteed", "adaptive_guaranteed:drain_s=inf")

    def _prepare(self, scenario: Scenario) -> tuple[Any, ...]:
        guaranteeable(scenario, self.name)
        held = hold(scenario)
        minimum = np.maximum(scenario.min_share, held)
        return (
            rows(minimum, minimum / scenario.priority),
            float(scenario.gpus),
            held,
            float(scenario.interval_s),
            float(self.drain_s),
            float(self.keep_warm_s),
        )
