"""Playing the cells of a run: an episode with all its allocators is one job of one process."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...baselines.bound import SolverError
from ...envs.errors import TraceError
from ...envs.kernel.layout import WARM
from ...envs.metrics import Books
from ..rollout import Row, Stage, make_allocators
from ..suite import Suite
from .identity import sums_where_they_lie
from .plan import ALL, FIRST, Key
from .suites import Suites

if TYPE_CHECKING:
    from ...envs.run import Run
    from ..engines import Engine

PERCENTS = np.arange(101)
OF_DECISIONS = ("reward", "latency_term", "cost_term", "idle_term")
OF_AGENTS = ("share", "queue", "in_service")

Cast = Mapping[str, bytes]


@dataclass(frozen=True)
class Job:
    """One episode, to be played by the allocators of the keys.

    Attributes:
        suite: The family, cut to the episode.
        keys: One for each allocator that is left to play.
        bound: Whether the tape's clairvoyant bound is computed.
        series: Whether series over decisions are kept.
        strict: Whether an error of one allocator ends the run.
    """

    suite: Suite
    keys: tuple[Key, ...]
    bound: bool
    series: bool
    strict: bool


@dataclass(frozen=True)
class Cell:
    """What came of one allocator on one episode.

    Attributes:
        key: Which one.
        row: The raw row, with `agents` in it; None where it failed.
        arrays: What plots need.
        failed: Why there is no row; empty where there is one.
    """

    key: Key
    row: Row | None
    arrays: Mapping[str, NDArray[Any]]
    failed: str = ""


def make_jobs(suites: Suites, keys: Sequence[Key], *, bound: bool, series: str) -> list[Job]:
    """Return a job for each episode with cells left to play, in order."""
    parts = {part.family: part for part in suites.parts}
    jobs = []
    for (family, index), group in groupby(keys, lambda key: (key.family, key.index)):
        suite = replace(parts[family], episodes=(parts[family].episodes[index],))
        keep = series == ALL or (series == FIRST and index == 0)
        jobs.append(Job(suite, tuple(group), bound, keep, strict=suites.is_strict))
    return jobs


def play_jobs(jobs: Sequence[Job], engine: Engine) -> Iterator[Cell]:
    """Yield the cells of the jobs in order, from this process as long as they are few and short.

    Raises:
        SolverError, TraceError: As `play_job` does.
        ConfigError: A worker has other code than this process, or other traces.
    """
    begun = time.monotonic()
    for position, job in enumerate(jobs):
        if engine.jobs > 1 and time.monotonic() - begun >= engine.patience_s:
            rest = jobs[position:]
            tasks = [(one,) for one in rest]
            shared = (cast_of(rest),)
            traces = sums_where_they_lie(one.suite.scenario for one in rest)
            played = engine.map(play_job, tasks, shared=shared, traces=traces)
            yield from chain.from_iterable(played)
            return
        yield from play_job(job, cast_of([job]))


def cast_of(jobs: Sequence[Job]) -> Cast:
    """Return the allocators of the jobs, packed: a worker needs no file of theirs.

    Raises:
        ConfigError: One that `make_allocator` refuses.
    """
    specs = list(dict.fromkeys(key.allocator for job in jobs for key in job.keys))
    return {spec: pickle.dumps(one) for spec, one in make_allocators(specs).items()}


def play_job(job: Job, cast: Cast) -> list[Cell]:
    """Play one episode by each allocator.

    Args:
        job: Which episode, and by whom.
        cast: The allocators; each plays as if new.

    Raises:
        SolverError, TraceError: There is no bound, or no decision, and the job is strict.
    """
    try:
        stage = Stage(job.suite, job.suite.episodes[0], bound=job.bound)
    except (SolverError, TraceError) as error:
        if job.strict:
            raise
        return [Cell(key, None, {}, str(error)) for key in job.keys]
    cells = []
    for key in job.keys:
        try:
            row, run = stage.play(key.allocator, pickle.loads(cast[key.allocator]))
            cells.append(Cell(key, {"family": key.family, **row}, arrays_of(run, job.series)))
        except (SolverError, TraceError) as error:  # a solver's time-out, say
            if job.strict:
                raise
            cells.append(Cell(key, None, {}, str(error)))
    return cells


def arrays_of(run: Run, with_series: bool) -> dict[str, NDArray[Any]]:
    """Return quantiles of the completed tasks' latency [s] and, where asked, series.

    Series are float32: reward and terms over decisions (K,), shares [GPU], queues, calls in
    service and whether models are loaded over decisions and agents (K, N).
    """
    latency = Books(run).latency_s
    quantiles = np.percentile(latency, PERCENTS) if len(latency) else np.full(len(PERCENTS), np.nan)
    found: dict[str, NDArray[Any]] = {
        "latency_s": quantiles,
        "n_completed": np.array(len(latency)),
    }
    if with_series:
        series = {name: run.history[name] for name in OF_DECISIONS}
        series |= {name: run.records[name] for name in OF_AGENTS}
        series["warm"] = run.records["status"] == WARM
        found |= {name: values.astype(np.float32) for name, values in series.items()}
        found["agents"] = np.array(run.scenario.agent_names)
    return found
