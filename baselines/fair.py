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
    either,
    fit,
    hold,
    is_active,
    rows,
    rule,
    serves,
    wanted,
    water_level,
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
    throughput, servers, least = constants[0], constants[1], constants[2]
    minimum, weight = constants[3], constants[4]
    shares = np.empty(raw.shape[:2])
    extras = np.empty((2, raw.shape[1]))
    for b in range(len(raw)):
        room, sought, weights, n = gpus, 0.0, 0.0, 0
        for i in range(raw.shape[1]):
            calls = calls_at(raw, b, i)
            active = is_active(raw, b, i, calls, keep_warm_s)
            need = wanted(raw[b, i, RATE_SHORT], calls, throughput[i], servers[i], drain_s)
            need = either(serves(raw, b, i, interval_s), max(need, least[i]), held)
            shares[b, i] = need = need * active
            extra = max(0.0, need - minimum[i])
            room -= need - extra
            sought += extra
            weights += weight[i] * (need > minimum[i])
            extras[0, n], extras[1, n] = extra, weight[i]
            n += 1 if extra > 0.0 else 0
        if sought > room:
            level = water_level(extras, n, weights, max(0.0, room))
            for i in range(raw.shape[1]):
                extra = max(0.0, shares[b, i] - minimum[i])
                shares[b, i] += min(extra, level * weight[i]) - extra
            fit(shares, b, gpus, held)
    return shares


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
