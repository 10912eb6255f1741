"""Metrics on a run walked by hand, on call graphs, and where there is nothing to measure."""

import math

import numpy as np
import pytest

from slicegym.envs import Agent, Scenario, Tape, simulate
from slicegym.envs.metrics import METRICS, compute, metric, per_agent


def one_server(**changes):
    return Scenario(
        (Agent("a", throughput=1.0, **changes),),
        horizon_s=10.0,
        price_per_gpu_hour=3600.0,
        reference_latency_s=1.0,
    )


def tape(release, work, horizon_s=10.0):
    return Tape.from_calls([0] * len(release), work, release, horizon_s=horizon_s)


@pytest.fixture(scope="module")
def walked():
    # served 0 → 1 and 1 → 3; the third needs 5 s from 8 on and is cut off at 10
    run = simulate(one_server(), tape([0.0, 0.5, 8.0], [1.0, 2.0, 5.0]), np.ones((10, 1)))
    return compute(run)


WALKED = {
    "latency_mean_s": (1.0 + 2.5) / 2,
    "latency_p50_s": 1.75,
    "latency_p95_s": 1.0 + 0.95 * 1.5,
    "latency_p99_s": 1.0 + 0.99 * 1.5,
    "little_latency_s": (1.0 + 2.5 + 2.0) / 3,
    "slo": 1 / 3,
    "throughput": 0.2,
    "throughput_calls": 0.2,
    "cost_usd": 10.0,
    "usd_per_1000_tasks": 5000.0,
    "utilization": 0.5,
    "completed": 2,
    "open": 1,
    "open_age_s": 2.0,
    "rejected": 0,
    "cold_starts": 0,
    "crossings": 0,
    "jain": 1.0,
    "churn": 0.0,
    "decision_us": math.nan,  # shares given as an array took no decision
}


@pytest.mark.parametrize("name", METRICS)
def test_the_walked_run(walked, name):
    assert walked[name] == pytest.approx(WALKED[name], rel=1e-12, nan_ok=True)


def test_a_rejected_task_stays_to_the_horizon():
    scenario = one_server(queue_limit=1)  # the first is served, the second waits
    row = compute(simulate(scenario, tape([0.0, 0.5, 0.75], [1.0, 1.0, 1.0]), np.ones((10, 1))))
    assert (row["rejected"], row["completed"], row["open"]) == (1, 2, 0)
    assert row["little_latency_s"] == pytest.approx((1.0 + 1.5 + 9.25) / 3)
    assert row["latency_mean_s"] == pytest.approx(1.25)


def test_a_task_lasts_from_its_first_call_to_its_last():
    # call 0 at 1.0 for 1 s, then calls 1 (delay 0.5) and 2 (delay 0) on the other agent
    scenario = Scenario((Agent("a", 1.0), Agent("b", 2.0)), gpus=2.0, horizon_s=10.0)
    graph = Tape.from_calls(
        [0, 1, 1], [1, 1, 1], [1.0, 0.5, 0.0], [0, 0, 0], [[], [0], [0]], horizon_s=10.0
    )
    run = simulate(scenario, graph, np.ones((10, 2)))
    row = compute(run)
    # b: call 2 from 2.0 to 2.5, call 1 from 2.5 to 3.0
    assert row["latency_mean_s"] == pytest.approx(2.0)
    assert (row["completed"], row["throughput"], row["throughput_calls"]) == (1, 0.1, 0.3)
    assert per_agent(run)["b"]["latency_mean_s"] == pytest.approx(0.5)


def test_a_task_with_a_call_missing_is_open():
    scenario = Scenario((Agent("a", 1.0),), horizon_s=10.0)
    graph = Tape.from_calls(
        [0, 0, 0], [1, 9.5, 1], [0.0, 0.0, 5.0], [0, 0, 1], [[], [0], []], horizon_s=10.0
    )
    row = compute(simulate(scenario, graph, np.ones((10, 1))))
    assert (row["completed"], row["open"]) == (0, 2)
    assert row["open_age_s"] == pytest.approx((10.0 + 5.0) / 2)
    assert row["little_latency_s"] == pytest.approx((10.0 + 5.0) / 2)


def test_a_graph_task_with_a_rejected_call_is_rejected():
    scenario = Scenario((Agent("a", 1.0, queue_limit=0),), horizon_s=10.0)
    graph = Tape.from_calls(
        [0, 0, 0], [1, 1, 1], [0.0, 0.0, 0.0], [0, 0, 0], [[], [0], [0]], horizon_s=10.0
    )
    row = compute(simulate(scenario, graph, np.ones((10, 1))))
    assert (row["completed"], row["open"], row["rejected"]) == (0, 0, 1)
    assert row["little_latency_s"] == pytest.approx(10.0)


def test_nothing_happened_is_no_number():
    row = compute(simulate(one_server(), tape([], []), np.zeros((10, 1))))
    unknown = {name for name, value in row.items() if math.isnan(value)}
    assert unknown == {
        "little_latency_s",
        "latency_mean_s",
        "latency_p50_s",
        "latency_p95_s",
        "latency_p99_s",
        "slo",
        "usd_per_1000_tasks",
        "utilization",
        "open_age_s",
        "jain",
        "decision_us",
    }
    assert (row["completed"], row["cost_usd"], row["throughput"]) == (0, 0.0, 0.0)


def test_churn_leaves_out_the_first_decision():
    shares = np.array([[1.0], [1.0], [0.5], [0.75], [0.75], [0.75], [0.75], [0.75], [0.75], [0.75]])
    row = compute(simulate(one_server(), tape([0.0], [1.0]), shares))
    assert row["churn"] == pytest.approx(0.75 / 9)


def test_jain_is_low_where_one_agent_waits():
    scenario = Scenario((Agent("a", 1.0), Agent("b", 1.0)), gpus=2.0, horizon_s=10.0)
    calls = Tape.from_calls([0, 1], [1, 1], [0.0, 0.0], horizon_s=10.0)
    row = compute(simulate(scenario, calls, np.tile([1.0, 0.25], (10, 1))))
    assert row["jain"] == pytest.approx((1 + 4) ** 2 / (2 * (1 + 16)))  # latencies 1 s and 4 s


@pytest.mark.parametrize("seed", range(5))
def test_littles_law_joins_the_metric_and_the_simulators_area(seed):
    rng = np.random.default_rng(seed)
    scenario = Scenario(
        (Agent("a", 2.0, cold_start_s=1.5), Agent("b", 1.0, concurrency=3)), horizon_s=30.0
    )
    n = 40
    calls = Tape.from_calls(
        rng.integers(0, 2, n), rng.exponential(size=n), rng.uniform(0, 30, n), horizon_s=30.0
    )
    run = simulate(scenario, calls, rng.uniform(0, 1, (30, 2)))
    row = compute(run)
    opened = row["completed"] + row["open"] + row["rejected"]
    assert opened == n
    assert row["little_latency_s"] * opened == pytest.approx(run.records["area"].sum(), rel=1e-9)


def test_a_run_is_not_touched():
    run = simulate(one_server(), tape([0.0, 0.5], [1.0, 2.0]), np.ones((10, 1)))
    before = [run.released_at.copy(), run.completed_at.copy(), run.records.copy()]
    compute(run)
    per_agent(run)
    for old, new in zip(before, (run.released_at, run.completed_at, run.records), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_second_metric_of_a_name_is_refused():
    with pytest.raises(ValueError, match="'churn' must be unique"):
        metric(METRICS["churn"])
