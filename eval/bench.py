"""Speed on one core, every figure in the same run; a missing library makes a null, with the reason.

Times are of the CPU and a figure is the best of its repetitions: the others measure what else the
machine was doing.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..baselines import make_allocator
from ..envs.env import SliceEnv
from ..envs.vector_env import SliceVectorEnv
from . import bench_cases as cases
from . import bench_families as families
from . import paper
from .bench_cases import clock
from .bench_decisions import decisions
from .manifests import versions
from .rollout import play
from .session import progress

QUEUES = (1_000, 10_000, 100_000, 1_000_000)
BATCH = 1024
REPEATS = 5
MEGABYTE = 1e6
PPO_FIGURES = ("ppo_steps_per_s", "ppo_equivariant_steps_per_s")

Figures = dict[str, Any]


def measure(*, quick: bool = False, quiet: bool = False) -> Figures:
    """Take every figure; `quick` does a tenth of the work."""
    scale = 0.1 if quick else 1.0
    steps: Sequence[Callable[[float], Figures]] = (
        _first_use,
        _kernel,
        _libraries,
        _single_environment,
        _environments,
        _memory,
        _paper,
        decisions,
        _queues,
        *families.STEPS,
        _ppo,
    )
    figures: Figures = {"reasons": {}, "quick": quick}
    with one_core(), progress("benchmark", len(steps), quiet) as advance:
        for step in steps:
            found = step(scale)
            figures["reasons"].update(found.pop("reasons", {}))
            figures.update(found)
            advance()
    return figures | ratios(figures) | {"versions": versions()}


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """Run on one core, where the system lets a process choose; children inherit it."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _best(function: Callable[[], float], repeats: int = REPEATS) -> float:
    return min(function() for _ in range(repeats))


