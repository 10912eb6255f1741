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
from .copies import Floats, Ints, copy_tasks, task_sizes

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
        if self.agent is not None:
            self._place(scenario)

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
        tasks, strike = self._struck(scenario, tape, starts, ends)
        whole, fraction = divmod(self.factor - 1.0, 1.0)
        times = int(whole) + (draw("copies").random(tasks.size) < fraction)
        if not times.any():
            return tape
        self._check_size(tape, tasks, times)
        start, end = np.repeat(starts[strike], times), np.repeat(ends[strike], times)
        opens_at = start + draw("openings").random(start.size) * (end - start)
        opens_at = np.minimum(opens_at, np.nextafter(end, start))  # a sum may be rounded up
        return copy_tasks(tape, np.repeat(tasks, times), opens_at)

    def _struck(
        self, scenario: Scenario, tape: Tape, starts: Floats, ends: Floats
    ) -> tuple[Ints, Ints]:
        """Tasks that open in a strike, and which strike it is, both (tasks,)."""
        first = slice(None) if tape.is_independent else tape.first_call
        opened_at = tape.release[first]
        strike = np.searchsorted(starts, opened_at, side="right") - 1
        hit = (strike >= 0) & (opened_at < ends[strike])
        if self.agent is not None:
            hit &= tape.agent[first] == self._place(scenario)
        tasks = np.flatnonzero(hit)
        return tasks, strike[tasks]

    def _check_size(self, tape: Tape, tasks: Ints, times: Ints) -> None:
        calls = tape.n_calls + int(np.sum(times * task_sizes(tape)[tasks]))
        if calls > MAX_CALLS:
            raise ConfigError(
                f"factor of a flash-crowd must leave at most {MAX_CALLS:g} calls an episode, got "
                f"{self.factor!r} and {calls:g} calls; lower it"
            )

    def _place(self, scenario: Scenario) -> int:
        assert self.agent is not None  # asked only then
        return place_of("agent", self.agent, scenario.agent_names, "agents").start
