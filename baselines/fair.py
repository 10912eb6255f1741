"""Weighted max-min fairness above guaranteed minima: nobody gains but from who has more by weight.

    m_i = min(R_i, need_i)
    g_i = m_i + min(need_i − m_i, θ·ω_i),   θ so that Σg = G, or θ = ∞ where Σ need ≤ G

The fluid ideal of weighted fair queueing: A. Demers, S. Keshav and S. Shenker, "Analysis and
simulation of a fair queueing algorithm", SIGCOMM 1989; A. K. Parekh and R. G. Gallager, "A
generalized processor sharing approach to flow control in integrated services networks: the
single-node case", IEEE/ACM Transactions on Networking 1 (1993) 344-357. Max-min: D. Bertsekas and
R. Gallager, Data Networks (2nd edition, 1992), section 6.5.2. Needs are those of `cmu`. What is
guaranteed is what is asked for, up to R_i: an agent without calls has no claim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..envs import checks
from .base import Range, Shares, register
from .compiled import (
    RATE_SHORT,
    Compiled,
    calls_at,
    duration,
    fit,
    guaranteeable,
    hold,
    is_active,
    rows,
    rule,
    serves,
    wanted,
)

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
    throughput, servers, least = constants[0], constants[1], constants[2]
    minimum, weight = constants[3], constants[4]
    shares = np.empty(raw.shape[:2])
    for b in range(len(raw)):
        room, sought, weights = gpus, 0.0, 0.0
        for i in range(raw.shape[1]):
            calls = calls_at(raw, b, i)
            active = is_active(raw, b, i, calls, keep_warm_s)
            need = wanted(raw[b, i, RATE_SHORT], calls, throughput[i], servers[i], drain_s)
            need = max(need, least[i]) if serves(raw, b, i, interval_s) else held
            need = need if active else 0.0
            extra = max(0.0, need - minimum[i])
            shares[b, i] = need
            room -= need - extra
            sought += extra
            weights += weight[i] if extra > 0.0 else 0.0
        if sought > room:
            level = _level(shares, b, minimum, weight, max(0.0, room), weights)
            for i in range(raw.shape[1]):
                extra = max(0.0, shares[b, i] - minimum[i])
                shares[b, i] += min(extra, level * weight[i]) - extra
            fit(shares, b, gpus, held)
    return shares


@rule
def _level(
    needs: Shares, b: int, minimum: Shares, weight: Shares, room: float, weights: float
) -> float:
    """Return θ with Σ min(extra, θ·ω) = room, by Newton's method: it rises and ends exactly.

    The sum is concave in θ and made of straight pieces, so that each step either serves somebody
    more in full or is the last.
    """
    level, before = room / weights, -1.0
    while level > before:
        before, left, open_weights = level, room, 0.0
        for i in range(needs.shape[1]):
            extra = max(0.0, needs[b, i] - minimum[i])
            full = extra <= level * weight[i]
            left -= extra if full else 0.0
            open_weights += 0.0 if full else weight[i]
        level = left / open_weights if open_weights > 0.0 else level
    return before


@register("fair")
@dataclass(eq=False)
class Fair(Compiled):
    """Needs cut to a common level by weight, minima first: a few passes of O(N).

    An agent that could not serve before the next decision holds its place with the share quantum:
    a zero share would abandon its load. One without calls for `keep_warm_s` is let go.

    Attributes:
        drain_s: Time in which the calls in the system are to be done [s].
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
        checks.number("fair.drain_s", self.drain_s, above=0)
        duration("fair.keep_warm_s", self.keep_warm_s)

    def _prepare(self, scenario: Scenario) -> tuple[Any, ...]:
        guaranteeable(scenario, self.name)
        held = hold(scenario)
        return (
            rows(
                scenario.throughput,
                scenario.concurrency,
                np.maximum(scenario.footprint, held),
                np.maximum(scenario.min_share, held),
                scenario.weight,
            ),
            float(scenario.gpus),
            held,
            float(scenario.interval_s),
            float(self.drain_s),
            float(self.keep_warm_s),
        )
