"""State around the compiled kernel: tapes go in, shares go in, records come out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ConfigError
from .kernel import batch as kernel
from .kernel import layout
from .kernel.load import load_graph, load_independent
from .kernel.observe import N_RAW
from .kernel.service import record_interval
from .observation import LONG_WINDOW_S, N_FEATURES, SHORT_WINDOW_S, Encoding, Observation
from .spec import Scenario
from .tape import Tape

Floats = NDArray[np.float64]


class Simulator:
    """A batch of B environments of one scenario, each playing a tape of its own.

    Without `graph` the batch takes tapes of independent calls only, on their own faster path; the
    results are the same to the last bit.

    Attributes:
        scenario: The system simulated.
        environments: State per environment, shape (B,), dtype `layout.ENVIRONMENT`.
        agents: State per agent, shape (B, N), dtype `layout.AGENT`.
        shares: Feasible shares of the last decision, shape (B, N) [GPU].
        tapes: The tape loaded into each environment.
    """

    def __init__(
        self,
        scenario: Scenario,
        batch: int = 1,
        *,
        graph: bool = False,
        horizon_charge: bool = True,
        capacity: int = 16,
    ) -> None:
        self.scenario = scenario
        self.batch = batch
        self.graph = graph
        self.environments = np.zeros(batch, layout.ENVIRONMENT)
        self.environments["done"] = 1  # until a tape is loaded
        self.agents = np.zeros((batch, scenario.n_agents), layout.AGENT)
        self.shares = np.zeros((batch, scenario.n_agents))
        self.tapes: list[Tape | None] = [None] * batch
        self.encoding = Encoding.of(scenario)
        self._system = _system(scenario, horizon_charge)
        self._constants = _agent_constants(scenario)
        self._partitions = scenario.partitions.vectors, scenario.partitions.starts
        self._slots = np.zeros((batch, int(scenario.concurrency.sum())), layout.SLOT)
        self._routings = np.zeros((0, scenario.n_agents, scenario.n_agents))
        self._raw = np.zeros((scenario.n_agents, N_RAW))
        self._calls = self._tasks = self._task_calls = _EMPTY
        self._roots = self._order = self._delayed = _EMPTY
        self._successors = np.zeros((batch, 1), np.int32)
        self._events = np.zeros(2 * _power_of_two(scenario.n_agents))
        self._reserve(capacity, 1, 1)

    def load(self, b: int, tape: Tape) -> None:
        """Put a tape into environment `b` and set its clock to 0.

        Raises:
            ConfigError: The tape's horizon or agents are not the scenario's, or it has call graphs
                and the simulator was made without `graph`.
        """
        self._check(tape)
        n, n_edges = tape.n_calls, 0
        if tape.graph is not None:
            n_edges = len(tape.graph.successors)
        if n > self._calls.shape[1] or n_edges > self._successors.shape[1]:
            self._reserve(n, tape.n_tasks, n_edges)
        self.tapes[b] = tape
        order = np.arange(n) if tape.by_agent is None else tape.by_agent
        if not self.graph:
            load_independent(
                self.environments[b : b + 1],
                self.agents[b],
                self._calls[b],
                order,
                tape.agent,
                tape.release,
                tape.work,
            )
            kernel.open_batch_independent(
                self._system, self._constants, self.environments, self.agents, self._calls, b, b + 1
            )
            return
        self._load_graph(b, tape, order)

    def _load_graph(self, b: int, tape: Tape, order: NDArray[np.int64]) -> None:
        if tape.graph is None:
            pointer, successors = np.zeros(tape.n_calls + 1, np.int32), np.zeros(0, np.int32)
        else:
            pointer, successors = tape.graph.successor_ptr, tape.graph.successors
        load_graph(
            self.environments[b : b + 1],
            self.agents[b],
            self._calls[b],
            self._tasks[b],
            self._task_calls[b],
            self._successors[b],
            self._roots[b],
            self._order[b],
            order,
            tape.agent,
            tape.release,
            tape.work,
            tape.task,
            tape.n_predecessors,
            tape.delay,
            pointer,
            successors,
            tape.first_call,
            tape.root_order,
        )
        kernel.open_batch_graph(*self._graph_state(), b, b + 1)
        if tape.routing is not None:
            self.environments["routing"][b] = self._known_routing(tape.routing)

    def step(self, shares: ArrayLike) -> None:
        """Put requested shares into force and play one interval of every environment.

        Environments at their horizon stay as they are.

        Args:
            shares: Requested shares, (B, N) or (N,) for a single environment [GPU].

        Raises:
            ValueError: Another shape, or a share that is not a finite number.
        """
        requested = self._requested(shares)
        if self.graph:
            bad = kernel.step_batch_graph(
                *self._graph_state(stepping=True), self._events, requested, self.shares
            )
        else:
            bad = kernel.step_batch_independent(
                *self._independent_state(),
                requested,
                self.shares,
            )
        self._refuse(bad, requested, "environment")

    def step_flat(self, shares: ArrayLike) -> NDArray[np.float32]:
        """Step like `step` and return the flat observations, shape (B, N · N_FEATURES)."""
        if self.graph:
            self.step(shares)
            return self.flat(self.observe())
        requested = self._requested(shares)
        flat = np.empty((self.batch, self.scenario.n_agents * N_FEATURES), np.float32)
        bad = kernel.step_flat_independent(
            *self._independent_state(),
            requested,
            self.shares,
            self._raw,
            self.encoding.scale,
            self.encoding.constants,
            flat,
        )
        self._refuse(bad, requested, "environment")
        return flat

    def play(self, schedule: Floats) -> tuple[NDArray[Any], NDArray[Any]]:
        """Play environment 0 through a schedule in one compiled call.

        Args:
            schedule: Requested shares, shape (K, N) [GPU].

        Returns:
            Records, shape (K, N), dtype `layout.RECORD`, and the environment after each interval,
            shape (K,), dtype `layout.ENVIRONMENT`.
        """
        records = np.zeros(schedule.shape, layout.RECORD)
        history = np.zeros(len(schedule), layout.ENVIRONMENT)
        if self.graph:
            state, events = self._graph_state(stepping=True), self._events
            bad = kernel.play_graph(*state, events, schedule, self.shares, records, history)
        else:
            bad = kernel.play_independent(
                *self._independent_state(),
                schedule,
                self.shares,
                records,
                history,
            )
        self._refuse(bad, schedule, "interval")
        return records, history

    def observe(self) -> Observation:
        """Return what an allocator may see now, arrays of the shape (B, N); a fresh copy."""
        raw = np.empty((self.batch, self.scenario.n_agents, N_RAW))
        if self.graph:
            kernel.observe_batch_graph(
                self._constants, self.environments, self.agents, self._calls, self._routings, raw
            )
        else:
            kernel.observe_batch_independent(
                self._constants, self.environments, self.agents, self._calls, raw
            )
        return Observation(self.scenario, self.environments["decision"].copy(), raw)

    def observe_flat(self, b: int) -> NDArray[np.float32]:
        """Return environment `b`'s flat observation, shape (N · N_FEATURES,)."""
        one = slice(b, b + 1)
        state = (self._constants, self.environments[one], self.agents[one], self._calls[one])
        raw = self._raw[np.newaxis]
        if self.graph:
            kernel.observe_batch_graph(*state, self._routings, raw)
        else:
            kernel.observe_batch_independent(*state, raw)
        out = np.empty((1, self.scenario.n_agents * N_FEATURES), np.float32)
        kernel.encode_batch(raw, self.encoding.scale, self.encoding.constants, out)
        flat: NDArray[np.float32] = out[0]
        return flat

    def flat(self, observation: Observation) -> NDArray[np.float32]:
        """Encode an observation of the batch, shape (B, N · N_FEATURES), in compiled code."""
        out = np.empty((self.batch, self.scenario.n_agents * N_FEATURES), np.float32)
        kernel.encode_batch(observation.raw, self.encoding.scale, self.encoding.constants, out)
        return out

    def record(self, out: NDArray[Any]) -> None:
        """Copy what is kept of environment 0's last interval, shape (N,), `layout.RECORD`."""
        record_interval(self.agents[0], out)

    @property
    def rewards(self) -> Floats:
        """Rewards of the last interval, shape (B,); a fresh copy."""
        return self.environments["reward"].copy()

    def call_times(self, b: int = 0) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
        """Return when each call of tape `b` was released, started and completed, and which failed.

        Returns:
            `released_at`, `started_at`, `completed_at` (calls,) [s], NaN where it did not happen,
            and `rejected` (calls,), in the tape's order.
        """
        tape = self.tapes[b]
        assert tape is not None
        calls = self._calls[b, : tape.n_calls]
        if self.graph:
            state = calls["state"]
            rejected = state == layout.REJECTED
            released = rejected | ((state >= layout.WAITING) & (state <= layout.COMPLETED))
            started = calls["started"].copy()
        else:
            rejected = calls["started"] == layout.REJECTED_MARK
            counts = self.agents["last_call"][b] - self.agents["first_call"][b]
            arrived = np.repeat(self.agents["next_arrival"][b], counts)
            released = np.arange(tape.n_calls) < arrived
            started = np.where(rejected, np.nan, calls["started"])
        released_at = np.where(released, calls["release"], np.nan)
        completed_at = calls["completed"].copy()
        if self.graph or tape.by_agent is None:
            return released_at, started, completed_at, rejected
        place = np.empty(tape.n_calls, np.int64)
        place[tape.by_agent] = np.arange(tape.n_calls)
        return released_at[place], started[place], completed_at[place], rejected[place]

    def _requested(self, shares: ArrayLike) -> Floats:
        requested = np.asarray(shares, dtype=np.float64)
        if self.batch > 1 and not np.isfinite(requested).all():  # before any of them moves
            bad = int(np.argmin(np.isfinite(requested).all(axis=-1)))
            self._refuse(bad, requested, "environment")
        if requested.shape == self.shares.shape:
            return np.ascontiguousarray(requested)
        if self.batch == 1 and requested.shape == self.shares.shape[1:]:
            return np.ascontiguousarray(requested)[np.newaxis]
        raise ValueError(
            f"shares must have the shape (environments, agents) = {self.shares.shape}, "
            f"got {requested.shape}"
        )

    @staticmethod
    def _refuse(bad: int, shares: Floats, where: str) -> None:
        if bad >= 0:
            raise ValueError(f"shares must be finite numbers, got {shares[bad]} for {where} {bad}")

    def _known_routing(self, routing: Floats) -> int:
        """Return the place of a routing matrix; tapes of one workload share theirs."""
        for place, known in enumerate(self._routings):
            if np.array_equal(known, routing):
                return place
        self._routings = np.concatenate([self._routings, routing[np.newaxis]])
        return len(self._routings) - 1

    def _check(self, tape: Tape) -> None:
        if tape.horizon_s != self.scenario.horizon_s:
            raise ConfigError(
                f"the tape's horizon_s must be the scenario's {self.scenario.horizon_s!r}, "
                f"got {tape.horizon_s!r}"
            )
        if tape.n_calls and tape.agent.max() >= self.scenario.n_agents:
            raise ConfigError(
                f"the tape's agents must be below {self.scenario.n_agents}, the number of agents "
                f"of scenario {self.scenario.name!r}, got {int(tape.agent.max())}"
            )
        if not tape.is_independent and not self.graph:
            raise ConfigError("a tape with call graphs needs Simulator(…, graph=True)")
        if tape.routing is not None and len(tape.routing) != self.scenario.n_agents:
            raise ConfigError(
                f"the tape's routing must have the shape (N, N) with N = {self.scenario.n_agents}, "
                f"got {tape.routing.shape}"
            )

    def _independent_state(self) -> list[Any]:
        head = [self._system, self._constants, *self._partitions, self.environments, self.agents]
        return [*head, self._calls, self._slots]

    def _graph_state(self, stepping: bool = False) -> list[Any]:
        head = [self._system, self._constants, self.environments, self.agents, self._calls]
        tasks = (self._slots, self._tasks, self._task_calls)
        if not stepping:
            return [*head, *tasks, self._roots, self._delayed]
        head = [*head[:2], *self._partitions, *head[2:]]
        return [*head, *tasks, self._successors, self._roots, self._delayed, self._order]

    def _reserve(self, calls: int, tasks: int, edges: int) -> None:
        """Make room for larger tapes, a quarter more than asked, keeping what is loaded."""
        room = max(calls + calls // 4, 16)
        if not self.graph:
            self._calls = _widened(self._calls, self.batch, room, layout.CALL)
            return
        self._calls = _widened(self._calls, self.batch, room, layout.GRAPH_CALL)
        self._tasks = _widened(self._tasks, self.batch, room, layout.TASK)
        self._task_calls = _widened(self._task_calls, self.batch, room, np.dtype(np.int32))
        self._roots = _widened(self._roots, self.batch, room, np.dtype(np.int32))
        self._order = _widened(self._order, self.batch, room, np.dtype(np.int32))
        self._delayed = _widened(self._delayed, self.batch, room, layout.DELAYED)
        room = max(edges + edges // 4, 16)
        self._successors = _widened(self._successors, self.batch, room, np.dtype(np.int32))


_EMPTY: NDArray[Any] = np.zeros((0, 0))


def _widened(old: NDArray[Any], batch: int, width: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    new = np.zeros((batch, max(width, old.shape[1])), dtype)
    if old.size:
        new[:, : old.shape[1]] = old
    return new


def _power_of_two(n: int) -> int:
    return 1 << max(1, (n - 1).bit_length())


def _system(scenario: Scenario, horizon_charge: bool) -> NDArray[Any]:
    system = np.zeros(1, layout.SYSTEM)
    for name in ("gpus", "share_quantum", "interval_s", "horizon_s", "reconfigure_s"):
        system[name] = getattr(scenario, name)
    memory = scenario.pool_memory_mb
    system["pool_memory_mb"] = math.inf if memory is None else memory
    system["reference_rate"] = scenario.reference_rate
    system["reference_latency_s"] = scenario.reference_latency_s
    for name in ("latency", "cost", "idle"):
        system[f"weight_{name}"] = getattr(scenario.weights, name)
    system["short_gain"] = -math.expm1(-scenario.interval_s / SHORT_WINDOW_S)
    system["long_gain"] = -math.expm1(-scenario.interval_s / LONG_WINDOW_S)
    system["n_intervals"] = scenario.n_intervals
    system["horizon_charge"] = horizon_charge
    system["mig"] = scenario.partition is not None
    system["mig_speed"] = scenario.partitions.speed
    return system


def _agent_constants(scenario: Scenario) -> NDArray[Any]:
    constants = np.zeros(scenario.n_agents, layout.AGENT_CONSTANTS)
    for name in layout.AGENT_CONSTANTS.names[:-1]:  # type: ignore[index]
        constants[name] = getattr(scenario, name)
    constants["first_server"][1:] = np.cumsum(scenario.concurrency)[:-1]
    return constants
