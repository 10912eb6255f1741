"""The one loop that plays allocators over tapes, whatever the allocator is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..baselines import Allocator, make_allocator
from ..envs import metrics
from ..envs.errors import ConfigError
from ..envs.run import simulate
from .bounds import as_row, bounded_tapes
from .suite import Suite
from .summary import REFERENCE
from .workers import Workers

if TYPE_CHECKING:
    from ..baselines import Bound
    from ..envs.run import Run
    from ..envs.spec import Scenario
    from ..envs.tape import Tape
    from ..envs.workloads.base import Episode

Row = dict[str, Any]


def play(scenario: Scenario, tape: Tape, allocator: Allocator) -> Run:
    """Play one episode, horizon charge included."""
    return simulate(scenario, tape, allocator)


def play_suite(
    suite: Suite,
    specs: Sequence[str],
    done: Callable[[], None] = lambda: None,
    bounds: Workers | None = None,
) -> Iterator[Row]:
    """Yield one row for each episode and allocator, all allocators on the same tape in turn.

    With `bounds`, each row has beside its own reward the bound on its tape (`bound`) and what
    static shares reach there (`static`), which are played for it if need be: what a score needs.

    Args:
        suite: What to play.
        specs: Allocators as `make_allocator` takes them; a row's `allocator` is the spec.
        done: Called `steps(specs, bounds)` times an episode.
        bounds: What computes clairvoyant bounds; None leaves them out.

    Raises:
        ConfigError: Bad or repeated specs; nothing has been played then.
        SolverError: There is no bound for a tape.
    """
    allocators = make_allocators(_played(specs, bounds))
    for allocator in allocators.values():
        allocator.reset(suite.scenario)  # refusals come before the first row
    for episode, tape, bound in _tapes(suite, bounds, done):
        rows: dict[str, Row] = {}
        for spec, allocator in allocators.items():
            rows[spec] = make_row(spec, suite, episode, play(suite.scenario, tape, allocator))
            done()
        beside = {} if bound is None else _yardsticks(rows[REFERENCE], bound)
        yield from (rows[spec] | beside for spec in specs)


def steps(specs: Sequence[str], bounds: Workers | None) -> int:
    """Return how many steps of progress `play_suite` makes in an episode."""
    return len(_played(specs, bounds)) + (bounds is not None)


def _played(specs: Sequence[str], bounds: Workers | None) -> Sequence[str]:
    is_enough = bounds is None or REFERENCE in specs or not specs
    return specs if is_enough else [*specs, REFERENCE]


def _tapes(
    suite: Suite, bounds: Workers | None, done: Callable[[], None]
) -> Iterator[tuple[Episode, Tape, Bound | None]]:
    if bounds is not None:
        yield from bounded_tapes(suite, bounds, done)
        return
    for episode in suite.episodes:
        yield episode, suite.scenario.tape(episode), None


def _yardsticks(static: Row, bound: Bound) -> Row:
    return {"static": {"reward": static["reward"]}, "bound": as_row(bound)}


def make_allocators(specs: Sequence[str]) -> dict[str, Allocator]:
    """Build each allocator once, by its spec.

    Raises:
        ConfigError: No spec, a repeated one, or one that `make_allocator` refuses.
    """
    if not specs:
        raise ConfigError("allocators must name at least one, got none; try static,adaptive,demand")
    for spec in specs:
        if specs.count(spec) > 1:
            raise ConfigError(f"allocators must differ from each other, got {spec!r} twice")
    return {spec: make_allocator(spec) for spec in specs}


def make_row(spec: str, suite: Suite, episode: Episode, run: Run) -> Row:
    """Return the raw row of a run: which it was, its reward with the terms, every metric.

    Reward and terms are means over the decision intervals, so that episodes of different length
    compare, and a cost term reads as the part of the pool that was paid for.
    """
    weights = suite.scenario.weights
    return {
        "allocator": spec,
        "scenario": suite.scenario.name,
        "tape": run.tape.digest[:16],
        "seed": episode.seed,
        "block": episode.block,
        "reward": float(run.rewards.mean()),
        "latency_term": float(run.latency_term.mean()),
        "cost_term": float(run.cost_term.mean()),
        "idle_term": float(run.idle_term.mean()),
        "weights": {"latency": weights.latency, "cost": weights.cost, "idle": weights.idle},
        **metrics.compute(run),
        "agents": metrics.per_agent(run),
    }
