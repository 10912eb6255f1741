"""Processor sharing: every call in the system has the same right to the pool.

    g_i = min(G·φ_i·n_i / Σ φ_j·n_j,  per_call·n_i)

with n_i the calls of agent i that wait or are in service. φ = 1 is egalitarian processor sharing,
L. Kleinrock, "Time-shared systems: a theoretical treatment", Journal of the ACM 14 (1967) 242-261;
φ = ω is its discriminatory form, G. Fayolle, I. Mitrani and R. Iasnogorodski, "Sharing a processor
among many job classes", Journal of the ACM 27 (1980) 519-532. A lone call would have the whole
pool, most of it unused where an agent has several servers: `per_call` bounds that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..envs import checks
from .base import Choice, Range, Shares, register
from .compiled import (
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
    per_call: float,
    keep_warm_s: float,
) -> Shares:
    right = constants[0]
    shares = np.empty(raw.shape[:2])
    for b in range(len(raw)):
        total = 0.0
        for i in range(raw.shape[1]):
            calls = calls_at(raw, b, i)
            active = is_active(raw, b, i, calls, keep_warm_s)
            served = calls * serves(raw, b, i, interval_s)
            total += right[i] * served
            # Below 0 stands who only holds its place.
            shares[b, i] = either(served > 0.0, served, -held * active)
        each = gpus / total if total > 0.0 else 0.0
        for i in range(raw.shape[1]):
            given = max(0.0, shares[b, i]) * min(each * right[i], per_call)
            shares[b, i] = max(held, given) * (shares[b, i] != 0.0)
        fit(shares, b, gpus, held)
    return shares


@register("processor_sharing")
@dataclass(eq=False)
class ProcessorSharing(Compiled):
    """Shares in proportion to the calls in the system: O(N).

    An agent that could not serve before the next decision, and one without calls for less than
    `keep_warm_s`, hold their place with the share quantum.

    Attributes:
        weighted: Whether a call counts by its agent's weight ω.
        per_call: Largest share for each call in the system [GPU]; inf for no bound.
        keep_warm_s: Idle time after which an agent is let go [s]; inf never, 0 at once.
    """

    weighted: bool = False
    per_call: float = 0.5
    keep_warm_s: float = 2.0

    search_space = (
        Choice("weighted", (False, True)),
        Range("per_call", 0.01, 10.0, log=True),
        Range("keep_warm_s", 0.5, 300.0, log=True),
    )
    _rule = staticmethod(_decide)

    def __post_init__(self) -> None:
        check_truth("processor_sharing.weighted", self.weighted)
        if self.per_call != math.inf:
            checks.number("processor_sharing.per_call", self.per_call, above=0)
        duration("processor_sharing.keep_warm_s", self.keep_warm_s)

    @classmethod
    def examples(cls) -> tuple[str, ...]:
        """Bounded, and as in the textbook with and without weights."""
        return (
            "processor_sharing",
            "processor_sharing:per_call=inf",
            "processor_sharing:weighted=true,per_call=inf",
        )

    def _prepare(self, scenario: Scenario) -> tuple[Any, ...]:
        right = scenario.weight if self.weighted else np.ones(scenario.n_agents)
        return (
            rows(right),
            float(scenario.gpus),
            hold(scenario),
            float(scenario.interval_s),
            float(self.per_call),
            float(self.keep_warm_s),
        )
