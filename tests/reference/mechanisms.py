"""Random small instances that have a certain mechanism, drawn until one has it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from slicegym.envs import Scenario
from slicegym.envs.errors import ConfigError
from slicegym.envs.kernel.layout import BLOCKED, EVICTION, HEALTH, LOAD_FACTOR, LOST

from .case import Case, Change
from .platforms import Features, build_platform
from .strategies import Exact, Options, Rough, build

Draw = Callable[[random.Random], Case]
BARE = Features(batches=False, pools=False, faults=False)


def instance(mechanism: str, rng: random.Random) -> Case:
    """One instance that has the mechanism, with or without call graphs and queue limits."""
    draw, has = MECHANISMS[mechanism]
    while not has(case := draw(rng)):
        pass
    return case


def requests(scenario: Scenario, rng: np.random.Generator) -> np.ndarray:
    """Random whole requests, sizes and moves among them, (intervals, n_requests)."""
    shape = (scenario.n_intervals, scenario.n_agents)
    rows = [rng.random(shape) * (rng.random(shape) < rng.random()) * scenario.gpus]
    if scenario.elastic is not None:
        size = rng.choice([-1.0, 0.0, scenario.gpus, rng.random() * scenario.gpus], shape[0])
        rows.append(size[:, None])
    if scenario.n_nodes > 1:
        there = rng.integers(0, scenario.n_nodes, shape)
        rows.append(np.where(rng.random(shape) < rng.choice([0.0, 0.1, 0.5]), there, -1))
    found = np.concatenate(rows, axis=1)
    assert found.shape == (shape[0], scenario.n_requests)
    return found


def _platform(features: Features) -> Draw:
    def draw(rng: random.Random) -> Case:
        numbers = (Exact if rng.random() < 0.5 else Rough)(rng)
        return build_platform(numbers, Options(graphs=rng.random() < 0.5), features)

    return draw


def _instances(rng: random.Random) -> Case:
    """Of one GPU that is cut, whose slices and agents may have faults."""
    numbers = (Exact if rng.random() < 0.5 else Rough)(rng)
    while True:
        case = build(numbers, Options(graphs=rng.random() < 0.5))
        if len(case.scenario.agents) > 7:
            continue
        try:
            scenario = replace(
                case.scenario,
                gpus=1.0,
                share_quantum=0.01,
                partition=rng.choice(["mig", "mig-a100"]),
                pool_memory_mb=rng.choice([None, 6.0, 16.0, 32.0]),
            )
        except ConfigError:  # a model that no instance can hold
            continue
        changes = tuple(_slices(case, rng)) if rng.random() < 0.6 else ()
        return replace(case, scenario=scenario, changes=changes)


def _slices(case: Case, rng: random.Random) -> list[Change]:
    """Slices that are lost, agents that are sick, models that leave memory, slow and fast loads."""
    found = []
    for k in range(len(case.shares)):
        found.append(Change(k, BLOCKED, 0, float(rng.choice([0, rng.randrange(256)]))))
        for i in range(case.scenario.n_agents):
            found.append(Change(k, HEALTH, i, rng.choice([0.0, 0.5, 1.0])))
            found.append(Change(k, LOAD_FACTOR, i, rng.choice([0.5, 1.0, 3.0])))
            found.append(Change(k, EVICTION, i))
    often = rng.choice([0.05, 0.3])
    return [change for change in found if rng.random() < often]


def _changed(what: int) -> Callable[[Case], bool]:
    return lambda case: any(change.what == what for change in case.changes)


def _is_short_of_memory(case: Case) -> bool:
    memory = case.scenario.pool_memory_mb
    return memory is not None and case.scenario.memory_mb.sum() > memory


def _is_mixed(case: Case) -> bool:
    """Batches and faults on a pool or on machines."""
    scenario = case.scenario
    pooled = scenario.elastic is not None or scenario.n_nodes > 1
    return "batched" in scenario.services and bool(case.changes) and pooled


# What draws instances, and what must be in them.
FAULTS = _platform(replace(BARE, faults=True))
POOLS = _platform(replace(BARE, pools=True))
MECHANISMS: dict[str, tuple[Draw, Callable[[Case], bool]]] = {
    "elastic pool": (POOLS, lambda case: case.scenario.elastic is not None),
    "nodes": (POOLS, lambda case: case.scenario.n_nodes > 1),
    "lost GPUs": (FAULTS, _changed(LOST)),
    "health": (FAULTS, _changed(HEALTH)),
    "slow loads": (FAULTS, _changed(LOAD_FACTOR)),
    "evictions": (FAULTS, _changed(EVICTION)),
    "batches": (
        _platform(replace(BARE, batches=True)),
        lambda case: "batched" in case.scenario.services,
    ),
    "scarce memory": (_platform(BARE), _is_short_of_memory),
    "instances": (_instances, lambda case: True),
    "lost slices": (_instances, _changed(BLOCKED)),
    "call graphs": (_platform(BARE), lambda case: not case.tape().is_independent),
    "queue limits": (
        _platform(BARE),
        lambda case: any(agent.queue_limit == 0 for agent in case.scenario.agents),
    ),
    "everything": (_platform(Features()), _is_mixed),
}
