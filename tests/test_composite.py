"""The composite of real streams: its constants come from the training windows alone."""

import math
from dataclasses import replace

import numpy as np
import pytest

from slicegym.envs.loading import load_scenario
from slicegym.envs.traces import load_trace
from slicegym.envs.workloads import SPLITS, Episode
from slicegym.envs.workloads.compose import Streams

LOADS = {"composite": 0.6, "composite-80": 0.8, "composite-100": 1.0, "composite-120": 1.2}
needs_traces = pytest.mark.traces("mooncake", "azure_conv", "azure_code", "servegen_mm_image")


@needs_traces
@pytest.mark.parametrize("name", LOADS)
def test_load_is_matched_by_the_pool(name: str) -> None:
    world = load_scenario(name)
    assert isinstance(world.workload, Streams)
    rates = world.workload.mean_rates(world)
    assert world.reference_rate == pytest.approx(rates.sum(), rel=1e-4)
    load = np.sum(rates / world.throughput) / world.gpus
    assert load == pytest.approx(LOADS[name], rel=0.01)
    assert np.all(world.concurrency == math.ceil(world.gpus))


@pytest.mark.parametrize("name", LOADS)
def test_only_the_pool_differs(name: str) -> None:
    first, other = load_scenario("composite"), load_scenario(name)
    assert other.min_share.sum() == pytest.approx(other.gpus / 4, abs=0.02)
    agents = tuple(
        replace(agent, concurrency=math.ceil(other.gpus), min_share=wanted.min_share)
        for agent, wanted in zip(first.agents, other.agents, strict=True)
    )
    assert replace(first, agents=agents, gpus=other.gpus, share_quantum=0.001, name=name) == other


@needs_traces
def test_throughput_is_the_inverse_of_the_mean_work() -> None:
    world = load_scenario("composite")
    work = [load_trace(name).mean_gpu_s for name in ("mooncake", "azure_conv", "azure_code")]
    images = (615 + 684) / 4000 + 128 / 1000  # published means of tokens
    expected = [1 / work[0], 1 / work[1], 1 / images, 1 / work[2]]
    assert world.throughput == pytest.approx(expected, rel=0.015)


@needs_traces
def test_episodes_keep_to_the_windows_of_their_split() -> None:
    world = load_scenario("composite")
    assert world.workload is not None
    blocks = {split: [e.block for e in world.workload.suite(world, split)] for split in SPLITS}
    assert [len(blocks[split]) for split in SPLITS] == [4, 1, 2]
    assert blocks["heldout"][1] == (
        "mooncake 3000-3360 + azure 2640-3000 + servegen_mm_image 65160-65520"
    )
    first = load_trace("mooncake").arrival_s
    episode = world.workload.suite(world, "heldout")[1]
    tape = world.workload.tape(world, episode)
    expected = first[(first >= 3000) & (first < 3360)] - 3000
    assert np.array_equal(tape.release[tape.agent == 0], expected)
    again = world.workload.tape(world, episode)
    assert np.array_equal(tape.release, again.release)
    seeds = [world.workload.tape(world, Episode("train", seed)) for seed in (0, 1)]
    assert seeds[0].n_calls != seeds[1].n_calls


def test_the_images_spread_is_that_of_the_published_quantiles() -> None:
    sigma = math.log(602 / 97) / 2.3263  # p99 over p50 of a lognormal
    assert math.sqrt(math.expm1(sigma**2)) == pytest.approx(0.92, abs=0.01)
