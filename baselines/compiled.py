"""What allocators share whose rule is one compiled function: columns, small terms, and memory.

A rule takes raw observations (B, N, columns), constants of the agents (rows, N) and plain numbers,
and returns shares (B, N) [GPU]. It reads the observation once, in order, and hands on array, row
and agent instead of slices: a slice is counted atomically, which was most of a rule's time. Among
a million agents the processor cannot guess who is active: terms are chosen (`&`, `max`, `either`,
times a truth value) and not jumped over, which halves the time.
"""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..envs import checks
from ..envs.kernel.compile import compiled, stamped
from ..envs.kernel.observe import RAW_COLUMNS
from ..envs.mig import COMPUTE_SLICES
from .base import Allocator, Shares

if TYPE_CHECKING:
    from ..envs.observation import Observation
    from ..envs.spec import Scenario

QUEUE = RAW_COLUMNS.index("queue")
ARRIVALS = RAW_COLUMNS.index("arrivals")
RATE_SHORT = RAW_COLUMNS.index("rate_short")
RATE_LONG = RAW_COLUMNS.index("rate_long")
READY_IN = RAW_COLUMNS.index("ready_in_s")
IDLE = RAW_COLUMNS.index("idle_s")
UPSTREAM = RAW_COLUMNS.index("upstream")
IN_SERVICE = RAW_COLUMNS.index("in_service")
SHARE = RAW_COLUMNS.index("share")
LOADING = RAW_COLUMNS.index("loading")
WARM = RAW_COLUMNS.index("warm")

