"""The finished script of one episode: every call of every task, drawn before it starts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import checks
from .errors import ConfigError
from .kernel.layout import CHANGE

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class CallGraph:
    """Tasks as graphs of calls, in compressed sparse rows.

    Attributes:
        task: Task of each call, shape (calls,).
        n_predecessors: Calls that must complete before this one, shape (calls,).
        delay: Think or tool time after the last of them, shape (calls,) [s]; 0 without any.
        successor_ptr: Call i's successors are `successors[ptr[i]:ptr[i + 1]]`, shape (calls + 1,).
        successors: Calls, shape (edges,).
    """

    task: Ints
    n_predecessors: Ints
    delay: Floats
    successor_ptr: Ints
    successors: Ints


@dataclass(frozen=True, eq=False)
class Tape:
    """All calls of an episode; no allocator ever changes it.

    Attributes:
        agent: Agent that each call goes to, shape (calls,).
        work: Work of each call, shape (calls,); 1 is the mean.
        release: Release time of calls without predecessors, NaN for the others, shape (calls,) [s].
        horizon_s: Length of the episode [s].
        graph: The call graphs, or `None` where every call is a task of its own.
        routing: Expected direct successor calls that one call of agent i makes to agent j, shape
            (N, N): all that an allocator may know of calls that are still to come.
        changes: What goes wrong, by decision, shape (changes,), dtype `layout.CHANGE`.
    """

    agent: Ints
    work: Floats
    release: Floats
    horizon_s: float
    graph: CallGraph | None = None
    routing: Floats | None = None
    changes: NDArray[Any] = field(default_factory=lambda: np.zeros(0, CHANGE))

    @classmethod
    def from_calls(
        cls,
        agent: ArrayLike,
        work: ArrayLike,
        release: ArrayLike,
        task: ArrayLike | None = None,
        predecessors: Sequence[Sequence[int]] | None = None,
        *,
        horizon_s: float,
        routing: ArrayLike | None = None,
    ) -> Tape:
        """Check and build a tape from calls in any order (ties go by index).

        Args:
            agent: Agent of each call, (calls,) whole numbers.
            work: Work of each call, (calls,), greater than 0.
            release: Release time [s] of a call without predecessors, otherwise the delay [s]
                between the completion of its last predecessor and its release; (calls,).
            task: Task of each call, whole numbers 0..n-1; by default each call is a task.
            predecessors: For each call the calls of the same task that must complete first.
            horizon_s: Length of the episode [s].
            routing: Expected direct successor calls from agent i to agent j, (N, N).

        Raises:
            TypeError: Values that are not numbers of the right kind.
            ConfigError: Values out of range, arrays of different length, an unknown predecessor,
                a predecessor of another task, a cycle, or a gap in the task ids.
        """
        checks.number("horizon_s", horizon_s, above=0)
        agents = _whole_numbers("agent", agent)
        n = len(agents)
        works = _floats("work", work, n)
        if np.any(works <= 0):
            raise _bad("work", np.flatnonzero(works <= 0)[0], works, "must be greater than 0")
        releases = _floats("release", release, n)
        if np.any(releases < 0):
            raise _bad("release", np.flatnonzero(releases < 0)[0], releases, "must be at least 0")
        edges = _checked_edges(predecessors, n)
        matrix = None if routing is None else _routing(routing)
        if task is None and not len(edges):
            return cls(agents, works, releases, float(horizon_s), routing=matrix)
        tasks = np.arange(n, dtype=np.int32) if task is None else _task_ids(task, n)
        graph = _graph(tasks, edges, releases)
        releases = np.where(graph.n_predecessors > 0, np.nan, releases)
        if np.array_equal(tasks, np.arange(n)):
            return cls(agents, works, releases, float(horizon_s), routing=matrix)
        return cls(agents, works, releases, float(horizon_s), graph, matrix)

    @classmethod
    def independent(cls, agent: Ints, work: Floats, release: Floats, horizon_s: float) -> Tape:
        """Build a tape of single-call tasks from arrays that a workload already guarantees."""
        return cls(agent, work, release, horizon_s)

    @property
    def is_independent(self) -> bool:
        """Whether every call is a task of its own."""
        return self.graph is None

    @property
    def n_calls(self) -> int:
        """Number of calls."""
        return len(self.agent)

    @cached_property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return self.n_calls if self.graph is None else int(self.graph.task.max(initial=-1)) + 1

    @cached_property
    def task(self) -> Ints:
        """Task of each call, shape (calls,)."""
        if self.graph is None:
            return np.arange(self.n_calls, dtype=np.int32)
        return self.graph.task

    @cached_property
    def n_predecessors(self) -> Ints:
        """Predecessors of each call, shape (calls,)."""
        if self.graph is None:
            return np.zeros(self.n_calls, dtype=np.int32)
        return self.graph.n_predecessors

    @cached_property
    def delay(self) -> Floats:
        """Delay after the last predecessor, shape (calls,) [s]."""
        return np.zeros(self.n_calls) if self.graph is None else self.graph.delay

    @cached_property
    def first_call(self) -> Ints:
        """First call of each task: earliest release, then lowest index; shape (tasks,)."""
        order = np.lexsort((np.arange(self.n_calls), self.release, self.task))  # NaN sorts last
        _, first = np.unique(self.task[order], return_index=True)
        return order[first].astype(np.int32)

    @cached_property
    def opened_at(self) -> Floats:
        """Release of each task's first call, shape (tasks,) [s]."""
        return self.release[self.first_call]

    @cached_property
    def by_agent(self) -> NDArray[np.int64] | None:
        """Order of the calls by agent, release and index; `None` where they stand so already."""
        later = self.release[1:] >= self.release[:-1]
        same, after = self.agent[1:] == self.agent[:-1], self.agent[1:] > self.agent[:-1]
        if np.all(after | (same & later)):
            return None
        return np.lexsort((np.arange(self.n_calls), self.release, self.agent))

    @cached_property
    def root_order(self) -> NDArray[np.int64]:
        """Calls without predecessors, by release and index."""
        roots = np.flatnonzero(self.n_predecessors == 0)
        return roots[np.argsort(self.release[roots], kind="stable")]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything that the simulator reads."""
        total = hashlib.sha256(np.float64(self.horizon_s).tobytes())
        arrays: list[NDArray[Any]] = [self.agent, self.work, self.release]
        if self.graph is not None:
            g = self.graph
            arrays += [g.task, g.n_predecessors, g.delay, g.successor_ptr, g.successors]
        if len(self.changes):
            arrays.append(self.changes)
        for array in arrays:
            total.update(f"{array.dtype.str}{array.shape}".encode())
            total.update(np.ascontiguousarray(array).tobytes())
        return total.hexdigest()


def _bad(field: str, index: int, values: NDArray[np.generic], rule: str) -> ConfigError:
    return ConfigError(f"{field}[{index}] {rule}, got {values[index].item()!r}")


def _array(
    field: str, values: ArrayLike, form: str = "a flat sequence", ndim: int = 1
) -> NDArray[np.generic]:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ConfigError(f"{field} must be {form}, got {values!r:.60}") from error
    if array.ndim != ndim:
        raise ConfigError(f"{field} must be {form}, got the shape {array.shape}")
    if array.size and array.dtype.kind not in "iuf":
        raise TypeError(f"{field} must hold numbers, got the dtype {array.dtype}")
    return array


def _floats(field: str, values: ArrayLike, n: int) -> Floats:
    array = _array(field, values).astype(np.float64)
    if len(array) != n:
        raise ConfigError(f"{field} must have one value a call ({n}), got {len(array)}")
    if not np.all(np.isfinite(array)):
        raise _bad(field, np.flatnonzero(~np.isfinite(array))[0], array, "must be finite")
    return array


def _whole_numbers(field: str, values: ArrayLike) -> Ints:
    array = _array(field, values)
    if array.size and array.dtype.kind == "f":
        raise TypeError(f"{field} must hold whole numbers, got the dtype {array.dtype}")
    bad = np.flatnonzero((array < 0) | (array > np.iinfo(np.int32).max))  # type: ignore[operator]
    if len(bad):
        raise _bad(field, bad[0], array, "must be a whole number from 0 to 2**31 - 1")
    return array.astype(np.int32)


def _task_ids(values: ArrayLike, n: int) -> Ints:
    tasks = _whole_numbers("task", values)
    if len(tasks) != n:
        raise ConfigError(f"task must have one value a call ({n}), got {len(tasks)}")
    present = np.unique(tasks)
    if len(present) and present[-1] != len(present) - 1:
        missing = int(np.flatnonzero(present != np.arange(len(present)))[0])
        raise ConfigError(f"task ids must be 0..n-1 without a gap; no call has the task {missing}")
    return tasks


def _routing(values: ArrayLike) -> Floats:
    matrix = _array("routing", values, "a square matrix (N, N)", 2).astype(np.float64)
    if matrix.shape[0] != matrix.shape[1]:
        raise ConfigError(f"routing must be a square matrix (N, N), got the shape {matrix.shape}")
    bad = np.flatnonzero(~(np.isfinite(matrix) & (matrix >= 0)))
    if len(bad):
        raise _bad("routing.flat", bad[0], matrix.ravel(), "must be finite and at least 0")
    return matrix


def _checked_edges(predecessors: Sequence[Sequence[int]] | None, n: int) -> NDArray[np.int64]:
    """Edges (predecessor, call), shape (edges, 2), by call."""
    if predecessors is None:
        return np.empty((0, 2), dtype=np.int64)
    if len(checks.listing("predecessors", predecessors)) != n:
        raise ConfigError(f"predecessors must have one list a call ({n}), got {len(predecessors)}")
    pairs = []
    for call, before in enumerate(predecessors):
        at = f"predecessors[{call}]"
        checks.listing(at, before)
        listed = [checks.integer(at, p, at_least=0, at_most=n - 1) for p in before]
        if len(set(listed)) != len(listed):
            raise ConfigError(f"{at} must name each call once, got {listed}")
        pairs += [(p, call) for p in listed]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _graph(task: Ints, edges: NDArray[np.int64], release: Floats) -> CallGraph:
    n = len(task)
    before, after = edges[:, 0], edges[:, 1]
    foreign = np.flatnonzero(task[before] != task[after])
    if len(foreign):
        p, c = edges[foreign[0]]
        raise ConfigError(
            f"predecessors[{c}] must be calls of the same task {task[c]}, "
            f"got call {p} of task {task[p]}"
        )
    counts = np.bincount(after, minlength=n).astype(np.int32)
    order = np.argsort(before, kind="stable")
    pointer = np.zeros(n + 1, dtype=np.int32)
    np.cumsum(np.bincount(before, minlength=n), out=pointer[1:])
    successors = after[order].astype(np.int32)
    _refuse_cycles(counts, pointer, successors)
    delay = np.where(counts > 0, release, 0.0)
    return CallGraph(task, counts, delay, pointer, successors)


def _refuse_cycles(n_predecessors: Ints, pointer: Ints, successors: Ints) -> None:
    """Peel off calls whose predecessors are all peeled (Kahn 1962); what stays is on a cycle."""
    left = n_predecessors.copy()
    ready = np.flatnonzero(left == 0).tolist()
    peeled = 0
    while ready:
        call = ready.pop()
        peeled += 1
        for after in successors[pointer[call] : pointer[call + 1]].tolist():
            left[after] -= 1
            if left[after] == 0:
                ready.append(after)
    if peeled < len(left):
        call = int(np.flatnonzero(left > 0)[0])
        raise ConfigError(f"predecessors must not form a cycle; call {call} waits for itself")
