"""Shipped scenarios: their constants say what their comments say."""

import math

import numpy as np
import pytest

from slicegym.envs.loading import load_scenario, scenario_names
from slicegym.envs.spec import Scenario
from slicegym.envs.workloads import Episode
from slicegym.envs.workloads.compose import Streams
from slicegym.envs.workloads.workflow import Workflow

SYNTHETIC = (
    "batched",
    "bursty",
    "paper",
    "paper-dominance",
    "paper-overload",
    "paper-spike",
    "pool",
)


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
        ("batched", 0.4),
        ("pool", 0.35),
    ],
)
def test_load_is_what_the_scenario_says(name: str, load: float) -> None:
    world, workload = shipped(name)
    rates = workload.mean_rates(world)
    assert np.sum(rates / world.throughput) / world.gpus == pytest.approx(load, rel=1e-4)


@pytest.mark.parametrize("name", ["bursty", "azure", "pool"])
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


def test_the_rented_pool_holds_one_model_at_least_and_all_of_them_on_three_gpus() -> None:
    world, _ = shipped("pool")
    assert world.elastic is not None
    per_gpu = world.pool_memory_mb / world.gpus  # type: ignore[operator]
    held = [int(gpus * per_gpu // world.memory_mb.max()) for gpus in (world.elastic.min_gpus, 3)]
    assert held == [1, 4]
    assert world.footprint.tolist() == pytest.approx([18_000 / 24_576] * 4)


def test_tokens_of_the_batched_agents_make_the_throughputs_that_are_printed() -> None:
    world, _ = shipped("batched")
    assert world.throughput.round(2).tolist() == [6.25, 2.86, 4.0, 2.0]
    # n/(n + h) · (c + h)/c of docs/platform.md, for a batch of eight and one call by itself.
    gain = [n / (n + 10) * (32 + 10) / 32 for n in (8, 1)]
    assert [round(g, 2) for g in gain] == [0.58, 0.12]
    assert {(a.service, a.half_batch, a.concurrency) for a in world.agents} == {("batched", 10, 32)}
    assert world.memory_mb.sum() < world.pool_memory_mb


def test_machines_and_tasks_of_the_hierarchy() -> None:
    world = load_scenario("hierarchy")
    assert isinstance(world.workload, Workflow)
    assert world.reference_rate == pytest.approx(world.workload.tasks.mean_rate(300), rel=1e-5)
    assert world.price_per_gpu_hour == pytest.approx((4 * 1.212 + 6.88) / 5)
    capacity = np.array([node.gpus * node.speed for node in world.nodes])
    assert capacity.tolist() == pytest.approx([2, 2, 5.58])
    per_task = np.array([2, 0.6, 0.3, 0.5]) / world.throughput  # GPU-seconds on an A10G
    assert world.reference_rate * per_task.sum() / capacity.sum() == pytest.approx(0.212, abs=5e-4)
    demand = 5.5 * per_task  # in the mean burst
    assert demand.round(2).tolist() == [1.83, 1.1, 0.41, 2.75]
    at_home = np.bincount(world.home, weights=demand)
    assert (at_home > capacity).tolist() == [True, True, False]
    memory = np.bincount(world.home, weights=world.memory_mb)
    assert np.all(memory <= [node.memory_mb for node in world.nodes])
    assert world.memory_mb[[0, 2, 3]].sum() - world.nodes[2].memory_mb == 80
