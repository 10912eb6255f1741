"""A trace in memory: arrivals and work on its clock, ready to be cut into episodes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import TraceError
from .calls import Floats, TraceCalls
from .files import CACHE_VARIABLE, TRACES_VARIABLE, find, obtain, read_checked
from .registry import TraceSpec, load_spec

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Trace:
    """The calls of one trace.

    Attributes:
        spec: What is known of it.
        arrival_s: Arrivals on the clock, sorted, read-only, shape (calls,) [s].
        work: Work in mean calls, read-only, shape (calls,): where it comes from tokens, its mean
            over the training window is 1.
        mean_gpu_s: The mean that work was divided by [GPU-s]; 1/mean_gpu_s is the throughput of
            one GPU. 1 where work is in calls already.
        agent: Name of each call's agent, shape (calls,) of str; `None` where the trace has one.
    """

    spec: TraceSpec
    arrival_s: Floats
    work: Floats
    mean_gpu_s: float
    agent: NDArray[np.str_] | None = None

    @cached_property
    def agent_names(self) -> tuple[str, ...]:
        """Names of the agents in the trace, sorted; none where it does not tell them apart."""
        return () if self.agent is None else tuple(np.unique(self.agent).tolist())

    def of(self, agent: str) -> Trace:
        """Return the calls of one agent alone.

        Raises:
            TraceError: The trace names no agents, or not this one.
        """
        if self.agent is None or agent not in self.agent_names:
            raise TraceError(
                f"trace {self.spec.name} must hold calls of agent {agent!r}, got those of "
                f"{', '.join(self.agent_names) or 'one unnamed agent'}; name another or none"
            )
        mine = self.agent == agent
        arrival, work = self.arrival_s[mine], self.work[mine]
        return Trace(self.spec, *_read_only(arrival, work), self.mean_gpu_s)

    def cut(self, start_s: float, horizon_s: float) -> tuple[Floats, Floats]:
        """Return release times in [0, horizon_s) [s] and work of the calls from `start_s` on."""
        first, end = self.arrival_s.searchsorted((start_s, start_s + horizon_s))
        release = self.arrival_s[first:end] - start_s
        work = self.work[first:end]
        if release.size and release[-1] >= horizon_s:  # put there by rounding
            end = release.searchsorted(horizon_s)
            return release[:end], work[:end]
        return release, work

    def n_calls(self, split: str) -> int:
        """Number of calls in a split's window."""
        first, end = self.arrival_s.searchsorted(self.spec.window(split))
        return int(end - first)


@dataclass(frozen=True)
class TraceStatus:
    """Whether a trace can be used right now, without a download.

    Attributes:
        name: Name in the registry.
        title: One line for people.
        licence: SPDX identifier.
        url: Where it comes from: an address, or for a derived file, in words.
        present: Whether a sound file is at hand.
        path: The file found, sound or not.
        bytes: Its size on disk.
        problem: Why it cannot be used; empty where it can.
    """

    name: str
    title: str
    licence: str
    url: str | None
    present: bool
    path: Path | None
    bytes: int
    problem: str


def load_trace(name: str, agent: str | None = None) -> Trace:
    """Find, check and read a trace; kept in memory for the next call.

    Args:
        name: Name in the registry, or the path of one's own (see `load_spec`).
        agent: The agent whose calls to return, in a trace that names several.

    Raises:
        ConfigError: An unknown name, or a bad YAML file of one's own.
        TraceError: The file is absent, damaged or holds no call in the training window.
    """
    return _load(_key(load_spec(name)), agent)


@lru_cache(maxsize=64)
def _load(key: _Key, agent: str | None) -> Trace:
    if agent is not None:
        return _load(key, None).of(agent)
    content = _read(key)
    if not isinstance(content, TraceCalls):
        raise TraceError(
            f"trace {key.spec.name} must hold calls on one clock, got {type(content).__name__}; "
            "a scenario plays it through another kind of workload or stream"
        )
    return build_trace(key.spec, content)


def load_content(name: str, kind: type[T]) -> T:
    """Find, check and read a trace of another kind than calls; kept in memory.

    Args:
        name: As for `load_trace`.
        kind: What its format must make.

    Raises:
        ConfigError: An unknown name, or a bad YAML file of one's own.
        TraceError: The file is absent, damaged or of a format that makes something else.
    """
    key = _key(load_spec(name))
    content = _read(key)
    if not isinstance(content, kind):
        raise TraceError(
            f"trace {name} must hold {kind.__name__}, got {type(content).__name__}; "
            "name a trace of such a format"
        )
    return content


class _Key(NamedTuple):
    """What the content of a trace depends on."""

    spec: TraceSpec
    places: tuple[str | None, str | None]
    changed: int


def _key(spec: TraceSpec) -> _Key:
    # A shipped trace's sum says what it holds; one's own file may change under the same name.
    path = None if spec.sha256 else find(spec)
    changed = path.stat().st_mtime_ns if path else 0
    return _Key(spec, (os.environ.get(TRACES_VARIABLE), os.environ.get(CACHE_VARIABLE)), changed)


@lru_cache(maxsize=64)
def _read(key: _Key) -> object:
    data, path = obtain(key.spec)
    return key.spec.format.read(data, str(path))


def build_trace(spec: TraceSpec, calls: TraceCalls) -> Trace:
    """Normalise work to mean 1 over the training window.

    Raises:
        TraceError: The training window holds no call.
    """
    start, end = spec.window("train")
    inside = (calls.arrival_s >= start) & (calls.arrival_s < end)
    if not inside.any():
        raise TraceError(
            f"trace {spec.name}: the training window {start:g}–{end:g} s must hold calls, got "
            f"none; its calls lie in {calls.arrival_s[0]:g}–{calls.arrival_s[-1]:g} s of the clock"
        )
    mean = 1.0 if calls.in_calls else float(calls.work[inside].mean())
    arrival, work = _read_only(calls.arrival_s.copy(), calls.work / mean)
    return Trace(spec, arrival, work, mean, calls.agent)


def _read_only(arrival_s: Floats, work: Floats) -> tuple[Floats, Floats]:
    for array in (arrival_s, work):
        array.setflags(write=False)
    return arrival_s, work


def trace_status(name: str) -> TraceStatus:
    """Say whether a trace is at hand, without fetching it.

    Raises:
        ConfigError: An unknown name.
    """
    spec = load_spec(name)
    path = find(spec)
    problem = "" if path else "absent"
    if path is not None:
        try:
            read_checked(spec, path)
        except TraceError as error:
            problem = str(error)
    size = path.stat().st_size if path else 0
    return TraceStatus(
        spec.name, spec.title, spec.licence, spec.origin, not problem, path, size, problem
    )
