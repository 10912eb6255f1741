"""Agents and scenarios: defaults, derived vectors, the clock, and every bad value by itself."""

import copy
import math
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from slicegym.envs import Agent, ConfigError, Scenario, Weights
from slicegym.envs.checks import integer, keys, listing, mapping, number, one_of, text
from slicegym.envs.workloads import build_workload

A, B = Agent("a", 10.0), Agent("b", 5.0, priority=2, footprint=0.5, concurrency=3, queue_limit=0)
NAN, INF, HUGE = math.nan, math.inf, 10**400


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


NUMBERS = {
    "throughput": "greater than 0",
    "priority": "greater than 0",
    "min_share": "at least 0",
    "memory_mb": "at least 0",
    "footprint": "at least 0",
    "cold_start_s": "at least 0",
    "keep_alive_s": "at least 0",
}
SCENARIO_NUMBERS = {
    "gpus": "greater than 0",
    "interval_s": "greater than 0",
    "horizon_s": "greater than 0",
    "share_quantum": "at least 0",
    "price_per_gpu_hour": "at least 0",
    "reconfigure_s": "at least 0",
    "pool_memory_mb": "greater than 0",
    "reference_rate": "greater than 0",
    "reference_latency_s": "greater than 0",
}


def bad_numbers(rules: dict[str, str]) -> list[Any]:
    cases = []
    for name, rule in rules.items():
        cases += [(name, -1.0, ConfigError, f"{rule}, got -1.0")]
        if "greater" in rule:
            cases += [(name, 0, ConfigError, f"{rule}, got 0.0")]
        cases += [(name, v, ConfigError, f"a finite number, got {v}") for v in (NAN, INF, -INF)]
        huge = pytest.param(name, HUGE, ConfigError, "a finite number, got inf", id=f"{name}-huge")
        cases += [huge]
        cases += [(name, "1", TypeError, r"a number, got '1' \(str\)")]
        cases += [(name, True, TypeError, r"a number, got True \(bool\)")]
        cases += [(name, [1], TypeError, r"a number, got \[1\] \(list\)")]
        cases += [(name, 1j, TypeError, r"a number, got 1j \(complex\)")]
    return cases


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
        (NAN, ConfigError, "a finite number, got nan"),
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
    ],
)
def test_bad_agents(changes: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        Agent(**{"name": "a", "throughput": 1.0, **changes})


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
    ],
)
def test_bad_scenarios(changes: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        one(**changes)


def test_a_model_that_just_fits_is_fine() -> None:
    assert one(agents=(Agent("a", 1, memory_mb=8),), pool_memory_mb=8).pool_memory_mb == 8


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


def test_checks_return_what_they_accept() -> None:
    assert number("x", np.float32(0.5), above=0, at_least=0.5, at_most=0.5) == 0.5
    assert integer("x", np.int32(3), at_least=3, at_most=3) == 3
    assert text("x", "word") == "word"
    assert one_of("x", "b", ("a", "b")) == "b"
    assert mapping("x", {"a": 1}) == {"a": 1}
    assert listing("x", (1, 2)) == (1, 2)
    keys("x", {"a": 1}, ("a", "b"), ("a",))


def test_checks_refuse() -> None:
    with pytest.raises(
        ConfigError, match=r"x must be one of apple, pear, got 'aple' \(did you mean"
    ):
        one_of("x", "aple", ("apple", "pear"))
    with pytest.raises(TypeError, match="x must have strings as keys, got the key 1"):
        mapping("x", {1: 2})
    with pytest.raises(TypeError, match=r"x must be a list, got 'ab' \(str\)"):
        listing("x", "ab")
    with pytest.raises(ConfigError, match=r"x has an unknown key 'bb' \(did you mean 'b'\?\)"):
        keys("x", {"bb": 1}, ("a", "b"))
