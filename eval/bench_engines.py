"""What engines cost: one suite of a thousand cells by each, and what a cluster makes of more.

Every figure is of the same run on this machine. A cell is an allocator on an episode; a job, which
is what an engine hands out, is an episode with all its allocators.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..envs.loading import scenario_names
from .engines import LOCAL, RAY, Answer, Engine, make_engine
from .runs.plan import nameable
from .runs.suites import Suites, of_families
from .session import evaluate, progress

SPLIT = "train"
N_CELLS = 1000
N_SMALL = 1000  # jobs that do nothing, for what handing one out costs
WORKERS = 2
CLUSTERS = ((1_000, 10), (10_000, 10), (10_000, 100), (10_000, 1_000))  # cells, cores

Figures = dict[str, Any]


def measure(*, quick: bool = False, quiet: bool = False) -> Figures:
    """Return seconds of the suite by each engine, what follows from them, and a table of clusters.

    Args:
        quick: Play a tenth of the cells.
        quiet: Show no progress.

    Raises:
        ConfigError: Ray is not installed.
    """
    suites, specs = _suite(N_CELLS // (10 if quick else 1))
    make_engine(RAY)  # refuses before anything is played
    evaluate(suites.first(1), specs, bound=False, quiet=True)  # what is compiled at first
    engines = {
        "local_1": make_engine(LOCAL, 1),
        "local_2": make_engine(LOCAL, WORKERS),
        "ray_2": make_engine(RAY, WORKERS),
    }
    found = {}
    with progress("engines", len(engines), quiet) as advance:
        for name, engine in engines.items():
            found[name] = _by(engine, suites, specs)
            advance()
    n_jobs = sum(len(part.episodes) for part in suites.parts)
    alone = found["local_1"]["run_s"]
    figures: Figures = {
        "cells": n_jobs * len(specs),
        "jobs": n_jobs,
        "engines": found,
        "ray_over_local": found["ray_2"]["run_s"] / found["local_2"]["run_s"],
        "ray_over_local_with_start": _whole_s(found["ray_2"]) / _whole_s(found["local_2"]),
        "efficiency": {
            name: alone / (WORKERS * found[name]["run_s"]) for name in ("local_2", "ray_2")
        },
        "cell_s": alone / (n_jobs * len(specs)),
        "driver_s": found["ray_2"]["driver_s"] / (n_jobs * len(specs)),
    }
    return figures | {"clusters": clusters(figures)}


def clusters(found: Figures) -> list[Figures]:
    """Return for each (cells, cores) how long a run on Ray takes, by the figures found.

    The slower of two bounds it: the cores, which share the cells, and the one process that hands
    out jobs and writes what comes back. Ray's start comes on top of it.
    """
    ray = found["engines"]["ray_2"]
    rows = []
    for cells, cores in CLUSTERS:
        played = cells * found["cell_s"] / (cores * min(1.0, found["efficiency"]["ray_2"]))
        driven = cells * found["driver_s"]
        wall = ray["start_s"] + max(played, driven)
        rows.append(
            {
                "cells": cells,
                "cores": cores,
                "wall_s": wall,
                "core_hours": wall * cores / 3600,
                "memory_gb": cores * ray["worker_mb"] / 1000,
                "limit": "cores" if played >= driven else "driver",
            }
        )
    return rows


def _suite(n_cells: int) -> tuple[Suites, list[str]]:
    """Return the first episodes of all families, and all that play them fast: so many cells."""
    specs = [spec for spec in nameable() if spec not in ("mpc", "ppo")]
    suites = of_families(scenario_names(), SPLIT)
    n_episodes = math.ceil(n_cells / len(specs) / len(suites.parts))
    return suites.first(n_episodes), specs


class _Running(Engine):
    """An engine that has been started already, and stays."""

    patience_s = 0.0

    def __init__(self, engine: Engine) -> None:
        self.jobs, self._engine = engine.jobs, engine

    def __exit__(self, *_: object) -> None:
        pass

    def as_completed(self, *arguments: Any, **options: Any) -> Iterator[Answer]:
        return self._engine.as_completed(*arguments, **options)


def _by(engine: Engine, suites: Suites, specs: Sequence[str]) -> Figures:
    """Return what starting an engine, an empty job and the suite take [s], and memory [MB].

    Workers have played before they are timed: what they import and load, they do once.
    """
    begun = time.perf_counter()
    with engine, TemporaryDirectory() as folder:
        list(engine.map(_warm_up, [()] * WORKERS))
        started = time.perf_counter()
        list(engine.map(pow, [(2, 2)] * N_SMALL))
        handed, cpu = time.perf_counter(), time.process_time()
        out = Path(folder) / "out"
        running = _Running(engine)
        evaluate(suites, specs, None, out, bound=False, engine=running, quiet=True)
        ended, cpu = time.perf_counter(), time.process_time() - cpu
        peaks = list(engine.map(_peak_mb, [()] * WORKERS))
    return {
        "start_s": started - begun,
        "job_s": (handed - started) / N_SMALL,
        "run_s": ended - handed,
        "driver_s": cpu,
        "worker_mb": max(peaks),
    }


def _whole_s(found: Figures) -> float:
    return float(found["start_s"] + found["run_s"])


def _warm_up() -> None:
    suites, _ = _suite(1)
    evaluate(suites.first(1), ["static"], bound=False, quiet=True)


def _peak_mb() -> float:
    """Return the most memory that this process has held."""
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
