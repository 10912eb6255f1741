"""Recorded sessions of agents: calls that wait for each other, with a clock for each session."""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import TraceError
from .calls import Floats

Ints = NDArray[np.int64]

MAIN = "main"
# Time stamps of main agents are whole seconds: a sub-agent may seem to end up to one second after
# the start of the call that waited for it.
ROUNDING_S = 1.0
# Tools that take longer are rare: a longer pause inside a turn is a person's, and ends the turn.
LONGEST_TOOL_S = 600.0
# Sessions are shorter than this [s], about three years: what is longer is a damaged time stamp.
LONGEST_S = 1e8


class SessionCall(NamedTuple):
    """One recorded call: every format of sessions is read into these.

    Attributes:
        session: Name of the session.
        chain: `main`, or a sub-agent's name, unique in the session.
        at_s: Start since the session's own start [s].
        unit: The model tier or role that served it.
        gpu_s: Work [GPU-s of the reference GPU].
        service_s: Recorded service time, or imputed from tokens [s].
        imputed: Whether it was imputed.
        ends_turn: Whether a person had the word next.
    """

    session: str
    chain: str
    at_s: float
    unit: str
    gpu_s: float
    service_s: float
    imputed: bool
    ends_turn: bool


@dataclass(frozen=True, eq=False)
class Session:
    """One session with its structure recovered; every call stands after those it waits for.

    Attributes:
        name: Its name.
        unit: Model tier or role of each call, shape (calls,) of str.
        is_sub: Whether a sub-agent made it, shape (calls,).
        gpu_s: Work, shape (calls,) [GPU-s].
        recorded_s: Recorded start since the session's, shape (calls,) [s].
        service_s: Recorded or imputed service time, shape (calls,) [s].
        imputed: Whether the service time was imputed, shape (calls,).
        delay_s: Think or tool time from the last predecessor's end to the start, (calls,) [s].
        turn: Turn that each call belongs to, from 0, ascending, shape (calls,).
        edges: (predecessor, call), ascending, shape (edges, 2); those between turns included.
    """

    name: str
    unit: NDArray[np.str_]
    is_sub: NDArray[np.bool_]
    gpu_s: Floats
    recorded_s: Floats
    service_s: Floats
    imputed: NDArray[np.bool_]
    delay_s: Floats
    turn: Ints
    edges: Ints

    @property
    def n_calls(self) -> int:
        """Number of calls."""
        return len(self.unit)

    def starts_s(self, longest_delay_s: float | None = None) -> Floats:
        """Starts under unlimited capacity with the recorded service times, shape (calls,) [s].

        Args:
            longest_delay_s: Longer delays are cut to it [s]; without it none is, and the starts are
                the recorded ones, but for calls that overlap the one that they follow.
        """
        limit = math.inf if longest_delay_s is None else longest_delay_s
        delays = np.minimum(self.delay_s, limit).tolist()
        service = self.service_s.tolist()
        ready, starts = [0.0] * self.n_calls, [0.0] * self.n_calls
        after = _successors(self.edges, self.n_calls)
        for call, delay in enumerate(delays):
            starts[call] = ready[call] + delay
            for later in after[call]:
                ready[later] = max(ready[later], starts[call] + service[call])
        return np.array(starts)


@dataclass(frozen=True, eq=False)
class Sessions:
    """What a file of sessions holds, in the order of their names."""

    sessions: tuple[Session, ...]


def session_hash(name: str) -> float:
    """Return where a session's name falls in [0, 1): its SHA-256's first 53 bits / 2^53.

    A trace's splits are windows on this axis, so that a session keeps its split whatever else is
    added to the trace.
    """
    return (int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 11) / 2.0**53


def group_sessions(calls: Iterable[SessionCall], source: str) -> Sessions:
    """Put calls together to sessions.

    Raises:
        TraceError: A session without a main agent, or calls that are out of order.
    """
    ordered = sorted(calls, key=attrgetter("session"))  # stable: each keeps its calls' order
    groups = groupby(ordered, key=attrgetter("session"))
    return Sessions(tuple(recover(name, list(group), source) for name, group in groups))


