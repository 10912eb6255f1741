"""The benchmark of decisions: who is measured, on what, and held to what."""

import io
from itertools import islice

import numpy as np
import pytest
from rich.console import Console

from slicegym.baselines import allocator_class, make_allocator, names
from slicegym.envs.kernel.observe import RAW_COLUMNS
from slicegym.eval import bench_crowd, bench_decisions, bench_report


def column(raw, name):
    return raw[..., RAW_COLUMNS.index(name)]


class TestCrowd:
    scenario, raw = bench_crowd.crowd(1000)

    def test_every_state_is_seen(self):
        loading, warm = column(self.raw, "loading"), column(self.raw, "warm")
        calls = column(self.raw, "queue") + column(self.raw, "in_service")
        for state in (loading == 1, warm == 1, loading + warm == 0):
            assert 0.05 < state.mean() < 0.6
            assert 0.05 < (calls[state] > 0).mean() < 0.95
        assert not (column(self.raw, "idle_s") * calls).any()  # idle is who has no calls

    def test_it_wants_more_than_there_is(self):
        for observation in islice(bench_decisions.observations(self.scenario, self.raw), 8):
            for text in ("demand", "cmu", "fair", "lookahead"):
                given = make_allocator(text).allocate(observation).sum()
                assert given == pytest.approx(self.scenario.gpus)

    def test_moments_differ(self):
        assert len({moment.tobytes() for moment in self.raw}) == len(self.raw) > 1


class TestTable:
    def test_all_that_are_causal_are_measured_at_sizes_of_a_quick_run(self, monkeypatch):
        monkeypatch.setattr(bench_decisions, "decision_us", lambda allocator, *case: 1.0)
        found = bench_decisions.decisions(0.1)
        causal = {name for name in names() if allocator_class(name).causal}
        assert set(found["decision_us"]) == causal - {"ppo"}  # which is `learned`
        assert found["decision_us"]["demand"] == {"4": 1.0, "1024": 1.0}
        assert found["decision_growth"]["demand"] is None
        assert found["reasons"] == {"decision_us.1000000": "left out of a quick run"}

    def test_times_and_what_is_refused(self, tmp_path):
        policy = f"learned:{bench_crowd.write_policy(tmp_path)}"
        plans = "mpc:horizon=1,tuned=false"
        found = bench_decisions.table({"learned": policy, "mpc": plans}, (4, 2048), 1e-4)
        assert min(found["decision_us"]["learned"].values()) > 0
        assert found["decision_us"]["mpc"]["4"] > 0
        assert found["decision_us"]["mpc"]["2048"] is None
        (reason,) = found["reasons"].items()
        assert reason[0] == "decision_us.mpc.2048"
        assert "mpc plans at most" in reason[1]

    def test_no_decision_is_seen_twice(self):
        class Watching:
            def __init__(self):
                self.decisions = []

            def reset(self, scenario):
                pass

            def allocate(self, observation):
                self.decisions.append(int(observation.decision))

        watching = Watching()
        bench_decisions.decision_us(watching, *bench_crowd.crowd(4), 1e-4)
        assert watching.decisions == list(range(len(watching.decisions)))
        assert len(watching.decisions) >= 2 + 10 * bench_decisions.FEWEST

    def test_growth_is_the_power_of_the_number_of_agents(self):
        times = {str(n): 0.5e-3 * n**1.5 for n in bench_decisions.SIZES}
        assert bench_decisions.growth(times) == pytest.approx(1.5)
        assert bench_decisions.growth({**times, "1024": None}) is None


class TestTargets:
    @pytest.mark.parametrize("name", ["static", "adaptive", "demand", "fair", "keda"])
    def test_linear_rules_are_held_to_both(self, name):
        assert bench_decisions.targets(name) == {"4": 5.0, "1000000": 20_000.0}

    @pytest.mark.parametrize(("name", "why"), [("maxweight", "sorts"), ("histogram", "keeps")])
    def test_those_beyond_are_reported_with_the_reason(self, name, why):
        assert bench_decisions.targets(name) == {}
        assert why in bench_decisions.table({name: name}, (), 0.0)["decision_reported"][name]

    def test_a_policy_has_its_own(self):
        assert bench_decisions.targets("learned") == {"4": 50.0, "1024": 5_000.0}

    @pytest.mark.parametrize(
        ("times", "verdict"),
        [
            ({"4": 5.0, "1024": 99.0, "1000000": 2e4}, "met"),
            ({"4": 5.1, "1024": 9.0, "1000000": 3e4}, "missed at 4, 1,000,000"),
            ({"4": 1.0, "1024": 9.0, "1000000": None}, "met"),
            ({"4": None, "1024": 9.0}, ""),
        ],
    )
    def test_verdicts(self, times, verdict):
        assert bench_report.decision_verdict(times, {"4": 5.0, "1000000": 2e4}) == verdict

    def test_the_table_fits_and_shows_what_is_missed(self):
        times = {"4": 123.4, "1024": 1024.0, "1000000": 123_456.7}
        figures = {
            "decision_us": {"adaptive_guaranteed": times, "histogram": times},
            "decision_growth": {"adaptive_guaranteed": 1.0, "histogram": 1.2345},
            "decision_targets_us": {"adaptive_guaranteed": {"4": 5.0, "1000000": 2e4}}
            | {"histogram": {}},
            "decision_reported": {"histogram": "keeps histograms"},
        }
        console = Console(file=io.StringIO(), width=80)
        console.print(bench_report.decision_table(figures))
        lines = console.file.getvalue().splitlines()
        assert any("adaptive_guaranteed" in x and "missed at 4, 1,000,000" in x for x in lines)
        assert any("histogram" in x and "123,457" in x and "keeps histograms" in x for x in lines)


def test_the_policy_is_of_the_size_of_trained_ones(tmp_path):
    allocator = make_allocator(f"learned:{bench_crowd.write_policy(tmp_path)}")
    assert allocator.policy.header.sizes == (24, 32, 32, 32, 1)
    scenario, raw = bench_crowd.crowd(4)
    shares = allocator.allocate(next(bench_decisions.observations(scenario, raw)))
    assert shares.shape == (4,)
    assert np.ptp(shares) > 0
