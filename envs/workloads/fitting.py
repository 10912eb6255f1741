"""Fits the generator of turns with sub-agents to the recorded sessions that have some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..traces.sessions import Session
from .base import Floats

Moments = tuple[float, float]


def fit_subagents(
    sessions: Sequence[Session], mean_gpu_s: Mapping[str, float]
) -> dict[str, float | Moments | list[float]]:
    """Return the numbers of `SubAgents`: moments over all fan-outs of the sessions.

    A fan-out is a main call and the sub-agents that it starts. Main calls are those of the turns
    with a fan-out; where none follows in its turn, one is counted, because the generator joins.

    Args:
        sessions: Training sessions.
        mean_gpu_s: Mean work of a call by tier [GPU-s], which work is divided by.
    """
    widths: list[int] = []
    lengths: list[int] = []
    before: list[int] = []
    after: list[int] = []
    delays: dict[bool, list[float]] = {False: [], True: []}
    work: dict[bool, list[float]] = {False: [], True: []}
    for session in (s for s in sessions if s.is_sub.any()):
        inside = session.edges[
            session.turn[session.edges[:, 0]] == session.turn[session.edges[:, 1]]
        ]
        launched = inside[~session.is_sub[inside[:, 0]] & session.is_sub[inside[:, 1]]]
        for launch, count in zip(*np.unique(launched[:, 0], return_counts=True), strict=True):
            main = np.flatnonzero(~session.is_sub & (session.turn == session.turn[launch]))
            widths.append(int(count))
            before.append(int(np.sum(main <= launch)))
            after.append(max(1, int(np.sum(main > launch))))
        lengths += [_chain(session, int(first)) for first in launched[:, 1]]
        with_fan_out = np.isin(session.turn, session.turn[launched[:, 0]])
        waits = np.isin(np.arange(session.n_calls), inside[:, 1]) & with_fan_out
        gpu_s = session.gpu_s / [mean_gpu_s[str(unit)] for unit in session.unit]
        for is_sub in (False, True):
            delays[is_sub] += session.delay_s[waits & (session.is_sub == is_sub)].tolist()
            work[is_sub] += gpu_s[with_fan_out & (session.is_sub == is_sub)].tolist()
    return {
        "width": (np.bincount(widths)[1:] / len(widths)).tolist(),
        "before": float(np.mean(before)),
        "after": float(np.mean(after)),
        "length": moments(np.array(lengths, dtype=np.float64)),
        "main_delay_s": moments(np.array(delays[False])),
        "sub_delay_s": moments(np.array(delays[True])),
        "main_work": moments(np.array(work[False])),
        "sub_work": moments(np.array(work[True])),
    }


def moments(values: Floats) -> Moments:
    """Return mean and CV."""
    return float(values.mean()), float(values.std() / values.mean())


def _chain(session: Session, call: int) -> int:
    """Count a sub-agent's calls from its first on."""
    count = 1
    after = dict(session.edges[session.is_sub[session.edges].all(axis=1)].tolist())
    while call in after:
        call = after[call]
        count += 1
    return count
