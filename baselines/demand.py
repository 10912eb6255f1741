"""The honest rival: shares for the work in sight and the work expected, none for the rest.

With q calls in the system, λ the estimated rate and u the calls expected from upstream,

    wanted_i = (headroom·λ_i + (q_i + foresight·u_i)/drain_s) / T_i

which is raised to c_i/(T_i·service_s) where calls are present, so that a call alone in service
takes at most `service_s` (with q < c calls only q/c of a share is used). An agent that is active
holds at least its floor. Where the pool is short, floors come first, and what is left goes to
`extra = wanted − floor` in proportion to extra_i·(ω_i·T_i)^exponent: 0 shares it out evenly,
1 is the cμ rule softened, and large values approach strict cμ priority.

An agent is active while it has calls, or expects `wake` calls from upstream, or is in memory and
has been idle for at most `keep_warm_s`. Otherwise it gets zero and its keep-alive runs out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..envs import checks
from ..envs.errors import ConfigError
from ..envs.kernel.compile import compiled
from ..envs.kernel.observe import RAW_COLUMNS
from .base import Allocator, Choice, Range, Shares, register
from .compiled import duration
from .parameters import check_truth

if TYPE_CHECKING:
    from ..envs.observation import Observation
    from ..envs.spec import Scenario


class _Setting(NamedTuple):
    """Parameters and the scenario's constants, as the compiled rule reads them; arrays (N,)."""

    headroom: float
    short: float
    drain_s: float
    keep_warm_s: float
    foresight: float
    wake: float
    gpus: float
    interval_s: float
    throughput: Shares
    floor: Shares  # [GPU], sums to at most the pool
    alone: Shares  # share at which a lone call takes service_s [GPU]
    rank: Shares  # (ω·T)^exponent over its largest
    order: NDArray[np.int64]  # agents by falling rank


class _Columns(NamedTuple):
    """Places of the measurements in `Observation.raw`."""

    queue: int
    in_service: int
    upstream: int
    rate_short: int
    rate_long: int
    loading: int
    warm: int
    ready_in_s: int
    idle_s: int


COLUMNS = _Columns(*(RAW_COLUMNS.index(name) for name in _Columns._fields))


@register("demand")
@dataclass(eq=False)
class Demand(Allocator):
    """Queue-and-rate heuristic with cμ rationing, floors and a keep-warm timer: O(N).

    Attributes:
        headroom: Multiplier of the estimated rate, at least 0.
        short: Weight in [0, 1] of the 10 s rate; the 60 s rate has the rest.
        drain_s: Time in which the work in sight is to be done [s].
        service_s: Longest service of a call that is alone [s].
        exponent: Power of ω·T by which a short pool is rationed, at least 0.
        keep_warm_s: Idle time after which an agent is let go [s]; inf never, 0 at once.
        floor: Share of an active agent in footprints: up to 1 it costs nothing on top.
        foresight: Weight in [0, 1] of calls expected from upstream.
        wake: Calls in sight, foreseen ones weighted, that start a cold agent, in (0, 1].
        guarantee: Whether an active agent's floor is at least its `min_share`.
    """

    headroom: float = 1.0
    short: float = 0.5
    drain_s: float = 5.0
    service_s: float = 10.0
    exponent: float = 1.0
    keep_warm_s: float = 60.0
    floor: float = 1.0
    foresight: float = 0.5
    wake: float = 1.0
    guarantee: bool = False

    search_space: ClassVar[tuple[Range | Choice, ...]] = (
        Range("headroom", 0.0, 2.0),
        Range("short", 0.0, 1.0),
        Range("drain_s", 0.5, 50.0, log=True),
        Range("service_s", 1.0, 100.0, log=True),
        Range("exponent", 0.0, 8.0),
        Range("keep_warm_s", 0.5, 300.0, log=True),
        Range("floor", 0.0, 1.5),
        Range("foresight", 0.0, 1.0),
        Range("wake", 0.05, 1.0, log=True),
    )

    def __post_init__(self) -> None:
        for name in ("headroom", "exponent", "floor"):
            checks.number(f"{self.name}.{name}", getattr(self, name), at_least=0)
        for name in ("drain_s", "service_s"):
            checks.number(f"{self.name}.{name}", getattr(self, name), above=0)
        for name in ("short", "foresight"):
            checks.number(f"{self.name}.{name}", getattr(self, name), at_least=0, at_most=1)
        checks.number(f"{self.name}.wake", self.wake, above=0, at_most=1)
        duration(f"{self.name}.keep_warm_s", self.keep_warm_s)
        check_truth(f"{self.name}.guarantee", self.guarantee)
        self._scenario: Scenario | None = None

    def reset(self, scenario: Scenario) -> None:
        """Work out the scenario's constants, and compile before the first decision is timed.

        Raises:
            ConfigError: Minimum shares are to be guaranteed and exceed the pool.
        """
        self._setting = _setting(scenario, self)
        self._scenario = scenario
        _decide(np.zeros((1, scenario.n_agents, len(RAW_COLUMNS))), COLUMNS, self._setting)

    def allocate(self, observation: Observation) -> Shares:
        """Return floors and wanted shares of the active agents, rationed to the pool."""
        if observation.scenario is not self._scenario:
            self.reset(observation.scenario)
        raw = observation.raw
        if raw.ndim == 3:
            shares: Shares = _decide(raw, COLUMNS, self._setting)
            return shares
        alone: Shares = _decide(raw[np.newaxis], COLUMNS, self._setting)[0]
        return alone


