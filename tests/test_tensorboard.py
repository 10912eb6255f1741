"""What TensorBoard is given: curves of the same names from everybody, and what they hold."""

import csv
import re

import numpy as np
import pytest
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from slicegym.envs import Simulator
from slicegym.eval.curves import events, hparams
from slicegym.eval.curves.tags import run_names
from slicegym.eval.curves.write import MAX_POINTS, thinned, write_runs
from slicegym.eval.results import load_results
from slicegym.train.ppo import train

from .two_families import RUNS, make_results, read

K = 20  # decisions of an episode


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return make_results(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def written(results, tmp_path_factory):
    """Event files of it, written where nothing can be simulated."""
    out = tmp_path_factory.mktemp("written") / "tensorboard"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Simulator, "__init__", None)
        write_runs(load_results(results), out, timesteps=500)
    return out


def points(found, tag):
    return {event.step: event.value for event in found.Scalars(tag)}


def rows(results, family, allocator):
    with (results / "rows.csv").open() as file:
        every = list(csv.DictReader(file))
    return [r for r in every if (r["family"], r["allocator"]) == (family, allocator)]


class TestRuns:
    def test_there_is_one_for_each_family_and_allocator_and_for_the_bound(self, written):
        found = {p.parent.relative_to(written).as_posix() for p in written.rglob("events.*")}
        families = ("small", "other")
        assert found == {f"{family}/{run}" for family in families for run in {*RUNS, "bound"}}

    def test_all_have_curves_of_the_same_names(self, written):
        tags = [set(read(written / "small" / run).Tags()["scalars"]) for run in sorted(RUNS)]
        assert tags[0] == tags[1] == tags[2]
        terms = ("reward", "latency_term", "cost_term", "idle_term")
        assert {f"decisions/{term}" for term in terms} < tags[0]
        assert {f"{what}/{agent}" for what in ("share", "queue") for agent in "ab"} < tags[0]
        more = ("latency_p50_s", "latency_p95_s", "latency_p99_s", "cost_usd", "utilization")
        for group in ("episodes", "validation"):
            assert {f"{group}/{name}" for name in (*terms, *more)} < tags[0]
        assert "validation/score" in tags[0]
        assert {tag.partition("/")[0] for tag in tags[0]} == {
            *("decisions", "episodes", "validation", "share", "queue"),
        }

    def test_a_suite_is_named_by_its_split(self, written):
        groups = {t.partition("/")[0] for t in read(written / "other" / "demand").Tags()["scalars"]}
        assert "heldout" in groups
        assert "validation" not in groups

    def test_training_draws_the_same_names(self, written, configured, tmp_path, monkeypatch):
        monkeypatch.setenv("SLICEGYM_CACHE", str(tmp_path / "cache"))
        folder = train(configured(bound=True, total_timesteps=256), tmp_path / "run").folder
        evaluated = read(written / "small" / "demand").Tags()["scalars"]
        names = {tag for tag in evaluated if tag.startswith("validation/")}
        for run in ("ppo", "static", "demand"):
            trained = read(folder / "tensorboard" / run).Tags()["scalars"]
            assert {tag for tag in trained if tag.startswith("validation/")} == names
        bound = read(folder / "tensorboard" / "bound")
        assert set(bound.Tags()["scalars"]) == {"validation/reward", "validation/score"}
        drawn = points(bound, "validation/reward")
        assert list(drawn) == [0, 256]
        mean = points(read(written / "small" / "bound"), "validation/reward")[0]
        assert list(drawn.values()) == pytest.approx([mean] * 2)
        learned = points(read(folder / "tensorboard" / "ppo"), "validation/reward")
        assert max(learned.values()) <= mean
        shown = charts_of(read(folder / "tensorboard" / "ppo"))
        assert shown == [charts_of(read(written / "small" / "static"))[0]]

    def test_names_are_folders_and_differ(self):
        specs = ["demand", "learned:runs/a", "learned:runs_a", "Demand", "../..", "…"]
        names = run_names(specs)
        assert names["demand"] == "demand"
        assert names["learned:runs/a"] == "learned_runs_a"
        assert len({name.lower() for name in names.values()}) == len(specs)
        assert all(re.fullmatch(r"[\w=-][\w.=-]*", name) for name in names.values())


