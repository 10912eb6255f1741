"""Model-predictive control."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..envs import checks
from .base import Allocator, Range, Shares, register
from .compiled import hold
from .control.constants import Constants
from .control.numbers import Seen, fill
from .control.program import Grid, Pace, lay_out
from .control.solver import solve
from .predictive import FORECASTS, Predictive

if TYPE_CHECKING:
    from ..envs.observation import Observation
    from ..envs.spec import Scenario


@register("mpc")
@dataclass(eq=False)
class MPC(Allocator):
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
    rate: float = 1.0
    drop: float = 0.1
    binaries: bool = False
    time_limit_s: float = 10.0

    def __post_init__(self):
        self._scenario = None

    @classmethod
    def examples(cls) -> tuple[str, ...]:
        return ("mpc:horizon=4",)

    def reset(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._p = Predictive(forecast=self.forecast, window_s=self.window_s, season_s=self.season_s, quantile=self.quantile)
        self._p.reset(scenario)
        self._grid = Grid.of(self.horizon, self.growth)
        self._layouts = {}
        self._hold = hold(scenario)
        self._pace = Pace.of(self._grid, self.drain_s / scenario.interval_s)

    def _layout(self, home):
        key = tuple(home.tolist())
        if key not in self._layouts:
            c = Constants.of(self._scenario, home)
            self._layouts[key] = lay_out(c, home, self._grid, self._pace)
        return self._layouts[key]

    def allocate(self, observation: Observation) -> Shares:
        scenario = observation.scenario
        if scenario is not self._scenario:
            self.reset(scenario)
        self._p._remember(observation)
        n = scenario.n_agents
        raw = observation.raw.reshape(-1, n, observation.raw.shape[-1])
        B = len(raw)
        g = self._grid
        cum = np.zeros((B, n, g.horizon))
        for h in range(g.horizon):
            cum[:, :, h] = self._p._forecast.ahead(np.full((B, n), h + 1))
        arr = np.add.reduceat(cum, g.start, axis=2) * scenario.interval_s * self.rate
        f = lambda x: np.reshape(x, (B, n))
        up = f(observation.upstream) * self.foresight
        shares = []
        st = f(observation.status)
        for b in range(B):
            home = f(observation.node)[b].astype(np.int64)
            lay = self._layout(home)
            av = f(observation.available)[b]
            avail = lay.constants.gpus.copy()
            avail[home] = av
            d = scenario.interval_s
            a = np.maximum(arr[b], (up[b] / 10.0 * d)[:, None] * np.clip(10.0 / d - g.start, 0, g.length))
            a = np.where(a < 1e-6, 0.0, a)
            seen = Seen(
                f(observation.queue + observation.in_service)[b], a, st[b] == 3, st[b] == 2,
                f(observation.ready_in_s)[b] / d, f(observation.keep_alive_left_s)[b] / d,
                f(observation.health)[b], avail, float(f(observation.ordered)[b, 0]))
            num = fill(lay, seen, self.headroom, self._pace, self.terminal)
            whole = None
            if self.binaries:
                whole = np.zeros(len(num.cost)); 
                for c in (lay.columns.held, lay.columns.loads, lay.columns.serves): whole[c] = 1
            x, _ = solve(lay.frame, num, whole, self.time_limit_s)
            shares.append(self._act(lay, seen, home, x, num))
        out = np.array(shares)
        return out[0] if observation.raw.ndim == 2 else out

    def _act(self, lay, seen, home, x, num):
        c, col = lay.constants, lay.columns
        s = self._scenario
        x = np.maximum(x, 0)
        part = np.clip(1.0 - np.where(seen.warm, 0, seen.ready), 0, 1)
        can = part > 0
        want = x[col.served[:, 0]] * self.headroom / (c.rate * np.where(seen.health > 0, seen.health, 1)) / np.where(can, part, 1)
        busy = (want >= self._hold) & ((seen.calls > 0) | (x[col.serves[:, 0]] >= self.threshold))
        share = np.where(can & busy, np.maximum(want, self._hold), 0.0)
        held, loads = x[col.held[:, 0]] >= self.threshold, x[col.loads[:, 0]] >= self.threshold
        keep = np.where(seen.warm, held & (seen.kept < 1), np.where(seen.loading, x[col.held[:, 0]] >= self.drop, loads))
        share = np.where((share == 0) & keep, self._hold, share)
        usable = np.minimum(seen.available, c.gpus)
        free = can & (share > 0) & (not c.rented)
        goal = np.where(free, np.maximum(share, c.footprint), share)
        out = share.copy()
        for m in range(len(c.gpus)):
            on = home == m
            total = share[on].sum()
            if total > usable[m]:
                heldm = np.where(share[on] > 0, self._hold, 0)
                part_ = max(0.0, usable[m] - heldm.sum()) / max((share[on] - heldm).sum(), 1e-300)
                out[on] = heldm + min(1, part_) * (share[on] - heldm)
            else:
                more = (goal - share)[on]
                if more.sum() > 0:
                    out[on] += more * min(1.0, (usable[m] - total) / more.sum())
        if s.elastic is not None:
            unit = s.elastic.unit_gpus
            size = x[col.rented[0]]
            size = max(s.elastic.min_gpus, math.floor(size / unit + 1 - self.threshold + 1e-9) * unit)
            out = np.append(out, size)
        if s.n_nodes > 1:
            out = np.append(out, np.full(len(home), -1.0))
        return out
