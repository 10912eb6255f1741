"""Speed of the shipped scenarios, part of `slicegym-eval bench`.

Of each scenario: steps of 256 environments, and for those with call graphs calls in the kernel. A
scenario whose traces are not on this machine is left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..baselines import make_allocator
from ..envs.loading import load_scenario, scenario_names
from ..envs.spec import Scenario
from ..envs.traces import trace_status
from ..envs.vector_env import SliceVectorEnv
from ..envs.workloads.base import Episode
from . import bench_cases as cases
from .bench_cases import clock
from .manifests import describe, traces_in
from .rollout import play

ENVS = 256
LARGE = "many-1024"
MEASURED_S = 1.0  # of the CPU, at least
LONGEST = 600  # steps of an episode that are measured
N_TAPES = 8
ALLOCATORS = ("static", "round_robin", "adaptive", "demand")

Figures = dict[str, Any]


def env_steps(scale: float) -> Figures:
    """Steps per second of 256 environments by scenario: `family_env_steps_per_s`.

    Of whole episodes side by side, from the first step to the last but one: what comes between
    two resets. Actions are random: sixteen batches, over and over.
    """
    worlds = map(load_scenario, scenario_names())
    return _table("family_env_steps_per_s", worlds, lambda world: _env_steps_per_s(world, scale))


def env_steps_with_resets(scale: float) -> Figures:
    """The same with new tapes: `family_env_steps_with_resets_per_s`.

    Environments start at phases spread over the episode and go on into new ones, so that the
    drawing of tapes and resets have their due part of the time.
    """
    key, worlds = "family_env_steps_with_resets_per_s", map(load_scenario, scenario_names())
    return _table(key, worlds, lambda world: _env_steps_with_resets_per_s(world, scale))


def kernel_calls(scale: float) -> Figures:
    """Calls that the kernel completes per second by scenario: `family_calls_per_s`.

    Of the scenarios whose calls wait for other calls, under equal shares, on distinct training
    tapes; the best of five repetitions.
    """
    worlds = filter(_has_graphs, map(load_scenario, scenario_names()))
    return _table("family_calls_per_s", worlds, lambda world: _calls_per_s(world, scale))


def large_decisions(scale: float) -> Figures:
    """Decisions per second with 1,024 agents by allocator: `decisions_1024_per_s`.

    Of whole episodes of `many-1024`: what is seen, the decision and the simulation up to the next.
    """
    world = load_scenario(LARGE)
    assert world.workload is not None  # the shipped ones have one
    tape = world.tape(Episode("train", 0))
    table = {}
    for name in ALLOCATORS:
        allocator = make_allocator(name)
        play(world, tape, allocator)
        seconds = min(_seconds(play, world, tape, allocator) for _ in range(max(1, int(3 * scale))))
        table[name] = world.n_intervals / seconds
    return {"decisions_1024_per_s": table}


def absent_traces(world: Scenario) -> list[str]:
    """Return the traces of a scenario's workload that are not on this machine."""
    names = sorted(set(traces_in(describe(world.workload))))
    return [name for name in names if trace_status(name).path is None]


def _table(key: str, worlds: Iterable[Scenario], measure: Callable[[Scenario], float]) -> Figures:
    table: dict[str, float | None] = {}
    reasons = {}
    for world in worlds:
        absent = absent_traces(world)
        table[world.name] = None if absent else measure(world)
        if absent:
            reasons[f"{key}.{world.name}"] = f"absent traces: {', '.join(absent)}"
    return {key: table, "reasons": reasons}


def _has_graphs(world: Scenario) -> bool:
    return world.workload is not None and world.workload.has_graphs


def _env_steps_per_s(world: Scenario, scale: float) -> float:
    envs = SliceVectorEnv(ENVS, world)
    actions = _actions(envs)
    steps, elapsed, length = 0, 0.0, max(2, min(world.n_intervals - 1, LONGEST))
    while elapsed < MEASURED_S * scale:
        envs.reset(seed=steps)
        envs.step(actions[-1])  # the first step of all compiles
        begun = clock()
        for k in range(length - 1):
            envs.step(actions[k % len(actions)])
        elapsed += clock() - begun
        steps += length - 1
    return steps * ENVS / elapsed


def _env_steps_with_resets_per_s(world: Scenario, scale: float) -> float:
    envs = SliceVectorEnv(ENVS, world, staggered=True)
    envs.reset(seed=0)
    actions = _actions(envs)
    for action in actions:
        envs.step(action)
    steps, begun = 0, clock()
    while (elapsed := clock() - begun) < MEASURED_S * scale:
        envs.step(actions[steps % len(actions)])
        steps += 1
    return steps * ENVS / elapsed


def _actions(envs: SliceVectorEnv) -> NDArray[np.float32]:
    shape = (16, *envs.action_space.shape)  # type: ignore[misc]  # a Box has a shape
    return np.random.default_rng(3).uniform(0, 0.5, shape).astype(np.float32)


def _calls_per_s(world: Scenario, scale: float) -> float:
    n = max(2, int(N_TAPES * scale))
    tapes = [world.tape(Episode("train", seed)) for seed in range(n)]
    plays = [[cases.kernel_seconds(world, tape) for tape in tapes] for _ in range(5)]
    completed = sum(calls for _, calls in plays[0])
    return completed / min(sum(seconds for seconds, _ in one) for one in plays)


def _seconds(function: Callable[..., Any], *arguments: Any) -> float:
    begun = clock()
    function(*arguments)
    return clock() - begun


STEPS = (env_steps, env_steps_with_resets, kernel_calls, large_decisions)
