"""Every bad value of an agent, a scenario, a node or an elastic pool by itself."""

import math
from typing import Any

import pytest

from slicegym.envs import Agent, ConfigError, Scenario, Weights
from slicegym.envs.platform import Elastic, Node
from slicegym.envs.workloads import build_workload

from .builders import bad_numbers

A, B = Agent("a", 10.0), Agent("b", 5.0, priority=2, footprint=0.5, concurrency=3, queue_limit=0)


def one(**changes: Any) -> Scenario:
    return Scenario(**{"agents": (A,), **changes})


NUMBERS = {
    "throughput": "greater than 0",
    "priority": "greater than 0",
    "min_share": "at least 0",
    "memory_mb": "at least 0",
    "footprint": "at least 0",
    "cold_start_s": "at least 0",
    "keep_alive_s": "at least 0",
    "half_batch": "at least 0",
    "prefill": "at least 0",
}
SCENARIO_NUMBERS = {
    "gpus": "greater than 0",
    "interval_s": "greater than 0",
    "horizon_s": "greater than 0",
    "share_quantum": "at least 0",
    "price_per_gpu_hour": "at least 0",
    "reconfigure_s": "at least 0",
    "pool_memory_mb": "greater than 0",
    "cross_node_s": "at least 0",
    "reference_rate": "greater than 0",
    "reference_latency_s": "greater than 0",
}


@pytest.mark.parametrize(("name", "value", "error", "message"), bad_numbers(NUMBERS))
def test_bad_numbers_of_an_agent(name: str, value: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=f"^agent 'nlp': {name} must be {message}"):
        Agent(**{"name": "nlp", "throughput": 1.0, name: value})


@pytest.mark.parametrize(("name", "value", "error", "message"), bad_numbers(SCENARIO_NUMBERS))
def test_bad_numbers_of_a_scenario(name: str, value: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=f"^{name} must be {message}"):
        one(**{name: value})


