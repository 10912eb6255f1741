"""The package against the plain reference with batches, elastic pools, nodes and faults.

As in `test_plain_agreement`: exact instances to the last bit, rough ones to 1e-9 s with equal
discrete outcomes. The laws at the end say what each feature must leave as it was.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from slicegym.envs.kernel.layout import EVICTION, HEALTH, LOAD_FACTOR, LOST
from slicegym.envs.platform import Elastic, Node

from .reference.case import Call, Case, Change
from .reference.judges import (
    TIMES,
    Outcome,
    agent,
    assert_agree,
    by_general_path,
    by_kernel,
    by_plain,
)
from .reference.judges import case as case_of
from .reference.platforms import exact_platforms, rough_platforms
from .reference.strategies import exact_cases, rough_cases
from .test_plain_agreement import agree_exactly, agree_roughly, is_exact

# Three GPUs of four, or three agents on one node, give thirds: such instances are dropped.
SOME = HealthCheck.filter_too_much


# ---- agreement ---------------------------------------------------------------------------------


@settings(max_examples=150)
@given(case=rough_platforms())
def test_everything_together_agrees(case: Case) -> None:
    agree_roughly(case)


@settings(max_examples=150, suppress_health_check=[SOME])
@given(case=exact_platforms())
def test_everything_together_agrees_to_the_last_bit_with_ties(case: Case) -> None:
    agree_exactly(case)


@settings(max_examples=100)
@given(case=rough_platforms(pools=False, faults=False))
def test_batches_agree(case: Case) -> None:
    agree_roughly(case)


@settings(max_examples=100)
@given(case=rough_platforms(batches=False, faults=False))
def test_pools_agree(case: Case) -> None:
    agree_roughly(case)


@settings(max_examples=100)
@given(case=rough_platforms(batches=False, pools=False))
def test_faults_agree(case: Case) -> None:
    agree_roughly(case)


@pytest.mark.parametrize("seed", range(3))
def test_long_busy_batches_agree(seed: int) -> None:
    """Hundreds of calls through large batches, whose rates change a thousand times."""
    rng = random.Random(seed)
    calls = [
        Call(rng.randrange(2), rng.expovariate(1.0), task, rng.uniform(0.0, 90.0))
        for task in range(300)
    ]
    llms = [
        agent(name, 3.0, service="batched", concurrency=c, half_batch=h, prefill=p)
        for name, c, h, p in (("a", 32, 8.0, 0.3), ("b", 128, 100.0, 0.05))
    ]
    rows = [(rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8)) for _ in range(120)]
    agree_roughly(case_of(llms, calls, rows, gpus=2.0))


@pytest.mark.slow
@settings(max_examples=2_000)
@given(case=rough_platforms())
def test_everything_together_agrees_on_thousands(case: Case) -> None:
    agree_roughly(case)


@pytest.mark.slow
@settings(max_examples=1_000, suppress_health_check=[SOME])
@given(case=exact_platforms())
def test_everything_together_agrees_to_the_last_bit_on_thousands(case: Case) -> None:
    agree_exactly(case)


# ---- laws --------------------------------------------------------------------------------------

ANY = st.one_of(rough_platforms(), exact_platforms())
BARE = st.one_of(rough_cases(), exact_cases())


@settings(max_examples=100)
@given(case=ANY)
def test_calls_are_conserved(case: Case) -> None:
    """Released = completed + waiting + in service + rejected, at every decision and agent."""
    run = by_kernel(case)
    released, completed, rejected = (
        np.cumsum(run.seen[name], axis=0) for name in ("arrivals", "completions", "rejected")
    )
    inside = run.seen["queue"] + run.seen["in_service"]
    np.testing.assert_array_equal(released, completed + rejected + inside)


@settings(max_examples=100)
@given(case=ANY)
def test_work_that_is_done_made_agents_busy(case: Case) -> None:
    """T·speed work per busy GPU-second, at full health; prices count in what is booked."""
    case = replace(case, changes=tuple(c for c in case.changes if c.what != HEALTH))
    run = by_kernel(case)
    mean = case.scenario.price_per_gpu_hour
    per_booked = np.array([n.speed * mean / n.price for n in case.scenario.nodes] or [1.0])
    nodes = run.nodes if case.scenario.n_nodes > 1 else np.zeros(run.busy.shape, dtype=int)
    worked = (run.busy * per_booked[nodes]).sum(axis=0) * case.scenario.throughput
    agents = np.array([call.agent for call in case.calls], dtype=int)
    work = np.array([call.work for call in case.calls])
    for i in range(case.scenario.n_agents):
        done = work[(agents == i) & ~np.isnan(run.completed_at)].sum()
        begun = work[(agents == i) & ~np.isnan(run.started_at)].sum()
        assert done - 1e-9 <= worked[i] <= begun + 1e-9


def assert_identical(one: Outcome, other: Outcome, but: tuple[str, ...] = ()) -> None:
    """To the last bit, but for some names and for what only one of them can have."""
    for name in vars(one).keys() - {"seen", "ends", "rented", "nodes", "crossings", *but}:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
    for name in one.seen.keys() & other.seen.keys():
        np.testing.assert_array_equal(one.seen[name], other.seen[name], name)
    for name in one.ends:
        np.testing.assert_array_equal(one.ends[name], other.ends[name], name)


def one_node(case: Case) -> Case:
    """The pool as a node of its own."""
    s = case.scenario
    node = Node("only", s.gpus, price=s.price_per_gpu_hour, memory_mb=s.pool_memory_mb)
    scenario = replace(s, nodes=(node,), gpus=1.0, price_per_gpu_hour=1.0, pool_memory_mb=None)
    assume(scenario.gpus == s.gpus and scenario.price_per_gpu_hour == s.price_per_gpu_hour)
    return replace(case, scenario=scenario)


def far_nodes(case: Case) -> Case:
    """The pool as a node that is far from nowhere."""
    alone = one_node(case)
    return replace(alone, scenario=replace(alone.scenario, cross_node_s=9.0))


def unchanged(case: Case) -> Case:
    """Changes that change nothing."""
    agents, decisions = range(case.scenario.n_agents), range(len(case.shares))
    same = [(LOST, 0, 0.0)]
    same += [(what, i, 1.0) for i in agents for what in (HEALTH, LOAD_FACTOR)]
    return replace(case, changes=tuple(Change(k, *change) for k in decisions for change in same))


@pytest.mark.parametrize("other", [one_node, far_nodes, unchanged])
@settings(max_examples=50)
@given(case=BARE)
def test_feature_that_does_nothing_changes_nothing(
    other: Callable[[Case], Case], case: Case
) -> None:
    for play in (by_kernel, by_general_path):
        assert_identical(play(other(case)), play(case))


@settings(max_examples=50)
@given(case=BARE)
def test_elastic_pool_of_a_fixed_size_differs_in_its_bill_alone(case: Case) -> None:
    scenario = case.scenario
    elastic = Elastic(min_gpus=scenario.gpus, unit_gpus=scenario.gpus, provision_s=5.0)
    for play in (by_kernel, by_general_path):
        run = play(replace(case, scenario=replace(scenario, elastic=elastic)), False)
        bare = play(case, False)
        assert_identical(run, bare, but=("dollars", "cost_term", "idle_term", "rewards"))
        np.testing.assert_allclose(run.cost_term, 1.0, rtol=1e-12)
        expected = 1.0 + bare.idle_term - bare.cost_term
        np.testing.assert_allclose(run.idle_term, expected, rtol=0, atol=1e-9)


@settings(max_examples=50)
@given(case=BARE)
def test_eviction_of_cold_agents_changes_nothing(case: Case) -> None:
    everyone = tuple(Change(0, EVICTION, i) for i in range(case.scenario.n_agents))
    for play in (by_kernel, by_general_path):
        assert_identical(play(replace(case, changes=everyone)), play(case))


def of_one(case: Case, service: str) -> Case:
    agents = tuple(replace(a, concurrency=1, service=service) for a in case.scenario.agents)
    return replace(case, scenario=replace(case.scenario, agents=agents))


@settings(max_examples=50)
@given(case=exact_cases())
def test_batch_of_one_is_first_come_first_served(case: Case) -> None:
    """Where arithmetic is exact; elsewhere a batch may round in another order."""
    assume(is_exact(by_plain(of_one(case, "fcfs"))))
    for play in (by_kernel, by_general_path):
        assert_agree(play(of_one(case, "batched")), play(of_one(case, "fcfs")), tolerance=0.0)


@settings(max_examples=50)
@given(case=rough_cases(pauses=False))
def test_huge_half_batch_is_first_come_first_served(case: Case) -> None:
    """φ(n)/n → 1/c: relative differences of c/h = 1e-12 at most."""
    agents = tuple(replace(a, service="batched", half_batch=1e13) for a in case.scenario.agents)
    batched = replace(case, scenario=replace(case.scenario, agents=agents))
    one, other = by_kernel(batched), by_kernel(case)
    for name in TIMES:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=0, atol=1e-8)
    np.testing.assert_array_equal(one.rejected, other.rejected)
