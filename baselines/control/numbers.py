"""The numbers of the program: what one environment's observation and forecast make of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .constants import Constants, Floats
from .program import ROUNDING, Grid, Layout, Pace

FEW = 1e-3  # calls: fewer are no reason for a coefficient that the solver cannot scale


@dataclass(frozen=True, eq=False)
class Seen:
    """What a program begins with; N agents, K blocks.

    Attributes:
        calls: Calls in the system, (N,).
        arrivals: Calls forecast for each block, (N, K).
        warm: Whether the model is ready, (N,).
        loading: Whether it loads, (N,).
        ready: Time until it could serve, (N,) [intervals].
        kept: Time that it stays in memory without a share, (N,) [intervals].
        health: Factor on the agent's rate, (N,).
        available: GPUs of each node, (nodes,).
        ordered: GPUs on order.
    """

    calls: Floats
    arrivals: Floats
    warm: NDArray[np.bool_]
    loading: NDArray[np.bool_]
    ready: Floats
    kept: Floats
    health: Floats
    available: Floats
    ordered: float


@dataclass(frozen=True, eq=False)
class Numbers:
    """Costs and bounds of a program.

    Attributes:
        cost: Of each column, (columns,).
        least: Lower bounds of columns.
        most: Upper bounds of columns.
        low: Lower bounds of rows, (rows,).
        high: Upper bounds of rows.
    """

    cost: Floats
    least: Floats
    most: Floats
    low: Floats
    high: Floats


def fill(layout: Layout, seen: Seen, headroom: float, pace: Pace, terminal: float) -> Numbers:
    """Set the layout's matrix and return the other numbers.

    Args:
        layout: The program.
        seen: What it begins with.
        headroom: GPUs given for each that the work needs.
        pace: How fast calls can be served.
        terminal: Factor on what a warm agent is worth at the horizon.
    """
    n_rows, n_columns = layout.frame.matrix.shape
    least, most = np.zeros(n_columns), np.full(n_columns, np.inf)
    high = np.zeros(n_rows)
    coming = seen.arrivals.copy()
    coming[:, 0] += seen.calls
    _set_matrix(layout, seen, coming, headroom, pace)
    _bound_columns(layout, seen, least, most)
    _bound_rows(layout, seen, coming, pace, high)
    cost = _costs(layout)
    _add_terminal(layout, seen, coming.sum(axis=1), terminal, cost)
    low = np.where(layout.equal, high, -np.inf)
    return Numbers(cost, least, most, low, high)


def _set_matrix(layout: Layout, seen: Seen, coming: Floats, headroom: float, pace: Pace) -> None:
    constants, frame, length = layout.constants, layout.frame, layout.grid.length
    health = np.where(seen.health > 0, seen.health, 1.0)  # who is stuck serves nothing anyway
    share = headroom / constants.rate[:, None] / length
    share[:, 0] /= health
    frame.set("share", share)
    frame.set("capacity", share)
    total = np.cumsum(coming, axis=1)
    everything = np.maximum(total[:, -1:], FEW)
    most = np.minimum(constants.gpus.max() / share, everything)
    at_once = pace.fresh[0] * seen.arrivals[:, 0] + pace.waiting[0] * seen.calls
    at_once = np.maximum(at_once, FEW)
    most[:, 0] = np.minimum(most[:, 0], at_once)
    frame.set("most", -most)
    frame.set("reach_serves", -coming)
    frame.set("reach_loaded", coming)
    frame.set("waits_loaded", -total)
    frame.set("reload", 1.0 / everything)
    ends = layout.grid.start + length
    frame.set("ended", np.clip((ends - seen.ready[:, None]) / length, 0.0, 1.0))


def _bound_columns(layout: Layout, seen: Seen, least: Floats, most: Floats) -> None:
    columns, start = layout.columns, layout.grid.start
    least[columns.reached] = -np.inf
    most[columns.held] = 1.0
    most[columns.keeps] = seen.loading
    # A load in progress serves for what is left of the block in which it ends.
    rest = start + layout.grid.length - np.where(seen.loading, seen.ready, 0.0)[:, None]
    most[columns.serves] = np.clip(rest / layout.grid.length, 0.0, 1.0)
    most[columns.served[:, 0]] = np.where(seen.health > 0, np.inf, 0.0)
    until = (start + layout.grid.length)[None] <= seen.kept[:, None] + ROUNDING
    least[columns.held] = seen.warm[:, None] & until
    most[columns.rented] = layout.constants.gpus[0]
    most[columns.kept] = seen.ordered


def _bound_rows(layout: Layout, seen: Seen, coming: Floats, pace: Pace, high: Floats) -> None:
    rows, constants = layout.rows, layout.constants
    total = np.cumsum(coming, axis=1)
    high[rows.flow] = coming
    high[rows.pace] = pace.fresh * seen.arrivals
    high[rows.pace[:, 0]] += pace.waiting[0] * seen.calls
    high[rows.memory[:, 0]] = seen.warm
    high[rows.waits] = -total
    if rows.rented.size:
        high[rows.rented[0]] = seen.available[0]
        high[rows.room] = constants.memory_with(np.zeros(len(constants.gpus)))[:, None]
        return
    high[rows.capacity] = seen.available[:, None]
    high[rows.room] = constants.memory_with(seen.available)[:, None]


def _costs(layout: Layout) -> Floats:
    """Return what the reward charges: calls in the system, what is billed, less what is busy."""
    constants, columns, length = layout.constants, layout.columns, layout.grid.length
    cost = np.zeros(layout.frame.matrix.shape[1])
    # Half of a block before and half of the one after: the mean of its ends.
    around = (length + np.append(length[1:], 0)) / 2.0
    cost[columns.left] = constants.waiting[:, None] * around
    cost[columns.extra] = constants.billed[:, None] * length
    cost[columns.held] = (constants.billed * constants.footprint)[:, None] * length
    cost[columns.served] = -(constants.busy / constants.rate)[:, None]
    if columns.rented.size:
        cost[columns.rented] = constants.rented * length
    return cost


def _add_terminal(layout: Layout, seen: Seen, total: Floats, terminal: float, cost: Floats) -> None:
    """Charge what is left at the horizon, and credit models that are in memory by then."""
    constants, columns, grid = layout.constants, layout.columns, layout.grid
    cost[columns.left[:, -1]] += constants.charge
    load = constants.billed * constants.footprint * (constants.load + constants.keep)
    cost[columns.reloads] = terminal * load * np.minimum(total, 1.0)
    warm = terminal * worth_of_warmth(constants, seen.arrivals[:, -1] / grid.length[-1])
    rest = np.where(seen.loading, seen.ready - grid.horizon, 0.0)
    worth = np.where(rest > 0, terminal * worth_of_loading(constants, total, rest), warm)
    cost[columns.held[:, -1]] -= worth
    # Of a load that is not over by then, what is done: begun in block k, to be over after `rest`.
    rest = grid.start + constants.load[:, None] - grid.horizon
    value = terminal * worth_of_loading(constants, total, rest.T).T
    gain = np.where(rest > ROUNDING, value - worth[:, None], 0.0)
    cost[columns.loads] -= gain
    cost[columns.loads[:, :-1]] += gain[:, 1:]


def worth_of_warmth(constants: Constants, rate: Floats) -> Floats:
    """Return what it saves to be warm for the next call, at `rate` calls an interval, (N,).

    A load and the waiting for it, less what the footprint costs until a call comes.
    """
    load = constants.billed * constants.footprint
    waits = np.minimum(rate, 1.0) * constants.load + rate * constants.load**2 / 2
    until = np.divide(load, rate, out=np.full(len(rate), np.inf), where=rate > 0)
    until = np.where(load > 0, until, 0.0)
    return np.maximum(load * constants.load + constants.waiting * waits - until, 0.0)


def worth_of_loading(constants: Constants, total: Floats, rest: Floats) -> Floats:
    """Return what a load saves that is over `rest` intervals after the horizon, (..., N).

    The part of it that is done then, as far as a call needs it, and the earlier end of waiting.
    """
    done = np.maximum(constants.load - rest, 0.0)
    load = constants.billed * constants.footprint * np.minimum(total, 1.0)
    return done * (load + constants.waiting * total)


__all__ = ["Grid", "Numbers", "Seen", "fill", "worth_of_loading", "worth_of_warmth"]
