"""The honest rival: shares for the work in sight and the work expected, none for the rest.

With q calls in the system, λ the estimated rate and u the calls expected from upstream,

    wanted_i = (headroom·λ_i + (q_i + foresight·u_i)/drain_s) / T_i

which is raised to c_i/(T_i·service_s) where calls are present, so that a call alone in service
takes at most `service_s` (with q < c calls only q/c of a share is used). An agent that is active
holds at least its floor. Where the pool is short, floors come first, and what is left goes to
`extra = wanted − floor` in proportion to extra_i·(ω_i·T_i)^exponent: 0 shares it out evenly,
1 is the cμ rule softened, and large values approach strict cμ priority.

An agent is active while it has calls, or expects `wake` calls from upstream, or is in memory and
has been idle for at most `keep_warm_s`. Otherwise it gets zero and its keep-alive runs out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..envs import checks
from .base import Choice, Range, Shares, register
from .compiled import (
    RATE_LONG,
    RATE_SHORT,
    UPSTREAM,
    Compiled,
    calls_at,
    duration,
    either,
    is_active,
    rows,
    rule,
    serves,
    water_level,
)
from .parameters import check_truth, guaranteeable

if TYPE_CHECKING:
    from ..envs.spec import Scenario


@rule
def _decide(
    raw: Shares,
    constants: Shares,
    gpus: float,
    interval_s: float,
    headroom: float,
    short: float,
    drain_s: float,
    keep_warm_s: float,
    foresight: float,
    wake: float,
) -> Shares:
    throughput, floor, alone, rank = constants[0], constants[1], constants[2], constants[3]
    shares = np.empty(raw.shape[:2])
    extras = np.empty((2, raw.shape[1]))
    for b in range(len(raw)):
        room, sought, weights, n = gpus, 0.0, 0.0, 0
        for i in range(raw.shape[1]):
            calls = calls_at(raw, b, i) + foresight * raw[b, i, UPSTREAM]
            active = (calls >= wake) | is_active(raw, b, i, 0.0, keep_warm_s)
            rate = short * raw[b, i, RATE_SHORT] + (1.0 - short) * raw[b, i, RATE_LONG]
            need = (headroom * rate + calls / drain_s) / throughput[i]
            need = max(need, either(calls >= 1.0, alone[i], 0.0), floor[i])
            shares[b, i] = need = either(serves(raw, b, i, interval_s), need, floor[i]) * active
            least = floor[i] * active
            room -= least
            extra = need - least
            sought += extra
            weights += extra * rank[i]
            extras[0, n], extras[1, n] = extra, extra * rank[i]
            n += 1 if extra > 0.0 else 0
        if sought > room:
            level = water_level(extras, n, weights, max(0.0, room))
            _ration(shares, b, floor, rank, level)
    return shares


@rule
def _ration(shares: Shares, b: int, floor: Shares, rank: Shares, level: float) -> None:
    """Cut what lies above the floors by extra·rank, nobody getting more than wanted."""
    for i in range(shares.shape[1]):
        extra = max(0.0, shares[b, i] - floor[i])
        cut = floor[i] + extra * min(1.0, level * rank[i])
        shares[b, i] = cut if extra > 0.0 else shares[b, i]


@register("demand")
@dataclass(eq=False)
class Demand(Compiled):
    """Queue-and-rate heuristic with cμ rationing, floors and a keep-warm timer: O(N).

    Attributes:
        headroom: Multiplier of the estimated rate, at least 0.
        short: Weight in [0, 1] of the 10 s rate; the 60 s rate has the rest.
        drain_s: Time in which the work in sight is to be done [s].
        service_s: Longest service of a call that is alone [s].
        exponent: Power of ω·T by which a short pool is rationed, at least 0.
        keep_warm_s: Idle time after which an agent is let go [s]; inf never, 0 at once.
        floor: Share of an active agent in footprints: up to 1 it costs nothing on top.
        foresight: Weight in [0, 1] of calls expected from upstream.
        wake: Calls in sight, foreseen ones weighted, that start a cold agent, in (0, 1].
        guarantee: Whether an active agent's floor is at least its `min_share`.
    """

    headroom: float = 1.0
    short: float = 0.5
    drain_s: float = 5.0
    service_s: float = 10.0
    exponent: float = 1.0
    keep_warm_s: float = 60.0
    floor: float = 1.0
    foresight: float = 0.5
    wake: float = 1.0
    guarantee: bool = False

    search_space: ClassVar[tuple[Range | Choice, ...]] = (
        Range("headroom", 0.0, 2.0),
        Range("short", 0.0, 1.0),
        Range("drain_s", 0.5, 50.0, log=True),
        Range("service_s", 1.0, 100.0, log=True),
        Range("exponent", 0.0, 8.0),
        Range("keep_warm_s", 0.5, 300.0, log=True),
        Range("floor", 0.0, 1.5),
        Range("foresight", 0.0, 1.0),
        Range("wake", 0.05, 1.0, log=True),
    )

    _rule = staticmethod(_decide)

    def __post_init__(self) -> None:
        for name in ("headroom", "exponent", "floor"):
            checks.number(f"{self.name}.{name}", getattr(self, name), at_least=0)
        for name in ("drain_s", "service_s"):
            checks.number(f"{self.name}.{name}", getattr(self, name), above=0)
        for name in ("short", "foresight"):
            checks.number(f"{self.name}.{name}", getattr(self, name), at_least=0, at_most=1)
        checks.number(f"{self.name}.wake", self.wake, above=0, at_most=1)
        duration(f"{self.name}.keep_warm_s", self.keep_warm_s)
        check_truth(f"{self.name}.guarantee", self.guarantee)

    def _prepare(self, scenario: Scenario) -> tuple[Any, ...]:
        return _setting(scenario, self)


def _setting(scenario: Scenario, parameters: Demand) -> tuple[Any, ...]:
    """Return the arguments of the rule."""
    # Not below the quantum, or the simulator would take an active agent's floor for zero.
    floor = np.maximum(parameters.floor * scenario.footprint, scenario.share_quantum)
    if parameters.guarantee:
        floor = _guaranteed(scenario, floor)
    else:
        floor = floor * (scenario.gpus / max(scenario.gpus, float(floor.sum())))
    worth = scenario.weight * scenario.throughput
    alone = scenario.concurrency / (scenario.throughput * parameters.service_s)
    return (
        rows(scenario.throughput, floor, alone, (worth / worth.max()) ** parameters.exponent),
        float(scenario.gpus),
        float(scenario.interval_s),
        float(parameters.headroom),
        float(parameters.short),
        float(parameters.drain_s),
        float(parameters.keep_warm_s),
        float(parameters.foresight),
        float(parameters.wake),
    )


def _guaranteed(scenario: Scenario, floor: Shares) -> Shares:
    """Raise floors to the minimum shares, shrinking only what lies above them."""
    way_out = "lower it, enlarge the pool or set demand.guarantee=false"
    guaranteeable(scenario, Demand.name, way_out)
    above = np.maximum(floor - scenario.min_share, 0.0)
    room = max(0.0, scenario.gpus - float(scenario.min_share.sum()))
    scale = min(1.0, room / float(above.sum())) if above.any() else 0.0
    raised: Shares = scenario.min_share + scale * above
    return raised
