"""How near the clairvoyant bound is to what can be reached, and how soon it is there."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from slicegym.baselines import clairvoyant_bound, make_allocator
from slicegym.envs import Agent, Scenario, Tape, Weights, simulate

from .bounded import bound, calls, one_agent, schedules


@pytest.mark.parametrize("seed", range(25))
def test_exact_program_equals_brute_force_on_tiny_tapes(seed: int) -> None:
    """One agent, calls of one second on whole seconds: the grid holds the best shares there are."""
    rng = np.random.default_rng(seed)
    scenario = Scenario(
        agents=(
            Agent(
                "a",
                throughput=1,
                footprint=float(rng.choice([0.25, 0.5])),
                cold_start_s=float(rng.choice([0, 1])),
            ),
        ),
        horizon_s=4.0,
        reference_latency_s=float(rng.choice([1, 4])),
        weights=Weights(float(rng.choice([0.2, 1])), 1, float(rng.choice([0, 0.5, 1]))),
    )
    n = int(rng.integers(1, 4))
    tape = calls([1.0] * n, rng.integers(0, 4, n).astype(float).tolist(), 4.0)
    grid = itertools.product((0.0, 0.25, 0.5, 1.0), repeat=4)
    best = max(simulate(scenario, tape, np.array(g)[:, None]).rewards.mean() for g in grid)
    assert bound(scenario, tape, exact=True) == pytest.approx(best, abs=1e-5)


def test_exact_is_tighter_than_linear() -> None:
    scenario = one_agent(Weights(), 8.0, footprint=0.4, cold_start_s=1.3, keep_alive_s=1.0)
    tape = calls([0.5, 0.7, 0.4], [0.0, 3.5, 6.0])
    assert bound(scenario, tape, exact=True) < bound(scenario, tape) - 1e-3


@pytest.mark.parametrize("release", [[0.0, 0.0], [0.0, 1.0], [0.0, 0.0, 1.0, 1.0, 2.0]])
@pytest.mark.parametrize("seconds", [1.0, 2.0])
def test_load_in_parts_is_paid_as_a_whole(release: list[float], seconds: float) -> None:
    """Footprints of what loads come on top of what serves, so that parts of a load gain nothing."""
    weights = Weights(latency=0.2)
    scenario = one_agent(weights, 6.0, throughput=1.0, footprint=0.5, cold_start_s=seconds)
    tape = calls([0.5] * len(release), release, 6.0)
    assert bound(scenario, tape) == pytest.approx(bound(scenario, tape, exact=True), abs=1e-6)


def climb(scenario: Scenario, tape: Tape, rng: np.random.Generator, steps: int = 500) -> float:
    """Improve a schedule by random changes of one share, or of a stretch of them."""
    shape = (scenario.n_intervals, scenario.n_agents)
    starts = [np.zeros(shape), np.full(shape, scenario.gpus / shape[1]), *schedules(scenario, rng)]
    best, shares = max(
        ((simulate(scenario, tape, s).rewards.mean(), s) for s in starts), key=lambda pair: pair[0]
    )
    for _ in range(steps):
        changed = shares.copy()
        first = int(rng.integers(shape[0]))
        until = first + 1 if rng.random() < 0.6 else int(rng.integers(first, shape[0])) + 1
        value = rng.choice([0.0, 0.002, rng.random() * scenario.gpus, scenario.gpus])
        changed[first:until, rng.integers(shape[1])] = value
        reward = simulate(scenario, tape, changed).rewards.mean()
        if reward >= best:
            best, shares = reward, changed
    return float(best)


def small_instance(rng: np.random.Generator) -> tuple[Scenario, Tape]:
    """8 intervals, 3 to 25 calls, unit weights and references."""
    n, n_calls = int(rng.integers(1, 4)), int(rng.integers(3, 26))
    agents = tuple(
        Agent(
            f"agent{i}",
            throughput=rng.uniform(1, 6),
            priority=float(rng.choice([1, 2])),
            footprint=rng.uniform(0, 0.4),
            cold_start_s=float(rng.choice([0, 0, 0.5, 1, 1.3, 2])),
            keep_alive_s=float(rng.choice([0, 1, 2])),
            concurrency=int(rng.choice([1, 1, 2, 4])),
        )
        for i in range(n)
    )
    scenario = Scenario(agents, gpus=float(rng.choice([1, 2])), horizon_s=8.0)
    work, release = rng.exponential(1, n_calls) + 1e-3, rng.uniform(0, 8, n_calls)
    return scenario, Tape.from_calls(rng.integers(0, n, n_calls), work, release, horizon_s=8.0)


def test_hill_climbed_schedules_come_near_the_bound() -> None:
    rng = np.random.default_rng(0)
    gaps = []
    for _ in range(12):
        scenario, tape = small_instance(rng)
        most, found = bound(scenario, tape), climb(scenario, tape, rng)
        assert found <= most + 1e-9
        gaps.append((most - found) / abs(most))
    assert np.mean(gaps) < 0.55


@pytest.mark.slow
def test_long_tape_has_a_bound() -> None:
    """3,600 intervals and four agents, in windows."""
    agents = tuple(
        Agent(f"agent{i}", t, footprint=0.75, cold_start_s=s, keep_alive_s=10, concurrency=4)
        for i, (t, s) in enumerate([(6, 5), (3, 10), (4, 8), (2, 15)])
    )
    scenario = Scenario(agents, gpus=4.0, horizon_s=3600.0, reference_latency_s=20.0)
    rng, n = np.random.default_rng(0), 20_000
    release = np.sort(rng.uniform(0, 3600, n))
    release = release[np.sin(release / 11) > 0]
    tape = Tape.from_calls(
        rng.integers(0, 4, len(release)),
        rng.exponential(1, len(release)),
        release,
        horizon_s=3600.0,
    )
    result = clairvoyant_bound(scenario, tape, use_cache=False)
    assert result.relaxation == "windows"
    assert simulate(scenario, tape, make_allocator("demand")).rewards.mean() <= result.reward
