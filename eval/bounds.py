"""The clairvoyant bound of each tape of a suite, several of them at once where there are cores."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..baselines import clairvoyant_bound
from ..baselines.bound import SolverError, known_bound
from .workers import Workers

if TYPE_CHECKING:
    from ..baselines import Bound
    from ..envs.spec import Scenario
    from ..envs.tape import Tape
    from ..envs.workloads.base import Episode
    from .suite import Suite

# Of a bound, what a row holds.
FIELDS = ("reward", "latency_term", "cost_term", "idle_term", "relaxation", "solve_s")
# Up to so many calls and agents times intervals, a bound takes less time than a process to start.
SMALL = 1_000


def bounded_tapes(
    suite: Suite, workers: Workers, done: Callable[[], None]
) -> Iterator[tuple[Episode, Tape, Bound]]:
    """Yield each episode with its tape and its bound, recalled or computed.

    As many bounds as there are workers are computed together, and nothing is while the caller
    has the word: decision times are taken undisturbed.

    Args:
        suite: Whose episodes.
        workers: What computes.
        done: Called after each bound.

    Raises:
        SolverError: There is no bound for a tape.
        ChildProcessError: A worker was ended from outside.
    """
    for begin in range(0, len(suite.episodes), workers.jobs):
        episodes = suite.episodes[begin : begin + workers.jobs]
        tapes = [suite.scenario.tape(episode) for episode in episodes]
        bounds = []
        for bound in find_bounds(suite, episodes, tapes, workers):
            bounds.append(bound)
            done()
        yield from zip(episodes, tapes, bounds, strict=True)


def find_bounds(
    suite: Suite, episodes: Sequence[Episode], tapes: Sequence[Tape], workers: Workers
) -> Iterator[Bound]:
    """Yield the bound of each tape in turn; large ones that are not known are worked out apart."""
    known = [known_bound(suite.scenario, tape) for tape in tapes]
    tasks = [
        (suite.scenario, tape, f"{suite.name}, {episode.block}")
        for episode, tape, bound in zip(episodes, tapes, known, strict=True)
        if bound is None
    ]
    large = not all(_is_small(scenario, tape) for scenario, tape, _ in tasks)
    found = workers.map(_compute, tasks) if large else (_compute(*task) for task in tasks)
    for bound in known:
        yield next(found) if bound is None else bound


@contextmanager
def bounds_beside(suite: Suite) -> Iterator[None]:
    """Compute a suite's bounds in one other process while the caller does something else.

    The end waits for them. They go into the cache folder alone, where the suite's evaluation finds
    them; one that failed is tried again there, and its error raised.
    """
    with Workers() as workers:
        kept = workers.start(_keep_bounds, suite)
        yield
        wait([kept])


def _keep_bounds(suite: Suite) -> None:
    for episode in suite.episodes:
        clairvoyant_bound(suite.scenario, suite.scenario.tape(episode))


def as_row(bound: Bound) -> dict[str, Any]:
    """Return what a row holds of the bound on its tape."""
    values = dataclasses.asdict(bound)
    return {field: values[field] for field in FIELDS}


def _is_small(scenario: Scenario, tape: Tape) -> bool:
    return tape.n_calls + scenario.n_agents * scenario.n_intervals <= SMALL


def _compute(scenario: Scenario, tape: Tape, where: str) -> Bound:
    try:
        return clairvoyant_bound(scenario, tape)
    except SolverError as error:
        raise SolverError(f"{where}: {error}; --no-bound plays without bound and score") from error
