"""The numbers of the report's figures, on folders where they can be worked out by hand."""

import numpy as np
import pytest

from slicegym.eval.page.gather import gather
from slicegym.eval.page.scales import LOG, LOG1P, Scale, spread
from slicegym.eval.page.timeline import binned
from slicegym.eval.page.verdict import verdict
from slicegym.eval.page.write import write_report

from .results_folders import known, numbers, part, read, row, scenario, write

NAMES = ("static", "demand", "fair")


@pytest.fixture
def folder(tmp_path):
    return known(tmp_path / "run")


class TestNumbers:
    @pytest.fixture(autouse=True)
    def report(self, folder):
        write_report(folder)
        self.folder = folder

    def column(self, name, column):
        lines = numbers(self.folder, name)
        return {line["allocator"]: float(line[column]) for line in lines if line[column]}

    def test_rewards_from_the_best_with_the_bound(self):
        found = self.column("small-reward", "mean")
        assert list(found.items()) == [
            ("bound", -0.5), ("demand", -1.5), ("fair", -1.7), ("static", -3.0),
        ]  # fmt: skip

    def test_the_interval_is_students_of_two_blocks(self):
        # −1 and −2: mean −1.5, s/√2 = ½, and t of one degree of freedom is 12.706.
        assert self.column("small-reward", "low")["demand"] == pytest.approx(-1.5 - 6.353, abs=1e-3)

    def test_differences_are_paired(self):
        # demand: 1 and 2 above static; fair: 0.5 and 2.1.
        found = self.column("small-versus-static", "mean")
        assert found == pytest.approx({"demand": 1.5, "fair": 1.3})

    def test_scores_are_gain_over_room(self):
        # Rooms are 1.5 and 3.5: 2.5 in the mean.
        expected = {"demand": 1.5 / 2.5, "fair": 1.3 / 2.5, "static": 0.0}
        assert self.column("small-score", "mean") == pytest.approx(expected)

    def test_losses_are_weighted_terms(self):
        found = self.column("small-losses", "latency")
        assert found["demand"] == 1.5
        assert self.column("small-losses", "cost")["demand"] == 0.0

    def test_the_front_and_what_each_adds(self):
        # To static's corner (4 $, 4 s): demand 2·2, below it fair 1·1: 5 of 16. Without demand fair
        # alone has 1·3, without fair demand has 4.
        assert set(self.column("small-pareto", "hypervolume").values()) == {5 / 16}
        assert self.column("small-pareto", "on_front") == {"demand": 1, "fair": 1, "static": 0}
        adds = self.column("small-pareto", "hypervolume_alone_adds")
        assert adds == {"demand": 2 / 16, "fair": 1 / 16, "static": 0.0}

    def test_latency_against_utilization(self):
        found = self.column("small-utilization", "on_front")
        assert found == {"demand": 1, "fair": 1, "static": 0}

    def test_the_distribution_ends_where_tasks_were_left(self):
        # Uniform from 1 to 5 s, of three tasks in four.
        lines = numbers(self.folder, "small-latency")
        assert float(lines[-1]["demand"]) == pytest.approx(0.75)
        for line in lines:
            within = min(max((float(line["latency_s"]) - 1) / 4, 0), 1)
            assert float(line["static"]) == pytest.approx(0.75 * within, abs=1e-5)

    def test_probabilities_of_improvement(self):
        # demand beats fair on the first tape alone, and static on both.
        assert self.column("small-improvement", "fair")["demand"] == 0.5
        assert self.column("small-improvement", "static")["demand"] == 1.0
        assert self.column("small-improvement", "demand")["static"] == 0.0

    def test_the_profile_counts_blocks(self):
        # Scores of demand by block: 1/1.5 and 2/3.5; of fair: 0.5/1.5 and 2.1/3.5.
        lines = {float(line["score"]): line for line in numbers(self.folder, "small-profile")}
        near = {at: min(lines, key=lambda x: abs(x - at)) for at in (0.5, 0.6, 0.7)}
        assert [float(lines[near[at]]["demand"]) for at in (0.5, 0.6, 0.7)] == [1.0, 0.5, 0.0]
        assert float(lines[near[0.5]]["fair"]) == 0.5

    def test_time_lines_of_the_best_two(self):
        lines = numbers(self.folder, "small-timeline")
        assert list(dict.fromkeys(line["allocator"] for line in lines)) == ["demand", "fair"]
        queue = [float(line["queue_calls"]) for line in lines if line["agent"] == "nlp"]
        assert queue[:6] == [1, 3, 5, 7, 9, 11]
        assert lines[2]["from_s"] == "10"


