"""The fluid program over the horizon: its columns and rows, laid out once for a scenario.

Its formulas are in docs/allocators.md. N agents, K blocks of intervals; columns and rows of agent
and block have the shape (N, K).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .constants import Constants, Floats, Ints
from .matrix import Frame, Shape

ROUNDING = 1e-9  # intervals: a load that ends so little after a decision has ended


@dataclass(frozen=True, eq=False)
class Grid:
    """Blocks of intervals; the first is one interval, so that its share can be applied.

    Attributes:
        start: First interval of each block, (K,).
        length: Intervals in each, (K,).
    """

    start: Ints
    length: Ints

    @classmethod
    def of(cls, horizon: int, growth: float) -> Grid:
        """Cut a horizon into blocks of which each is longer than the one before by a factor."""
        edges, length = [0], 1.0
        while edges[-1] < horizon:
            edges.append(min(horizon, edges[-1] + int(length)))
            length *= growth
        return cls(np.array(edges[:-1]), np.diff(edges))

    @property
    def horizon(self) -> int:
        """Intervals of all blocks."""
        return int(self.start[-1] + self.length[-1])

    def ended(self, load: Floats) -> Floats:
        """Return the part of block k for which a load begun in block j is over, (..., K, K).

        Args:
            load: How long loads take, (...,) [intervals].
        """
        over = self.start + load[..., None]
        left = (self.start + self.length)[:, None] - over[..., None, :]
        return np.clip(left / self.length[:, None], 0.0, 1.0)

    def after(self, lag: Ints) -> Ints:
        """Return the last block that ends at most `lag` (...,) intervals after each, (..., K)."""
        end = self.start + self.length
        return np.searchsorted(end, end + lag[..., None], side="right") - 1


@dataclass(frozen=True, eq=False)
class Pace:
    """The most of a block's calls that is served in it, if a call takes a mean time.

    Calls leave at the rate 1/τ each: of those present at the beginning 1 − e^(−d/τ) go within d, of
    those that come evenly over it 1 − (1 − e^(−d/τ))·τ/d.

    Attributes:
        waiting: Of those left by the block before, (K,).
        fresh: Of those that arrive in it, (K,).
    """

    waiting: Floats
    fresh: Floats

    @classmethod
    def of(cls, grid: Grid, mean: float) -> Pace:
        """Return the parts for a mean time in the system, in intervals."""
        waiting = -np.expm1(-grid.length / mean)
        return cls(waiting, 1.0 - waiting * mean / grid.length)


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns, (N, K) unless it is said otherwise.

    Attributes:
        served: Calls' worth of work that is done.
        left: Calls in the system at the block's end.
        extra: GPUs billed above the footprint.
        held: 1 where the model is in memory or loads.
        loads: Loads begun up to this block.
        loaded: Loads that have ended, in the mean of the block.
        serves: 1 where the agent can serve.
        reached: Calls that met a warm agent, less those for which a load has ended since.
        keeps: 1 where the load in progress goes on, (N,).
        reloads: Loads that are left to those after the horizon, (N,).
        usable: GPUs of an elastic pool that are ready, in the mean of the block, (K,), else empty.
        rented: GPUs that are ready or on order, and billed, (K,).
        orders: GPUs ordered, (K,).
        kept: GPUs on order now that stay so, (1,).
    """

    served: Ints
    left: Ints
    extra: Ints
    held: Ints
    loads: Ints
    loaded: Ints
    serves: Ints
    reached: Ints
    keeps: Ints
    reloads: Ints
    usable: Ints
    rented: Ints
    orders: Ints
    kept: Ints

    @classmethod
    def of(cls, shape: Shape, n: int, k: int, elastic: bool) -> Columns:
        """Add the columns."""
        pool = k if elastic else 0
        sizes = [(n, k)] * 8 + [(n,)] * 2 + [(pool,)] * 3 + [(min(pool, 1),)]
        return cls(*(shape.columns(*size) for size in sizes))


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows whose right-hand sides change, (N, K) unless it is said otherwise.

    Attributes:
        flow: What is left is what was, and arrives, and is not served.
        pace: No more is served than arrives and a part of what was left.
        memory: In memory is what was before, or has begun to load.
        reach: How `reached` goes on.
        waits: Nothing is done that met no warm agent.
        capacity: Shares fit into the pool or the node, (nodes, K).
        room: Models fit into memory, (nodes, K).
        rented: What is rented was, or is ordered, (K,).
    """

    flow: Ints
    pace: Ints
    memory: Ints
    reach: Ints
    waits: Ints
    capacity: Ints
    room: Ints
    rented: Ints


@dataclass(frozen=True, eq=False)
class Layout:
    """A program without its numbers.

    Attributes:
        constants: Of the scenario.
        grid: Blocks.
        columns: Where columns are.
        rows: Where rows are.
        frame: The matrix.
        equal: Whether a row is an equation, (rows,).
    """

    constants: Constants
    grid: Grid
    columns: Columns
    rows: Rows
    frame: Frame
    equal: NDArray[np.bool_]


def lay_out(constants: Constants, home: Ints, grid: Grid, pace: Pace) -> Layout:
    """Lay the program out for agents on nodes `home`, (N,), served at most at a pace."""
    shape, n, k = Shape(), len(constants.rate), len(grid.start)
    elastic = constants.rented > 0
    columns = Columns.of(shape, n, k, elastic)
    served, left = columns.served, columns.left
    flow = shape.rows((left, 1.0), (before(left), -1.0), (served, 1.0), like=left)
    paced = shape.rows((served, 1.0), (before(left), -pace.waiting), like=left)
    most = shape.rows((served, 1.0), like=left)
    shape.put(most, columns.serves, -1.0, "most")
    bill = shape.rows(
        (columns.extra, -1.0), (columns.held, -constants.footprint[:, None]), like=left
    )
    shape.put(bill, served, 1.0, "share")
    memory, ended = _add_memory(shape, columns, constants, grid)
    reach, waits = _add_reach(shape, columns)
    reload = shape.rows((columns.reloads, -1.0), (columns.serves[:, -1], -1.0), like=left[:, 0])
    shape.put(reload, left[:, -1], 1.0, "reload")
    nodes = np.zeros((len(constants.gpus), k))
    capacity, room = shape.rows(like=nodes), shape.rows(like=nodes)
    shape.put(capacity[home], served, 1.0, "capacity")
    limited = np.isfinite(constants.room)[home]
    shape.put(room[home], columns.held, np.where(limited, constants.memory, 0.0)[:, None])
    rented = _add_rent(shape, columns, constants, grid, capacity, room) if elastic else flow[:0, 0]
    equal = np.zeros(shape.n_rows, dtype=bool)
    equal[flow] = equal[reach] = equal[ended] = True
    rows = Rows(flow, paced, memory, reach, waits, capacity, room, rented)
    return Layout(constants, grid, columns, rows, shape.frame(), equal)


def _add_memory(
    shape: Shape, columns: Columns, constants: Constants, grid: Grid
) -> tuple[Ints, Ints]:
    """Add when models are in memory, as in the bound's program (`program.cells`)."""
    held, loads, serves, loaded = columns.held, columns.loads, columns.serves, columns.loaded
    memory = shape.rows(
        (held, 1.0), (before(held), -1.0), (loads, -1.0), (before(loads), 1.0), like=held
    )
    shape.put(memory[:, 0], columns.keeps, -1.0)
    shape.rows((before(loads), 1.0), (loads, -1.0), like=held)
    ended = shape.rows((loaded, -1.0), like=held)
    part = grid.ended(constants.load)
    # Of the loads up to block j, less those up to j − 1.
    step = part - np.append(part[:, :, 1:], np.zeros_like(part[:, :, :1]), axis=2)
    for j in range(len(grid.start)):
        shape.put(ended, loads[:, j : j + 1], step[:, :, j])
    keeps = columns.keeps[:, None]
    shape.put(ended, keeps, 1.0, "ended")
    shape.rows((serves, 1.0), (held, -1.0), (keeps, 1.0), (loads, 1.0), (loaded, -1.0), like=held)
    kept = grid.after(constants.keep)
    later = kept > np.arange(len(grid.start))
    shape.rows(
        (np.where(later, serves, -1), 1.0),
        (np.where(later, pick(held, kept), -1), -1.0),
        (np.where(later, pick(loads, kept), -1), 1.0),
        (np.where(later, loads, -1), -1.0),
        like=held,
    )
    return memory, ended


