"""Columns and rows of every agent in every interval: shares, memory, loads, the bill."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .limits import ROUNDING, Limits
from .rows import Program

if TYPE_CHECKING:
    from ...envs.spec import Scenario

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Cells:
    """Columns of agent and interval, each (N, K); -1 where there is none.

    Attributes:
        share: Share in force while the model is in memory [GPU·s].
        held: 1 where the model is in memory for the whole interval.
        loads: Completed loads begun at this decision or before.
        serves: 1 where calls can be served.
        served: Rows that hold what is served to what the share can serve [work].
        counted: Rows that hold what is busy to the work served; `None` where busy is work over T.
    """

    share: Ints
    held: Ints
    loads: Ints
    serves: Ints
    served: Ints
    counted: Ints | None


def add_cells(program: Program, scenario: Scenario, limits: Limits) -> Cells:
    """Add what agents are given, hold and pay."""
    shape = (scenario.n_agents, len(limits.length))
    n = shape[0] * shape[1]
    mine = np.minimum(limits.capacity, limits.most)
    room = np.broadcast_to(mine * limits.length, shape).ravel()
    price = np.broadcast_to(limits.price, shape).ravel()
    bills = scenario.elastic is None
    share = program.columns(n, room, cost=price * bills, idle=price * bills)
    at = np.tile(np.arange(shape[1]), shape[0])
    # To begin with, work costs what it costs at full efficiency.
    rate = limits.rate.ravel()
    paid = (scenario.weights.cost + scenario.weights.idle) * price * bills
    guess = -np.divide(paid, rate, out=np.zeros(n), where=rate > 0)
    share_rows = program.at_most.add(0.0, (share, -rate), at=at, guess=guess)
    counted = _add_busy(program, limits, share, room, price)
    by_interval = share.reshape(shape)
    program.at_most.extend(
        np.tile(program.at_most.add(limits.capacity * limits.length, at=at[: shape[1]]), shape[0]),
        by_interval.ravel(),
        1.0,
    )
    held, loads, serves = _add_memory(program, limits, shape)
    _serve_with_shares(program, by_interval, serves, limits)
    if bills:
        _add_footprints(program, limits, by_interval, held, loads, serves)
    else:
        _add_rent(program, scenario, limits, by_interval)
    if limits.loads_between and scenario.pool_memory_mb is not None:
        _add_pool_memory(program, scenario.pool_memory_mb, scenario.memory_mb, held, loads)
    return Cells(by_interval, held, loads, serves, share_rows.reshape(shape), counted)


def _add_busy(
    program: Program, limits: Limits, share: Ints, room: Floats, price: Floats
) -> Ints | None:
    """Count busy GPU-seconds where work over T is not the measure: at most the share."""
    if np.all(limits.occupied * limits.rate <= 1 + ROUNDING):
        return None
    busy = program.columns(len(share), room, idle=-price)
    at = np.tile(np.arange(len(limits.length)), len(limits.rate))
    program.at_most.add(0.0, (busy, 1.0), (share, -1.0), at=at)
    return program.at_most.add(0.0, (busy, 1.0), at=at).reshape(limits.rate.shape)


def _add_memory(
    program: Program, limits: Limits, shape: tuple[int, int]
) -> tuple[Ints, Ints, Ints]:
    """Add when models are in memory, by loads that take their time and by keep-alives."""
    held, loads, serves = (np.full(shape, -1) for _ in range(3))
    rows = program.at_most
    k = np.arange(shape[1])
    for i in np.flatnonzero(limits.is_held):
        held[i] = program.columns(len(k), 1.0, whole=True)
        loads[i] = program.columns(len(k), float(len(k)), whole=True)
        serves[i] = program.columns(len(k), 1.0, whole=True)
        before = _shift(loads[i], 1)
        rows.add(0.0, (before, 1.0), (loads[i], -1.0), at=k)
        rows.add(
            0.0, (held[i], 1.0), (_shift(held[i], 1), -1.0), (loads[i], -1.0), (before, 1.0), at=k
        )
        # Served only by loads that have ended, and not just before memory is left.
        ended = _shift(loads[i], limits.load_lag[i])
        rows.add(0.0, (serves[i], 1.0), (held[i], -1.0), (loads[i], 1.0), (ended, -1.0), at=k)
        last = np.minimum(k + limits.keep_up[i], len(k) - 1)
        if limits.keep_up[i] > 0:
            terms = (held[i][last], -1.0), (loads[i][last], 1.0), (loads[i], -1.0)
            rows.add(0.0, (serves[i], 1.0), *terms, at=k)
        # A load that completes is held for its time and for a keep-alive (Rajan and Takriti 2005).
        up = _shift(loads[i], limits.load_up[i])
        rows.add(0.0, (loads[i], 1.0), (up, -1.0), (held[i], -1.0), at=k)
    return held, loads, serves


def _serve_with_shares(program: Program, share: Ints, serves: Ints, limits: Limits) -> None:
    """Count a share only in intervals in which it serves; others need none of it."""
    most = np.minimum(limits.capacity, limits.most) * limits.length
    for i in np.flatnonzero(limits.is_held):
        program.at_most.add(0.0, (share[i], 1.0), (serves[i], -most), at=np.arange(len(most)))


def _shift(columns: Ints, by: int) -> Ints:
    """Return the columns of `by` intervals before, -1 before the first."""
    return np.concatenate(
        [np.full(min(by, len(columns)), -1), columns[: max(0, len(columns) - by)]]
    )


def _add_footprints(
    program: Program, limits: Limits, share: Ints, held: Ints, loads: Ints, serves: Ints
) -> None:
    """Bill a footprint where it is more than the share, and on top of shares that serve.

    A run has a share here only in intervals in which it serves, where the second row asks for
    nothing; in others that it is in memory for, its bill is at least the footprint. Parts of a load
    would otherwise hide behind the share of the part that serves already.
    """
    for i in np.flatnonzero(limits.is_held & (limits.footprint > 0)):
        k = len(limits.length)
        least = limits.footprint[i] * limits.length
        extra = program.columns(k, least, cost=limits.price, idle=limits.price)
        # A load that begins between decisions is not billed before.
        late = float(limits.loads_between) * least
        rows = program.at_most.add(
            0.0,
            (held[i], least),
            (share[i], -1.0),
            (extra, -1.0),
            (loads[i], -late),
            at=np.arange(k),
        )
        program.at_most.extend(rows, _shift(loads[i], 1), late)
        on_top = program.at_most.add(
            0.0,
            (held[i], least),
            (serves[i], -least),
            (extra, -1.0),
            (loads[i], -late),
            at=np.arange(k),
        )
        program.at_most.extend(on_top, _shift(loads[i], 1), late)


def _add_rent(program: Program, scenario: Scenario, limits: Limits, share: Ints) -> None:
    """Bill a pool's units instead: those that shares need, from their order on."""
    elastic = scenario.elastic
    assert elastic is not None
    n = len(limits.length)
    floor = math.ceil(elastic.min_gpus / elastic.unit_gpus * (1 - ROUNDING)) * elastic.unit_gpus
    lag = math.ceil(elastic.provision_s / scenario.interval_s * (1 - ROUNDING))
    ready = program.columns(n, scenario.gpus)
    ordered = program.columns(n, scenario.gpus)  # for units that become ready, by that decision
    first = np.arange(n) < lag
    program.at_most.add(
        np.where(np.arange(n) == 0, floor, 0.0),
        (ready, 1.0),
        (_shift(ready, 1), -1.0),
        (np.where(first, -1, ordered), -1.0),
        at=np.arange(n),
    )
    per_gpu = limits.price * limits.length
    rented = program.columns(n, scenario.gpus, cost=per_gpu, idle=per_gpu)
    program.at_most.add(-floor, (rented, -1.0), at=np.arange(n))
    later = [np.append(ordered[m:], np.full(min(m, n), -1))[:n] for m in range(1, lag + 1)]
    terms = [(np.where(np.arange(n) + m < lag, -1, c), 1.0) for m, c in enumerate(later, 1)]
    program.at_most.add(0.0, (ready, 1.0), (rented, -1.0), *terms, at=np.arange(n))
    rows = program.at_most.add(0.0, (ready, -limits.length), at=np.arange(n))
    program.at_most.extend(np.tile(rows, len(share)), share.ravel(), 1.0)


def _add_pool_memory(
    program: Program, pool_mb: float, memory_mb: Floats, held: Ints, loads: Ints
) -> None:
    """Let models in memory fit into the pool's."""
    rows = program.at_most.add(pool_mb, at=np.arange(held.shape[1]))
    for i, size in enumerate(memory_mb):
        program.at_most.extend(rows, held[i], size)
        # A load that begins between decisions may wait until there is room.
        program.at_most.extend(rows, loads[i], -size)
        program.at_most.extend(rows, _shift(loads[i], 1), size)
