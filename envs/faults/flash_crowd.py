"""Flash crowds: for a time, tasks come several times as often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import checks
from ..errors import ConfigError
from ..workloads.compose import MAX_CALLS
from .base import FAULTS, Draw, Fault, place_of
from .changes import Strike
from .copies import copy_tasks, task_sizes

if TYPE_CHECKING:
    from ..spec import Scenario
    from ..tape import Tape

MAX_FACTOR = 1000.0


@FAULTS("flash-crowd")
@dataclass(frozen=True, kw_only=True)
class FlashCrowd(Fault):
    """Tasks that open while it lasts come `factor` times as often, as copies of themselves.

    Each gets ⌊factor − 1⌋ copies, and one more with the probability of what is left. A copy is the
    whole task, its graph, works and delays: copies draw no work of their own, as many people who
    ask the same thing. Its opening is uniform over the strike, up to the horizon, and its other
    releases are shifted with it. Crowds at the same time multiply, since copies are copied too.

    Attributes:
        factor: Tasks that open, over those without the fault, 1 to 1000.
        agent: Only tasks that open at this agent; all by default.
    """

    factor: float
    agent: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.number("factor", self.factor, at_least=1, at_most=MAX_FACTOR)
        if self.agent is not None:
            checks.text("agent", self.agent)

    @property
    def is_random(self) -> bool:
        """Whether two episodes differ: where copies open is drawn."""
        return super().is_random or self.factor > 1

    def check(self, scenario: Scenario) -> None:
        """Raise `ConfigError` for an unknown agent."""
        super().check(scenario)
        self._targets(scenario)

    def add_calls(
        self, scenario: Scenario, tape: Tape, strikes: Sequence[Strike], draw: Draw
    ) -> Tape:
        """Return the tape with the copies after all its calls.

        Raises:
            ConfigError: More calls than a tape may have.
        """
        if not strikes or self.factor == 1:
            return tape
        edges = np.append(scenario.decision_times, scenario.horizon_s)
        starts, ends = edges[np.array(strikes).T]
        first = slice(None) if tape.is_independent else tape.first_call
        opened_at = tape.release[first]
        strike = np.searchsorted(starts, opened_at, side="right") - 1  # -1: ends[-1], and no start
        hit = (strike >= 0) & (opened_at < ends[strike])
        hit &= np.isin(tape.agent[first], self._targets(scenario))
        tasks = np.flatnonzero(hit)
        whole, fraction = divmod(self.factor - 1.0, 1.0)
        times = int(whole) + (draw("copies").random(tasks.size) < fraction)
        calls = tape.n_calls + int(np.sum(times * task_sizes(tape)[tasks]))
        if calls > MAX_CALLS:
            raise ConfigError(
                f"factor of a flash-crowd must leave at most {MAX_CALLS:g} calls an episode, got "
                f"{self.factor!r} and {calls:g} calls; lower it"
            )
        if calls == tape.n_calls:
            return tape
        copies = np.repeat(tasks, times)
        start, end = starts[strike[copies]], ends[strike[copies]]
        opens_at = start + draw("openings").random(copies.size) * (end - start)
        return copy_tasks(tape, copies, np.minimum(opens_at, np.nextafter(end, start)))

    def _targets(self, scenario: Scenario) -> range:
        if self.agent is None:
            return range(scenario.n_agents)
        return place_of("agent", self.agent, scenario.agent_names, "agents")