def _add_reach(shape: Shape, columns: Columns) -> tuple[Ints, Ints]:
    """Let each part of the calls be done only where it met a warm agent or a load has ended since.

    Of the a_j calls of block j at most serves_j + loaded_k − loaded_j are done by the end of k.
    """
    reached = columns.reached
    loaded = columns.loaded
    reach = shape.rows((reached, 1.0), (before(reached), -1.0), like=reached)
    shape.put(reach, columns.serves, -1.0, "reach_serves")
    shape.put(reach, loaded, 1.0, "reach_loaded")
    waits = shape.rows((columns.left, -1.0), (reached, -1.0), like=reached)
    shape.put(waits, loaded, -1.0, "waits_loaded")
    return reach, waits


def _add_rent(
    shape: Shape, columns: Columns, constants: Constants, grid: Grid, capacity: Ints, room: Ints
) -> Ints:
    """Let shares fit into GPUs that are ready, and bill those on order with them."""
    usable, rented, orders = columns.usable, columns.rented, columns.orders
    shape.put(capacity[0], usable, -1.0)
    if np.isfinite(constants.room[0]):
        shape.put(room[0], usable, -constants.room[0] / constants.gpus[0])
    rows = shape.rows((rented, 1.0), (before(rented[None])[0], -1.0), (orders, -1.0), like=usable)
    shape.put(rows[:1], columns.kept, -1.0)
    ready = shape.rows((usable, 1.0), (rented, -1.0), like=usable)
    part = grid.ended(np.array(constants.provision))
    for j in range(len(usable)):
        shape.put(ready[j:], orders[j], 1.0 - part[j:, j])
    # When those on order were ordered is not seen: as if it had been at a steady pace.
    come = (grid.start + grid.length / 2.0) / max(constants.provision, ROUNDING)
    shape.put(ready, columns.kept, 1.0 - np.minimum(come, 1.0))
    return rows


def before(columns: Ints) -> Ints:
    """Return the columns of the block before, −1 in the first."""
    return np.concatenate([np.full((len(columns), 1), -1), columns[:, :-1]], axis=1)


def pick(columns: Ints, blocks: Ints) -> Ints:
    """Return the columns of these blocks, (N, K) each; −1 stays −1."""
    taken = np.take_along_axis(columns, np.maximum(blocks, 0), axis=1)
    return np.where(blocks >= 0, taken, -1)
