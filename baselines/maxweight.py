"""MaxWeight: capacity goes where weight times queue times rate is largest, decided anew each time.

    order by falling ω_i·T_i·n_i^power;   g_i = min(need_i, what is left of G)

maximises Σ ω_i·n_i·(rate of i), which keeps every queue stable that can be, without knowing any
arrival rate: L. Tassiulas and A. Ephremides, "Stability properties of constrained queueing systems
and scheduling policies for maximum throughput in multihop radio networks", IEEE Transactions on
Automatic Control 37 (1992) 1936-1948. Powers of the queue: A. L. Stolyar, "MaxWeight scheduling in
a generalized switch", Annals of Applied Probability 14 (2004) 1-53; a power of 0 is the cμ rule.

Their back-pressure weighs the queue here against that of the next hop. Which agent comes next is
not observed: `upstream` says how many calls are on their way to an agent, and not from where. So
the next hop counts as the exit, with queue 0; calls have no choice of way that this could mislead.
Needs are those of `cmu`.
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
    hold,
    is_active,
    rows,
    rule,
    serve_in_order,
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
    power: float,
    drain_s: float,
    keep_warm_s: float,
) -> Shares:
    throughput, servers, least, worth = constants[0], constants[1], constants[2], constants[3]
    shares = np.empty(raw.shape[:2])
    pressure = np.empty(raw.shape[1])
    for b in range(len(raw)):
        room, sought = gpus, 0.0
        for i in range(raw.shape[1]):
            calls = calls_at(raw, b, i)
            active = is_active(raw, b, i, calls, keep_warm_s)
            need = wanted(raw[b, i, RATE_SHORT], calls, throughput[i], servers[i], drain_s)
            need = either(serves(raw, b, i, interval_s), max(need, least[i]), held)
            pressure[i] = worth[i] * calls**power
            shares[b, i] = need * active
            room -= held * active
            sought += (need - held) * active
        if sought > room:
            serve_in_order(shares, b, np.argsort(-pressure, kind="mergesort"), held, room)
    return shares


@register("maxweight")
@dataclass(eq=False)
class MaxWeight(Compiled):
    """Needs served in the order of ω·T·n until the pool is given out: O(N log N).

    Who comes too late, or could not serve before the next decision, holds its place with the share
    quantum: a zero share would abandon its load. One without calls for `keep_warm_s` is let go.

    Attributes:
        power: Power of the calls in the system n, at least 0.
        drain_s: Time in which the calls in the system are to be done [s].
        keep_warm_s: Idle time after which an agent is let go [s]; inf never, 0 at once.
    """

    power: float = 1.0
    drain_s: float = 5.0
    keep_warm_s: float = 2.0

    search_space = (
        Range("power", 0.0, 4.0),
        Range("drain_s", 0.5, 50.0, log=True),
        Range("keep_warm_s", 0.5, 300.0, log=True),
    )
    beyond_linear = "sorts"
    _rule = staticmethod(_decide)

    def __post_init__(self) -> None:
        checks.number("maxweight.power", self.power, at_least=0)
        checks.number("maxweight.drain_s", self.drain_s, above=0)
        duration("maxweight.keep_warm_s", self.keep_warm_s)

    def _prepare(self, scenario: Scenario) -> tuple[Any, ...]:
        held = hold(scenario)
        return (
            rows(
                scenario.throughput,
                scenario.concurrency,
                np.maximum(scenario.footprint, held),
                scenario.weight * scenario.throughput,
            ),
            float(scenario.gpus),
            held,
            float(scenario.interval_s),
            float(self.power),
            float(self.drain_s),
            float(self.keep_warm_s),
        )
