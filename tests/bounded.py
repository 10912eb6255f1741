"""What tests of the clairvoyant bound share: small systems and tapes, and schedules to try."""

from __future__ import annotations

from typing import Any

import numpy as np

from slicegym.baselines import clairvoyant_bound, make_allocator, names
from slicegym.envs import Agent, ConfigError, Scenario, Tape, Weights, simulate

LATENCY_ALONE = Weights(latency=1, cost=0, idle=0)


def bound(scenario: Scenario, tape: Tape, **options: Any) -> float:
    return clairvoyant_bound(scenario, tape, use_cache=False, **options).reward


def one_agent(weights: Weights, horizon_s: float = 8.0, **values: Any) -> Scenario:
    scale = values.pop("reference_latency_s", 1.0)
    agent = Agent("a", **{"throughput": 2.0, **values})
    return Scenario((agent,), horizon_s=horizon_s, weights=weights, reference_latency_s=scale)


def calls(work: list[float], release: list[float], horizon_s: float = 8.0) -> Tape:
    return Tape.from_calls(np.zeros(len(work), int), work, release, horizon_s=horizon_s)


def tape_of(scenario: Scenario, seed: int = 0) -> Tape:
    workload = scenario.workload
    assert workload is not None
    return scenario.tape(workload.suite(scenario, "train")[seed])


def schedules(scenario: Scenario, rng: np.random.Generator) -> list[np.ndarray]:
    """Random shares, some zero, then nothing, everything to everyone, and everything to one."""
    shape = (scenario.n_intervals, scenario.n_agents)
    drawn = [rng.random(shape) * (rng.random(shape) < p) * scenario.gpus for p in (0.3, 0.7, 1.0)]
    ends = [np.zeros(shape), np.full(shape, scenario.gpus)]
    to_one = [
        np.where(np.arange(shape[1]) == i, scenario.gpus, 0.0) for i in range(min(3, shape[1]))
    ]
    return [*drawn, *ends, *(np.tile(row, (shape[0], 1)) for row in to_one)]


def assert_unbeaten(scenario: Scenario, tape: Tape, decisions: list[Any], most: float) -> None:
    for decision in decisions:
        reward = simulate(scenario, tape, decision).rewards.mean()
        assert reward <= most + 1e-9 * max(1.0, abs(reward)), decision


def examples(scenario: Scenario) -> list[str]:
    """Allocators that stand alone and take the scenario."""
    found = []
    for name in names():
        if name != "learned":
            try:
                make_allocator(name).reset(scenario)
            except ConfigError:
                continue
            found.append(name)
    return found
