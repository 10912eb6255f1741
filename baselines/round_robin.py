"""The whole pool to one agent at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..envs.checks import integer
from .base import Allocator, Range, Shares, register

if TYPE_CHECKING:
    from ..envs.observation import Observation


@register("round_robin")
@dataclass(frozen=True)
class RoundRobin(Allocator):
    """`g_i = G` where it is agent i's turn, from agent 0 on, else 0.

    A share of zero abandons a load, so an agent whose cold start outlasts its turn is never
    served: give it a longer `quantum` there.

    Attributes:
        quantum: Decisions that a turn lasts, at least 1.
    """

    quantum: int = 1

    search_space = (Range("quantum", 1, 200, log=True),)

    def __post_init__(self) -> None:
        integer("round_robin.quantum", self.quantum, at_least=1)

    @classmethod
    def examples(cls) -> tuple[str, ...]:
        """The paper's turn of one decision, and a longer one."""
        return ("round_robin", "round_robin:quantum=5")

    def allocate(self, observation: Observation) -> Shares:
        """Return G for the agent whose turn it is."""
        scenario = observation.scenario
        shares = np.zeros(observation.raw.shape[:-1])
        turn = observation.decision // self.quantum % scenario.n_agents
        shares[turn if shares.ndim == 1 else (np.arange(len(shares)), turn)] = scenario.gpus
        return shares
