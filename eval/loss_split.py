"""Where the distance between an allocator and the clairvoyant bound comes from.

On short cuts of a family's tapes, where the bound with whole loads can be computed,

    distance    = bound − allocator
    foresight   = best schedule found for the known tape − allocator
    whole loads = bound − bound with whole loads
    fluid slack = bound with whole loads − best schedule found

Foresight is at least as large as shown and slack at most: a search finds no optimum. Where the
solver runs out of time, what it has proven by then is taken, and whole loads are shown too small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from ..baselines import make_allocator
from ..baselines.bound import MAX_EXACT
from ..baselines.hindsight import best_schedule
from ..baselines.program.build import build
from ..baselines.program.service import Detail
from ..baselines.program.solve import solve, solve_whole
from ..envs.errors import ConfigError
from ..envs.run import simulate
from .engines import Workers
from .report import grid, number
from .session import progress
from .suite import load_suite
from .tape_cut import cut

if TYPE_CHECKING:
    from ..baselines.program.rows import Program
    from ..envs.observation import Observation
    from ..envs.spec import Scenario
    from ..envs.tape import Tape

Floats = NDArray[np.float64]
PARTS = ("foresight", "whole_loads", "slack")
LINEAR_LIMIT_S = 600.0  # without this bound there is nothing to split


@dataclass(frozen=True)
class Effort:
    """How much is looked at, and how long.

    Attributes:
        cuts: Cuts of each family.
        intervals: Length of a cut.
        plays: Changes that the search tries from each start.
        time_limit_s: For each program with whole loads [s].
        allocator: Whose distance is split.
    """

    cuts: int = 8
    intervals: int = 30
    plays: int = 5_000
    time_limit_s: float = 60.0
    allocator: str = "demand"


def split_losses(
    suites: Sequence[str], effort: Effort, jobs: int = 1, *, quiet: bool = False
) -> dict[str, Any]:
    """Split the distance to the bound on cuts of each suite's tapes.

    Raises:
        ConfigError: An unknown suite, or an allocator that cannot play it.
        SolverError: A bound that was not found.
    """
    for name in suites:
        suite = load_suite(name)
        if suite.split == "heldout":
            raise ConfigError(
                f"losses must look at a training or validation suite, got {name!r}: held-out tapes "
                "are for final figures"
            )
        make_allocator(effort.allocator).reset(suite.scenario)
        whole = 3 * suite.scenario.n_agents * min(effort.intervals, suite.scenario.n_intervals)
        if whole > MAX_EXACT:
            raise ConfigError(
                f"a cut of {name!r} must have at most {MAX_EXACT} whole numbers, 3 per agent and "
                f"interval, got {whole}; take fewer intervals"
            )
    work = [(name, index, effort) for name in suites for index in range(effort.cuts)]
    rows = []
    with Workers(jobs) as workers, progress("cuts", len(work), quiet) as advance:
        for row in workers.map(_one, work):
            rows.append(row)
            advance()
    found = {
        name: _total(rows[nth * effort.cuts : (nth + 1) * effort.cuts])
        for nth, name in enumerate(suites)
    }
    return {"effort": vars(effort), "suites": found}


def _total(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return means over the cuts, and the parts of the whole distance."""
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    distance = means["bound"] - means["reward"]
    parts = {f"{part}_part": means[part] / distance for part in PARTS} if distance > 0 else {}
    return {**means, "cuts": len(rows), "distance": distance, **parts}


def _one(suite_name: str, index: int, effort: Effort) -> dict[str, float]:
    """Split the distance on one cut: of an episode in turn, from a decision drawn by its number."""
    suite = load_suite(suite_name)
    episode = suite.episodes[index % len(suite.episodes)]
    rng = np.random.default_rng(index)
    n = min(effort.intervals, suite.scenario.n_intervals)
    first = int(rng.integers(suite.scenario.n_intervals - n + 1))
    scenario, tape = cut(suite.scenario, suite.scenario.tape(episode), first, n)
    return split(scenario, tape, effort, rng)


def split(
    scenario: Scenario, tape: Tape, effort: Effort, rng: np.random.Generator
) -> dict[str, float]:
    """Return reward, bound and the three parts of their distance on one tape, per interval."""
    decides = Recorded(make_allocator(effort.allocator))
    reward = float(simulate(scenario, tape, decides).rewards.mean())
    program = build(scenario, tape, Detail())
    values = scenario.weights
    weights = np.array([values.latency, values.cost, values.idle])
    linear = solve(program, weights, LINEAR_LIMIT_S)
    whole = solve_whole(program, weights, effort.time_limit_s, unfinished=True)
    starts = [np.array(decides.requests)]
    starts += [_schedule(scenario, program, solution.point) for solution in (linear, whole)]
    best, _ = best_schedule(scenario, tape, starts, effort.plays, rng)
    exact = min(-whole.value, -linear.value)
    return {
        "calls": float(tape.n_calls),
        "reward": reward,
        "bound": -linear.value,
        "foresight": best - reward,
        "whole_loads": -linear.value - exact,
        "slack": exact - best,
        "unfinished": float("ime limit" in whole.status),
    }


class Recorded:
    """An allocator, and everything that it requests."""

    def __init__(self, allocator: Any) -> None:
        self._allocator = allocator
        self.requests: list[Floats] = []

    def reset(self, scenario: Scenario) -> None:
        """Prepare the allocator for an episode."""
        self._allocator.reset(scenario)

    def allocate(self, observation: Observation) -> Floats:
        """Return what the allocator requests."""
        requested: Floats = self._allocator.allocate(observation)
        self.requests.append(requested.copy())
        return requested


def _schedule(scenario: Scenario, program: Program, point: Floats) -> Floats:
    """Return a program's shares as requests, with what is in memory held, (K, N)."""
    share, held = program.shares
    length = scenario.interval_ends - scenario.decision_times
    shares = point[share] / length
    least = np.minimum(scenario.footprint, scenario.gpus / scenario.n_agents)
    least = np.maximum(least, scenario.share_quantum)[:, None]
    is_held = np.where(held >= 0, point[held] >= 0.5, shares > 0)
    return np.where(is_held, np.maximum(shares, least), 0.0).T.copy()


def as_table(content: dict[str, Any]) -> RenderableType:
    """Return the split as a table, in percent of the distance."""
    effort = content["effort"]
    table = grid("")
    table.add_column("suite", overflow="fold")
    headers = ("cuts", "calls", effort["allocator"], "bound")
    for header in (*headers, "foresight", "loads", "slack", "late"):
        table.add_column(header, justify="right")
    for name, row in content["suites"].items():
        parts = [number(100 * row[f"{p}_part"], 0) if row["distance"] > 0 else "–" for p in PARTS]
        late = f"{row['unfinished'] * row['cuts']:.0f}"
        rewards = [number(row[key], 3) for key in ("reward", "bound")]
        table.add_row(name, f"{row['cuts']}", f"{row['calls']:.0f}", *rewards, *parts, late)
    head = (
        f"Distance of {effort['allocator']} to the bound, in percent, on cuts of "
        f"{effort['intervals']} intervals"
    )
    foot = (
        f"loads: whole against parts of them. {effort['plays']} changes from each of three "
        f"schedules; {effort['time_limit_s']:g} s for a program with whole loads, which is looser "
        "where it was late."
    )
    return Group(Text(head), table, Text(foot))
