"""Recorded sessions of agents, started by a seeded process: real structure, simulated timing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import checks
from ..errors import ConfigError, TraceError, did_you_mean
from ..kinds import construct
from ..tape import CallGraph, Tape
from ..traces import load_spec
from ..traces.sessions import Sessions
from ..traces.trace import load_content
from .base import WORKLOADS, Episode, Floats, Workload
from .compose import MAX_CALLS
from .library import Library, build_library
from .poisson import poisson_times
from .randomness import keyed, label_key

if TYPE_CHECKING:
    from ..spec import Scenario

Ints = NDArray[np.int64]

TASKS = ("turn", "session")
STARTS, PICKS = label_key("sessions/starts"), label_key("sessions/picks")
MAX_SESSIONS = 1_000_000


@WORKLOADS("sessions")
@dataclass(frozen=True, kw_only=True)
class SessionReplay(Workload):
    """Sessions of the split, drawn with replacement, that start as a Poisson process.

    A call's structure, work and delays are the recorded ones, and its timing follows from the
    allocation: it starts when those it waits for are done and its delay is over. Where a
    session's clock matters, it is that of a replay without queues: turns begin there, calls that
    would have been released before the episode's start are over by then, and those that would be
    released after its end are cut.

    Attributes:
        trace: A trace of sessions in the registry, or the path of one's own YAML.
        rate: Sessions that start per second [1/s].
        tasks: What a task is: a `turn`, from a person's word to the answer, or the whole `session`.
        longest_delay_s: Longer recorded delays are cut to it [s]; `null` for none.
        roles: (unit, agent): agents of the scenario that serve units of the trace, where they do
            not have their name. A sub-agent's unit is `TIER-sub`.
        in_progress: Whether sessions that started earlier are in progress when the episode starts,
            as at any moment of a service that has run for ever.
        suite_episodes: Episodes of a split's suite.
    """

    trace: str
    rate: float
    tasks: str = "turn"
    longest_delay_s: float | None = 600.0
    roles: tuple[tuple[str, str], ...] = ()
    in_progress: bool = True
    suite_episodes: int = 16

    has_graphs: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checks.text("trace", self.trace)
        checks.number("rate", self.rate, at_least=0)
        checks.one_of("tasks", self.tasks, TASKS)
        if self.longest_delay_s is not None:
            checks.number("longest_delay_s", self.longest_delay_s, at_least=0)
        for unit, agent in self.roles:
            checks.text(f"roles.{unit}", agent)
        if not isinstance(self.in_progress, bool):
            raise TypeError(f"in_progress must be true or false, got {self.in_progress!r}")
        checks.integer("suite_episodes", self.suite_episodes, at_least=1, at_most=100_000)

    @classmethod
    def from_mapping(cls, content: Mapping[str, object], at: str) -> SessionReplay:
        """Build it from its mapping, `roles` being `{unit: agent}`."""
        values = dict(content)
        if "roles" in values:
            values["roles"] = tuple(checks.mapping(f"{at}.roles", values["roles"]).items())
        return construct(cls, values, at)

    def check(self, scenario: Scenario) -> None:
        """Raise `ConfigError` for an unknown trace, agents or rates that are absurd."""
        load_spec(self.trace)
        for _, agent in self.roles:
            if agent not in scenario.agent_names:
                raise ConfigError(
                    f"workload.roles must name agents of scenario {scenario.name!r}, got {agent!r}"
                    f"{did_you_mean(agent, scenario.agent_names)}"
                )
        started = self.rate * scenario.horizon_s
        if started > MAX_SESSIONS:
            raise ConfigError(
                f"workload.rate must start at most {MAX_SESSIONS:g} sessions an episode, got "
                f"{started:g}; lower the rate or the horizon"
            )

    def tape(self, scenario: Scenario, episode: Episode) -> Tape:
        """Return the tape of an episode: a pure function of its arguments.

        Raises:
            TraceError: The trace is absent or damaged, has no session in the split or calls of
                units that no agent serves.
        """
        library = self.library(scenario, episode.split)
        drawn = self._draw(library, episode.seed, scenario.horizon_s)
        return assemble(library, drawn, float(scenario.horizon_s), self._routing(scenario))

    def library(self, scenario: Scenario, split: str) -> Library:
        """Return the sessions of a split, ready to be put on tapes; kept in memory."""
        window = load_spec(self.trace).window(split)
        return _library(self._sessions(), self, scenario.agent_names, window)

    def mean_rates(self, scenario: Scenario) -> Floats:
        """Return the expected calls per second of every agent in training, shape (N,) [1/s]."""
        library = self.library(scenario, "train")
        calls = np.bincount(library.agent, minlength=scenario.n_agents)
        return self.rate * calls / library.n_sessions

    def task_rate(self, scenario: Scenario) -> float:
        """Return the tasks that open per second in training [1/s]."""
        library = self.library(scenario, "train")
        return self.rate * library.n_tasks / library.n_sessions

    def _sessions(self) -> Sessions:
        return load_content(self.trace, Sessions)

    def _routing(self, scenario: Scenario) -> Floats:
        """Routing is a constant of the scenario: it is that of the training sessions."""
        return self.library(scenario, "train").routing

    def _draw(self, library: Library, seed: int, horizon_s: float) -> Drawn:
        lead_s = library.longest_s if self.in_progress else 0.0
        expected = self.rate * (lead_s + horizon_s) * library.n_calls / library.n_sessions
        if expected > MAX_CALLS:
            raise ConfigError(
                f"workload.rate must make at most {MAX_CALLS:g} calls an episode, got "
                f"{expected:g}; lower the rate or the horizon"
            )
        starts = poisson_times(keyed(seed, STARTS), self.rate, lead_s + horizon_s) - lead_s
        picks = keyed(seed, PICKS).integers(0, library.n_sessions, starts.size)
        alive = starts + library.length_s[picks] > 0
        return Drawn(picks[alive], starts[alive])


class Drawn(NamedTuple):
    """The sessions of an episode.

    Attributes:
        picks: Their places in the library, shape (sessions,).
        starts_s: Their starts, before the episode's own where negative, shape (sessions,) [s].
    """

    picks: Ints
    starts_s: Floats


def assemble(library: Library, drawn: Drawn, horizon_s: float, routing: Floats) -> Tape:
    """Put drawn sessions on a tape, without a loop."""
    counts = np.diff(library.call_ptr)[drawn.picks]
    calls = _spans(library.call_ptr[drawn.picks], counts)
    begin = library.start_s[calls] + np.repeat(drawn.starts_s, counts)
    kept = (begin >= 0) & (begin < horizon_s)
    place = np.cumsum(kept) - 1
    n_edges = np.diff(library.edge_ptr)[drawn.picks]
    edges = _spans(library.edge_ptr[drawn.picks], n_edges)
    first = np.repeat(np.cumsum(counts) - counts, n_edges)
    before, after = library.before[edges] + first, library.after[edges] + first
    linked = kept[before] & kept[after]
    before, after = place[before[linked]], place[after[linked]]
    calls, begin = calls[kept], begin[kept]
    n = calls.size
    n_predecessors = np.bincount(after, minlength=n).astype(np.int32)
    pointer = np.zeros(n + 1, dtype=np.int32)
    np.cumsum(np.bincount(before, minlength=n), out=pointer[1:])
    waits = n_predecessors > 0
    graph = CallGraph(
        _numbered(np.repeat(np.arange(counts.size), counts)[kept], library.task[calls]),
        n_predecessors,
        np.where(waits, library.delay_s[calls], 0.0),
        pointer,
        after.astype(np.int32),
    )
    release = np.where(waits, np.nan, begin)
    return Tape(library.agent[calls], library.work[calls], release, horizon_s, graph, routing)


def _spans(first: Ints, counts: Ints) -> Ints:
    """Return first[0], first[0] + 1, … (counts[0] of them), first[1], …."""
    offset = np.repeat(first - (np.cumsum(counts) - counts), counts)
    spans: Ints = np.arange(offset.size) + offset
    return spans


def _numbered(session: Ints, task: Ints) -> NDArray[np.int32]:
    """Number the runs of equal (session, task) from 0."""
    if not session.size:
        return np.empty(0, dtype=np.int32)
    fresh = (np.diff(session) != 0) | (np.diff(task) != 0)
    return np.concatenate(((0,), np.cumsum(fresh))).astype(np.int32)


@lru_cache(maxsize=64)
def _library(
    sessions: Sessions, replay: SessionReplay, agents: tuple[str, ...], window: tuple[float, float]
) -> Library:
    train = load_spec(replay.trace).window("train")
    try:
        return build_library(
            sessions,
            agents,
            dict(replay.roles),
            window=window,
            train=train,
            whole_sessions=replay.tasks == "session",
            longest_delay_s=replay.longest_delay_s,
        )
    except TraceError as error:
        raise TraceError(f"trace {replay.trace}: {error}") from error
