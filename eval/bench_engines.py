"""What engines cost: one suite of a thousand cells by each, and what a cluster makes of more.

Every figure is of the same run on this machine. A cell is an allocator on an episode; a job, which
is what an engine hands out, is an episode with all its allocators.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..envs.loading import scenario_names
from .engines import LOCAL, RAY, Engine, make_engine
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
    engines: Sequence[tuple[str, Callable[[], Engine]]] = (
        ("local_1", lambda: make_engine(LOCAL, 1)),
        ("local_2", lambda: make_engine(LOCAL, WORKERS)),
        ("ray_2", lambda: make_engine(RAY, WORKERS)),
    )
    seconds, cpu = {}, {}
    overhead = {}
    with progress("engines", len(engines) + 2, quiet) as advance:
        for name, make in engines:
            seconds[name], cpu[name] = _timed(suites, specs, make())
            advance()
        for name in (LOCAL, RAY):
            overhead[name] = _overhead(make_engine(name, WORKERS))
            advance()
    n_jobs = sum(len(part.episodes) for part in suites.parts)
    n_cells = n_jobs * len(specs)
    found: Figures = {
        "cells": n_cells,
        "jobs": n_jobs,
        "seconds": seconds,
        "ray_over_local": seconds["ray_2"] / seconds["local_2"],
        "efficiency": {
            name: seconds["local_1"] / (WORKERS * seconds[name]) for name in ("local_2", "ray_2")
        },
        "cell_s": seconds["local_1"] / n_cells,
        "driver_s": max(0.0, cpu["ray_2"] - overhead[RAY]["start_cpu_s"]) / n_cells,
        "engines": overhead,
    }
    return found | {"clusters": clusters(found)}


def clusters(found: Figures) -> list[Figures]:
    """Return for each (cells, cores) how long a run on Ray takes, by the figures found.

    The slower of two bounds it: the cores, which share the cells, and the one process that hands
    out jobs and writes what comes back. Ray's start comes on top of it.
    """
    ray = found["engines"][RAY]
    rows = []
    for cells, cores in CLUSTERS:
        played = cells * found["cell_s"] / (cores * found["efficiency"]["ray_2"])
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


def _timed(suites: Suites, specs: Sequence[str], engine: Engine) -> tuple[float, float]:
    """Return how long a run takes, and how much of it this process works itself [s]."""
    begun, cpu = time.perf_counter(), time.process_time()
    with TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        evaluate(suites, specs, None, out, bound=False, engine=engine, quiet=True)
    return time.perf_counter() - begun, time.process_time() - cpu


def _overhead(engine: Engine) -> Figures:
    """Return what starting an engine and handing out a job take [s], and a worker's memory [MB]."""
    begun, cpu = time.perf_counter(), time.process_time()
    with engine:
        list(engine.map(pow, [(2, 2)] * WORKERS))
        started, start_cpu = time.perf_counter(), time.process_time() - cpu
        list(engine.map(pow, [(2, 2)] * N_SMALL))
        ended = time.perf_counter()
        peaks = list(engine.map(_peak_mb, [()] * WORKERS))
    return {
        "start_s": started - begun,
        "start_cpu_s": start_cpu,
        "job_s": (ended - started) / N_SMALL,
        "worker_mb": max(peaks),
    }


def _peak_mb() -> float:
    """Return the most memory that this process has held, after it has played."""
    suites, specs = _suite(1)
    evaluate(suites.first(1), specs, bound=False, quiet=True)
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
