"""Model-predictive control: a fluid program over the next minute, solved anew at every decision.

The program is the bound's (`program`) without single calls: what is in the system, what the
forecast expects, loads that take their time, keep-alives, capacity and the reward's own costs,
with a terminal value for models in memory. docs/allocators.md has its formulas. Its first interval
is applied and the rest thrown away: receding horizon control, J. B. Rawlings, D. Q. Mayne and
M. Diehl, Model Predictive Control (2nd edition), chapter 1. Later intervals come together in
blocks: "move blocking", R. Cagienard et al., Journal of Process Control 17 (2007) 563-570.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..envs import checks
from ..envs.errors import ConfigError
from ..envs.kernel.layout import LOADING, WARM
from .base import Range, Shares, register
from .compiled import Remembering, hold
from .control.constants import Constants, Floats, Ints
from .control.numbers import Seen, fill
from .control.program import Grid, Layout, Pace, lay_out
from .control.request import request
from .control.solver import solve
from .forecast import FORECASTS, Forecast, make_forecast, path
from .parameters import check_truth

if TYPE_CHECKING:
    from ..envs.observation import Observation
    from ..envs.spec import Scenario

MAX_CELLS = 2_000  # agents times blocks: seconds for a decision
UPSTREAM_S = 10.0  # in which calls expected from upstream come [s]
NO_CALLS = 1e-6  # forecasts below it are none: the solver takes such numbers for noise


@register("mpc")
@dataclass(eq=False)
class MPC(Remembering):
    """A linear program for every decision: what it costs grows faster than the agents.

    Attributes:
        horizon: Intervals that are planned.
        growth: Length of a block of intervals over that of the one before; 1 plans each by itself.
        forecast: `ewma`, `holt_winters`, `seasonal` or `quantile`, as in `predictive`.
        window_s: Window of `ewma`, of the level of `holt_winters`, and of `quantile` [s].
        season_s: Length of a season, for `holt_winters` and `seasonal` [s].
        quantile: Quantile of the rates in the window, in [0, 1].
        headroom: GPUs given for each that the work needs, at least 1.
        drain_s: Mean time in the system that is planned for a call of a warm agent [s].
        terminal: Factor on what a model in memory at the horizon is worth, at least 0.
        foresight: Weight in [0, 1] of calls expected from upstream.
        threshold: Part of a load, or of a unit of GPUs, in a plan for which it is begun, in (0, 1].
        binaries: Whether loads and memory are whole numbers.
        time_limit_s: For one solution [s].
    """

    horizon: int = 60
    growth: float = 1.25
    forecast: str = "ewma"
    window_s: float = 10.0
    season_s: float = 60.0
    quantile: float = 0.8
    headroom: float = 1.0
    drain_s: float = 2.0
    terminal: float = 1.0
    foresight: float = 0.5
    threshold: float = 0.5
    binaries: bool = False
    time_limit_s: float = 10.0

    beyond_linear = "solves a program"
    search_space = (
        Range("window_s", 1.0, 120.0, log=True),
        Range("headroom", 1.0, 1.5),
        Range("drain_s", 0.5, 50.0, log=True),
        Range("terminal", 0.0, 2.0),
        Range("foresight", 0.0, 1.0),
        Range("threshold", 0.1, 0.9),
    )
    _rule = staticmethod(path)

    def __post_init__(self) -> None:
        checks.integer("mpc.horizon", self.horizon, at_least=1)
        checks.one_of("mpc.forecast", self.forecast, FORECASTS)
        for name in ("growth", "headroom"):
            checks.number(f"mpc.{name}", getattr(self, name), at_least=1)
        for name in ("window_s", "season_s", "drain_s", "time_limit_s"):
            checks.number(f"mpc.{name}", getattr(self, name), above=0)
        for name in ("quantile", "foresight"):
            checks.number(f"mpc.{name}", getattr(self, name), at_least=0, at_most=1)
        checks.number("mpc.threshold", self.threshold, above=0, at_most=1)
        checks.number("mpc.terminal", self.terminal, at_least=0)
        check_truth("mpc.binaries", self.binaries)

    @classmethod
    def examples(cls) -> tuple[str, ...]:
        """A short horizon, for speed; the program is the same."""
        return ("mpc:horizon=4",)

    def reset(self, scenario: Scenario) -> None:
        """Forget everything and lay the program out.

        Raises:
            ConfigError: Too many agents for the horizon.
        """
        self._grid = Grid.of(self.horizon, self.growth)
        blocks = len(self._grid.start)
        if scenario.n_agents * blocks > MAX_CELLS:
            raise ConfigError(
                f"mpc plans at most {MAX_CELLS} agents times blocks, got {scenario.n_agents} times "
                f"{blocks}; lower mpc.horizon, raise mpc.growth or take another allocator"
            )
        super().reset(scenario)
        self._hold = hold(scenario)
        self._pace = Pace.of(self._grid, self.drain_s / scenario.interval_s)
        self._layouts: dict[tuple[bytes, float], Layout] = {}
        self._layout(np.zeros(scenario.n_agents, dtype=np.int64))

    def allocate(self, observation: Observation) -> Shares:
        """Return shares, and the size of an elastic pool as one more entry.

        Raises:
            SolverError: A program without an optimum, or out of time: there are no shares then.
        """
        arrivals = self._arrivals(observation)
        raw = observation.raw[None] if observation.raw.ndim == 2 else observation.raw
        alone = (replace(observation, raw=row) for row in raw)
        requests = [self._request(*pair) for pair in zip(alone, arrivals, strict=True)]
        return requests[0] if observation.raw.ndim == 2 else np.stack(requests)

    def plan(self, observation: Observation) -> tuple[Layout, Floats, float]:
        """Return the layout, the planned columns and their cost for one environment.

        Raises:
            SolverError: As `allocate`.
        """
        layout, seen = self._begin(observation, self._arrivals(observation)[0])
        return layout, *self._solve(layout, seen)

    def _forecast(self, scenario: Scenario) -> Forecast:
        return make_forecast(
            self.forecast,
            scenario.interval_s,
            window_s=self.window_s,
            season_s=self.season_s,
            quantile=self.quantile,
        )

    def _memory_shape(self, scenario: Scenario) -> tuple[int, ...]:
        return self._forecast(scenario).memory_shape(scenario.n_agents)

    def _prepare(self, scenario: Scenario) -> tuple[Any, ...]:
        method = self._forecast(scenario).method()
        return method, self._grid.horizon, float(scenario.interval_s)

    def _request(self, observation: Observation, arrivals: Floats) -> Shares:
        layout, seen = self._begin(observation, arrivals)
        plan, _ = self._solve(layout, seen)
        return request(
            observation.scenario,
            layout,
            _home(observation),
            seen,
            plan,
            self._pace,
            self.headroom,
            self.threshold,
            self._hold,
        )

    def _begin(self, observation: Observation, arrivals: Floats) -> tuple[Layout, Seen]:
        home = _home(observation)
        layout = self._layout(home, _slow(observation))
        return layout, self._see(observation, arrivals, home, layout)

    def _solve(self, layout: Layout, seen: Seen) -> tuple[Floats, float]:
        numbers = fill(layout, seen, self.headroom, self._pace, self.terminal)
        return solve(layout, numbers, self.time_limit_s, self.binaries)

    def _layout(self, home: Ints, slow: float = 1.0) -> Layout:
        """Return the program for agents on these nodes and such loads, laid out once."""
        key = home.tobytes(), slow
        if key not in self._layouts:
            constants = Constants.of(self._scenario, home, slow)
            self._layouts[key] = lay_out(constants, home, self._grid, self._pace)
        return self._layouts[key]

    def _arrivals(self, observation: Observation) -> Floats:
        """Return the calls forecast for each block, (B, N, K), remembering the observation."""
        rates: Floats = self._follow(observation)
        calls = rates * observation.scenario.interval_s
        return np.add.reduceat(calls, self._grid.start, axis=-1)

    def _see(self, observation: Observation, arrivals: Floats, home: Ints, layout: Layout) -> Seen:
        interval_s, grid = observation.scenario.interval_s, self._grid
        # Calls on their way come evenly over a while; the forecast of their flow holds them too.
        lead = UPSTREAM_S / interval_s
        part = np.clip((lead - grid.start) / grid.length, 0.0, 1.0) * grid.length / lead
        arrivals = np.maximum(arrivals, self.foresight * observation.upstream[:, None] * part)
        available = layout.constants.gpus.copy()
        available[home] = observation.available
        return Seen(
            calls=observation.queue + observation.in_service,
            arrivals=np.where(arrivals < NO_CALLS, 0.0, arrivals),
            warm=observation.status == WARM,
            loading=observation.status == LOADING,
            ready=observation.ready_in_s / interval_s,
            kept=observation.keep_alive_left_s / interval_s,
            health=observation.health,
            available=available,
            ordered=float(observation.ordered[0]),
        )


def _home(observation: Observation) -> Ints:
    """Return the node of each agent, (N,)."""
    return observation.node.astype(np.int64)


def _slow(observation: Observation) -> float:
    """Return how many times as long as usual a load takes now, as cold agents show it, at least 1.

    Where all agents are in memory or load, a load longer than usual shows it, in whole times.
    """
    usual = observation.scenario.cold_start_s
    times = np.divide(observation.ready_in_s, usual, out=np.ones(len(usual)), where=usual > 0)
    cold = (observation.status < LOADING) & (usual > 0)
    return float(max(1.0, times[cold].max() if cold.any() else math.ceil(times.max() - 1e-9)))
