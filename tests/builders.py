"""Small scenarios, tapes and workloads that reach every corner, and what tests of them share."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence

from slicegym.envs import Agent, ConfigError, Observation, Scenario, Tape
from slicegym.envs.loading import load_scenario, read_yaml, shipped
from slicegym.envs.registration import env_id
from slicegym.envs.vector_env import SliceVectorEnv
from slicegym.envs.workloads import Episode, Workload, build_workload

SCENARIOS = {env_id(name): name for name in shipped("scenarios")}


def every_id() -> list[Any]:
    """All registered ids, those on real traces marked so."""
    ids = sorted(spec for spec in gym.registry if spec.startswith("slicegym/"))
    return [pytest.param(name, marks=marks(name)) for name in ids]


def marks(name: str) -> list[Any]:
    content = read_yaml(shipped("scenarios")[SCENARIOS[name]]) if name in SCENARIOS else {}
    names = traces(content)
    return [pytest.mark.traces(*names)] if names else []


def traces(content: Any) -> list[str]:
    """Every value of a key `trace`."""
    if isinstance(content, Mapping):
        found = [content["trace"]] if "trace" in content else []
        content = list(content.values())
    elif isinstance(content, list):
        found = []
    else:
        return []
    return found + [name for part in content for name in traces(part)]


@cache
def is_random(name: str) -> bool:
    workload = load_scenario(SCENARIOS.get(name, "paper")).workload
    assert workload is not None
    return workload.is_random


def pair(**changes: Any) -> Scenario:
    """The two agents of the public example."""
    agents = (Agent("a", throughput=10), Agent("b", throughput=5))
    return Scenario(**{"agents": agents, "horizon_s": 10.0, **changes})


def drawn_pair() -> Scenario:
    """The two agents of the public example under Poisson calls."""
    streams = {name: {"kind": "poisson", "rate": 3.0} for name in "ab"}
    return pair(workload=build_workload({"kind": "streams", "streams": streams}))


def rich(**changes: Any) -> Scenario:
    """Cold starts, keep-alive, pauses, queue limits, scarce memory and a short last interval."""
    agents = (
        Agent("a", 4.0, memory_mb=6, footprint=0.2, cold_start_s=1.5, keep_alive_s=2.0),
        Agent("b", 3.0, priority=2, memory_mb=6, cold_start_s=1.7, keep_alive_s=3.0, concurrency=2),
        Agent("c", 5.0, priority=4, memory_mb=3, queue_limit=2, keep_alive_s=1.25),
    )
    streams = {
        name: {"kind": "poisson", "rate": rate, "work": {"kind": "exponential"}}
        for name, rate in (("a", 1.5), ("b", 1.0), ("c", 3.0))
    }
    values: dict[str, Any] = {
        "agents": agents,
        "gpus": 2.0,
        "horizon_s": 20.5,
        "reconfigure_s": 0.3,
        "pool_memory_mb": 10,
        "reference_latency_s": 4.0,
        "workload": build_workload({"kind": "streams", "streams": streams}),
        "name": "rich",
    }
    return Scenario(**{**values, **changes})


@dataclass(frozen=True)
class Chains(Workload):
    """Tasks of up to three calls, one agent after the other, with think times."""

    has_graphs: ClassVar[bool] = True

    def check(self, scenario: Scenario) -> None:
        assert scenario.n_agents > 1

    def tape(self, scenario: Scenario, episode: Episode) -> Tape:
        return chains(scenario, np.random.default_rng(episode.seed))


def chains(scenario: Scenario, rng: np.random.Generator, n_tasks: int = 40) -> Tape:
    """Draw tasks of up to three calls in a row; calls of a task stand together."""
    length = rng.integers(1, 4, n_tasks)
    n = int(length.sum())
    task = np.repeat(np.arange(n_tasks), length)
    first = np.diff(task, prepend=-1) > 0
    agent = rng.integers(0, scenario.n_agents, n)
    release = np.where(first, rng.uniform(0, scenario.horizon_s, n), rng.choice([0.0, 0.5, 2.0], n))
    before = [[] if first[call] else [call - 1] for call in range(n)]
    routing = np.full((scenario.n_agents, scenario.n_agents), 0.5 / scenario.n_agents)
    work = rng.exponential(1.0, n)
    horizon_s = scenario.horizon_s
    return Tape.from_calls(agent, work, release, task, before, horizon_s=horizon_s, routing=routing)


def graphs() -> Scenario:
    """The rich scenario on call graphs."""
    return rich(workload=Chains(), name="graphs")


def vector(scenario: Any = None, n: int = 3, **options: Any) -> SliceVectorEnv:
    """A batch of three pairs, or as asked."""
    return SliceVectorEnv(n, drawn_pair() if scenario is None else scenario, **options)


class Recorder:
    """An allocator of seeded random shares, some of them zero, that keeps what it saw."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.seen: list[Observation] = []

    def allocate(self, observation: Observation) -> Any:
        self.seen.append(observation)
        n = observation.scenario.n_agents
        return self.rng.uniform(0, 1, n) * (self.rng.random(n) < 0.7) * observation.scenario.gpus


def actions(space: gym.spaces.Space[Any], n: int, seed: int = 0) -> Any:
    """Draw n random actions of a Box, a third of their elements 0, shape (n, ...)."""
    assert space.shape is not None
    rng = np.random.default_rng(seed)
    drawn = rng.random((n, *space.shape)) * (rng.random((n, *space.shape)) < 0.67)
    return drawn.astype(np.float32)


def rollout(env: Any, seed: int | None, n: int = 12, **reset: Any) -> list[Any]:
    """All that a reset and n steps return."""
    steps = [env.reset(seed=seed, **reset)]
    return steps + [env.step(action) for action in actions(env.action_space, n)]


def same(one: Any, other: Any) -> bool:
    """Whether two results are equal to the last bit, with the same keys, types and dtypes."""
    return bool(data_equivalence(one, other, exact=True))


def bad_numbers(rules: dict[str, str]) -> list[Any]:
    """Cases (field, value, error, message) for fields that must be "greater than" or "at least"."""
    cases = []
    for name, rule in rules.items():
        cases += [(name, -1.0, ConfigError, f"{rule}, got -1.0")]
        if "greater" in rule:
            cases += [(name, 0, ConfigError, f"{rule}, got 0.0")]
        finite = "a finite number, got"
        cases += [(name, v, ConfigError, f"{finite} {v}") for v in (math.nan, math.inf, -math.inf)]
        huge = pytest.param(name, 10**400, ConfigError, f"{finite} inf", id=f"{name}-huge")
        cases += [huge]
        cases += [(name, "1", TypeError, r"a number, got '1' \(str\)")]
        cases += [(name, True, TypeError, r"a number, got True \(bool\)")]
        cases += [(name, [1], TypeError, r"a number, got \[1\] \(list\)")]
        cases += [(name, 1j, TypeError, r"a number, got 1j \(complex\)")]
    return cases
