"""Equal shares for ever: what every other allocator is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .base import Allocator, Shares, register

if TYPE_CHECKING:
    from ..envs.observation import Observation


@register("static")
class Static(Allocator):
    """`g_i = G/N`, whatever happens."""

    def allocate(self, observation: Observation) -> Shares:
        """Return G/N for every agent."""
        scenario = observation.scenario
        return np.full(observation.queue.shape, scenario.gpus / scenario.n_agents)
