"""A stream, or several superposed, for every agent: tasks of one call each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import checks
from ..errors import ConfigError, did_you_mean
from ..kinds import construct
from ..tape import Tape
from .base import STREAMS, WORKLOADS, Episode, Floats, Stream, Workload, check_split
from .randomness import keyed, label_key
from .windows import Windows, blocks, check_lengths, starts

if TYPE_CHECKING:
    from ..spec import Scenario

MAX_CALLS = 50_000_000


class _Part(NamedTuple):
    agent: str
    stream: Stream
    key: int  # of its random numbers


@WORKLOADS("streams")
@dataclass(frozen=True)
class Streams(Workload):
    """Independent streams side by side.

    Every stream draws from random numbers of its own, named after its agent and its place in the
    agent's list: adding an agent or a stream leaves the others as they were.

    Attributes:
        streams: (agent, its streams), one for each agent of the scenario, in any order.
        suite_episodes: Episodes of a split's suite where no trace sets their number.
    """

    streams: tuple[tuple[str, tuple[Stream, ...]], ...]
    suite_episodes: int = 16

    def __post_init__(self) -> None:
        checks.integer("suite_episodes", self.suite_episodes, at_least=1, at_most=100_000)

    @classmethod
    def from_mapping(cls, content: Mapping[str, object], at: str) -> Streams:
        """Build it from `streams: {agent: stream or list of streams}`."""
        values = dict(content)
        if "streams" in values:
            streams = checks.mapping(f"{at}.streams", values["streams"])
            values["streams"] = tuple(
                (agent, _build(entry, f"{at}.streams.{agent}")) for agent, entry in streams.items()
            )
        return construct(cls, values, at)

    @property
    def is_random(self) -> bool:
        """Whether two episodes differ."""
        return any(part.stream.is_random for part in self._parts)

    @cached_property
    def _parts(self) -> tuple[_Part, ...]:
        return tuple(
            _Part(agent, stream, label_key(f"{agent}/{place}"))
            for agent, streams in self.streams
            for place, stream in enumerate(streams)
        )

    def only(self, agents: Sequence[str]) -> Streams:
        """Return the streams of some agents, as they are beside the others."""
        return replace(self, streams=tuple(one for one in self.streams if one[0] in agents))

    def check(self, scenario: Scenario) -> None:
        """Raise `ConfigError` where agents differ, windows are too short or rates absurd."""
        self._indices(scenario)
        check_lengths(self._windows("train"), "train", scenario.horizon_s)
        synthetic = (part.stream for part in self._parts if part.stream.clock is None)
        calls = scenario.horizon_s * sum(s.mean_rate(scenario.horizon_s) for s in synthetic)
        if calls > MAX_CALLS:
            raise ConfigError(
                f"workload.streams must make at most {MAX_CALLS:g} calls an episode, got "
                f"{calls:g}; lower the rates or the horizon"
            )

    def _indices(self, scenario: Scenario) -> dict[str, int]:
        indices = {name: i for i, name in enumerate(scenario.agent_names)}
        given = dict(self.streams)
        for name in given:
            if name not in indices:
                raise ConfigError(
                    f"workload.streams must name agents of scenario {scenario.name!r}, got "
                    f"{name!r}{did_you_mean(name, indices)}"
                )
        for name in indices:
            if name not in given:
                raise ConfigError(
                    f"workload.streams must name every agent of scenario {scenario.name!r}, got "
                    f"none for {name!r}; add it, with an empty list for no calls"
                )
        return indices

    def _windows(self, split: str) -> Windows:
        """Return the split's window on every clock; of traces on one clock, what they share."""
        windows: dict[str, tuple[float, float]] = {}
        for part in self._parts:
            clock = part.stream.clock
            if clock is None:
                continue
            start, end = part.stream.window(split)
            first, last = windows.get(clock, (start, end))
            windows[clock] = max(start, first), min(end, last)
        return windows

    def tape(self, scenario: Scenario, episode: Episode) -> Tape:
        """Return the tape of an episode: a pure function of its arguments.

        Raises:
            ConfigError: Other agents than the scenario's, or an episode outside of its window.
            TraceError: A trace is absent or damaged.
        """
        indices = self._indices(scenario)
        horizon_s = float(scenario.horizon_s)
        begin = starts(self._windows(episode.split), episode, horizon_s)
        releases, works = [np.empty(0)], [np.empty(0)]
        for _, stream, key in self._parts:
            start_s = 0.0 if stream.clock is None else begin[stream.clock]
            release, work = stream.arrivals(keyed(episode.seed, key), start_s, horizon_s)
            releases.append(release)
            works.append(work)
        owners = np.array([0, *(indices[part.agent] for part in self._parts)], dtype=np.int32)
        agent = np.repeat(owners, [release.size for release in releases])
        return Tape.independent(agent, np.concatenate(works), np.concatenate(releases), horizon_s)

    def suite(self, scenario: Scenario, split: str) -> tuple[Episode, ...]:
        """Return the split's episodes: blocks of its windows, or its first seeds without traces.

        Raises:
            ConfigError: An unknown split, or a window that does not hold one episode.
        """
        windows = self._windows(check_split(split))
        if windows:
            return blocks(windows, split, scenario.horizon_s)
        return super().suite(scenario, split)

    def mean_rates(self, scenario: Scenario) -> Floats:
        """Return the expected calls per second of every agent in training, shape (N,) [1/s]."""
        rates = np.zeros(scenario.n_agents)
        indices = self._indices(scenario)
        for agent, stream, _ in self._parts:
            rates[indices[agent]] += stream.mean_rate(scenario.horizon_s)
        return rates


def _build(entry: object, at: str) -> tuple[Stream, ...]:
    if isinstance(entry, list):
        return tuple(STREAMS.build(stream, f"{at}[{i}]") for i, stream in enumerate(entry))
    return (STREAMS.build(entry, at),)
