"""All agents' calls from one plain CSV: `release_s,agent,work`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from .. import checks
from ..errors import TraceError, did_you_mean
from ..traces import load_trace
from .base import WORKLOADS, Episode, Workload
from .compose import Streams
from .replay import Replay

if TYPE_CHECKING:
    from ..spec import Scenario
    from ..tape import Tape


@WORKLOADS("table")
@dataclass(frozen=True)
class Table(Workload):
    """Replay of a file that names the agent of every call.

    Attributes:
        trace: Path of the CSV, which is split in time (60 % training, 20 % validation, 20 %
            held-out), or of a trace YAML of format `table` with splits of its own; from the
            scenario file's folder.
    """

    trace: str

    def __post_init__(self) -> None:
        checks.text("trace", self.trace)

    def check(self, scenario: Scenario) -> None:
        """Raise `ConfigError` where an episode does not fit into the training window."""
        self._streams(scenario).check(scenario)

    def tape(self, scenario: Scenario, episode: Episode) -> Tape:
        """Return the tape of an episode.

        Raises:
            ConfigError: An episode outside of its window.
            TraceError: A damaged file, or calls of agents that the scenario does not have.
        """
        return self._streams(scenario).tape(scenario, episode)

    def suite(self, scenario: Scenario, split: str) -> tuple[Episode, ...]:
        """Return the split's episodes, blocks of its window."""
        return self._streams(scenario).suite(scenario, split)

    def _streams(self, scenario: Scenario) -> Streams:
        present = load_trace(self.trace).agent_names
        if not present:
            raise TraceError(f"trace {self.trace} must name the agent of every call; use `replay`")
        known = scenario.agent_names
        for name in present:
            if name not in known:
                raise TraceError(
                    f"{self.trace} must hold calls of the scenario's agents, got {name!r}"
                    f"{did_you_mean(name, known)}"
                )
        return _replays(self.trace, known, present)


@lru_cache(maxsize=64)
def _replays(trace: str, known: tuple[str, ...], present: tuple[str, ...]) -> Streams:
    return Streams(
        tuple((n, (Replay(trace=trace, agent=n),) if n in present else ()) for n in known)
    )