def _first_use(scale: float) -> Figures:
    """Time to the first result in a new process: the compile cache empty, then full."""
    code = "from slicegym.eval.bench import warm_up; print(warm_up())"
    with tempfile.TemporaryDirectory() as folder:
        cached = {**os.environ, "NUMBA_CACHE_DIR": folder}
        runs = [
            float(
                subprocess.run(
                    [sys.executable, "-c", code],
                    env=cached,
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout
            )
            for _ in range(2 if scale == 1.0 else 0)
        ]
    warm_up()
    cold, again = runs or (None, None)
    return {"compile_s": cold, "compile_cached_s": again}


def warm_up() -> float:
    """Use every compiled path once and return the seconds that it took."""
    rng = np.random.default_rng(0)
    begun = clock()
    for system in (cases.mm1_system, cases.graph_system):
        scenario, (tape,) = system(1, rng)
        cases.kernel_seconds(scenario, tape)
    env = SliceVectorEnv(2, cases.small_calls_scenario())
    env.reset(seed=0)
    env.step(np.full(env.action_space.shape, 0.25, np.float32))  # type: ignore[arg-type]
    for name in paper.STRATEGIES:
        play(*paper.paper_case(), make_allocator(name))
    return clock() - begun


def _kernel(scale: float) -> Figures:
    """Calls per second inside the kernel: all that were released, and those completed."""
    figures: Figures = {}
    for key, system, n in (
        ("calls", cases.paper_system, 64),
        ("graph_calls", cases.graph_system, 16),
        ("mm1_calls", cases.mm1_system, 16),
    ):
        scenario, tapes = system(max(2, int(n * scale)), np.random.default_rng(1))
        plays = [[cases.kernel_seconds(scenario, tape) for tape in tapes] for _ in range(REPEATS)]
        seconds = min(sum(one for one, _ in play) for play in plays)
        figures[f"{key}_per_s"] = sum(tape.n_calls for tape in tapes) / seconds
        figures[f"{key}_completed_per_s"] = sum(completed for _, completed in plays[0]) / seconds
    return figures


def _libraries(scale: float) -> Figures:
    """The same M/M/1, call by call, in SimPy and in Ciw."""
    _, (tape,) = cases.mm1_system(1, np.random.default_rng(2))
    n = int(20_000 * scale)
    release, service = tape.release[:n], tape.work[:n] / cases.MM1_THROUGHPUT
    figures: Figures = {"reasons": {}}
    for name, run in (("simpy", cases.simpy_seconds), ("ciw", cases.ciw_seconds)):
        try:
            seconds = min(run(release, service)[0] for _ in range(3))
            figures[f"{name}_calls_per_s"] = n / seconds
        except ImportError:
            figures[f"{name}_calls_per_s"] = None
            figures["reasons"][f"{name}_calls_per_s"] = f"{name} is not installed: slicegym[bench]"
    return figures


def ratios(figures: Figures) -> Figures:
    """Return how many times faster than each library the kernel plays the same M/M/1."""
    return {
        f"mm1_over_{name}": other and figures["mm1_calls_per_s"] / other
        for name in ("simpy", "ciw")
        for other in (figures[f"{name}_calls_per_s"],)
    }


def _single_environment(scale: float) -> Figures:
    """Steps of one environment with observation and reward, within episodes and with resets."""
    env = SliceEnv(cases.small_calls_scenario())
    actions = _actions((4096, env.scenario.n_agents))
    per_episode = env.scenario.n_intervals

    def episodes(n: int = max(10, int(100 * scale))) -> tuple[float, float]:
        stepping, begun = 0.0, clock()
        for _ in range(n):
            env.reset()
            resumed = clock()
            for k in range(per_episode):
                env.step(actions[k])
            stepping += clock() - resumed
        return stepping / (n * per_episode), (clock() - begun) / (n * per_episode)

    env.reset(seed=0)
    alone, together = zip(*(episodes() for _ in range(REPEATS)), strict=True)
    return {
        "env_steps_per_s": 1 / min(alone),
        "env_steps_with_resets_per_s": 1 / min(together),
    }


def _environments(scale: float) -> Figures:
    """Steps of 1,024 environments with observation and reward, and with staggered resets."""
    scenario = cases.small_calls_scenario()
    actions = _actions((64, BATCH, scenario.n_agents))
    n = max(10, int(50 * scale))

    def per_step(envs: SliceVectorEnv) -> float:
        begun = clock()
        for k in range(n):
            envs.step(actions[k % 64])
        return (clock() - begun) / (n * BATCH)

    figures = {}
    # The unstaggered batch is timed inside its first episode, which lasts 300 steps.
    for key, staggered in (("vector_env_steps", False), ("vector_env_steps_with_resets", True)):
        envs = SliceVectorEnv(BATCH, scenario, staggered=staggered)
        envs.reset(seed=0)
        per_step(envs)
        figures[f"{key}_per_s"] = 1 / min(per_step(envs) for _ in range(4))
    return figures


def _actions(shape: tuple[int, ...]) -> Any:
    return np.random.default_rng(3).uniform(0, 0.5, shape).astype(np.float32)


def _memory(scale: float) -> Figures:
    """Peak memory of a process that steps 1,024 environments."""
    code = "from slicegym.eval.bench import peak_memory_mb; print(peak_memory_mb())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return {"memory_1024_envs_mb": float(done.stdout)}


def peak_memory_mb() -> float:
    """Step 1,024 environments through more than an episode; return the process's peak [MB]."""
    envs = SliceVectorEnv(BATCH, "bursty", staggered=True)
    envs.reset(seed=0)
    action = _actions((BATCH, envs.scenario.n_agents))
    for _ in range(envs.scenario.n_intervals + 10):
        envs.step(action)
    import resource  # Unix alone has it

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / MEGABYTE


def _paper(scale: float) -> Figures:
    """Thirty repetitions of the paper's three strategies."""
    scenario, tape = paper.paper_case()
    repetitions = max(3, int(30 * scale))

    def repeat() -> float:
        begun = clock()
        for _ in range(repetitions):
            for name in paper.STRATEGIES:
                play(scenario, tape, make_allocator(name))
        return (clock() - begun) * 30 / repetitions

    return {"paper_30_repetitions_s": _best(repeat, 3)}


def _queues(scale: float) -> Figures:
    """Kernel time per call by length of the queue [ns], along both paths."""
    table: dict[str, dict[str, float]] = {}
    for path, graph in (("independent", False), ("graph", True)):
        table[path] = {}
        for n in QUEUES if scale == 1.0 else QUEUES[:-1]:
            scenario, tape = cases.crowd(n)
            repeats = max(3, 100_000 // n)
            seconds = min(cases.kernel_seconds(scenario, tape, graph)[0] for _ in range(repeats))
            table[path][str(n)] = 1e9 * seconds / n
    return {"call_ns_by_queue": table}


def _ppo(scale: float) -> Figures:
    """Timesteps per second of PPO, measured by the training side in its own process."""
    command = [sys.executable, "-m", f"{__package__.rsplit('.', 1)[0]}.train.bench", "--json", "-"]
    done = subprocess.run(
        [*command, *(["--quick"] if scale < 1 else [])], capture_output=True, text=True, check=False
    )
    try:
        found = json.loads(done.stdout)
        return {name: float(found[name]) for name in PPO_FIGURES}
    except (ValueError, KeyError, TypeError):
        reason = (done.stderr.strip().splitlines() or ["no figure came back"])[-1]
        return {**dict.fromkeys(PPO_FIGURES), "reasons": dict.fromkeys(PPO_FIGURES, reason)}
