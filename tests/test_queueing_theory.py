"""Queues with known answers: the simulated means lie in their confidence intervals.

Each test makes 20 independent replications with fixed seeds, drops the calls released in the
first tenth (the queue starts empty), and asks that the known value lie inside the 99.9 % t-interval
of the replications' means, and that this interval be narrow (3 % of the value to either side), so
that a wrong law would fall outside. Releases stop before the horizon, so that nothing is censored.

Symbols: λ arrivals/s, μ = T·g/c services/s of a server, ρ = λ/(c·μ) load.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import stats

from slicegym.envs import Agent, Run, Scenario, Tape, simulate

REPLICATIONS = 20
CONFIDENCE = 0.999
PRECISION = 0.03
DRAIN_S = 2_000.0

Sample = Callable[[np.random.Generator], np.ndarray]


def assert_mean_is(expected: float, sample: Sample) -> None:
    """Replicates, and compares the mean of the replications' means with the known one."""
    means = []
    for seed in range(REPLICATIONS):
        values = sample(np.random.default_rng(seed))
        assert not np.isnan(values).any()  # nothing censored
        means.append(values.mean())
    half = stats.t.ppf(0.5 + CONFIDENCE / 2, REPLICATIONS - 1) * stats.sem(means)
    assert half < PRECISION * expected
    assert abs(np.mean(means) - expected) < half


def poisson(rng: np.random.Generator, rate: float, n: int) -> np.ndarray:
    """Release times of a Poisson stream, (n,) [s]."""
    return np.cumsum(rng.exponential(1.0 / rate, n))


def horizon_after(release: np.ndarray) -> float:
    return float(release[-1]) + DRAIN_S


def scenario_of(n_agents: int, concurrency: int, gpus: float, horizon: float) -> Scenario:
    """Agents of T = 1 that are warm at once, and fifty decisions that change nothing."""
    agents = tuple(Agent(f"a{i}", throughput=1.0, concurrency=concurrency) for i in range(n_agents))
    return Scenario(agents, gpus=gpus, interval_s=horizon / 50, horizon_s=horizon)


def play(scenario: Scenario, tape: Tape, force_graph: bool = False) -> Run:
    """Equal shares of the whole pool, throughout."""
    shares = np.full((scenario.n_intervals, scenario.n_agents), scenario.gpus / scenario.n_agents)
    return simulate(scenario, tape, shares, force_graph=force_graph)


def queue(
    rng: np.random.Generator,
    rate: float,
    work: Callable[[int], np.ndarray],
    servers: int = 1,
    n: int = 100_000,
    force_graph: bool = False,
) -> Run:
    """One agent with c servers of rate 1, fed by a Poisson stream."""
    release = poisson(rng, rate, n)
    scenario = scenario_of(1, servers, float(servers), horizon_after(release))
    tape = Tape.from_calls(np.zeros(n, int), work(n), release, horizon_s=scenario.horizon_s)
    return play(scenario, tape, force_graph)


def settled(values: np.ndarray) -> np.ndarray:
    """Without the first tenth."""
    return values[len(values) // 10 :]


def waits(run: Run) -> np.ndarray:
    return settled(run.started_at - run.released_at)


def responses(run: Run) -> np.ndarray:
    return settled(run.completed_at - run.released_at)


# ---- one queue ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("load", "force_graph"), [(0.3, False), (0.6, False), (0.8, False), (0.6, True)]
)
def test_mm1_mean_response_is_one_over_mu_minus_lambda(load: float, force_graph: bool) -> None:
    assert_mean_is(
        1.0 / (1.0 - load),
        lambda rng: responses(queue(rng, load, rng.standard_exponential, force_graph=force_graph)),
    )


def test_mm1_response_is_exponential() -> None:
    # P(R > t) = exp(-(μ-λ)t): one in ten responses is longer than ln(10)/(μ-λ).
    load = 0.6
    limit = math.log(10.0) / (1.0 - load)
    assert_mean_is(0.1, lambda rng: responses(queue(rng, load, rng.standard_exponential)) > limit)


def test_mm1_call_finds_the_server_free_with_probability_one_minus_rho() -> None:
    # Poisson arrivals see time averages; "free" is a wait of exactly zero.
    assert_mean_is(0.4, lambda rng: waits(queue(rng, 0.6, rng.standard_exponential)) == 0.0)


def test_md1_mean_wait_is_pollaczek_khinchine() -> None:
    # Constant service: half the wait of M/M/1, ρ/(2μ(1-ρ)).
    load = 0.7
    assert_mean_is(load / (2.0 * (1.0 - load)), lambda rng: waits(queue(rng, load, np.ones)))


