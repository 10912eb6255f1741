"""The cμ rule: capacity goes to the highest weight times rate, as long as there is work.

    order by falling ω_i·T_i;   g_i = min(need_i, what is left of G)

With linear holding costs ω and exponential service of rate μ, this order minimises Σ ω·E[n]:
D. R. Cox and W. L. Smith, Queues (1961); C. Buyukkoc, P. Varaiya and J. Walrand, "The cμ rule
revisited", Advances in Applied Probability 17 (1985) 237-238. There the first class in the order
has the whole server; here capacity is paid for, so that an agent takes what it needs,

    need_i = (λ_i + max(n_i, c_i)/drain_s)/T_i

with λ_i the 10 s rate and n_i > 0 the calls in the system, but not less than its footprint, below
which nothing is saved. Fewer calls than the c_i servers use only a part of the share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..envs import checks
from .base import Range, Shares, register
from .compiled import (
    RATE_SHORT,
    Compiled,
    calls_at,
    duration,
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
    order: NDArray[np.int64],
    gpus: float,
    held: float,
    interval_s: float,
    drain_s: float,
    keep_warm_s: float,
) -> Shares:
    throughput, servers, least = constants[0], constants[1], constants[2]
    shares = np.empty(raw.shape[:2])
    for b in range(len(raw)):
        room, sought = gpus, 0.0
        for i in range(raw.shape[1]):
            calls = calls_at(raw, b, i)
            active = is_active(raw, b, i, calls, keep_warm_s)
            need = wanted(raw[b, i, RATE_SHORT], calls, throughput[i], servers[i], drain_s)
            need = max(need, least[i]) if serves(raw, b, i, interval_s) else held
            shares[b, i] = need if active else 0.0
            room -= held if active else 0.0
            sought += need - held if active else 0.0
        if sought > room:
            serve_in_order(shares, b, order, held, room)
    return shares


@register("cmu")
@dataclass(eq=False)
class CMu(Compiled):
    """Needs served in the order of ω·T until the pool is given out: O(N).

    Who comes too late, or could not serve before the next decision, holds its place with the share
    quantum: a zero share would abandon its load. One without calls for `keep_warm_s` is let go.

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
        checks.number("cmu.drain_s", self.drain_s, above=0)
        duration("cmu.keep_warm_s", self.keep_warm_s)

    def _prepare(self, scenario: Scenario) -> tuple[Any, ...]:
        held = hold(scenario)
        return (
            rows(scenario.throughput, scenario.concurrency, np.maximum(scenario.footprint, held)),
            np.argsort(-scenario.weight * scenario.throughput, kind="stable"),
            float(scenario.gpus),
            held,
            float(scenario.interval_s),
            float(self.drain_s),
            float(self.keep_warm_s),
        )