class TestSeveralFamilies:
    @pytest.fixture
    def folder(self, tmp_path):
        cheap = {"latency": 1.0, "cost": 0.5, "idle": 0.5}
        families = [scenario(), scenario("half", gpus=1.0), scenario("cheap", weights=cheap)]
        return known(tmp_path / "run", families=[part(one) for one in families])

    def test_attainment_against_load(self, folder):
        write_report(folder)
        lines = numbers(folder, "slo-against-load-1")
        # 60 calls of two agents at 4 per GPU-second: 30 of 2·60 and of 1·60 GPU-seconds.
        load = {line["family"]: float(line["load"]) for line in lines}
        assert load == {"small": 0.25, "half": 0.5}
        slo = [float(line["slo"]) for line in lines if line["allocator"] == "demand"]
        assert slo == [0.6, 0.6]

    def test_attainment_as_far_as_a_run_has_come(self, tmp_path):
        families = [scenario(), scenario("half", gpus=1.0)]
        cut = {"families": [part(one) for one in families], "is_finished": False}
        write_report(known(tmp_path / "most", n_rows=10, **cut))
        lines = numbers(tmp_path / "most", "slo-against-load-1")
        assert {float(line["load"]) for line in lines} == {0.25, 0.5}
        page = write_report(known(tmp_path / "little", n_rows=7, **cut))
        assert "slo-against-load-1" not in {figure.name for figure in page.figures}

    def test_a_front_over_weights(self, folder):
        write_report(folder)
        names = [line["allocator"] for line in numbers(folder, "pareto-weights-1")]
        assert sorted(names) == sorted(
            f"{name} {weights}" for name in NAMES for weights in ("1:1:0.5", "1:0.5:0.5")
        )

    def test_the_verdict_counts_families(self, folder):
        assert verdict(gather(folder)) == (
            "demand has the highest mean reward on 3 of 3 families, and on none of them the lead "
            "over the next is one that the tapes' luck does not explain (95 %)."
        )

    def test_families_are_folded(self, folder):
        write_report(folder)
        opened = ["open" in found for tag, found in read(folder).tags if tag == "details"]
        assert opened == [True, False, False, False]


class TestVerdict:
    def of(self, tmp_path, demand, fair):
        p = part(scenario(), n_episodes=3)
        values = {"demand": demand, "fair": fair}
        cells = {("small", i, s): row(p, i, s, values[s][i]) for i in range(3) for s in values}
        return verdict(gather(write(tmp_path / "run", [p], ["demand", "fair"], cells)))

    def test_told_apart(self, tmp_path):
        # Differences 0.9, 1.0 and 1.1: t of two degrees of freedom is 4.303, so ± 0.248.
        assert self.of(tmp_path, (-1.0, -1.0, -1.0), (-1.9, -2.0, -2.1)) == (
            "demand has the highest mean reward on small-heldout, −1.000, +1.000 ± 0.248 beside "
            "fair, the next: a difference that the tapes' luck does not explain (95 %)."
        )

    def test_not_told_apart(self, tmp_path):
        # Differences −1, 0 and 2.
        assert self.of(tmp_path, (-2.0, -2.0, -2.0), (-1.0, -2.0, -4.0)) == (
            "demand has the highest mean reward on small-heldout, −2.000, but these tapes do not "
            "tell it apart from fair (+0.333 ± 3.795 beside fair, the next, 95 %)."
        )


class TestScales:
    def test_linear_ticks_are_round(self):
        assert Scale(-2.3, 0.4, 0, 1).ticks() == [-2.0, -1.0, 0.0]
        assert Scale(0.0, 1.0, 0, 1).ticks() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])

    def test_ticks_of_logarithms_are_decades_or_their_halves_and_fifths(self):
        assert Scale(0.05, 2000, 0, 1, LOG).ticks() == pytest.approx([0.1, 1, 10, 100, 1000])
        assert Scale(3, 60, 0, 1, LOG).ticks() == pytest.approx([5, 10, 20, 50])
        assert Scale(0, 150, 0, 1, LOG1P).ticks() == [0, 1, 10, 100]

    def test_places(self):
        assert Scale(0, 10, 100, 200)(2.5) == 125
        assert Scale(1, 100, 0, 10, LOG)(10) == pytest.approx(5)
        assert Scale(0, 10, 100, 200)(99) == 200

    def test_labels_give_way_to_each_other_and_stay_inside(self):
        assert spread([5, 5, 50], 10, 0, 100) == [5, 15, 50]
        assert spread([95, 99], 10, 0, 100) == [90, 100]
        assert spread([0, 0, 0], 10, 0, 10) == [0, 5, 10]


class TestBins:
    def test_shares_are_means_and_queues_peaks(self):
        # 400 decisions in 134 parts of three, the last of one.
        share = [[float(k)] for k in range(400)]
        found = binned(np.array(share), np.array(share), ["a"], 2.0)
        assert found.share[:2, 0].tolist() == [1.0, 4.0]
        assert found.queue[:2, 0].tolist() == [2.0, 5.0]
        assert found.share[-1, 0] == 399.0
        assert found.edges[[0, 1, -2, -1]].tolist() == [0.0, 6.0, 798.0, 800.0]

    def test_many_agents_are_taken_together(self):
        values = np.arange(10.0)[None]
        found = binned(values, values, [f"a{i}" for i in range(10)], 1.0)
        assert found.agents == ("a0", "a1", "a2", "a3", "a4", "5 others")
        assert found.share[0].tolist() == [0, 1, 2, 3, 4, 5 + 6 + 7 + 8 + 9]
        assert found.queue[0, -1] == 9
