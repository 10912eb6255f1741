"""Random instances with batches, an elastic pool or nodes, and faults, in any combination.

They are made from those of `strategies`, of the same two families. In exact ones a batch is of two
calls without a gain, so that halves are its only fractions, and GPUs and speeds are powers of two;
where scaling leaves no power of two, times are not exact, and such an instance is dropped. In rough
ones all that decides whether models fit is continuous.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from slicegym.envs import Agent, Scenario
from slicegym.envs.kernel.layout import EVICTION, HEALTH, LOAD_FACTOR, LOST
from slicegym.envs.platform import Elastic, Node

from .case import Case, Change
from .strategies import Exact, Numbers, Options, Rough, build


@dataclass(frozen=True)
class Features:
    """What an instance may have."""

    batches: bool = True
    pools: bool = True
    faults: bool = True


def build_platform(numbers: Numbers, options: Options, features: Features) -> Case:
    """One instance of a family."""
    case = build(numbers, options)
    if features.batches:
        agents = tuple(_maybe_batched(numbers, agent) for agent in case.scenario.agents)
        case = replace(case, scenario=replace(case.scenario, agents=agents))
    if features.pools:
        case = numbers.rng.choice([_with_elastic, _with_elastic, _with_nodes, _with_nodes, _as_is])(
            numbers, case
        )
    if features.faults and numbers.rng.random() < 0.7:
        case = replace(case, changes=tuple(_changes(numbers, case)))
    return case


def _as_is(numbers: Numbers, case: Case) -> Case:
    return case


# ---- batches -----------------------------------------------------------------------------------


def _maybe_batched(numbers: Numbers, agent: Agent) -> Agent:
    rng = numbers.rng
    if rng.random() < 0.3:
        return agent
    if isinstance(numbers, Exact):
        return replace(
            agent,
            service="batched",
            concurrency=min(2, agent.concurrency),
            prefill=rng.choice([0.0, 0.25, 0.5, 1.0]),
        )
    return replace(
        agent,
        service="batched",
        concurrency=rng.choice([1, 2, 3, 4, 16]),
        half_batch=rng.choice([0.0, 1.0, rng.uniform(0.0, 30.0)]),
        prefill=rng.choice([0.0, 0.0, 1.0, rng.random()]),
    )


# ---- pools -------------------------------------------------------------------------------------


def _with_elastic(numbers: Numbers, case: Case) -> Case:
    rng, gpus = numbers.rng, case.scenario.gpus
    units = rng.choice([1, 2, 4]) if isinstance(numbers, Exact) else rng.randint(1, 5)
    unit = gpus / units
    least = rng.choice([0.0, 0.0, unit, rng.randint(0, units) * unit])
    scenario = replace(
        case.scenario,
        elastic=Elastic(min_gpus=least, unit_gpus=unit, provision_s=numbers.duration()),
        pool_memory_mb=_memory(numbers),
    )
    rows = case.shares
    if rng.random() < 0.7:  # otherwise the pool follows the shares
        sizes = [-1.0, *(unit * n for n in range(units + 2)), rng.uniform(0.0, gpus)]
        rows = tuple((*row, rng.choice(sizes)) for row in rows)
    return replace(case, scenario=scenario, shares=rows)


def _with_nodes(numbers: Numbers, case: Case) -> Case:
    rng = numbers.rng
    nodes = _nodes(numbers, case.scenario.gpus)
    names = [node.name for node in nodes]
    agents = tuple(replace(a, node=rng.choice([None, *names])) for a in case.scenario.agents)
    scenario = replace(
        case.scenario,
        agents=agents,
        nodes=nodes,
        gpus=1.0,  # theirs
        price_per_gpu_hour=1.0,
        pool_memory_mb=None,
        cross_node_s=numbers.duration(),
    )
    rows = case.shares
    if len(nodes) > 1 and rng.random() < 0.8:  # otherwise nobody moves
        rows = tuple((*row, *_moves(scenario, rng)) for row in rows)
    return replace(case, scenario=scenario, shares=rows)


def _nodes(numbers: Numbers, gpus: float) -> tuple[Node, ...]:
    rng, is_exact = numbers.rng, isinstance(numbers, Exact)
    parts = rng.choice([[1.0], [0.5, 0.5], [0.5, 0.25, 0.25]])
    return tuple(
        Node(
            f"node{i}",
            gpus=gpus * (part if is_exact else rng.uniform(0.5, 1.5) * part),
            speed=rng.choice([0.5, 1.0, 2.0]) if is_exact else rng.uniform(0.5, 2.0),
            price=rng.choice([1.0, 3.0, rng.uniform(0.5, 5.0)]),
            memory_mb=_memory(numbers),
        )
        for i, part in enumerate(parts)
    )


def _memory(numbers: Numbers) -> float | None:
    """At least that of the largest model."""
    if isinstance(numbers, Exact):
        return numbers.rng.choice([None, 4.0, 8.0])
    return numbers.rng.choice([None, numbers.rng.uniform(4.0, 9.0)])


def _moves(scenario: Scenario, rng: random.Random) -> list[float]:
    """Where each agent is asked to: mostly nowhere else."""
    there = range(len(scenario.nodes))
    return [float(rng.choice(there)) if rng.random() < 0.3 else -1.0 for _ in scenario.agents]


# ---- faults ------------------------------------------------------------------------------------


def _changes(numbers: Numbers, case: Case) -> list[Change]:
    """At most one change of a kind for each agent or node at a decision."""
    rng, scenario = numbers.rng, case.scenario
    often = rng.choice([0.05, 0.2])
    sizes = [node.gpus for node in scenario.nodes] or [scenario.gpus]
    changes = []
    for k in range(len(case.shares)):
        for target, gpus in enumerate(sizes):
            changes.append(Change(k, LOST, target, gpus * _part(numbers)))
        for target in range(scenario.n_agents):
            changes.append(
                Change(k, HEALTH, target, _factor(numbers, [0.0, 0.0, 0.5, 1.0, 1.0], 1.0))
            )
            changes.append(Change(k, LOAD_FACTOR, target, _factor(numbers, [0.5, 1.0, 2.0], 3.0)))
            changes.append(Change(k, EVICTION, target))
    return [change for change in changes if rng.random() < often]


def _part(numbers: Numbers) -> float:
    """Of a machine that is gone, more than the whole of it perhaps."""
    either = [0.0, 0.0, 0.5, 1.0, 1.5]
    return numbers.rng.choice(
        either if isinstance(numbers, Exact) else [*either, numbers.rng.random()]
    )


def _factor(numbers: Numbers, either: list[float], most: float) -> float:
    is_exact = isinstance(numbers, Exact) or numbers.rng.random() < 0.5
    return numbers.rng.choice(either) if is_exact else numbers.rng.uniform(0.0, most)


# ---- strategies --------------------------------------------------------------------------------


def exact_platforms(**features: bool) -> st.SearchStrategy[Case]:
    """Dyadic instances, which hypothesis draws and shrinks number by number."""
    return _platforms(st.randoms(use_true_random=False), Exact, features)


def rough_platforms(**features: bool) -> st.SearchStrategy[Case]:
    """Continuous instances by seed, as in `strategies`."""
    return _platforms(st.integers(0, 2**48).map(random.Random), Rough, features)


def _platforms(
    sources: st.SearchStrategy[random.Random],
    family: Callable[[random.Random], Numbers],
    features: dict[str, bool],
) -> st.SearchStrategy[Case]:
    chosen = Features(**features)
    return sources.map(lambda rng: one_of(family, rng, chosen))


def one_of(family: Callable[[random.Random], Numbers], rng: random.Random, what: Features) -> Case:
    """Of call graphs or of independent calls, for which the package has another path."""
    return build_platform(family(rng), Options(graphs=rng.random() < 0.5), what)
