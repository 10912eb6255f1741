"""Looking along the workflow: an agent is warmed for calls that are still with its predecessors.

The observation counts for each agent the calls that are on their way to it: those whose
predecessors are done and whose think time runs, and for each call in progress elsewhere the
successors it has here on average, by the routing probabilities of the tape. With n_i the calls in
the system and u_i those,

    ahead_i = n_i + foresight·u_i
    g_i     = (headroom·λ_i + max(ahead_i, c_i)/drain_s)/T_i,  at least the footprint

while `ahead_i` is at least `wake`, or the agent is in memory and was idle for less than
`keep_warm_s`; else it is let go. Loading begins while the predecessors work, so that their time and
the think time hide a part of the cold start: the idea of Xanadu, N. Daw, U. Bellur and P. Kulkarni
(Middleware 2020), and of Orion, A. Mahgoub et al. (OSDI 2022), with expected counts for paths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..envs import checks
from .base import Range, Shares, register
from .compiled import (
    RATE_SHORT,
    UPSTREAM,
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
    foresight: float,
    wake: float,
    headroom: float,
    drain_s: float,
    keep_warm_s: float,
) -> Shares:
    throughput, servers, least = constants[0], constants[1], constants[2]
    shares = np.empty(raw.shape[:2])
    for b in range(len(raw)):
        for i in range(raw.shape[1]):
            calls = calls_at(raw, b, i)
            ahead = calls + foresight * raw[b, i, UPSTREAM]
            active = (ahead >= wake) | is_active(raw, b, i, calls, keep_warm_s)
            rate = headroom * raw[b, i, RATE_SHORT]
            need = wanted(rate, ahead, throughput[i], servers[i], drain_s)
            need = either(serves(raw, b, i, interval_s), max(need, least[i]), held)
            shares[b, i] = need * active
        fit(shares, b, gpus, held)
    return shares


@register("lookahead")
@dataclass(eq=False)
class Lookahead(Compiled):
    """Shares for the calls here and on their way, loaded before these land: O(N).

    An agent that could not serve before the next decision holds its place with the share quantum;
    where the pool is short, all that lies above the quantum is cut in proportion.

    Attributes:
        foresight: Weight in [0, 1] of calls on their way.
        wake: Calls in sight, those on their way weighted, from which on an agent is loaded, in
            (0, 1]; a call that is there always suffices.
        headroom: Multiplier of the 10 s rate, at least 0.
        drain_s: Time in which the calls in sight are to be done [s].
        keep_warm_s: Idle time after which an agent is let go [s]; inf never, 0 at once.
    """

    foresight: float = 1.0
    wake: float = 0.3
    headroom: float = 1.0
    drain_s: float = 5.0
    keep_warm_s: float = 2.0

    search_space = (
        Range("foresight", 0.0, 1.0),
        Range("wake", 0.05, 1.0, log=True),
        Range("headroom", 0.0, 2.0),
        Range("drain_s", 0.5, 50.0, log=True),
        Range("keep_warm_s", 0.5, 300.0, log=True),
    )
    _rule = staticmethod(_decide)

    def __post_init__(self) -> None:
        checks.number("lookahead.foresight", self.foresight, at_least=0, at_most=1)
        checks.number("lookahead.wake", self.wake, above=0, at_most=1)
        checks.number("lookahead.headroom", self.headroom, at_least=0)
        checks.number("lookahead.drain_s", self.drain_s, above=0)
        duration("lookahead.keep_warm_s", self.keep_warm_s)

    def _prepare(self, scenario: Scenario) -> tuple[Any, ...]:
        held = hold(scenario)
        return (
            rows(scenario.throughput, scenario.concurrency, np.maximum(scenario.footprint, held)),
            float(scenario.gpus),
            held,
            float(scenario.interval_s),
            float(self.foresight),
            float(self.wake),
            float(self.headroom),
            float(self.drain_s),
            float(self.keep_warm_s),
        )
