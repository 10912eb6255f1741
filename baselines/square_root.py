"""Kleinrock's square-root capacity assignment: the least mean delay for a given capacity.

With λ_i the arrivals per second and ρ_i = λ_i/T_i the GPUs that they keep busy,

    slack = G − Σρ
    g_i   = ρ_i + slack·√(ω_i·ρ_i) / Σ√(ω_j·ρ_j)

minimises Σ ω_i·λ_i/(T_i·g_i − λ_i), the weighted calls in the system of M/M/1 queues of rate
T_i·g_i, over Σg = G: L. Kleinrock, Communication Nets (1964), and Queueing Systems, volume 2
(1976), chapter 5. Where slack ≤ 0 no assignment is stable and the pool is split by ρ.

Where capacity has a price instead, g_i = ρ_i + √(κ·ω_i·ρ_i) balances the reward's own terms: with
L = n/(λ_ref·L_ref) and cost and idle both growing by 1/G per GPU, setting the derivative to zero
gives κ = w_L·G/((w_C + w_U)·λ_ref·L_ref). `priced` takes it, or the slack where that is less, and
at least the footprint, below which nothing is saved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..envs import checks
from .base import Choice, Range, Shares, register
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
)
from .parameters import check_truth

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
    most: float,
) -> Shares:
    throughput, weight, least = constants[0], constants[1], constants[2]
    shares = np.empty(raw.shape[:2])
    for b in range(len(raw)):
        slack, roots = gpus, 0.0
        for i in range(raw.shape[1]):
            calls = calls_at(raw, b, i)
            active = is_active(raw, b, i, calls, keep_warm_s)
            rate = raw[b, i, RATE_SHORT] + calls / drain_s
            served = active & serves(raw, b, i, interval_s)
            busy = rate / throughput[i] * served
            slack -= busy
            roots += math.sqrt(weight[i] * busy)
            # Below 0 stands who only holds its place; it is too little to matter for the slack.
            shares[b, i] = either(busy > 0.0, busy, -held * active)
        _share_out(shares, b, weight, least, slack, roots, held, most)
        fit(shares, b, gpus, held)
    return shares


@rule
def _share_out(
    shares: Shares,
    b: int,
    weight: Shares,
    least: Shares,
    slack: float,
    roots: float,
    held: float,
    most: float,
) -> None:
    """Add to every positive share its part of the slack, and raise it to the least."""
    factor = min(most, max(0.0, slack) / roots) if roots > 0.0 else 0.0
    for i in range(shares.shape[1]):
        busy = max(0.0, shares[b, i])
        given = max(least[i], busy + factor * math.sqrt(weight[i] * busy))
        given = either(shares[b, i] < 0.0, held, given)
        shares[b, i] = given * (shares[b, i] != 0.0)


@register("square_root")
@dataclass(eq=False)
class SquareRoot(Compiled):
    """Load plus a part of the slack by the square root of the weighted load: O(N).

    λ is the 10 s rate plus the calls in the system over `drain_s`. An agent that could not serve
    before the next decision holds its place with the share quantum: a zero share would abandon its
    load. One without calls for `keep_warm_s` is let go.

    Attributes:
        priced: Whether slack is bought for what it is worth, and not all handed out.
        drain_s: Time over which the calls in the system count as arrivals [s]; inf for not at all.
        keep_warm_s: Idle time after which an agent is let go [s]; inf never, 0 at once.
    """

    priced: bool = False
    drain_s: float = 5.0
    keep_warm_s: float = 2.0

    search_space = (
        Choice("priced", (False, True)),
        Range("drain_s", 0.5, 50.0, log=True),
        Range("keep_warm_s", 0.5, 300.0, log=True),
    )
    _rule = staticmethod(_decide)

    def __post_init__(self) -> None:
        check_truth("square_root.priced", self.priced)
        if self.drain_s != math.inf:
            checks.number("square_root.drain_s", self.drain_s, above=0)
        duration("square_root.keep_warm_s", self.keep_warm_s)

    @classmethod
    def examples(cls) -> tuple[str, ...]:
        """The whole pool, and what it is worth."""
        return ("square_root", "square_root:priced=true")

    def _prepare(self, scenario: Scenario) -> tuple[Any, ...]:
        held = hold(scenario)
        least = (
            np.maximum(scenario.footprint, held)
            if self.priced
            else np.full(scenario.n_agents, held)
        )
        return (
            rows(scenario.throughput, scenario.weight, least),
            float(scenario.gpus),
            held,
            float(scenario.interval_s),
            float(self.drain_s),
            float(self.keep_warm_s),
            _most(scenario) if self.priced else math.inf,
        )


def _most(scenario: Scenario) -> float:
    """√κ: where another GPU costs as much as it saves; unbounded where capacity is free."""
    weights = scenario.weights
    price = (weights.cost + weights.idle) * scenario.reference_rate * scenario.reference_latency_s
    return math.sqrt(weights.latency * scenario.gpus / price) if price > 0 else math.inf