@pytest.mark.parametrize("cv", [0.5, 2.0])
def test_mg1_mean_wait_is_pollaczek_khinchine(cv: float) -> None:
    # Gamma work of mean 1: λ E[S²] / (2(1-ρ)) with E[S²] = 1 + cv².
    load, shape = 0.5, 1.0 / cv**2
    expected = load * (1.0 + cv**2) / (2.0 * (1.0 - load))
    assert_mean_is(
        expected, lambda rng: waits(queue(rng, load, lambda n: rng.gamma(shape, cv**2, n)))
    )


@pytest.mark.parametrize("servers", [2, 5])
def test_mmc_mean_wait_is_erlang_c(servers: int) -> None:
    load, n = 0.7, 200_000
    expected = erlang_c(servers, load * servers) / (servers * (1.0 - load))
    assert_mean_is(
        expected,
        lambda rng: waits(queue(rng, load * servers, rng.standard_exponential, servers, n)),
    )


def erlang_c(servers: int, offered: float) -> float:
    """Probability that a call waits, at `offered` = λ/μ erlangs."""
    terms = [offered**k / math.factorial(k) for k in range(servers)]
    last = offered**servers / math.factorial(servers) / (1.0 - offered / servers)
    return last / (sum(terms) + last)


def test_erlang_c_of_one_server_is_its_load() -> None:
    assert erlang_c(1, 0.6) == pytest.approx(0.6)
    assert erlang_c(2, 1.0) == pytest.approx(1.0 / 3.0)


# ---- call graphs -------------------------------------------------------------------------------


@cache
def pairs(n: int, chained: bool) -> Tape:
    """Tasks of two calls, to agent 0 and agent 1; chained, the second follows the first."""
    before = [[], [0]] if chained else [[], []]
    return Tape.from_calls(
        agent=np.tile([0, 1], n),
        work=np.ones(2 * n),
        release=np.zeros(2 * n),
        task=np.repeat(np.arange(n), 2),
        predecessors=[[2 * i + p for p in ps] for i in range(n) for ps in before],
        horizon_s=1.0,
    )


def play_pairs(rng: np.random.Generator, rate: float, n: int, chained: bool) -> np.ndarray:
    """Released, started and completed of tasks from a Poisson stream, (3, tasks, 2) [s]."""
    release = np.repeat(poisson(rng, rate, n), 2)
    scenario = scenario_of(2, 1, 2.0, horizon_after(release))
    shape = pairs(n, chained)
    tape = replace(
        shape,
        work=rng.standard_exponential(2 * n),
        release=np.where(shape.n_predecessors > 0, np.nan, release),
        horizon_s=scenario.horizon_s,
    )
    run = play(scenario, tape)
    return np.stack([run.released_at, run.started_at, run.completed_at]).reshape(3, n, 2)


def test_tandem_second_queue_is_mm1_too() -> None:
    # Burke: the output of M/M/1 is Poisson, so the second queue is M/M/1 like the first.
    def second_responses(rng: np.random.Generator) -> np.ndarray:
        released, _, completed = play_pairs(rng, 0.5, 40_000, chained=True)
        return settled(completed[:, 1] - released[:, 1])

    assert_mean_is(2.0, second_responses)


def test_tandem_mean_response_is_the_sum_of_both() -> None:
    def task_responses(rng: np.random.Generator) -> np.ndarray:
        released, _, completed = play_pairs(rng, 0.5, 40_000, chained=True)
        return settled(completed[:, 1] - released[:, 0])

    assert_mean_is(4.0, task_responses)


@pytest.mark.parametrize("load", [0.2, 0.6])
def test_fork_join_of_two_mean_response_is_nelson_and_tantawi(load: float) -> None:
    # R. Nelson, A. N. Tantawi, "Approximate analysis of fork/join synchronization in parallel
    # queues" (1988): with two queues exactly (12 - ρ)/8 of the response of M/M/1.

    def task_responses(rng: np.random.Generator) -> np.ndarray:
        released, _, completed = play_pairs(rng, load, 40_000, chained=False)
        return settled(completed.max(axis=1) - released[:, 0])

    assert_mean_is((12.0 - load) / 8.0 / (1.0 - load), task_responses)


def test_task_latency_of_the_reward_is_little_s_law_of_mm1() -> None:
    # The latency term is the time average of the number in system: ρ/(1-ρ). Time goes to the last
    # release here; what drains after it is outside.
    load = 0.6

    def number_in_system(rng: np.random.Generator) -> np.ndarray:
        n = 100_000
        horizon = n / load
        release = poisson(rng, load, n + 2_000)
        release = release[release < horizon]
        scenario = scenario_of(1, 1, 1.0, horizon)
        work = rng.standard_exponential(len(release))
        tape = Tape.from_calls(np.zeros(len(release), int), work, release, horizon_s=horizon)
        shares = np.ones((scenario.n_intervals, 1))
        run = simulate(scenario, tape, shares, horizon_charge=False)
        return settled(run.latency_term)

    assert_mean_is(load / (1.0 - load), number_in_system)
