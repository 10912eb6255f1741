"""The one loop that plays allocators over tapes, whatever the allocator is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..baselines import Allocator, make_allocator
from ..envs import metrics
from ..envs.errors import ConfigError
from ..envs.run import simulate
from .bounds import as_row, find_bound
from .suite import Suite
from .summary import REFERENCE

if TYPE_CHECKING:
    from ..envs.run import Run
    from ..envs.spec import Scenario
    from ..envs.tape import Tape
    from ..envs.workloads.base import Episode

Row = dict[str, Any]


def play(scenario: Scenario, tape: Tape, allocator: Allocator) -> Run:
    """Play one episode, horizon charge included."""
    return simulate(scenario, tape, allocator)


class Stage:
    """One tape of a suite, on which allocators play in turn.

    With its clairvoyant bound, each row has beside its own reward the bound (`bound`) and what
    static shares reach on the tape (`static`), which are played for it if need be: what a score
    needs.

    Args:
        suite: What is played.
        episode: Which of its tapes.
        bound: Whether the bound is worked out.

    Raises:
        SolverError: There is no bound.
    """

    def __init__(self, suite: Suite, episode: Episode, *, bound: bool = False) -> None:
        self.suite, self.episode = suite, episode
        self.tape = suite.scenario.tape(episode)
        self.bound = find_bound(suite, episode, self.tape) if bound else None

    def play(self, spec: str, allocator: Allocator) -> tuple[Row, Run]:
        """Return an allocator's raw row and the run that it is of."""
        if self.bound is None:
            run = play(self.suite.scenario, self.tape, allocator)
            return make_row(spec, self.suite, self.episode, run), run
        run = self._static if spec == REFERENCE else play(self.suite.scenario, self.tape, allocator)
        row = make_row(spec, self.suite, self.episode, run)
        static = {"reward": float(self._static.rewards.mean())}
        return row | {"static": static, "bound": as_row(self.bound)}, run

    @cached_property
    def _static(self) -> Run:
        return play(self.suite.scenario, self.tape, make_allocator(REFERENCE))


def play_suite(suite: Suite, specs: Sequence[str], *, bound: bool = False) -> Iterator[Row]:
    """Yield one row for each episode and allocator, all allocators on the same tape in turn.

    Args:
        suite: What to play.
        specs: Allocators as `make_allocator` takes them; a row's `allocator` is the spec.
        bound: Whether each tape's clairvoyant bound is worked out, too.

    Raises:
        ConfigError: Bad or repeated specs; nothing has been played then.
        SolverError: There is no bound for a tape.
    """
    allocators = make_allocators(specs)
    for allocator in allocators.values():
        allocator.reset(suite.scenario)  # refusals come before the first row
    for episode in suite.episodes:
        stage = Stage(suite, episode, bound=bound)
        for spec, allocator in allocators.items():
            yield stage.play(spec, allocator)[0]


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
