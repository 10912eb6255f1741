"""The whole program of a scenario and a tape, and how finely it looks by their size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .calls import Groups, group, read_calls
from .cells import add_cells
from .latency import add_charges, add_latency, add_order
from .limits import Limits, limits
from .rows import Program
from .service import Detail, add_backlog, add_blocks, add_rates, offsets

if TYPE_CHECKING:
    from ...envs.spec import Scenario
    from ...envs.tape import Tape

# From finest to coarsest, and the columns that a program may have for them: by trial, seconds for
# the first three, a few hundredths of a second for an interval of the others.
DETAILS = (
    (Detail(), 12_000),
    (Detail(fine=6, growth=1.3, slopes=0), 20_000),
    (Detail(ratio=2.0, fine=6, growth=1.3, slopes=0), 20_000),
    (Detail(fine=4, growth=2.0, slopes=0, core=40, look=20), 150_000),
    (Detail(ratio=2.0, fine=4, growth=2.0, slopes=0, core=40, look=10), 200_000),
    (Detail(ratio=4.0, fine=2, growth=3.0, slopes=0, core=40, look=10), 0),
)
# Rows of tasks reach over many intervals, and programs with them are harder by far.
GRAPH_DETAILS = (
    (Detail(), 6_000),
    (Detail(fine=4, growth=2.0, slopes=0, core=20, look=10, method="highs-ipm"), 60_000),
    (Detail(fine=2, growth=3.0, slopes=0, core=20, look=10, method="highs-ipm"), 0),
)


def choose(scenario: Scenario, tape: Tape) -> Detail:
    """Return the finest detail that this many calls and intervals allow."""
    bounds = limits(scenario, tape)
    _, calls, _ = read_calls(scenario, tape, bounds)
    for detail, most in DETAILS if tape.is_independent else GRAPH_DETAILS:
        groups = group(calls, bounds, detail.ratio)
        if not most or n_columns(groups, bounds, detail) <= most:
            return detail
    raise AssertionError("the last detail takes everything")


def n_columns(groups: Groups, bounds: Limits, detail: Detail) -> int:
    """Return about how many columns the program would have."""
    marks = offsets(len(bounds.length), detail)
    blocks = np.searchsorted(marks[:-1], len(bounds.length) - groups.start)
    per_block = 3 if detail.slopes else 2
    return int(per_block * blocks.sum() + 8 * bounds.rate.size)


def build(scenario: Scenario, tape: Tape, detail: Detail) -> Program:
    """Put the program together whose optimum no allocator can beat."""
    program = Program()
    bounds = limits(scenario, tape)
    tasks, calls, beyond = read_calls(scenario, tape, bounds)
    groups = group(calls, bounds, detail.ratio)
    cells = add_cells(program, scenario, bounds)
    program.shares = cells.share, cells.held
    work = groups.count * groups.calls.work / scenario.throughput[groups.calls.agent]
    worth = scenario.weights.cost * bounds.price.min() * work
    blocks = add_blocks(program, groups, len(bounds.length), detail, worth)
    add_rates(program, groups, blocks, cells, bounds, detail)
    add_backlog(program, scenario, groups, blocks, cells, bounds)
    add_charges(program, scenario, bounds, tasks, groups, blocks, beyond)
    add_latency(program, scenario, bounds, tasks, groups, blocks, cells, detail)
    add_order(program, tape, bounds, groups, blocks)
    return program
