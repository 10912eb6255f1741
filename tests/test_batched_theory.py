"""Batched service against queues with known answers; how, is said in `test_queueing_theory`.

Symbols: λ arrivals/s, T·g = 1 work/s of a full batch, ρ = λ the load, c the largest batch, h the
half batch, φ(n) the gain of a batch of n.

* h = 0 is processor sharing, and so is service that is all prefill. Its mean latency
  1/(T·g)/(1 - ρ) hangs on nothing but the mean of the work (L. Kleinrock, "Queueing Systems II",
  1976, chapter 4): the mean of latency over work is 1/(1 - ρ) too.
* With exponential work and no prefill the number of calls in the system is a birth-death chain:
  up at λ, down at T·g·φ(min(n, c)).
* h → ∞ is M/M/c.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from slicegym.envs import Agent, Run, Scenario, Tape, simulate

from .test_queueing_theory import (
    assert_mean_is,
    erlang_c,
    horizon_after,
    poisson,
    responses,
    settled,
    waits,
)

Draw = Callable[[np.random.Generator, int], np.ndarray]

ENOUGH = 1_000  # a batch that no run here ever fills
CALLS = 60_000


def exponential(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.standard_exponential(n)


def constant(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.ones(n)


def hyperexponential(rng: np.random.Generator, n: int) -> np.ndarray:
    """Two exponentials with balanced means: mean 1, squared coefficient of variation 4."""
    likely = 0.5 * (1.0 + np.sqrt(3.0 / 5.0))
    probability = np.where(rng.random(n) < likely, likely, 1.0 - likely)
    return rng.standard_exponential(n) / (2.0 * probability)


def play(
    rng: np.random.Generator,
    rate: float,
    work: Draw,
    force_graph: bool = False,
    **batch: float,
) -> Run:
    """One batched agent, T·g = 1, fed by a Poisson stream; 50 decisions that change nothing."""
    release = poisson(rng, rate, CALLS)
    horizon = horizon_after(release)
    agent = Agent("a", throughput=0.5, service="batched", **batch)  # type: ignore[arg-type]
    scenario = Scenario((agent,), gpus=2.0, interval_s=horizon / 50, horizon_s=horizon)
    tape = Tape.from_calls(np.zeros(CALLS, int), work(rng, CALLS), release, horizon_s=horizon)
    return simulate(scenario, tape, np.full((50, 1), 2.0), force_graph=force_graph)


# ---- processor sharing -------------------------------------------------------------------------


@pytest.mark.parametrize(("load", "force_graph"), [(0.3, False), (0.6, False), (0.6, True)])
def test_mean_latency_of_mm1_processor_sharing(load: float, force_graph: bool) -> None:
    assert_mean_is(
        1.0 / (1.0 - load),
        lambda rng: responses(play(rng, load, exponential, force_graph, concurrency=ENOUGH)),
    )


@pytest.mark.parametrize("work", [constant, hyperexponential])
@pytest.mark.parametrize("prefill", [0.0, 0.4])
def test_mean_latency_of_processor_sharing_is_insensitive(work: Draw, prefill: float) -> None:
    # First come, first served, constant work would wait half as long, the other 2.5 times.
    assert_mean_is(
        1.0 / (1.0 - 0.6),
        lambda rng: responses(play(rng, 0.6, work, concurrency=ENOUGH, prefill=prefill)),
    )


def test_processor_sharing_is_fair_to_small_and_large_calls() -> None:
    def slowdown(rng: np.random.Generator) -> np.ndarray:
        run = play(rng, 0.6, hyperexponential, concurrency=ENOUGH)
        return responses(run) / settled(run.tape.work)

    assert_mean_is(1.0 / (1.0 - 0.6), slowdown)


def test_service_that_is_all_prefill_is_processor_sharing_whatever_the_gain() -> None:
    assert_mean_is(
        1.0 / (1.0 - 0.6),
        lambda rng: responses(
            play(rng, 0.6, hyperexponential, concurrency=ENOUGH, prefill=1.0, half_batch=8.0)
        ),
    )


# ---- birth and death ---------------------------------------------------------------------------


def stationary(rate: float, concurrency: int, half_batch: float) -> np.ndarray:
    """Distribution of the number of calls in the system, up to where it is nothing."""
    n = np.arange(1.0, 2_000.0)
    batch = np.minimum(n, concurrency)
    deaths = batch / (batch + half_batch) * (concurrency + half_batch) / concurrency
    weights = np.concatenate(([1.0], np.cumprod(rate / deaths)))
    assert weights[-1] < 1e-12 * weights.max()
    result: np.ndarray = weights / weights.sum()
    return result


BATCHES = [(0.6, 8, 4.0), (0.7, 4, 2.0), (0.8, 16, 1.0), (0.6, 3, 0.0)]


def test_stationary_distribution_of_known_queues() -> None:
    # M/M/1 without a gain; M/M/4 for a huge half batch, where Erlang's C calls wait.
    geometric = 0.4 * 0.6 ** np.arange(10)
    np.testing.assert_allclose(stationary(0.6, 5, 0.0)[:10], geometric, rtol=1e-9)
    waiting = stationary(0.7, 4, 1e12)[4:].sum()
    assert waiting == pytest.approx(erlang_c(4, 2.8), rel=1e-9)


@pytest.mark.parametrize(("load", "concurrency", "half_batch"), BATCHES)
def test_mean_latency_is_that_of_the_birth_death_chain(
    load: float, concurrency: int, half_batch: float
) -> None:
    # Little: L/λ.
    distribution = stationary(load, concurrency, half_batch)
    expected = np.arange(len(distribution)) @ distribution / load
    batch = {"concurrency": concurrency, "half_batch": half_batch}
    assert_mean_is(expected, lambda rng: responses(play(rng, load, exponential, **batch)))


@pytest.mark.parametrize(("load", "concurrency", "half_batch"), [(0.7, 4, 2.0), (0.8, 4, 0.5)])
def test_calls_find_the_batch_full_as_often_as_the_chain_says(
    load: float, concurrency: int, half_batch: float
) -> None:
    # Poisson arrivals see time averages.
    expected = stationary(load, concurrency, half_batch)[concurrency:].sum()
    batch = {"concurrency": concurrency, "half_batch": half_batch}
    assert_mean_is(expected, lambda rng: waits(play(rng, load, exponential, **batch)) > 0)


def test_busy_part_is_the_load_whatever_the_gain() -> None:
    # The work that comes in, over T·g: from the first tenth on, as long as calls come.
    def busy(rng: np.random.Generator) -> np.ndarray:
        run = play(rng, 0.6, exponential, concurrency=8, half_batch=4.0)
        k = int(run.released_at[-1] / run.scenario.interval_s)
        return run.records["busy"][k // 10 : k, 0] / (2.0 * run.scenario.interval_s)

    assert_mean_is(0.6, busy)


# ---- no gain lost by a small batch: M/M/c ------------------------------------------------------


@pytest.mark.parametrize("servers", [2, 5])
def test_huge_half_batch_is_mmc(servers: int) -> None:
    # Each call at T·g/c takes c on average; the mean wait is Erlang's C over c·μ - λ = 1 - ρ.
    load = 0.7
    expected = servers + erlang_c(servers, load * servers) / (1.0 - load)
    batch = {"concurrency": servers, "half_batch": 1e12}
    assert_mean_is(expected, lambda rng: responses(play(rng, load, exponential, **batch)))
