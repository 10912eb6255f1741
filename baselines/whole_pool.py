"""The whole pool always: nothing is saved, and it is split by work in sight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..envs.checks import number
from .base import Range, Shares, register
from .compiled import RATE_SHORT, Compiled, calls_at, rows, rule

if TYPE_CHECKING:
    from ..envs.spec import Scenario


@rule
def _decide(raw: Shares, constants: Shares, gpus: float, equal: float) -> Shares:
    throughput = constants[0]
    shares = np.empty(raw.shape[:2])
    equally = 1.0 / raw.shape[1]
    for b in range(len(raw)):
        total = 0.0
        for i in range(raw.shape[1]):
            shares[b, i] = (calls_at(raw, b, i) + raw[b, i, RATE_SHORT]) / throughput[i]
            total += shares[b, i]
        some = total > 0.0
        for i in range(raw.shape[1]):
            by_work = shares[b, i] / total if some else equally
            shares[b, i] = gpus * ((1.0 - equal) * by_work + equal * equally)
    return shares


@register("whole_pool")
@dataclass(eq=False)
class WholePool(Compiled):
    """Gives out all of G at every decision, by the GPU-seconds of work in sight per agent.

    `g_i = G·((1−e)·w_i/Σw + e/N)` with `w_i = (queue_i + in_service_i + 1 s·rate_i)/T_i`, and G/N
    each where no work is in sight. It tells how much of another allocator's reward comes from
    leaving capacity unused, and how much from whom it serves.

    Attributes:
        equal: Part e of the pool that is split equally, so that every agent stays warm.
    """

    equal: float = 0.1

    search_space = (Range("equal", 0.0, 1.0),)
    _rule = staticmethod(_decide)

    def __post_init__(self) -> None:
        number("whole_pool.equal", self.equal, at_least=0, at_most=1)

    def _prepare(self, scenario: Scenario) -> tuple[Any, ...]:
        return rows(scenario.throughput), float(scenario.gpus), float(self.equal)
