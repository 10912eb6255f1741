"""Agents and scenarios: defaults, derived vectors, the clock, and what they are as values."""

import copy
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from slicegym.envs import Agent, Scenario, Weights
from slicegym.envs.platform import Elastic, Node

A, B = Agent("a", 10.0), Agent("b", 5.0, priority=2, footprint=0.5, concurrency=3, queue_limit=0)
X, Y = Node("x", 3, price=2), Node("y", 1, speed=5.0, price=6, memory_mb=8)


def one(**changes: Any) -> Scenario:
    return Scenario(**{"agents": (A,), **changes})


def test_defaults_of_an_agent() -> None:
    assert Agent("a", 10) == Agent(
        name="a",
        throughput=10.0,
        min_share=0.0,
        priority=1.0,
        memory_mb=0.0,
        footprint=None,
        cold_start_s=0.0,
        keep_alive_s=0.0,
        concurrency=1,
        queue_limit=None,
        service="fcfs",
        half_batch=0.0,
        prefill=0.0,
        node=None,
    )
    assert Agent("a", 10, priority=4).weight == 0.25


def test_defaults_of_a_scenario() -> None:
    assert one() == Scenario(
        agents=(A,),
        gpus=1.0,
        interval_s=1.0,
        horizon_s=100.0,
        share_quantum=0.001,
        price_per_gpu_hour=1.0,
        reconfigure_s=0.0,
        pool_memory_mb=None,
        partition=None,
        nodes=(),
        cross_node_s=0.0,
        elastic=None,
        faults=(),
        reference_rate=1.0,
        reference_latency_s=1.0,
        weights=Weights(latency=1.0, cost=1.0, idle=1.0),
        name="custom",
        workload=None,
    )
    assert Scenario([A, B]).agents == (A, B)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gpus", "n_agents", "quantum"),
    [
        (1.0, 4, 0.001),
        (1.0, 10, 0.001),
        (1.0, 11, 1 / 1100),
        (0.02, 1, 0.0002),
        (8, 1024, 8 / 102400),
    ],
)
def test_the_share_quantum_is_a_thousandth_or_a_hundredth_of_an_even_share(
    gpus: float, n_agents: int, quantum: float
) -> None:
    scenario = Scenario(tuple(Agent(str(i), 1.0) for i in range(n_agents)), gpus=gpus)
    assert scenario.share_quantum == quantum
    assert np.all(scenario.footprint == quantum)
    assert Scenario(scenario.agents, gpus=gpus, share_quantum=0).share_quantum == 0


def test_vectors_over_agents() -> None:
    c = Agent("c", 1.0, min_share=0.1, memory_mb=7, cold_start_s=3, keep_alive_s=9)
    scenario = Scenario((A, B, c))
    expected: dict[str, list[float]] = {
        "throughput": [10, 5, 1],
        "min_share": [0, 0, 0.1],
        "priority": [1, 2, 1],
        "weight": [1, 0.5, 1],
        "memory_mb": [0, 0, 7],
        "cold_start_s": [0, 0, 3],
        "keep_alive_s": [0, 0, 9],
        "footprint": [0.001, 0.5, 0.001],
        "concurrency": [1, 3, 1],
        "queue_limit": [-1, 0, -1],
    }
    for name, values in expected.items():
        vector = getattr(scenario, name)
        whole = name in ("concurrency", "queue_limit")
        assert vector.tolist() == values, name
        assert vector.dtype == (np.int64 if whole else np.float64), name
        with pytest.raises(ValueError, match="read-only"):
            vector[0] = 1
    assert (scenario.n_agents, scenario.agent_names) == (3, ("a", "b", "c"))


@pytest.mark.parametrize(
    ("horizon_s", "interval_s", "n"),
    [
        (100, 1, 100),
        (0.3, 0.1, 3),  # 2.9999999999999996 in floats
        (0.7, 0.1, 7),  # 6.999999999999999
        (1.1, 0.1, 11),
        (2.1, 0.3, 7),  # 7.000000000000001
        (10.5, 1, 11),
        (10, 3, 4),
        (1, 2, 1),
        (1, 1 / 3, 3),
        (1e5, 0.1, 1_000_000),
    ],
)
def test_the_clock(horizon_s: float, interval_s: float, n: int) -> None:
    scenario = one(horizon_s=horizon_s, interval_s=interval_s)
    starts, ends = scenario.decision_times, scenario.interval_ends
    assert scenario.n_intervals == len(starts) == len(ends) == n
    assert np.array_equal(starts, np.arange(n) * interval_s)
    assert np.array_equal(ends[:-1], starts[1:])
    assert ends[-1] == horizon_s
    assert 1e-6 * interval_s < ends[-1] - starts[-1] < (1 + 1e-6) * interval_s
    assert not starts.flags.writeable
    assert not ends.flags.writeable


def test_a_model_that_just_fits_is_fine() -> None:
    assert one(agents=(Agent("a", 1, memory_mb=8),), pool_memory_mb=8).pool_memory_mb == 8


def test_nodes_decide_capacity_price_and_homes() -> None:
    # 3 GPUs at 2 $/h and one at 6 $/h: 12 $/h for 4 GPUs.
    agents = (A, B, Agent("c", 1), Agent("d", 1, node="y"))
    scenario = one(agents=agents, nodes=[X, Y])
    assert scenario.nodes == (X, Y)
    assert (scenario.gpus, scenario.price_per_gpu_hour) == (4.0, 3.0)
    assert (scenario.n_nodes, scenario.home.tolist()) == (2, [0, 1, 0, 1])
    assert scenario.n_requests == 4 + 4
    assert replace(scenario, horizon_s=5.0).gpus == 4.0  # their sum may be repeated, being theirs


def test_what_is_requested_without_nodes() -> None:
    assert (one().n_nodes, one().n_requests, one().home.tolist()) == (1, 1, [0])
    assert one(nodes=(X,)).n_requests == 1
    assert one(gpus=4, elastic=Elastic(min_gpus=1, unit_gpus=2)).n_requests == 2


@pytest.mark.parametrize("gpus", [0.3, 0.6, 2.1])
def test_whole_units_up_to_rounding(gpus: float) -> None:
    assert one(gpus=gpus, elastic=Elastic(unit_gpus=0.1)).gpus == gpus  # 0.3 / 0.1 < 3 in floats


def test_scenarios_are_values() -> None:
    scenario = Scenario((A, B))
    assert scenario.n_intervals == 100  # cached values take no part in equality
    assert scenario == Scenario((A, B))
    assert hash(scenario) == hash(Scenario((A, B)))
    assert replace(scenario, gpus=2.0).gpus == 2.0
    for twin in (pickle.loads(pickle.dumps(scenario)), copy.deepcopy(scenario)):
        assert twin == scenario
        assert twin.throughput.tolist() == [10, 5]
    with pytest.raises(AttributeError):
        scenario.gpus = 2.0  # type: ignore[misc]
