"""Shipped scenarios: their constants say what their comments say."""

import math

import numpy as np
import pytest

from slicegym.envs.loading import load_scenario, scenario_names
from slicegym.envs.spec import Scenario
from slicegym.envs.workloads import Episode
from slicegym.envs.workloads.compose import Streams

SYNTHETIC = ("bursty", "paper", "paper-dominance", "paper-overload", "paper-spike")


def shipped(name: str) -> tuple[Scenario, Streams]:
    world = load_scenario(name)
    assert isinstance(world.workload, Streams)
    return world, world.workload


def test_the_shipped_scenarios() -> None:
    assert {*SYNTHETIC, "azure"} <= set(scenario_names())


@pytest.mark.parametrize("name", SYNTHETIC)
def test_reference_rate_is_the_mean_rate_of_tasks(name: str) -> None:
    world, workload = shipped(name)
    rates = workload.mean_rates(world)
    assert world.reference_rate == pytest.approx(rates.sum(), rel=1e-4)
    tape = workload.tape(world, Episode("train", 0))
    assert tape.n_calls > 500


@pytest.mark.parametrize(
    ("name", "load"),
    [
        ("paper", 3.18333),
        ("paper-overload", 3.0),
        ("paper-dominance", 0.9),
        ("paper-spike", 0.5 * 1.45),
        ("bursty", 0.4143),
    ],
)
def test_load_is_what_the_scenario_says(name: str, load: float) -> None:
    world, workload = shipped(name)
    rates = workload.mean_rates(world)
    assert np.sum(rates / world.throughput) / world.gpus == pytest.approx(load, rel=1e-4)


@pytest.mark.parametrize("name", ["bursty", "azure"])
def test_one_call_never_uses_more_than_one_gpu(name: str) -> None:
    world = load_scenario(name)
    assert np.all(world.concurrency == math.ceil(world.gpus))


def test_one_agent_dominates() -> None:
    world, workload = shipped("paper-dominance")
    rates = workload.mean_rates(world)
    assert rates[0] / rates.sum() == pytest.approx(0.9, rel=1e-5)


def test_the_paper_releases_every_steps_calls_together_at_its_start() -> None:
    world, workload = shipped("paper")
    tape = workload.tape(world, Episode("train", 0))
    per_step = np.zeros((100, 4), dtype=int)
    np.add.at(per_step, (tape.release.astype(int), tape.agent), 1)
    assert np.all(per_step == [80, 40, 45, 25])
    assert np.all(tape.release == tape.release.astype(int))
    assert np.all(tape.work == 1.0)
