"""The whole program of a scenario and a tape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .calls import group, read_calls
from .cells import add_cells
from .latency import add_charges, add_latency, add_order
from .limits import limits
from .rows import Program
from .service import Detail, add_backlog, add_blocks, add_rates

if TYPE_CHECKING:
    from ...envs.spec import Scenario
    from ...envs.tape import Tape


def build(scenario: Scenario, tape: Tape, detail: Detail) -> Program:
    """Put the program together whose optimum no allocator can beat."""
    program = Program()
    bounds = limits(scenario, tape)
    tasks, calls, beyond = read_calls(scenario, tape, bounds)
    groups = group(calls, bounds, detail.ratio)
    cells = add_cells(program, scenario, bounds)
    blocks = add_blocks(program, groups, len(bounds.length), detail)
    add_rates(program, groups, blocks, cells, bounds, detail)
    add_backlog(program, scenario, groups, blocks, cells, bounds)
    add_charges(program, scenario, bounds, tasks, groups, blocks, beyond)
    add_latency(program, scenario, bounds, tasks, groups, blocks, cells, detail)
    add_order(program, tape, bounds, groups, blocks)
    return program
