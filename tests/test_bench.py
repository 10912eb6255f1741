"""The benchmark's systems are what they say, and its figures come out."""

import io
import itertools
import json

import numpy as np
import pytest
from rich.console import Console

from slicegym.envs import Tape, simulate
from slicegym.envs.loading import scenario_names
from slicegym.eval import bench, bench_cases, bench_families, bench_report
from slicegym.eval.output import to_json

PROMISED = {
    "calls_per_s", "graph_calls_per_s", "mm1_calls_per_s", "simpy_calls_per_s", "ciw_calls_per_s",
    "env_steps_per_s", "vector_env_steps_per_s", "ppo_steps_per_s",
    "ppo_equivariant_steps_per_s", "paper_30_repetitions_s",
    "memory_1024_envs_mb", "decision_us", "call_ns_by_queue", "compile_s",
    "family_env_steps_per_s", "family_env_steps_with_resets_per_s", "family_calls_per_s",
    "decisions_1024_per_s",
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


def only(*names):
    """Pretend that no other scenarios were shipped."""
    return lambda: names


class TestFamilies:
    def test_every_scenario_that_is_shipped_is_measured(self, monkeypatch):
        monkeypatch.setattr(bench_families, "_env_steps_per_s", lambda world, scale: world.n_agents)
        monkeypatch.setattr(bench_families, "absent_traces", lambda world: [])
        found = bench_families.env_steps(1.0)
        assert set(found["family_env_steps_per_s"]) == set(scenario_names())
        assert found["family_env_steps_per_s"]["paper"] == 4
        assert found["reasons"] == {}

    def test_the_clock_runs_through_new_episodes(self, monkeypatch):
        # A step takes half a second of this clock, beside what it takes to look at it.
        monkeypatch.setattr(bench_families, "clock", itertools.count(0.0, 0.5).__next__)
        monkeypatch.setattr(bench_families, "MEASURED_S", 60.0)
        monkeypatch.setattr(bench_families, "ENVS", 2)
        monkeypatch.setattr(bench_families, "scenario_names", only("paper"))
        found = bench_families.env_steps_with_resets(1.0)["family_env_steps_with_resets_per_s"]
        assert found == {"paper": pytest.approx(119 * 2 / 60)}  # more than an episode's 100

    def test_the_clock_stands_still_in_resets(self, monkeypatch):
        # Looked at once before and once after the 98 steps between the first and the last.
        monkeypatch.setattr(bench_families, "clock", itertools.count(0.0, 0.5).__next__)
        monkeypatch.setattr(bench_families, "MEASURED_S", 0.9)
        monkeypatch.setattr(bench_families, "ENVS", 2)
        monkeypatch.setattr(bench_families, "scenario_names", only("paper"))
        found = bench_families.env_steps(1.0)["family_env_steps_per_s"]
        assert found == {"paper": pytest.approx(2 * 98 * 2 / 1.0)}

    def test_absent_traces_are_named(self, monkeypatch, tmp_path):
        for variable in ("SLICEGYM_TRACES", "SLICEGYM_CACHE"):
            monkeypatch.setenv(variable, str(tmp_path))
        monkeypatch.setattr(bench_families, "scenario_names", only("azure"))
        found = bench_families.env_steps(1.0)
        assert found["family_env_steps_per_s"] == {"azure": None}
        reason = "absent traces: azure_code, azure_conv"
        assert found["reasons"] == {"family_env_steps_per_s.azure": reason}

    def test_only_graphs_are_played_for_calls(self, monkeypatch):
        monkeypatch.setattr(bench_families, "scenario_names", only("paper", "agentic-parallel"))
        found = bench_families.kernel_calls(0.1)["family_calls_per_s"]
        assert list(found) == ["agentic-parallel"]
        assert found["agentic-parallel"] > 0

    def test_verdicts(self):
        figures = {"family_env_steps_per_s": {"fast": 2e5, "slow": 9e4, "absent": None}}
        screen = Console(file=io.StringIO(), width=80)
        (key, title, target), *_ = bench_report.TABLES
        screen.print(bench_report._by_name(title, figures[key], target))
        shown = [line.split() for line in screen.file.getvalue().splitlines()]
        assert ["fast", "200,000", "met"] in shown
        assert ["slow", "90,000", "missed"] in shown
        assert ["absent", "–"] in shown


@pytest.mark.slow
def test_the_figures_come_out():
    figures = bench.measure(quick=True, quiet=True)
    assert set(figures) >= PROMISED
    assert json.loads(to_json(figures))["calls_per_s"] > 0
    assert figures["ppo_steps_per_s"] or "ppo_steps_per_s" in figures["reasons"]
    screen = Console(file=io.StringIO(), width=80)
    screen.print(bench_report.as_table(figures))
    assert max(map(len, screen.file.getvalue().splitlines())) <= 80
