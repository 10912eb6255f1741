"""State around the compiled kernel: tapes go in, shares go in, records come out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .constants import agent_constants, machines, most_units, servers, system_constants
from .errors import ConfigError
from .faults.changes import check_changes
from .kernel import batch as kernel
from .kernel import layout
from .kernel.load import load_graph, load_independent
from .kernel.service import record_interval
from .observation import Encoding, Observation, n_features, raw_columns
from .spec import Scenario
from .tape import Tape

Floats = NDArray[np.float64]


class Simulator:
    """A batch of B environments of one scenario, each playing a tape of its own.

    Without `graph` the batch takes tapes of independent calls only, on their own faster path; the
    results are the same to the last bit. Batched service is on the general path alone.

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
        self.graph = graph or "batched" in scenario.services
        self.environments = np.zeros(batch, layout.ENVIRONMENT)
        self.environments["done"] = 1  # until a tape is loaded
        self.agents = np.zeros((batch, scenario.n_agents), layout.AGENT)
        self.shares = np.zeros((batch, scenario.n_agents))
        self.tapes: list[Tape | None] = [None] * batch
        self.encoding = Encoding.of(scenario)
        self._system = system_constants(scenario, horizon_charge)
        self._constants = agent_constants(scenario)
        cuts = scenario.partitions
        self._cuts = cuts.vectors, cuts.starts, cuts.covered, cuts.widths
        self._machines = machines(scenario)
        self._nodes = np.zeros((batch, scenario.n_nodes), layout.NODE)
        self._flights = np.zeros((batch, scenario.n_agents), layout.FLIGHT)
        self._units = np.zeros((batch, most_units(scenario)))
        self._changes = np.zeros((batch, 1), layout.CHANGE)
        self._slots = np.zeros((batch, int(servers(scenario).sum())), layout.SLOT)
        self._routings = np.zeros((0, scenario.n_agents, scenario.n_agents))
        self._raw = np.zeros((scenario.n_agents, len(raw_columns(scenario))))
        self._width = scenario.n_agents * n_features(scenario)
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
        if len(tape.changes) > self._changes.shape[1]:
            self._changes = _widened(self._changes, self.batch, len(tape.changes), layout.CHANGE)
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
            self._load_changes(b, tape)
            kernel.open_batch_independent(b, *self._state())
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
            self._flights[b],
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
        self._load_changes(b, tape)
        kernel.open_batch_graph(b, *self._state())
        if tape.routing is not None:
            self.environments["routing"][b] = self._known_routing(tape.routing)

    def _load_changes(self, b: int, tape: Tape) -> None:
        self._changes[b, : len(tape.changes)] = tape.changes
        self.environments["n_changes"][b] = len(tape.changes)

    def step(self, shares: ArrayLike) -> None:
        """Put requested shares into force and play one interval of every environment.

        Environments at their horizon stay as they are.

        Args:
            shares: Requested shares, (B, N) or (N,) for a single environment [GPU]; or whole
                requests with the size and the nodes, (B, n_requests) or (n_requests,).

        Raises:
            ValueError: Another shape, or a share that is not a finite number.
        """
        requested = self._requested(shares)
        step = kernel.step_batch_graph if self.graph else kernel.step_batch_independent
        bad = step(requested, self.shares, *self._state())
        self._refuse(bad, requested, "environment")

    def step_flat(self, shares: ArrayLike) -> NDArray[np.float32]:
        """Step like `step` and return the flat observations, shape (B, N · features)."""
        if self.graph:
            self.step(shares)
            return self.flat(self.observe())
        requested = self._requested(shares)
        flat = np.empty((self.batch, self._width), np.float32)
        encoding = (self._raw, self.encoding.scale, self.encoding.constants, flat)
        bad = kernel.step_flat_independent(requested, self.shares, *encoding, *self._state())
        self._refuse(bad, requested, "environment")
        return flat

    def play(self, schedule: Floats) -> tuple[NDArray[Any], NDArray[Any]]:
        """Play environment 0 through a schedule in one compiled call.

        Args:
            schedule: Requested shares, shape (K, N) [GPU], or whole requests, (K, n_requests).

        Returns:
            Records, shape (K, N), dtype `layout.RECORD`, and the environment after each interval,
            shape (K,), dtype `layout.ENVIRONMENT`.
        """
        schedule = self._whole(schedule)
        records = np.zeros((len(schedule), self.scenario.n_agents), layout.RECORD)
        history = np.zeros(len(schedule), layout.ENVIRONMENT)
        play = kernel.play_graph if self.graph else kernel.play_independent
        bad = play(schedule, self.shares, records, history, *self._state())
        self._refuse(bad, schedule, "interval")
        return records, history

    def observe(self) -> Observation:
        """Return what an allocator may see now, arrays of the shape (B, N); a fresh copy."""
        raw = np.empty((self.batch, *self._raw.shape))
        self._observe(slice(None), raw)
        return Observation(self.scenario, self.environments["decision"].copy(), raw)

    def observe_flat(self, b: int) -> NDArray[np.float32]:
        """Return environment `b`'s flat observation, shape (N · features,)."""
        raw = self._raw[np.newaxis]
        self._observe(slice(b, b + 1), raw)
        out = np.empty((1, self._width), np.float32)
        kernel.encode_batch(raw, self.encoding.scale, self.encoding.constants, out)
        flat: NDArray[np.float32] = out[0]
        return flat

    def flat(self, observation: Observation) -> NDArray[np.float32]:
        """Encode an observation of the batch, shape (B, N · features), in compiled code."""
        out = np.empty((self.batch, self._width), np.float32)
        kernel.encode_batch(observation.raw, self.encoding.scale, self.encoding.constants, out)
        return out

    def _observe(self, some: slice, raw: Floats) -> None:
        batch = (self.environments[some], self.agents[some], self._nodes[some], self._calls[some])
        if self.graph:
            routings = self._routings
            kernel.observe_batch_graph(self._system, self._constants, *batch, routings, raw)
        else:
            kernel.observe_batch_independent(self._system, self._constants, *batch, raw)

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
        if self.batch == 1 and requested.ndim == 1:
            requested = requested[np.newaxis]
        if requested.ndim == 2 and len(requested) == self.batch:
            n, whole = self.scenario.n_agents, self.scenario.n_requests
            if requested.shape[1] in (n, whole):
                return self._whole(requested)
        rule = f"shares must have the shape (environments, agents) = {self.shares.shape}"
        if self.scenario.n_requests > self.scenario.n_agents:
            rule += f", or that of whole requests, {(self.batch, self.scenario.n_requests)}"
        raise ValueError(f"{rule}, got {np.shape(shares)}")

    def _whole(self, requested: Floats) -> Floats:
        """Complete shares, shape (..., N), to requests in which size and nodes follow them."""
        missing = self.scenario.n_requests - requested.shape[1]
        if missing:
            follow = np.full((len(requested), missing), -1.0)
            requested = np.concatenate([requested, follow], axis=1)
        return np.ascontiguousarray(requested)

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
        check_changes(tape.changes, self.scenario)
        if not tape.is_independent and not self.graph:
            raise ConfigError("a tape with call graphs needs Simulator(…, graph=True)")
        if tape.routing is not None and len(tape.routing) != self.scenario.n_agents:
            raise ConfigError(
                f"the tape's routing must have the shape (N, N) with N = {self.scenario.n_agents}, "
                f"got {tape.routing.shape}"
            )

    def _state(self) -> tuple[Any, ...]:
        """Return the arrays of `layout.Independent` or `layout.Graph`, in their order."""
        head = (self._system, self._constants, *self._cuts, self._machines, self.environments)
        pool = (self.agents, self._nodes, self._units, self._changes, self._calls, self._slots)
        if not self.graph:
            return (*head, *pool)
        tasks = (self._tasks, self._task_calls, self._successors, self._roots, self._delayed)
        return (*head, *pool, *tasks, self._order, self._flights, self._events)

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
