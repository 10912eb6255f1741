"""The package against SimPy on the same tapes, call by call.

SimPy is an independent discrete-event library; the model in `reference/simpy_model.py` shares
nothing with the package or the plain simulator. Shares change every interval; agents load, are
kept alive, pause, and turn calls away; exact instances put many events on whole multiples of the
interval. The plain simulator is held to the same.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicegym.envs import Agent, Scenario

from .reference import simpy_model
from .reference.case import Call, Case
from .reference.judges import Player, by_general_path, by_kernel, by_plain
from .reference.strategies import exact_cases, rough_cases

WITHOUT_MEMORY = st.one_of(
    exact_cases(memory=False),
    exact_cases(memory=False, graphs=False),
    rough_cases(memory=False),
    rough_cases(memory=False, graphs=False),
)
PLAYERS = (by_plain, by_kernel, by_general_path)


def agree_with_simpy(case: Case, play: Player) -> None:
    lives, run = simpy_model.play(case), play(case)
    for name, times in (
        ("released", run.released_at),
        ("started", run.started_at),
        ("completed", run.completed_at),
    ):
        expected = [getattr(life, name) for life in lives]
        np.testing.assert_allclose(times, expected, rtol=0, atol=1e-9, err_msg=name)
    assert run.rejected.tolist() == [life.rejected for life in lives]


def long_case(seed: int) -> Case:
    """Minutes of a loaded pool: three agents, call graphs, shares that change every second.

    Every fifth release lies on a decision, and so do the ends of loads and keep-alives.
    """
    rng = random.Random(seed)
    horizon = 200.0
    agents = tuple(
        Agent(
            name,
            throughput=throughput,
            cold_start_s=cold_start,
            keep_alive_s=keep_alive,
            concurrency=concurrency,
        )
        for name, throughput, cold_start, keep_alive, concurrency in (
            ("plan", 20.0, 2.0, 3.0, 1),
            ("act", 12.0, 0.5, 1.0, 2),
            ("join", 30.0, 1.0, 0.0, 3),
        )
    )
    scenario = Scenario(agents, interval_s=1.0, horizon_s=horizon, reconfigure_s=0.125)
    calls: list[Call] = []
    for task in range(900):
        at = float(rng.randrange(200)) if task % 5 == 0 else rng.uniform(0.0, horizon)
        first = len(calls)
        calls.append(Call(0, rng.expovariate(1.0) + 1e-3, task, at))
        for _ in range(rng.randint(0, 2)):
            think = rng.choice([0.0, rng.uniform(0.0, 2.0)])
            work = rng.expovariate(1.0) + 1e-3
            calls.append(Call(1, work, task, delay=think, predecessors=(first,)))
        before = tuple(range(first, len(calls)))
        calls.append(Call(2, rng.expovariate(1.0) + 1e-3, task, predecessors=before))
    shares = tuple(
        tuple(rng.choice([0.0, rng.uniform(0.05, 1.0), rng.uniform(0.05, 1.0)]) for _ in agents)
        for _ in range(200)
    )
    return Case(scenario, tuple(calls), shares)


@settings(max_examples=120)
@given(case=WITHOUT_MEMORY)
def test_package_agrees_with_simpy_call_by_call(case: Case) -> None:
    agree_with_simpy(case, by_kernel)


@settings(max_examples=50)
@given(case=WITHOUT_MEMORY)
def test_general_path_agrees_with_simpy_call_by_call(case: Case) -> None:
    agree_with_simpy(case, by_general_path)


@settings(max_examples=60)
@given(case=WITHOUT_MEMORY)
def test_plain_reference_agrees_with_simpy_call_by_call(case: Case) -> None:
    agree_with_simpy(case, by_plain)


@pytest.mark.parametrize("seed", range(3))
def test_package_agrees_with_simpy_over_minutes(seed: int) -> None:
    case = long_case(seed)
    assert np.count_nonzero(~np.isnan(by_kernel(case).completed_at)) > 1_000
    agree_with_simpy(case, by_kernel)


@pytest.mark.slow
@settings(max_examples=1_000)
@given(case=WITHOUT_MEMORY)
def test_all_agree_with_simpy_on_thousands_of_instances(case: Case) -> None:
    for play in PLAYERS:
        agree_with_simpy(case, play)