def recover(name: str, calls: Sequence[SessionCall], source: str) -> Session:
    """Find out which calls waited for which.

    The main agent's calls are a chain, and so are those of each sub-agent. A sub-agent starts after
    the last main call that started before it. The first main call after the sub-agent's end waits
    for it; main calls in between went on beside it. A delay is the recorded start less the end
    of the last call waited for, at least 0.

    Raises:
        TraceError: No main agent, or calls of one agent that are not sorted by time.
    """
    chains = _chains(name, calls, source)
    edges, turns = _links(calls, chains)
    order = sorted(
        range(len(calls)), key=lambda i: (turns[i], calls[i].at_s, calls[i].chain != MAIN)
    )
    place = np.empty(len(calls), dtype=np.int64)
    place[order] = np.arange(len(calls))
    links = place[np.array(edges, dtype=np.int64).reshape(-1, 2)]
    links = links[np.lexsort((links[:, 1], links[:, 0]))]
    _, chain, at_s, unit, gpu_s, service_s, imputed, _ = zip(
        *(calls[i] for i in order), strict=True
    )
    return Session(
        name=name,
        unit=np.array(unit),
        is_sub=np.array(chain) != MAIN,
        gpu_s=np.array(gpu_s, dtype=np.float64),
        recorded_s=np.array(at_s, dtype=np.float64),
        service_s=np.array(service_s, dtype=np.float64),
        imputed=np.array(imputed, dtype=bool),
        delay_s=_delays(at_s, service_s, _successors(links, len(calls))),
        turn=np.array([turns[i] for i in order], dtype=np.int64),
        edges=links,
    )


def _chains(name: str, calls: Sequence[SessionCall], source: str) -> dict[str, list[int]]:
    chains: dict[str, list[int]] = {MAIN: []}
    for i, call in enumerate(calls):
        chains.setdefault(call.chain, []).append(i)
    if not chains[MAIN]:
        raise TraceError(
            f"{source}: session {name} must have calls of {MAIN!r}, got none; add them"
        )
    for chain, members in chains.items():
        times = [calls[i].at_s for i in members]
        for one, other in pairwise(times):
            if not one <= other < LONGEST_S:
                raise TraceError(
                    f"{source}: session {name} must have the calls of {chain!r} sorted by time, "
                    f"within {LONGEST_S:g} s, got {other:g} s after {one:g} s; sort its lines"
                )
    return chains


def _links(
    calls: Sequence[SessionCall], chains: dict[str, list[int]]
) -> tuple[list[tuple[int, int]], list[int]]:
    """Edges (predecessor, call), and each call's turn.

    A turn ends where a person has the word next or takes a long time, unless a sub-agent is at work
    that a later main call waits for.
    """
    main = chains[MAIN]
    main_at = [calls[i].at_s for i in main]
    edges = [edge for chain in chains.values() for edge in pairwise(chain)]
    spans = [0] * (len(main) + 2)  # changes of the number of sub-agents at work
    homes = {}  # the main call whose turn each sub-agent belongs to
    for name, chain in chains.items():
        if name == MAIN:
            continue
        begin, last = calls[chain[0]].at_s, calls[chain[-1]]
        parent = bisect_right(main_at, begin) - 1
        home = max(parent, 0)
        if parent >= 0:
            edges.append((main[parent], chain[0]))
            launcher = calls[main[parent]]
            # A person came back and the sub-agent is what the next turn starts with.
            home += begin - launcher.at_s - launcher.service_s > LONGEST_TOOL_S
        homes[name] = home
        joined = max(
            bisect_left(main_at, last.at_s + last.service_s - ROUNDING_S),
            bisect_right(main_at, last.at_s),  # the last call may be shorter than the rounding
        )
        if joined < len(main):
            edges.append((chain[-1], main[joined]))
            spans[home + 1] += 1
            spans[joined + 1] -= 1
    turn = _turns([calls[i] for i in main], list(accumulate(spans)))
    turn.append(turn[-1] + 1)  # of sub-agents that come long after the last main call
    turns = [0] * len(calls)
    for name, chain in chains.items():
        for k, i in enumerate(chain):
            turns[i] = turn[k if name == MAIN else homes[name]]
    return edges, turns


def _turns(main: list[SessionCall], held: list[int]) -> list[int]:
    turns = [0]
    for (before, call), is_held in zip(pairwise(main), held[1:], strict=False):
        pause = call.at_s - before.at_s - before.service_s
        ends = (before.ends_turn or pause > LONGEST_TOOL_S) and not is_held
        turns.append(turns[-1] + ends)
    return turns


def _delays(at_s: Sequence[float], service_s: Sequence[float], after: list[list[int]]) -> Floats:
    """Delays that reproduce the recorded starts.

    An end is that of the call as it is replayed, not as recorded: where a call's recorded time
    overlaps the next, by rounding, the delay after shrinks and nothing drifts.
    """
    ready, delays = [0.0] * len(at_s), []
    for call, recorded in enumerate(at_s):
        delays.append(max(0.0, recorded - ready[call]))
        end = ready[call] + delays[-1] + service_s[call]
        for later in after[call]:
            ready[later] = max(ready[later], end)
    return np.array(delays)


def _successors(edges: Ints, n: int) -> list[list[int]]:
    after: list[list[int]] = [[] for _ in range(n)]
    for before, call in edges.tolist():
        after[before].append(call)
    return after