@compiled
def _decide(raw: Shares, at: _Columns, setting: _Setting) -> Shares:
    """Apply the rule to every environment; (B, N, columns) to (B, N)."""
    shares = np.zeros(raw.shape[:2])
    for b in range(len(raw)):
        room, sought = setting.gpus, 0.0
        for i in range(raw.shape[1]):
            seen = raw[b, i]
            calls = seen[at.queue] + seen[at.in_service] + setting.foresight * seen[at.upstream]
            in_memory = seen[at.loading] + seen[at.warm] > 0.0
            kept = in_memory and seen[at.idle_s] < setting.keep_warm_s
            if calls >= setting.wake or kept or setting.keep_warm_s == np.inf:
                room -= setting.floor[i]
                shares[b, i] = setting.floor[i]
                if seen[at.ready_in_s] < setting.interval_s:
                    wanted = max(_wanted(seen, calls, i, at, setting), setting.floor[i])
                    sought += wanted - setting.floor[i]
                    shares[b, i] = wanted
        if sought > room:
            _ration(shares[b], sought, room, setting)
    return shares


@compiled
def _wanted(seen: Shares, calls: float, i: int, at: _Columns, setting: _Setting) -> float:
    rate = setting.short * seen[at.rate_short] + (1.0 - setting.short) * seen[at.rate_long]
    calls_per_s = setting.headroom * rate + calls / setting.drain_s
    wanted: float = calls_per_s / setting.throughput[i]
    if calls >= 1.0:
        wanted = max(wanted, setting.alone[i])
    return wanted


@compiled
def _ration(shares: Shares, sought: float, room: float, setting: _Setting) -> None:
    """Cut the `sought` above the floors to `room`, by extra·rank, nobody getting more than wanted.

    Water-filling: in order of falling rank those served in full are a prefix, and the level θ of
    the others is the largest (room − extras before k) / (extra·rank from k on) over k.
    """
    # From the last rank up: subtracting from a sum would lose small ranks to rounding.
    before, scaled, level = sought, 0.0, 0.0
    for i in setting.order[::-1]:
        extra = max(0.0, shares[i] - setting.floor[i])
        before -= extra
        scaled += extra * setting.rank[i]
        if scaled > 0.0:
            level = max(level, (room - before) / scaled)
    for i in range(len(shares)):
        extra = max(0.0, shares[i] - setting.floor[i])
        if extra > 0.0:
            shares[i] = setting.floor[i] + extra * min(1.0, level * setting.rank[i])


def _setting(scenario: Scenario, parameters: Demand) -> _Setting:
    # Not below the quantum, or the simulator would take an active agent's floor for zero.
    floor = np.maximum(parameters.floor * scenario.footprint, scenario.share_quantum)
    if parameters.guarantee:
        floor = _guaranteed(scenario, floor)
    else:
        floor = floor * min(1.0, scenario.gpus / float(floor.sum()))
    worth = scenario.weight * scenario.throughput
    rank = (worth / worth.max()) ** parameters.exponent
    return _Setting(
        headroom=float(parameters.headroom),
        short=float(parameters.short),
        drain_s=float(parameters.drain_s),
        keep_warm_s=float(parameters.keep_warm_s),
        foresight=float(parameters.foresight),
        wake=float(parameters.wake),
        gpus=float(scenario.gpus),
        interval_s=float(scenario.interval_s),
        throughput=np.array(scenario.throughput),
        floor=floor,
        alone=scenario.concurrency / (scenario.throughput * parameters.service_s),
        rank=rank,
        order=np.argsort(-rank, kind="stable"),
    )


def _guaranteed(scenario: Scenario, floor: Shares) -> Shares:
    """Raise floors to the minimum shares, shrinking only what lies above them."""
    minimum = float(scenario.min_share.sum())
    # The paper's minima add up to the pool, give or take a rounding.
    if minimum > scenario.gpus * (1.0 + 1e-12):
        raise ConfigError(
            f"min_share of all agents must sum to at most gpus = {scenario.gpus:g} where it is "
            f"guaranteed, got {minimum:g}; lower it, enlarge the pool or set demand.guarantee=false"
        )
    above = np.maximum(floor - scenario.min_share, 0.0)
    room = max(0.0, scenario.gpus - minimum)
    scale = min(1.0, room / float(above.sum())) if above.any() else 0.0
    raised: Shares = scenario.min_share + scale * above
    return raised
