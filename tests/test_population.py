"""Populations: the same agents at every size, at the load and from the ranges that they state."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from slicegym.envs.env import SliceEnv
from slicegym.envs.errors import ConfigError
from slicegym.envs.loading import is_scenario_name, load_scenario, parse_scenario
from slicegym.envs.workloads import Episode
from slicegym.envs.workloads.compose import Streams

POPULATION: dict[str, Any] = {
    "size": 5,
    "seed": 3,
    "load": 0.5,
    "demand": [0.02, 0.6],
    "throughput": [1.0, 8.0],
    "min_rate": 0.2,
    "footprint": [0.05, 0.5],
    "cold_start_s": [4.0, 16.0],
    "keep_alive_s": 10.0,
    "concurrency": 4,
    "priorities": [1, 2],
    "streams": [{"weight": 1, "kind": "poisson"}],
}


def world(**changes: Any) -> Any:
    population = {key: v for key, v in {**POPULATION, **changes}.items() if v is not None}
    return parse_scenario({"population": population, "horizon_s": 60.0})


def test_a_name_takes_a_size() -> None:
    default, named = load_scenario("many"), load_scenario("many-16")
    assert default.agents == named.agents
    assert (default.name, named.name) == ("many", "many-16")
    for size in (1, 64, 256, 1024):
        assert load_scenario(f"many-{size}").n_agents == size
    assert is_scenario_name("many-64")
    for name in ("many-0", "many-064", "many-", "many-x", "bursty-64", "man-64"):
        assert not is_scenario_name(name)
        with pytest.raises(ConfigError, match="unknown scenario"):
            load_scenario(name)
    with pytest.raises(ConfigError, match=r"population.size must lie in \[1, 65536\], got 70000"):
        load_scenario("many-70000")


def test_a_larger_population_begins_with_the_smaller_one() -> None:
    small, large = load_scenario("many-16"), load_scenario("many-64")
    assert large.agents[:16] == small.agents
    assert small.workload is not None
    assert large.workload is not None
    episode = Episode("train", 5)
    tapes = [scenario.workload.tape(scenario, episode) for scenario in (small, large)]  # type: ignore[union-attr]
    same = tapes[1].agent < 16
    assert np.array_equal(tapes[0].release, tapes[1].release[same])
    assert np.array_equal(tapes[0].work, tapes[1].work[same])


@pytest.mark.parametrize("name", ["many", "many-256"])
def test_load_and_rates_are_what_the_population_says(name: str) -> None:
    scenario = load_scenario(name)
    assert isinstance(scenario.workload, Streams)
    rates = scenario.workload.mean_rates(scenario)
    assert np.sum(rates / scenario.throughput) / scenario.gpus == pytest.approx(0.5)
    assert scenario.reference_rate == pytest.approx(rates.sum())
    assert scenario.min_share * scenario.throughput == pytest.approx(0.2, rel=0.05)


def test_numbers_are_log_uniform_in_their_ranges_and_seeds_differ() -> None:
    scenario = load_scenario("many-1024")
    for values, low, high in (
        (scenario.throughput, 1.0, 8.0),
        (scenario.footprint, 0.05, 0.5),
        (scenario.cold_start_s, 4.0, 16.0),
    ):
        place = np.log(values / low) / np.log(high / low)
        assert stats.kstest(place, "uniform").pvalue > 1e-3
    # Larger models load longer, by four digits.
    order = np.argsort(scenario.footprint)
    assert np.all(np.diff(scenario.cold_start_s[order]) > -0.02)
    assert np.unique(scenario.priority).tolist() == [1, 2, 4]
    assert isinstance(scenario.workload, Streams)
    kinds = [type(streams[0]).__name__ for _, streams in scenario.workload.streams]
    assert [kinds.count(kind) for kind in ("OnOff", "Poisson", "Diurnal")] == pytest.approx(
        [512, 256, 256], abs=64
    )
    assert world().agents == world().agents
    assert world(seed=4).agents != world().agents


def test_an_environment_takes_any_size() -> None:
    env = SliceEnv("many-64")
    assert env.action_space.shape == (64,)
    env.reset(seed=0)
    observation, reward, *_ = env.step(np.full(64, 1 / 64, dtype=np.float32))
    assert env.observation_space.contains(observation)
    assert reward < 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 0}, r"population.size must lie in \[1"),
        ({"load": 0}, "population.load must be greater than 0"),
        ({"load": None}, "population lacks the required key 'load'"),
        ({"sizes": 3}, "population has an unknown key 'sizes'.*did you mean 'size'"),
        ({"demand": [2, 1]}, r"population.demand\[1\] must be at least 2, got 1"),
        ({"demand": [0, 1]}, r"population.demand\[0\] must be greater than 0"),
        ({"min_rate": -1}, "population.min_rate must be at least 0"),
        ({"priorities": []}, "population.priorities and streams must not be empty"),
        ({"priorities": [0]}, "priority must be greater than 0"),
        ({"streams": []}, "population.priorities and streams must not be empty"),
        (
            {"streams": [{"weight": 1, "kind": "replay"}]},
            r"streams\[0\].kind must be one of diurnal",
        ),
        ({"streams": [{"weight": 0, "kind": "poisson"}]}, r"\[0\].weight must be greater than 0"),
        ({"streams": [{"weight": 1, "kind": "poisson", "rate": 2}]}, "rate follows from the popul"),
        (
            {"streams": [{"weight": 1, "kind": "on_off", "mean_on_s": 0}]},
            "mean_on_s must be greater",
        ),
        ({"streams": [{"weight": 1, "kind": "diurnal"}]}, "lacks the required key 'amplitude'"),
        ({"concurrency": 0}, "concurrency must lie in"),
    ],
)
def test_bad_values_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        world(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 2.0}, "population.size must be a whole number"),
        ({"demand": 3}, r"population.demand must be a pair \[low, high\], got 3"),
        ({"streams": {"kind": "poisson"}}, "population.streams must be a list"),
        ({"streams": [{"kind": "poisson"}]}, r"streams\[0\].weight must be a number, got None"),
        ({"priorities": 1}, "population.priorities must be a list"),
    ],
)
def test_bad_types_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        world(**changes)


@pytest.mark.parametrize("key", ["agents", "gpus", "reference_rate", "workload"])
def test_what_the_population_decides_must_not_stand_beside_it(key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key} must not stand beside population"):
        parse_scenario({"population": POPULATION, key: 1})
