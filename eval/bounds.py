"""The clairvoyant bound of the tapes of a suite."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..baselines import clairvoyant_bound
from ..baselines.bound import SolverError
from .engines import Workers

if TYPE_CHECKING:
    from ..baselines import Bound
    from ..envs.tape import Tape
    from ..envs.workloads.base import Episode
    from .suite import Suite

# Of a bound, what a row holds.
FIELDS = ("reward", "latency_term", "cost_term", "idle_term", "relaxation", "solve_s")


def find_bound(suite: Suite, episode: Episode, tape: Tape) -> Bound:
    """Return the bound of a suite's tape, recalled or computed.

    Raises:
        SolverError: There is none.
    """
    try:
        return clairvoyant_bound(suite.scenario, tape)
    except SolverError as error:
        where = f"{suite.name}, {episode.block}"
        raise SolverError(f"{where}: {error}; --no-bound plays without bound and score") from error


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
