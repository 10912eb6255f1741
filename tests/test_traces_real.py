"""The real traces are what their descriptions say; skipped where their files are absent."""

import math

import numpy as np
import pytest

from slicegym.envs.loading import load_scenario
from slicegym.envs.traces import load_spec, load_trace, trace_status
from slicegym.envs.workloads import SPLITS, Episode
from slicegym.envs.workloads.compose import Streams

# calls, span [s], dispersion of counts in 1, 10 and 60 s, CV of gaps
STATISTICS = {
    "azure_conv": (19_366, 3_502, (1.4, 3.9, 16), 1.09),
    "azure_code": (8_819, 3_436, (13, 72, 164), 13.2),
    "mooncake": (12_031, 3_537, (1.05, 1.5, 2.9), 1.01),
}
EACH = [pytest.param(name, marks=pytest.mark.traces(name)) for name in STATISTICS]


def dispersion(times: np.ndarray, width_s: float) -> float:
    counts = np.bincount(((times - times[0]) / width_s).astype(int))[:-1]
    return float(counts.var() / counts.mean())


@pytest.mark.parametrize("name", EACH)
def test_the_statistics(name: str) -> None:
    n, span_s, dispersions, cv = STATISTICS[name]
    times = load_trace(name).arrival_s
    assert times.size == n
    assert times[-1] - times[0] == pytest.approx(span_s, abs=3)
    gaps = np.diff(times)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.02)
    for width_s, expected in zip((1.0, 10.0, 60.0), dispersions, strict=True):
        assert dispersion(times, width_s) == pytest.approx(expected, rel=0.08)


@pytest.mark.parametrize("name", EACH)
def test_present_and_sound(name: str) -> None:
    status = trace_status(name)
    assert status.present, status.problem


@pytest.mark.parametrize("name", EACH)
def test_work_has_mean_1_over_the_training_window(name: str) -> None:
    trace = load_trace(name)
    start, end = load_spec(name).window("train")
    work = trace.work[(trace.arrival_s >= start) & (trace.arrival_s < end)]
    assert work.mean() == pytest.approx(1.0)
    assert work.size > 3000
    assert np.all(trace.work > 0)


@pytest.mark.traces("azure_conv", "azure_code")
def test_the_azure_scenarios_constants_come_from_the_training_window() -> None:
    world = load_scenario("azure")
    assert isinstance(world.workload, Streams)
    rates = world.workload.mean_rates(world)
    assert world.reference_rate == pytest.approx(rates.sum(), rel=1e-5)
    for agent, name in zip(world.agents, ("azure_conv", "azure_code"), strict=True):
        assert agent.throughput == pytest.approx(1 / load_trace(name).mean_gpu_s, abs=0.005)
    assert np.sum(rates / world.throughput) / world.gpus == pytest.approx(0.5, abs=0.001)


@pytest.mark.traces("azure_conv", "azure_code")
def test_the_azure_services_are_almost_uncorrelated() -> None:
    edges = np.arange(0.0, 3421.0)
    counts = [
        np.histogram(load_trace(name).arrival_s, edges)[0] for name in ("azure_conv", "azure_code")
    ]
    assert np.corrcoef(counts)[0, 1] == pytest.approx(0.04, abs=0.02)


@pytest.mark.traces("azure_conv", "azure_code")
@pytest.mark.parametrize("split", SPLITS)
def test_azure_episodes_replay_the_trace(split: str) -> None:
    world = load_scenario("azure")
    assert world.workload is not None
    suite = world.workload.suite(world, split)
    assert len(suite) == {"train": 4, "validation": 1, "heldout": 3}[split]
    for episode in suite:
        tape = world.workload.tape(world, episode)
        start = float(episode.block.split()[1].split("-")[0])
        for i, name in enumerate(("azure_conv", "azure_code")):
            times = load_trace(name).arrival_s
            expected = times[(times >= start) & (times < start + 360.0)] - start
            assert np.array_equal(tape.release[tape.agent == i], expected)
    rng = np.random.default_rng(0)
    sizes = [
        world.workload.tape(world, world.workload.sample(world, split, rng)).n_calls
        for _ in range(20)
    ]
    assert len(set(sizes)) > 5


@pytest.mark.traces("mooncake")
def test_mooncake_replays_without_its_ticks() -> None:
    times = load_trace("mooncake").arrival_s
    assert np.unique(times).size == times.size
    phase = np.histogram(times % 3.0, bins=10)[0]
    assert np.all(np.abs(phase - 1203.1) < 5 * math.sqrt(1203.1))


def test_held_out_seeds_are_not_for_training() -> None:
    with pytest.raises(ValueError, match="range of split 'train'"):
        Episode("train", 2_000_000)
