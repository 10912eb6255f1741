"""Trouble with models: all of them leave memory at once, or one agent serves slowly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import checks
from ..kernel.layout import EVICTION, HEALTH, LOAD_FACTOR
from .base import FAULTS, Fault, place_of
from .changes import Effect

if TYPE_CHECKING:
    from ..spec import Scenario


@FAULTS("cold-start-storm")
@dataclass(frozen=True, kw_only=True)
class ColdStartStorm(Fault):
    """Every model leaves memory at the start, and loading is slow until the end.

    Attributes:
        factor: Loads that begin before the end take so many times as long, 1 to 1000.
    """

    factor: float

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.number("factor", self.factor, at_least=1, at_most=1000)

    def effects(self, scenario: Scenario) -> tuple[Effect, ...]:
        """Return slower loads and an eviction for every agent."""
        everyone = range(scenario.n_agents)
        return (
            Effect(LOAD_FACTOR, everyone, float(self.factor)),
            Effect(EVICTION, everyone),
        )


@FAULTS("stuck-agent")
@dataclass(frozen=True, kw_only=True)
class StuckAgent(Fault):
    """An agent serves at a fraction of its rate, and is billed all the same.

    Attributes:
        agent: The agent's name.
        factor: Factor on its rate, 0 to 1; at 0 it stands still.
    """

    agent: str
    factor: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.text("agent", self.agent)
        checks.number("factor", self.factor, at_least=0, at_most=1)

    def effects(self, scenario: Scenario) -> tuple[Effect, ...]:
        """Return the factor on the agent's rate."""
        targets = place_of("agent", self.agent, scenario.agent_names, "agents")
        return (Effect(HEALTH, targets, float(self.factor)),)
