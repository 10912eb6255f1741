"""Nobody beats the clairvoyant bound: no random schedule and no allocator, on any platform."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from slicegym.baselines import make_allocator
from slicegym.baselines.program.service import Detail
from slicegym.envs import Agent, Scenario, Tape

from .bounded import assert_unbeaten, bound, examples, schedules, tape_of
from .builders import chains, drawn_pair, rich
from .reference.mechanisms import MECHANISMS, instance, requests
from .reference.strategies import Exact, Options, Rough
from .reference.strategies import build as draw


def random_detail(rng: random.Random) -> Detail:
    return Detail(
        ratio=rng.choice([1.0, 2.0, 100.0]),
        fine=rng.choice([1, 3, 100]),
        growth=rng.choice([1.0, 1.5, 3.0]),
        slopes=rng.choice([0, 1, 3]),
        loads=rng.random() < 0.8,
        core=rng.choice([0, 0, 2, 4]),
        look=rng.choice([0, 1, 3]),
    )


def random_case(seed: int) -> tuple[Scenario, Tape, list[np.ndarray], Detail]:
    rng = random.Random(seed)
    case = draw((Exact if seed % 2 else Rough)(rng), Options(graphs=seed % 3 != 0))
    detail = random_detail(rng)
    shares = [case.requested(), *schedules(case.scenario, np.random.default_rng(seed))]
    return case.scenario, case.tape(), shares, detail


@pytest.mark.parametrize(
    "seeds",
    [range(100), pytest.param(range(1_000, 3_000), marks=pytest.mark.slow)],
    ids=["hundreds", "thousands"],
)
def test_no_schedule_beats_the_bound(seeds: range) -> None:
    for seed in seeds:
        scenario, tape, shares, detail = random_case(seed)
        assert_unbeaten(scenario, tape, shares, bound(scenario, tape, detail=detail))


def mechanism_case(mechanism: str, seed: int) -> tuple[Scenario, Tape, list[np.ndarray], Detail]:
    source = random.Random(f"{mechanism} {seed}")
    case, rng = instance(mechanism, source), np.random.default_rng(seed)
    asked = [requests(case.scenario, rng) for _ in range(3)]
    shares = [case.requested(), *schedules(case.scenario, rng), *asked]
    return case.scenario, case.tape(), shares, random_detail(source)


@pytest.mark.parametrize(
    "seeds",
    [range(8), pytest.param(range(1_000, 1_200), marks=pytest.mark.slow)],
    ids=["some", "hundreds"],
)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_no_schedule_beats_the_bound_with(mechanism: str, seeds: range) -> None:
    for seed in seeds:
        scenario, tape, shares, detail = mechanism_case(mechanism, seed)
        assert_unbeaten(scenario, tape, shares, bound(scenario, tape, detail=detail))


@pytest.mark.parametrize(
    "seeds",
    [range(1), pytest.param(range(1_000, 1_020), marks=pytest.mark.slow)],
    ids=["one", "some"],
)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_no_allocator_beats_the_bound_with(mechanism: str, seeds: range) -> None:
    for seed in seeds:
        scenario, tape, _, detail = mechanism_case(mechanism, seed)
        allocators = [make_allocator(name) for name in examples(scenario)]
        assert_unbeaten(scenario, tape, allocators, bound(scenario, tape, detail=detail))


@pytest.mark.parametrize(
    "seeds",
    [range(3), pytest.param(range(1_000, 1_040), marks=pytest.mark.slow)],
    ids=["some", "dozens"],
)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_no_schedule_beats_whole_loads_with(mechanism: str, seeds: range) -> None:
    for seed in seeds:
        scenario, tape, shares, _ = mechanism_case(mechanism, seed)
        if scenario.n_agents * scenario.n_intervals > 24:
            continue
        assert_unbeaten(scenario, tape, shares, bound(scenario, tape, exact=True))


@pytest.mark.parametrize("exact", [False, True])
def test_no_allocator_beats_the_bound(exact: bool) -> None:
    rng = np.random.default_rng(0)
    short = replace(rich(), horizon_s=10.5)
    cases = [
        (rich(), tape_of(rich())),
        (short, chains(short, rng, 12)),
        (drawn_pair(), tape_of(drawn_pair())),
    ]
    for scenario, tape in cases[1:] if exact else cases:
        allocators = [make_allocator(t) for t in examples(scenario)]
        assert_unbeaten(scenario, tape, allocators, bound(scenario, tape, exact=exact))


@pytest.mark.parametrize("memory_mb", [None, 30.0])
def test_no_schedule_beats_the_bound_on_instances_of_a_gpu(memory_mb: float | None) -> None:
    rng = np.random.default_rng(7)
    agents = tuple(
        Agent(n, throughput=t, memory_mb=10, cold_start_s=s, keep_alive_s=1, footprint=1 / 7)
        for n, t, s in (("a", 9.0, 0.0), ("b", 6.0, 0.5), ("c", 4.0, 1.0))
    )
    scenario = Scenario(
        agents, horizon_s=12.0, partition="mig", reconfigure_s=0.25, pool_memory_mb=memory_mb
    )
    for seed in range(10):
        n = 30
        drawn = np.random.default_rng(seed)
        tape = Tape.from_calls(
            drawn.integers(0, 3, n),
            drawn.exponential(1, n),
            drawn.uniform(0, 12, n),
            horizon_s=12.0,
        )
        assert_unbeaten(scenario, tape, schedules(scenario, rng), bound(scenario, tape))
