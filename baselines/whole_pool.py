"""The whole pool always: nothing is saved, and it is split by work in sight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..envs.checks import number
from .base import Allocator, Range, Shares, register

if TYPE_CHECKING:
    from ..envs.observation import Observation


@register("whole_pool")
@dataclass(frozen=True)
class WholePool(Allocator):
    """Gives out all of G at every decision, by the GPU-seconds of work in sight per agent.

    `g_i = G·((1−e)·w_i/Σw + e/N)` with `w_i = (queue_i + in_service_i + 1 s·rate_i)/T_i`, and G/N
    each where no work is in sight. It tells how much of another allocator's reward comes from
    leaving capacity unused, and how much from whom it serves.

    Attributes:
        equal: Part e of the pool that is split equally, so that every agent stays warm.
    """

    equal: float = 0.1

    search_space = (Range("equal", 0.0, 1.0),)

    def __post_init__(self) -> None:
        number("whole_pool.equal", self.equal, at_least=0, at_most=1)

    def allocate(self, observation: Observation) -> Shares:
        """Return shares that sum to G."""
        scenario = observation.scenario
        calls = observation.queue + observation.in_service + observation.rate_short
        work = calls / scenario.throughput
        total = work.sum(axis=-1, keepdims=True)
        some = total > 0
        equally = 1.0 / scenario.n_agents
        by_work = np.where(some, work / np.where(some, total, 1.0), equally)
        shares: Shares = scenario.gpus * ((1.0 - self.equal) * by_work + self.equal * equally)
        return shares