@pytest.mark.parametrize("name", ["latency", "cost", "idle"])
def test_bad_weights(name: str) -> None:
    for value, error, message in [
        (-1, ConfigError, "at least 0, got -1.0"),
        (math.nan, ConfigError, "a finite number, got nan"),
        ("1", TypeError, "a number, got '1'"),
    ]:
        with pytest.raises(error, match=rf"^weights\.{name} must be {message}"):
            Weights(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"name": ""}, ConfigError, "agent.name must not be empty, got ''"),
        ({"name": " \t"}, ConfigError, "agent.name must not be empty"),
        ({"name": 5}, TypeError, r"agent.name must be a string, got 5 \(int\)"),
        ({"name": None}, TypeError, "agent.name must be a string, got None"),
        ({"throughput": None}, TypeError, "agent 'a': throughput must be a number, got None"),
        ({"concurrency": 0}, ConfigError, r"'a': concurrency must lie in \[1, 65536\], got 0"),
        ({"concurrency": 65_537}, ConfigError, "concurrency must lie in"),
        ({"concurrency": 2.0}, TypeError, r"concurrency must be a whole number, got 2.0 \(float\)"),
        ({"concurrency": True}, TypeError, "concurrency must be a whole number, got True"),
        ({"concurrency": None}, TypeError, "concurrency must be a whole number, got None"),
        ({"queue_limit": -1}, ConfigError, r"queue_limit must lie in \[0, 2147483647\], got -1"),
        ({"queue_limit": 2**31}, ConfigError, "queue_limit must lie in"),
        ({"queue_limit": 1.5}, TypeError, "queue_limit must be a whole number, got 1.5"),
        ({"queue_limit": "2"}, TypeError, "queue_limit must be a whole number, got '2'"),
        (
            {"service": "batch"},
            ConfigError,
            r"'a': service must be one of fcfs, batched, got 'batch' \(did you mean 'batched'\?\)$",
        ),
        ({"service": None}, ConfigError, "'a': service must be one of fcfs, batched, got None"),
        ({"service": "batched", "prefill": 1.5}, ConfigError, "'a': prefill must be at most 1"),
        (
            {"half_batch": 8},
            ConfigError,
            "agent 'a': half_batch and prefill must be 0 unless service is 'batched', got 8 and 0; "
            "add service: batched",
        ),
        ({"prefill": 0.5}, ConfigError, "unless service is 'batched', got 0 and 0.5; add service"),
        ({"node": ""}, ConfigError, "agent 'a': node must not be empty, got ''"),
        ({"node": 0}, TypeError, r"agent 'a': node must be a string, got 0 \(int\)"),
    ],
)
def test_bad_agents(changes: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        Agent(**{"name": "a", "throughput": 1.0, **changes})


X, Y = Node("x", 3, price=2), Node("y", 1, speed=5.0, price=6, memory_mb=8)
STREAM = {"kind": "streams", "streams": {"b": {"kind": "poisson", "rate": 1}}}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"agents": ()}, ConfigError, "agents must hold 1 to 1048576 agents, got 0"),
        ({"agents": None}, TypeError, "agents must be a sequence of Agent, got None"),
        ({"agents": "ab"}, TypeError, "agents must be a sequence of Agent, got 'ab'"),
        ({"agents": A}, TypeError, "agents must be a sequence of Agent, got Agent"),
        ({"agents": (A, "b")}, TypeError, r"agents\[1\] must be an Agent, got 'b'"),
        ({"agents": (A, B, A)}, ConfigError, r"agents\[2\].name must be unique, got 'a' twice"),
        ({"share_quantum": 1.5}, ConfigError, "share_quantum must be at most 1, got 1.5"),
        (
            {"interval_s": 1e-6},
            ConfigError,
            "horizon_s / interval_s must be at most 10000000 decisions, got 100 / 1e-06; lengthen",
        ),
        ({"name": ""}, ConfigError, "name must not be empty, got ''"),
        ({"name": 5}, TypeError, "name must be a string, got 5"),
        ({"weights": (1, 1, 1)}, TypeError, r"weights must be a Weights\(.*got \(1, 1, 1\)"),
        ({"weights": None}, TypeError, r"weights must be a Weights\(.*got None"),
        ({"partition": "migg"}, ConfigError, "partition must be one of.*got 'migg'"),
        (
            {"agents": (A, Agent("c", 1, memory_mb=9)), "pool_memory_mb": 8},
            ConfigError,
            "agent 'c': memory_mb must fit into pool_memory_mb = 8, got 9; it could never load",
        ),
        ({"workload": "paper"}, TypeError, "workload must be a Workload .*got 'paper'"),
        ({"workload": STREAM}, TypeError, "workload must be a Workload .*got {'kind'"),
        (
            {"workload": build_workload(STREAM)},
            ConfigError,
            r"workload.streams must name agents of scenario 'custom', got 'b' \(known: a\)",
        ),
        ({"nodes": None}, TypeError, r"nodes must be a list, got None \(NoneType\)"),
        ({"nodes": "x"}, TypeError, r"nodes must be a list, got 'x' \(str\)"),
        ({"nodes": (X, "y")}, TypeError, r"nodes\[1\] must be a Node, got 'y'"),
        ({"nodes": (X, Y, X)}, ConfigError, "nodes must have unique names, got 'x' twice"),
        ({"nodes": (Node("x", 1),) * 1025}, ConfigError, "nodes must be at most 1024, got 1025"),
        (
            {"nodes": (X, Y), "gpus": 2},
            ConfigError,
            r"gpus must not stand beside nodes, which decide it \(4\), got 2",
        ),
        (
            {"nodes": (X, Y), "price_per_gpu_hour": 2},
            ConfigError,
            r"price_per_gpu_hour must not stand beside nodes, which decide it \(3\), got 2",
        ),
        (
            {"nodes": (X,), "elastic": Elastic()},
            ConfigError,
            r"elastic must not stand beside nodes, got Elastic\(.*\); remove one",
        ),
        (
            {"nodes": (X,), "partition": "mig"},
            ConfigError,
            "partition 'mig' cuts one GPU, so gpus must be 1, got 3",
        ),
        (
            {"nodes": (Y,), "partition": "mig"},
            ConfigError,
            "partition must not stand beside nodes, got 'mig'; remove one",
        ),
        (
            {"nodes": (X,), "pool_memory_mb": 5},
            ConfigError,
            "pool_memory_mb must not stand beside nodes, got 5; remove one",
        ),
        (
            {"nodes": (Y,), "agents": (Agent("c", 1, memory_mb=9),)},
            ConfigError,
            "agent 'c': memory_mb must fit into a node's memory, got 9; it could never load",
        ),
        (
            {"nodes": (X, Y), "agents": (Agent("c", 1, node="xx"),)},
            ConfigError,
            r"agent 'c': node 'xx' is not known \(did you mean 'x'\?\)",
        ),
        (
            {"agents": (Agent("c", 1, node="x"),)},
            ConfigError,
            "agent 'c': node 'x' is not known; the scenario has no nodes",
        ),
        (
            {"elastic": {"min_gpus": 1}},
            TypeError,
            r"elastic must be an Elastic\(min_gpus, unit_gpus, provision_s\), got {'min_gpus': 1}",
        ),
        (
            {"elastic": Elastic(), "partition": "mig"},
            ConfigError,
            "elastic must not stand beside partition 'mig'; remove one",
        ),
        (
            {"elastic": Elastic(), "gpus": 2.5},
            ConfigError,
            "gpus must be 1 to 65536 whole units of elastic.unit_gpus = 1, got 2.5",
        ),
        ({"elastic": Elastic(unit_gpus=2)}, ConfigError, "of elastic.unit_gpus = 2, got 1"),
        ({"elastic": Elastic(), "gpus": 65_537}, ConfigError, "gpus must be 1 to 65536 whole"),
        ({"elastic": Elastic(unit_gpus=5e-324)}, ConfigError, "gpus must be 1 to 65536 whole"),
        (
            {"nodes": (Node("x", 1e308), Node("y", 1e308))},
            ConfigError,
            "gpus must be a finite number, got inf",
        ),
        (
            {"nodes": (Node("x", 1, price=1e308), Node("y", 1, price=1e308))},
            ConfigError,
            "price_per_gpu_hour must be a finite number, got inf",
        ),
        (
            {"elastic": Elastic(min_gpus=2)},
            ConfigError,
            "elastic.min_gpus must be at most gpus = 1, got 2",
        ),
    ],
)
def test_bad_scenarios(changes: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        one(**changes)


NODE_NUMBERS = {
    "gpus": "greater than 0",
    "speed": "greater than 0",
    "price": "greater than 0",
    "memory_mb": "greater than 0",
}
ELASTIC_NUMBERS = {
    "min_gpus": "at least 0",
    "unit_gpus": "greater than 0",
    "provision_s": "at least 0",
}


@pytest.mark.parametrize(("name", "value", "error", "message"), bad_numbers(NODE_NUMBERS))
def test_bad_numbers_of_a_node(name: str, value: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=f"^node 'x': {name} must be {message}"):
        Node(**{"name": "x", "gpus": 1, name: value})


@pytest.mark.parametrize(("name", "value", "error", "message"), bad_numbers(ELASTIC_NUMBERS))
def test_bad_numbers_of_an_elastic_pool(name: str, value: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=rf"^elastic\.{name} must be {message}"):
        Elastic(**{name: value})


def test_a_node_has_a_name() -> None:
    with pytest.raises(ConfigError, match=r"^node\.name must not be empty, got ''"):
        Node("", 1)
    with pytest.raises(TypeError, match=r"^node\.name must be a string, got 3"):
        Node(3, 1)  # type: ignore[arg-type]
