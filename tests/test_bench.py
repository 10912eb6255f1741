"""The benchmark's systems are what they say, and its figures come out."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from slicegym.envs import Tape, simulate
from slicegym.eval import bench, bench_cases, bench_report
from slicegym.eval.output import to_json

PROMISED = {
    "calls_per_s", "graph_calls_per_s", "mm1_calls_per_s", "simpy_calls_per_s", "ciw_calls_per_s",
    "env_steps_per_s", "vector_env_steps_per_s", "ppo_steps_per_s", "paper_30_repetitions_s",
    "memory_1024_envs_mb", "decision_us_by_agents", "call_ns_by_queue", "compile_s",
}  # fmt: skip


def test_the_other_libraries_play_the_same_queue_call_by_call():
    scenario, (tape,) = bench_cases.mm1_system(1, np.random.default_rng(0))
    n = 2000
    part = Tape.independent(tape.agent[:n], tape.work[:n], tape.release[:n], tape.horizon_s)
    ours = simulate(scenario, part, np.ones((scenario.n_intervals, 1))).metrics["latency_mean_s"]
    service = part.work / bench_cases.MM1_THROUGHPUT
    for run in (bench_cases.simpy_seconds, bench_cases.ciw_seconds):
        assert run(part.release, service)[1] == pytest.approx(ours, rel=1e-9)


@pytest.mark.parametrize(
    "system", [bench_cases.paper_system, bench_cases.mm1_system, bench_cases.graph_system]
)
def test_tapes_are_distinct(system):
    _, tapes = system(3, np.random.default_rng(0))
    assert len({tape.digest for tape in tapes}) == 3


def test_the_graphs_can_be_carried():
    scenario, (tape,) = bench_cases.graph_system(1, np.random.default_rng(0))
    work = np.bincount(tape.agent, tape.work, minlength=4) / scenario.throughput
    assert 0.4 < work.sum() / scenario.horizon_s / scenario.gpus < 0.8
    assert not tape.is_independent


def test_small_calls_are_fewer_than_five_a_step():
    workload = bench_cases.small_calls_scenario().workload
    rate = sum(s.mean_rate(300.0) for _, streams in workload.streams for s in streams)
    assert rate < 5


def test_what_a_target_means():
    assert bench_report.meets(2.0, 1.0, "at least")
    assert not bench_report.meets(2.0, 1.0, "at most")
    assert bench_report.quantity(None) == "–"
    assert bench_report.quantity(12_345_678.0) == "12.3 M"


@pytest.mark.slow
def test_the_figures_come_out():
    figures = bench.measure(quick=True, quiet=True)
    assert set(figures) >= PROMISED
    assert json.loads(to_json(figures))["calls_per_s"] > 0
    assert figures["ppo_steps_per_s"] or "ppo_steps_per_s" in figures["reasons"]
    screen = Console(file=io.StringIO(), width=80)
    screen.print(bench_report.as_table(figures))
    assert max(map(len, screen.file.getvalue().splitlines())) <= 80
