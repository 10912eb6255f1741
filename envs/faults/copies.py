"""Copies of whole tasks on a tape."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tape import CallGraph, Tape

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def task_sizes(tape: Tape) -> Ints:
    """Return the number of calls of each task, shape (tasks,)."""
    if tape.graph is None:
        return np.ones(tape.n_calls, dtype=np.int64)
    return np.bincount(tape.task, minlength=tape.n_tasks)


def copy_tasks(tape: Tape, tasks: Ints, opens_at: Floats) -> Tape:
    """Return the tape with copies of tasks after all its calls, each a task of its own.

    Args:
        tape: Keeps its calls, with their numbers.
        tasks: Task of which each copy is one, shape (copies,).
        opens_at: When each copy opens; its later roots keep their distance, shape (copies,) [s].
    """
    if tape.graph is None:
        agent, work = _join(tape.agent, tape.agent[tasks]), _join(tape.work, tape.work[tasks])
        return replace(tape, agent=agent, work=work, release=_join(tape.release, opens_at))
    sizes = task_sizes(tape)
    first = np.cumsum(sizes) - sizes
    by_task = np.argsort(tape.graph.task, kind="stable")
    length = sizes[tasks]
    calls = by_task[_spans(first[tasks], length)]
    since_opening = tape.release[calls] - np.repeat(tape.opened_at[tasks], length)
    return replace(
        tape,
        agent=_join(tape.agent, tape.agent[calls]),
        work=_join(tape.work, tape.work[calls]),
        release=_join(tape.release, np.repeat(opens_at, length) + since_opening),
        graph=_copy_graph(tape.graph, calls, length, by_task, first),
    )


def _copy_graph(
    graph: CallGraph, calls: Ints, length: Ints, by_task: Ints, first: Ints
) -> CallGraph:
    """Append the graphs of copied tasks, whose calls stand together.

    Args:
        graph: The graphs so far.
        calls: Call of which each new one is a copy, shape (new calls,).
        length: Calls of each copy, shape (copies,).
        by_task: All calls so far, by task, shape (calls,).
        first: Where each task's calls begin in `by_task`, shape (tasks,).
    """
    place = np.empty_like(by_task)  # of each call in its task
    place[by_task] = np.arange(by_task.size) - first[graph.task[by_task]]
    begin = np.repeat(by_task.size + np.cumsum(length) - length, length)
    n_edges = np.diff(graph.successor_ptr)[calls]
    edges = _spans(graph.successor_ptr[calls], n_edges)
    successors = place[graph.successors[edges]] + np.repeat(begin, n_edges)
    return CallGraph(
        _join(graph.task, first.size + np.repeat(np.arange(length.size), length)),
        _join(graph.n_predecessors, graph.n_predecessors[calls]),
        _join(graph.delay, graph.delay[calls]),
        _join(graph.successor_ptr, graph.successors.size + np.cumsum(n_edges)),
        _join(graph.successors, successors),
    )


def _join(old: NDArray[Any], new: NDArray[Any]) -> NDArray[Any]:
    """Append in the dtype of what is there."""
    return np.concatenate((old, new.astype(old.dtype)))


def _spans(first: NDArray[Any], counts: NDArray[Any]) -> Ints:
    """Return first[0], first[0] + 1, … (counts[0] of them), first[1], …."""
    offset = np.repeat(first - (np.cumsum(counts) - counts), counts)
    spans: Ints = np.arange(offset.size) + offset
    return spans
