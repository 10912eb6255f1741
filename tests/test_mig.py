"""Instances of a partitioned GPU: NVIDIA's placement rules, projection, speed, pauses."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from slicegym.envs import Agent, ConfigError, Scenario, Simulator, Tape, simulate
from slicegym.envs.mig import PROFILES, partitions, placements, profile_for

ONE_SLICE_EACH = [p for p in PROFILES if p.name != "1g+mem"]


def scenario(n=4, *, memory_mb=(0.0, 0.0, 0.0, 0.0), **changes):
    agents = tuple(Agent(f"a{i}", throughput=8.0, memory_mb=memory_mb[i]) for i in range(n))
    return Scenario(agents, horizon_s=20.0, partition="mig", **changes)


def unlabelled():
    """Every set of instances that fits, found without the module's own search."""
    instances = [
        (p.name, start, {*range(start, start + p.memory_slices)})
        for p in ONE_SLICE_EACH
        for start in p.starts
    ]
    found = [()]
    for size in range(1, 8):
        for chosen in itertools.combinations(instances, size):
            slots = [slot for _, _, taken in chosen for slot in taken]
            if len(slots) == len(set(slots)):
                found.append(chosen)
    return instances, found


def test_the_counts_that_nvidia_s_rules_give():
    instances, found = unlabelled()
    assert len(found) == 298  # the empty one included

    def can_take_more(chosen):
        slots = set().union(*(taken for _, _, taken in chosen))
        return any(not slots & taken for _, _, taken in instances)

    maximal = [chosen for chosen in found if not can_take_more(chosen)]
    assert len(maximal) == 19
    assert len({tuple(sorted(name for name, _, _ in chosen)) for chosen in maximal}) == 14


def test_the_module_finds_the_same_placements():
    _, found = unlabelled()
    for size in (1, 2, 3):
        chosen_by_agents = {
            tuple(sorted(zip(names, starts, strict=True)))
            for profiles in itertools.product(ONE_SLICE_EACH, repeat=size)
            for names in [[p.name for p in profiles]]
            for starts in placements(profiles)
        }
        expected = {
            tuple(sorted((name, start) for name, start, _ in chosen))
            for chosen in found
            if len(chosen) == size
        }
        assert chosen_by_agents == expected


@pytest.mark.parametrize(
    ("request_", "slices"),
    [
        ([1.0, 0.0, 0.0, 0.0], [7, 0, 0, 0]),
        ([0.5, 0.5, 0.0, 0.0], [3, 3, 0, 0]),  # ties with 3+4 and 4+3: lexicographic
        ([0.25, 0.25, 0.25, 0.25], [1, 2, 2, 2]),
        ([0.8, 0.2, 0.0, 0.0], [4, 1, 0, 0]),  # 5.6 and 1.4: 1.6 + 0.4, against 1.4 + 1.4 for 7 + 0
        ([0.86, 0.14, 0.0, 0.0], [7, 0, 0, 0]),  # 6.02 and 0.98: 0.98 + 0.98, against 2.02 + 0.02
    ],
)
def test_a_request_becomes_the_nearest_partition(request_, slices):
    simulator = Simulator(scenario())
    simulator.load(0, Tape.from_calls([], [], [], horizon_s=20.0))
    simulator.step(request_)
    assert simulator.agents["slices"][0].tolist() == slices
    assert simulator.shares[0] == pytest.approx(np.array(slices) / 7)


def test_the_nearest_partition_by_brute_force():
    rng = np.random.default_rng(1)
    system = scenario()
    vectors = [
        sizes
        for sizes in itertools.product((0, 1, 2, 3, 4, 7), repeat=4)
        if any(True for _ in placements([profile_for(s, 0.0, None) for s in sizes]))
    ]
    simulator = Simulator(system)
    simulator.load(0, Tape.from_calls([], [], [], horizon_s=20.0))
    for request in rng.dirichlet(np.ones(4), 20) * rng.uniform(0.2, 1.0, (20, 1)):
        simulator.step(request)
        # min keeps the first of equals, and the product runs in lexicographic order
        best = min(
            vectors, key=lambda v: sum(abs(s - 7 * g) for s, g in zip(v, request, strict=True))
        )
        assert simulator.agents["slices"][0].tolist() == list(best)


def test_every_state_entered_can_be_cut_and_keeps_what_it_can():
    rng = np.random.default_rng(2)
    memory = (500.0, 2000.0, 15000.0, 3000.0)
    system = scenario(memory_mb=memory, pool_memory_mb=81920.0)
    simulator = Simulator(system)
    simulator.load(0, Tape.from_calls([], [], [], horizon_s=20.0))
    before = simulator.agents[0].copy()
    for request in rng.dirichlet(np.ones(4), 20):
        simulator.step(request)
        agents = simulator.agents[0]
        profiles = [
            profile_for(int(s), m, 81920.0) for s, m in zip(agents["slices"], memory, strict=True)
        ]
        allowed = set(placements(profiles))
        assert tuple(agents["start"].tolist()) in allowed
        same = agents["slices"] == before["slices"]
        moves = [int(np.sum(same & (before["start"] != np.array(way)))) for way in allowed]
        assert agents["recut"].sum() == min(moves)
        before = agents.copy()


def test_speed_is_by_multiprocessors():
    # one call of work 1 at 8 calls/s on a whole GPU, on 1g: 16 of 132 multiprocessors
    tape = Tape.from_calls([0], [1.0], [0.0], horizon_s=20.0)
    run = simulate(scenario(), tape, np.tile([1 / 7, 0, 0, 0], (20, 1)))
    assert run.completed_at[0] == pytest.approx(132 / 16 / 8)
    run = simulate(scenario(), tape, np.tile([1.0, 0, 0, 0], (20, 1)))
    assert run.completed_at[0] == pytest.approx(1 / 8)


def test_a_moved_instance_pauses():
    # [2, 1, 3, 0] puts agent 0 at slot 0; 4g for agent 3 can only start there, so agent 0 moves.
    tape = Tape.from_calls([0], [10.0], [0.0], horizon_s=20.0)
    shares = np.tile(np.array([2, 1, 3, 0]) / 7, (20, 1))
    still = simulate(scenario(reconfigure_s=0.5), tape, shares).completed_at[0]
    assert still == pytest.approx(10 / (8 * 32 / 132))
    shares[2:] = np.array([2, 1, 0, 4]) / 7
    moved = simulate(scenario(reconfigure_s=0.5), tape, shares).completed_at[0]
    assert moved == pytest.approx(still + 0.5)


def test_a_large_model_takes_the_slice_with_double_memory():
    plain, large = partitions("mig", (0.0,) * 7, None), partitions("mig", (16000.0,) * 7, 81920.0)
    assert plain.vectors[:, :7].sum(axis=1).max() == 7
    one_each = large.vectors[:, :7].max(axis=1) <= 1
    assert large.vectors[one_each, :7].sum(axis=1).max() == 4  # starts 0, 2, 4, 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gpus": 2.0}, "gpus must be 1, got 2"),
        ({"partition": "migg"}, "partition must be one of mig, mig-a100, got 'migg'"),
    ],
)
def test_refusals(changes, message):
    with pytest.raises(ConfigError, match=message):
        Scenario((Agent("a", 1.0),), **{"partition": "mig", **changes})


def test_more_agents_than_slices_are_refused():
    agents = tuple(Agent(f"a{i}", 1.0) for i in range(8))
    with pytest.raises(ConfigError, match="at most 7 agents"):
        Scenario(agents, partition="mig")
