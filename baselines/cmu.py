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


GROUPS = 1_024  # at most; the order of a million agents is all over the memory


@rule
def _decide(
    raw: Shares,
    constants: Shares,
    order: NDArray[np.int64],
    group: NDArray[np.int64],
    gpus: float,
    held: float,
    interval_s: float,
    drain_s: float,
    keep_warm_s: float,
) -> Shares:
    throughput, servers, least = constants[0], constants[1], constants[2]
    shares = np.empty(raw.shape[:2])
    extras = np.empty(min(GROUPS, raw.shape[1]))
    for b in range(len(raw)):
        room, sought = gpus, 0.0
        extras[:] = 0.0
        for i in range(raw.shape[1]):
            calls = calls_at(raw, b, i)
            active = is_active(raw, b, i, calls, keep_warm_s)
            need = wanted(raw[b, i, RATE_SHORT], calls, throughput[i], servers[i], drain_s)
            need = either(serves(raw, b, i, interval_s), max(need, least[i]), held)
            shares[b, i] = need * active
            extra = (need - held) * active
            room -= held * active
            sought += extra
            extras[group[i]] += extra
        if sought > room:
            _serve_groups(shares, b, order, group, extras, held, room)
    return shares


@rule
def _serve_groups(
    shares: Shares,
    b: int,
    order: NDArray[np.int64],
    group: NDArray[np.int64],
    extras: Shares,
    held: float,
    room: float,
) -> None:
    """Serve whole groups of the order while there is room for them, then the next one in order."""
    n, n_groups, last = shares.shape[1], len(extras), 0
    while last < n_groups - 1 and extras[last] <= room:
        room -= extras[last]
        last += 1
    for i in range(n):
        least = held * (shares[b, i] > 0.0)
        shares[b, i] = either(group[i] <= last, shares[b, i], least)
    first, behind = _begin(last, n, n_groups), _begin(last + 1, n, n_groups)
    serve_in_order(shares, b, order[first:behind], held, room)


@rule
def _begin(group: int, n: int, n_groups: int) -> int:
    """Return the first of n places whose group, place·n_groups // n, is this one."""
    place: int = (group * n + n_groups - 1) // n_groups
    return place


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
        held, n = hold(scenario), scenario.n_agents
        order = np.argsort(-scenario.weight * scenario.throughput, kind="stable")
        group = np.empty(n, dtype=np.int64)
        group[order] = np.arange(n) * min(GROUPS, n) // n
        return (
            rows(scenario.throughput, scenario.concurrency, np.maximum(scenario.footprint, held)),
            order,
            group,
            float(scenario.gpus),
            held,
            float(scenario.interval_s),
            float(self.drain_s),
            float(self.keep_warm_s),
        )