_DIGEST = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def rule(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that may call those of this file.

    Numba renews what it keeps on disk when the function's own file changes, and knows nothing of
    the functions that it inlined from here: this file's digest joins the stamp.
    """
    return stamped(compiled(function), _DIGEST)


class Compiled(Allocator):
    """An allocator without memory whose rule is `_rule(raw, *arguments)`.

    Attributes:
        _rule: The compiled rule, as a static method.
    """

    _rule: ClassVar[Callable[..., Any]]
    _scenario: Any = None  # that of the last reset

    @abstractmethod
    def _prepare(self, scenario: Scenario) -> tuple[Any, ...]:
        """Return the rule's arguments after the raw observation: arrays first, then floats."""

    def reset(self, scenario: Scenario) -> None:
        """Work out the scenario's constants, and compile before the first decision is timed.

        Raises:
            ConfigError: The allocator cannot keep its promises in this scenario.
        """
        self._arguments = self._prepare(scenario)
        self._scenario = scenario
        self._rule(np.zeros((0, scenario.n_agents, len(RAW_COLUMNS))), *self._arguments)

    def allocate(self, observation: Observation) -> Shares:
        """Return the rule's shares."""
        if observation.scenario is not self._scenario:
            self.reset(observation.scenario)
        raw = observation.raw
        shares: Shares = self._rule(raw[None] if raw.ndim == 2 else raw, *self._arguments)
        return shares[0] if raw.ndim == 2 else shares


class Remembering(Allocator):
    """An allocator with memory: its rule is `_rule(raw, decision, clock, memory, *arguments)`.

    `clock` (B,) holds the last decision of each environment, -1 before the first, and `memory`,
    (B, ...) float64, what the rule remembers of it, all 0 at the start. Seen again, a decision is
    answered as before and remembered once; one that lies before the last begins a new episode of
    its environment. Environments of a batch stay in their rows, and another number of them begins
    anew, as `reset` does.
    """

    _rule: ClassVar[Callable[..., Any]]
    _scenario: Any = None  # that of the last reset

    @abstractmethod
    def _prepare(self, scenario: Scenario) -> tuple[Any, ...]:
        """Return the rule's arguments after the memory: arrays first, then floats."""

    @abstractmethod
    def _memory_shape(self, scenario: Scenario) -> tuple[int, ...]:
        """Return the shape of one environment's memory."""

    def reset(self, scenario: Scenario) -> None:
        """Forget everything, work out the constants, and compile before the first decision.

        Raises:
            ConfigError: The allocator cannot keep its promises in this scenario.
        """
        self._arguments = self._prepare(scenario)
        self._scenario = scenario
        self._forget(scenario, 0)
        self._decide(np.zeros((0, scenario.n_agents, len(RAW_COLUMNS))), np.zeros(0, np.int64))

    def allocate(self, observation: Observation) -> Shares:
        """Return the rule's shares, remembering the observation."""
        shares: Shares = self._follow(observation)
        return shares[0] if observation.raw.ndim == 2 else shares

    def _follow(self, observation: Observation) -> Any:
        """Return what the rule returns for a batch, of one where it is a single environment."""
        scenario, raw = observation.scenario, observation.raw
        if scenario is not self._scenario:
            self.reset(scenario)
        if raw.ndim == 2:
            raw = raw[None]
        if len(raw) != len(self._clock):
            self._forget(scenario, len(raw))
        return self._decide(raw, np.asarray(observation.decision, np.int64).reshape(-1))

    def _decide(self, raw: Shares, decision: NDArray[np.int64]) -> Shares:
        shares: Shares = self._rule(raw, decision, self._clock, self._memory, *self._arguments)
        return shares

    def _forget(self, scenario: Scenario, n_environments: int) -> None:
        self._clock = np.full(n_environments, -1, dtype=np.int64)
        self._memory = np.zeros((n_environments, *self._memory_shape(scenario)))


def rows(*values: Any) -> Shares:
    """Return arrays over agents as the rows of one, (rows, N): one array is unpacked faster."""
    return np.array(values, dtype=np.float64)


def hold(scenario: Scenario) -> float:
    """Return the share that keeps a model loading or in memory and hardly serves [GPU].

    The quantum, since less counts as zero, or one slice where the pool is cut into instances;
    positive where the quantum is 0, and at most G/N, so that all agents may have it at once.
    """
    most = scenario.gpus / scenario.n_agents
    if scenario.partition is not None:  # less than half a slice would become none
        return min(1.0 / COMPUTE_SLICES, most)
    return min(max(scenario.share_quantum, 1e-9 * most), most)


def duration(field: str, value: float) -> None:
    """Check a time that may be infinite: at least 0 [s]."""
    if value != math.inf:
        checks.number(field, value, at_least=0)


@compiled
def either(condition: bool, one: float, other: float) -> float:
    """Return one of two finite numbers without a jump: times 1, plus the other times 0."""
    part = 1.0 if condition else 0.0
    return part * one + (1.0 - part) * other


@compiled
def calls_at(raw: Shares, b: int, i: int) -> float:
    """Return the calls of agent i that wait or are in service."""
    return raw[b, i, QUEUE] + raw[b, i, IN_SERVICE]  # type: ignore[no-any-return]


@compiled
def is_active(raw: Shares, b: int, i: int, calls: float, keep_warm_s: float) -> bool:
    """Return whether an agent has `calls`, or is in memory and idle for less than its time.

    An infinite time keeps every agent, loaded or not.
    """
    in_memory = raw[b, i, LOADING] + raw[b, i, WARM] > 0.0
    kept = in_memory & (raw[b, i, IDLE] < keep_warm_s)
    return (calls > 0.0) | kept | (keep_warm_s == np.inf)  # type: ignore[no-any-return]


@compiled
def serves(raw: Shares, b: int, i: int, interval_s: float) -> bool:
    """Return whether an agent could serve before the next decision; else a share is wasted."""
    return raw[b, i, READY_IN] < interval_s  # type: ignore[no-any-return]


@compiled
def wanted(rate: float, calls: float, throughput: float, servers: float, drain_s: float) -> float:
    """Return the share that carries `rate` and works off `calls` in `drain_s`, (λ + n/drain_s)/T.

    Fewer calls than servers use only a part of the share, so n is at least c where there are any.
    """
    present = max(calls, servers) if calls > 0.0 else 0.0
    return (rate + present / drain_s) / throughput


@compiled
def fit(shares: Shares, b: int, gpus: float, held: float) -> None:
    """Cut what lies above `held` in proportion where row b sums to more than the pool.

    No positive share falls below `held`: the simulator would take it for zero.
    """
    total, floors = 0.0, 0.0
    for i in range(shares.shape[1]):
        total += shares[b, i]
        floors += held if shares[b, i] > 0.0 else 0.0
    if total > gpus:
        part = max(0.0, gpus - floors) / (total - floors)
        for i in range(shares.shape[1]):
            cut = held + part * (shares[b, i] - held)
            shares[b, i] = cut if shares[b, i] > 0.0 else 0.0


@compiled
def water_level(extras: Shares, n: int, weights: float, room: float) -> float:
    """Return θ with Σ min(extra, θ·weight) = room, by Newton's method: it rises and ends exactly.

    The sum is concave in θ and made of straight pieces, so that each step either serves somebody
    more in full or is the last. Who is full leaves the others to the next step: `extras`, (2, n),
    what n agents want and their weights, are used up. `weights` is the sum of these.
    """
    level = 0.0
    while weights > 0.0:
        # At least what it was: rounding may leave less than nothing for small weights.
        level, before, n, weights = max(level, room / weights), n, 0, 0.0
        for k in range(before):
            extra, weight = extras[0, k], extras[1, k]
            full = extra <= level * weight
            room -= extra if full else 0.0
            weights += 0.0 if full else weight
            extras[0, n], extras[1, n] = extra, weight
            n += 0 if full else 1
        if n == before:
            break
    return level


@compiled
def serve_in_order(
    shares: Shares, b: int, order: NDArray[np.int64], held: float, room: float
) -> None:
    """Hand out `room` above `held`, each in the order getting all that it needs while it lasts."""
    for i in order:
        extra = min(max(0.0, shares[b, i] - held), room)
        room -= extra
        shares[b, i] = held + extra if shares[b, i] > 0.0 else 0.0


@compiled
def share_of_replicas(
    raw: Shares,
    b: int,
    i: int,
    replicas: float,
    replica: float,
    least: float,
    held: float,
    interval_s: float,
) -> float:
    """Return what a number of replicas means here: one deployment with a share as large.

    No replica is no share. The footprint is `least`, since less costs the same; an agent that could
    not serve before the next decision holds its place.
    """
    running = either(serves(raw, b, i, interval_s), max(least, replicas * replica), held)
    return either(replicas > 0.0, running, 0.0)  # type: ignore[no-any-return]


@compiled
def is_new(decision: NDArray[np.int64], clock: NDArray[np.int64], memory: Shares, b: int) -> bool:
    """Set the clock of environment b; return whether the decision has not been seen yet."""
    last = clock[b]
    clock[b] = decision[b]
    if decision[b] < last:
        memory[b] = 0.0
    return decision[b] != last  # type: ignore[no-any-return]
