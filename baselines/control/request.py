"""From the first interval of a plan to a request that the simulator's rules take as it is meant."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ...envs.spec import Scenario
    from .constants import Floats, Ints
    from .numbers import Seen
    from .program import Grid, Layout, Pace

KEEP = 0.1  # part of a load in progress that a plan must keep for it to go on


def request(
    scenario: Scenario,
    layout: Layout,
    home: Ints,
    seen: Seen,
    plan: Floats,
    pace: Pace,
    headroom: float,
    threshold: float,
    hold: float,
) -> Floats:
    """Return the shares of a plan's first interval, (N,), and where there is one the pool's size.

    Loads are whole: one is begun where the plan begins `threshold` or more of what is of use of it
    (`_of_use`), and given up where less than `KEEP` of that is kept, since to waver costs the most.
    Who loads, or has to be kept in memory, holds its place with `hold`. A zero share lets a model
    go only after its keep-alive, so it is given as long as that lasts beyond the next decision.
    """
    first = {
        name: plan[getattr(layout.columns, name)[:, 0]] for name in ("held", "loads", "serves")
    }
    serving = _serving(layout, seen, plan, headroom, hold)
    wanted = (seen.calls > 0) | (first["serves"] >= threshold)
    warm = (first["held"] >= threshold) & (seen.kept < 1.0)
    part = _of_use(layout.grid, seen, pace)
    going_on = plan[layout.columns.keeps] >= KEEP * part
    loads = np.where(seen.loading, 0.0, first["loads"] / part)
    begins = _that_fit(layout, home, seen, loads, threshold)
    in_memory = np.where(seen.warm, warm, begins)
    in_memory = np.where(seen.loading, going_on, in_memory)
    shares = np.where(wanted & (serving > 0), serving, np.where(in_memory, hold, 0.0))
    free = layout.constants.footprint if scenario.elastic is None else np.zeros(len(shares))
    raised = np.where((serves_now(seen) > 0) & (shares > 0), np.maximum(shares, free), shares)
    for node, gpus in enumerate(np.minimum(seen.available, layout.constants.gpus)):
        on = home == node
        shares[on] = _fit(shares[on], raised[on], gpus, hold)
    if scenario.elastic is None:
        return shares
    unit = scenario.elastic.unit_gpus
    units = math.floor(plan[layout.columns.rented[0]] / unit + 1.0 - threshold)
    # The plan orders just in time for a load's end, and nothing loads in an empty pool.
    units = max(units, int((wanted | in_memory).any()))
    return np.append(shares, max(scenario.elastic.min_gpus, units * unit))


def _of_use(grid: Grid, seen: Seen, pace: Pace) -> Floats:
    """Return the part of a load that those who wait can use in the block in which it ends, (N,).

    A part of a load serves that part of the calls, and the pace lets no more of them go: the plan
    loads the rest later, and would so at every decision. Where nobody waits a load is whole.
    """
    block = np.searchsorted(grid.start + grid.length, seen.ready, side="right")
    block = np.minimum(block, len(grid.start) - 1)
    fresh = np.take_along_axis(seen.arrivals, block[:, None], axis=1)[:, 0]
    total = seen.calls + np.cumsum(seen.arrivals, axis=1)[np.arange(len(block)), block]
    goes = pace.waiting[block] * (total - fresh) + pace.fresh[block] * fresh
    return np.divide(goes, total, out=np.ones(len(goes)), where=seen.calls > 0)


def _that_fit(
    layout: Layout, home: Ints, seen: Seen, loads: Floats, threshold: float
) -> NDArray[np.bool_]:
    """Return which loads begin, (N,): those begun most first, while memory holds all of them."""
    constants = layout.constants
    room = constants.memory_with(np.minimum(seen.available, constants.gpus))
    present = seen.warm | seen.loading
    np.subtract.at(room, home[present], constants.memory[present])
    begins = np.zeros(len(loads), dtype=bool)
    for i in np.argsort(-loads, kind="stable"):
        if loads[i] >= threshold and not seen.warm[i] and constants.memory[i] <= room[home[i]]:
            begins[i] = True
            room[home[i]] -= constants.memory[i]
    return begins


def serves_now(seen: Seen) -> Floats:
    """Return the part of the next interval in which an agent can serve, (N,)."""
    return np.where(seen.warm, 1.0, np.clip(1.0 - seen.ready, 0.0, 1.0))


def _serving(layout: Layout, seen: Seen, plan: Floats, headroom: float, hold: float) -> Floats:
    """Return the shares that serve what the plan does, 0 where that is less than `hold`."""
    part, rate = serves_now(seen), layout.constants.rate * seen.health
    possible = (part > 0) & (rate > 0)
    work = headroom * np.maximum(plan[layout.columns.served[:, 0]], 0.0)
    share = np.divide(work, rate * part, out=np.zeros(len(work)), where=possible)
    return np.where(share >= hold, share, 0.0)


def _fit(shares: Floats, raised: Floats, gpus: float, hold: float) -> Floats:
    """Cut what lies above `hold` where shares exceed the GPUs; else raise them, as room allows.

    Up to the footprint a share costs nothing on top.
    """
    held = np.where(shares > 0, np.minimum(shares, hold), 0.0)
    room = gpus - shares.sum()
    above = (shares - held) if room < 0 else (raised - shares)
    part = min(1.0, abs(room) / above.sum()) if above.sum() > 0 else 0.0
    if room < 0:
        return np.asarray(held + max(0.0, 1.0 - part) * above)
    return np.asarray(shares + part * above)