class TestCurves:
    def test_means_are_lines_as_long_as_asked(self, written, results):
        for run, spec in (("demand", "demand"), ("static", "static")):
            found = points(read(written / "small" / run), "validation/reward")
            mean = np.mean([float(row["reward"]) for row in rows(results, "small", spec)])
            assert found == pytest.approx({0: mean, 500: mean})

    def test_the_score_is_0_at_static_and_1_at_the_bound(self, written):
        scores = [
            points(read(written / "small" / run), "validation/score")[0]
            for run in ("static", "bound")
        ]
        assert scores == pytest.approx([0, 1])

    @pytest.mark.parametrize("name", ["reward", "latency_p95_s", "cost_usd", "utilization"])
    def test_episodes_are_the_rows(self, written, results, name):
        found = points(read(written / "small" / "demand"), f"episodes/{name}")
        values = [float(row[name]) for row in rows(results, "small", "demand")]
        assert found == pytest.approx(dict(enumerate(values)))
        assert len(values) == 3

    def test_the_bound_of_each_episode_lies_above_all(self, written, results):
        bound = points(read(written / "small" / "bound"), "episodes/reward")
        expected = [float(row["bound.reward"]) for row in rows(results, "small", "static")]
        assert list(bound.values()) == pytest.approx(expected)
        for run in RUNS:
            own = points(read(written / "small" / run), "episodes/reward")
            assert all(own[i] <= bound[i] + 1e-6 for i in range(3))

    def test_the_mean_over_the_decisions_is_the_episodes(self, written, results):
        found = read(written / "small" / "demand")
        first = rows(results, "small", "demand")[0]
        for name in ("reward", "latency_term", "cost_term", "idle_term"):
            values = points(found, f"decisions/{name}")
            assert list(values) == list(range(K))
            assert np.mean(list(values.values())) == pytest.approx(float(first[name]), abs=1e-5)

    def test_static_shares_are_equal_and_fill_the_pool(self, written):
        for family, gpus in (("small", 2), ("other", 3)):
            found = read(written / family / "static")
            for agent in ("a", "b"):
                values = list(points(found, f"share/{agent}").values())
                assert values == pytest.approx([gpus / 2] * K, abs=2e-3)  # the shares' quantum

    def test_a_number_that_is_none_is_no_point(self, tmp_path):
        with events.EventFile(tmp_path, 0.0) as file:
            file.scalars({"a": float("nan"), "b": 2.5}, 7)
        assert read(tmp_path).Tags()["scalars"] == ["b"]
        assert points(read(tmp_path), "b") == {7: 2.5}

    def test_few_decisions_are_drawn_each(self):
        steps, values = thinned(np.array([[3.0, 0.0], [1.0, 8.0]]))
        assert steps.tolist() == [0, 1]
        assert values.tolist() == [[3, 0], [1, 8]]

    def test_of_many_successive_ones_are_averaged(self):
        steps, values = thinned(np.arange(2 * MAX_POINTS, dtype=float)[:, None])
        assert steps[:3].tolist() == [1, 3, 5]
        assert values[:3, 0].tolist() == [0.5, 2.5, 4.5]
        assert len(steps) == len(values) == MAX_POINTS
        steps, values = thinned(np.ones((MAX_POINTS + 1, 1)))
        assert (len(steps), steps[-1], set(values[:, 0])) == (MAX_POINTS, MAX_POINTS, {1.0})


def charts_of(found):
    (event,) = found.Tensors("custom_scalars__config__")
    layout = Layout.FromString(event.tensor_proto.string_val[0])
    return [
        {chart.title: list(chart.multiline.tag) for chart in category.chart}
        for category in layout.category
    ]


def test_the_chosen_charts_match_curves_that_there_are(written):
    for family in ("small", "other"):
        found = read(written / family / "static")
        tags = found.Tags()["scalars"]
        charts = [chart for category in charts_of(found) for chart in category.items()]
        for _, expressions in charts:
            for expression in expressions:
                assert [tag for tag in tags if re.match(expression, tag)], expression
        assert len(charts) == 9 + 8 + 4 + 2 + 2


class TestTable:
    def line(self, written, family, run):
        data = read(written / family / run).SummaryMetadata("_hparams_/session_start_info")
        content = HParamsPluginData.FromString(data.plugin_data.content)
        return {
            name: getattr(value, value.WhichOneof("kind"))
            for name, value in content.session_start_info.hparams.items()
        }

    def test_everybody_has_a_line(self, written):
        line = self.line(written, "other", "round_robin_quantum=2")
        assert line == {
            "allocator": "round_robin:quantum=2",
            "family": "other",
            "parameters.round_robin.quantum": 2.0,
        }
        assert self.line(written, "small", "static") == {"allocator": "static", "family": "small"}

    def test_its_columns_are_named_in_every_family(self, written):
        for family in ("small", "other"):
            data = read(written / family / "static").SummaryMetadata("_hparams_/experiment")
            table = HParamsPluginData.FromString(data.plugin_data.content).experiment
            columns = {info.name for info in table.hparam_infos}
            assert {"allocator", "family", "parameters.round_robin.quantum"} <= columns
            metrics = {info.name.tag for info in table.metric_infos}
            for split in ("validation", "heldout"):
                wanted = ("reward", "score", "latency_p95_s")
                assert {f"{split}/{name}" for name in wanted} < metrics

    def test_a_column_of_numbers_and_words_is_words(self):
        lines = [{"a": 1, "b": True, "c": 2.5}, {"a": "inf", "b": False}, {"c": 3, "d": [1, 2]}]
        assert hparams.aligned(lines) == [
            {"a": "1", "b": True, "c": 2.5},
            {"a": "inf", "b": False},
            {"c": 3.0, "d": "[1, 2]"},
        ]
