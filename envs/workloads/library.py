"""The sessions of one split as flat arrays, ready to be put on tapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import TraceError, did_you_mean
from ..traces.sessions import Session, Sessions, session_hash
from .base import Floats

Ints = NDArray[np.int64]

SUB = "-sub"


@dataclass(frozen=True, eq=False)
class Library:
    """Sessions in compressed sparse rows; every call stands after those it waits for.

    Attributes:
        call_ptr: Calls of session s are those from `call_ptr[s]` to `call_ptr[s + 1]`,
            shape (sessions + 1,).
        agent: Agent of each call, shape (calls,) of int32.
        work: Work of each call in mean calls of its tier in training, shape (calls,).
        start_s: Start of each call since its session's, in a replay without queues, (calls,) [s].
        delay_s: Think or tool time before each call, shape (calls,) [s].
        task: Task of each call, ascending within its session from 0, shape (calls,).
        edge_ptr: As `call_ptr`, for the edges, shape (sessions + 1,).
        before: Predecessor of each edge, counted from its session's first call, shape (edges,).
        after: Call that waits for it, likewise, shape (edges,).
        length_s: Latest start in each session, shape (sessions,) [s].
        n_agents: Agents of the scenario.
        mean_gpu_s: Mean work of a call in training by tier or role [GPU-s]: on a GPU as fast as
            the reference, 1/mean_gpu_s is its throughput.
    """

    call_ptr: Ints
    agent: NDArray[np.int32]
    work: Floats
    start_s: Floats
    delay_s: Floats
    task: Ints
    edge_ptr: Ints
    before: Ints
    after: Ints
    length_s: Floats
    n_agents: int
    mean_gpu_s: Mapping[str, float]

    @property
    def n_sessions(self) -> int:
        """Number of sessions."""
        return len(self.length_s)

    @property
    def n_calls(self) -> int:
        """Number of calls."""
        return len(self.agent)

    @cached_property
    def n_tasks(self) -> int:
        """Number of tasks: in each session the last call's number, plus one."""
        return int(np.sum(self.task[self.call_ptr[1:] - 1] + 1))

    @property
    def longest_s(self) -> float:
        """Latest start of all, since its session's [s]."""
        return float(self.length_s.max())

    @cached_property
    def routing(self) -> Floats:
        """Mean direct successor calls of one call, a join counted once; shape (N, N)."""
        first = np.repeat(self.call_ptr[:-1], np.diff(self.edge_ptr))
        before, after = self.before + first, self.after + first
        share = 1 / np.bincount(after, minlength=self.n_calls)[after]
        edges = np.zeros((self.n_agents, self.n_agents))
        np.add.at(edges, (self.agent[before], self.agent[after]), share)
        calls = np.bincount(self.agent, minlength=self.n_agents)[:, None]
        routing = np.divide(edges, calls, out=np.zeros_like(edges), where=calls > 0)
        routing.setflags(write=False)
        return routing


def build_library(
    content: Sessions,
    agents: tuple[str, ...],
    roles: Mapping[str, str],
    *,
    window: tuple[float, float],
    train: tuple[float, float],
    whole_sessions: bool,
    longest_delay_s: float | None,
) -> Library:
    """Lay out the sessions whose hash lies in `window`; see `SessionReplay` for the rest.

    Raises:
        TraceError: No session there or in training, or calls of a unit that no agent serves.
    """
    found = within(content.sessions, window)
    mean_gpu_s = mean_work(within(content.sessions, train))
    edges = [session.edges for session in found]
    if not whole_sessions:  # what lies between turns is a person's time: a turn starts by itself
        edges = [
            e[session.turn[e[:, 0]] == session.turn[e[:, 1]]]
            for e, session in zip(edges, found, strict=True)
        ]
    starts = [session.starts_s(longest_delay_s) for session in found]
    limit = np.inf if longest_delay_s is None else longest_delay_s
    pairs = np.concatenate(edges)
    return Library(
        call_ptr=_pointer([session.n_calls for session in found]),
        agent=np.concatenate([_agents(session, agents, roles) for session in found]),
        work=np.concatenate([_work(session, mean_gpu_s) for session in found]),
        start_s=np.concatenate(starts),
        delay_s=np.minimum(np.concatenate([session.delay_s for session in found]), limit),
        task=np.concatenate([session.turn * (not whole_sessions) for session in found]),
        edge_ptr=_pointer([len(e) for e in edges]),
        before=pairs[:, 0],
        after=pairs[:, 1],
        length_s=np.array([start.max() for start in starts]),
        n_agents=len(agents),
        mean_gpu_s=mean_gpu_s,
    )


def within(sessions: Sequence[Session], window: tuple[float, float]) -> list[Session]:
    """Return the sessions whose names' hashes lie in [start, end).

    Raises:
        TraceError: There are none.
    """
    found = [s for s in sessions if window[0] <= session_hash(s.name) < window[1]]
    if not found:
        raise TraceError(
            f"the split {window[0]:g}–{window[1]:g} of the names' hashes must hold sessions, got "
            f"none of {len(sessions)}; add sessions or widen the split"
        )
    return found


def mean_work(sessions: Sequence[Session]) -> dict[str, float]:
    """Return the mean work of a call by tier or role, main and sub-agents together [GPU-s]."""
    units = np.concatenate([session.unit for session in sessions])
    gpu_s = np.concatenate([session.gpu_s for session in sessions])
    return {str(unit): float(gpu_s[units == unit].mean()) for unit in np.unique(units)}


def _work(session: Session, mean_gpu_s: Mapping[str, float]) -> Floats:
    # A tier that training never met is measured by the mean of those that it did.
    fallback = float(np.mean(list(mean_gpu_s.values())))
    return session.gpu_s / [mean_gpu_s.get(str(unit), fallback) for unit in session.unit]


def _agents(
    session: Session, agents: tuple[str, ...], roles: Mapping[str, str]
) -> NDArray[np.int32]:
    found = np.empty(session.n_calls, dtype=np.int32)
    for i, (unit, is_sub) in enumerate(zip(session.unit.tolist(), session.is_sub, strict=True)):
        label = unit + SUB if is_sub else unit
        agent = roles.get(label, label)
        if agent not in agents:
            raise TraceError(
                f"calls of {label!r} in session {session.name} must have an agent in the scenario"
                f"{did_you_mean(agent, agents)}; add it, or name one that serves it in `roles`"
            )
        found[i] = agents.index(agent)
    return found


def _pointer(counts: Sequence[int]) -> Ints:
    return np.concatenate(((0,), np.cumsum(counts))).astype(np.int64)
