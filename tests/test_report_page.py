"""The report: what it says of folders whose numbers are known, and what it refuses."""

import base64
import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from slicegym.eval.page.gather import gather
from slicegym.eval.page.scales import LOG, LOG1P, Scale, spread
from slicegym.eval.page.timeline import binned
from slicegym.eval.page.verdict import verdict
from slicegym.eval.page.write import write_report

from .results_folders import known, part, row, scenario, write

NAMES = ("static", "demand", "fair")
EVIL = '"><script>alert(1)</script>'
OF_ONE = {
    "small-reward", "small-versus-static", "small-score", "small-losses", "small-pareto",
    "small-utilization", "small-latency", "small-improvement", "small-profile", "small-timeline",
}  # fmt: skip


class Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.figures, self.links = [], "", [], {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag == "figure":
            self.figures.append(found["id"])
        if tag == "a" and "download" in found:
            self.links[found["download"]] = found["href"]

    def handle_data(self, data):
        self.text += data


def read(folder):
    return Reader((folder / "report.html").read_text())


def numbers(folder, name):
    return list(csv.DictReader(io.StringIO((folder / "figures" / f"{name}.csv").read_text())))


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


class TestPage:
    def test_every_figure_is_there_with_its_numbers(self, folder):
        page = write_report(folder)
        found = read(folder)
        assert set(found.figures) == OF_ONE == {figure.name for figure in page.figures}
        for name in OF_ONE:
            link = found.links[f"{name}.csv"].removeprefix("data:text/csv;base64,")
            file = folder / "figures" / f"{name}.csv"
            assert base64.b64decode(link).decode() == file.read_text()

    def test_it_needs_nothing_else(self, folder):
        write_report(folder)
        found = read(folder)
        tags = {tag for tag, _ in found.tags}
        assert not tags & {"script", "iframe", "img", "object", "embed"}
        for tag, attributes in found.tags:
            for address in (attributes.get("href"), attributes.get("src")):
                is_own = address is None or address.startswith(("data:", "figures/"))
                assert is_own, (tag, address)
        assert "url(" not in (folder / "report.html").read_text()

    def test_drawings_have_words_for_who_cannot_see_them(self, folder):
        write_report(folder)
        drawings = [attributes for tag, attributes in read(folder).tags if tag == "svg"]
        assert len(drawings) == len(OF_ONE) + 1
        assert all(len(drawing["aria-label"]) > 20 for drawing in drawings)

    def test_tables_have_headers(self, folder):
        write_report(folder)
        scopes = [attributes["scope"] for tag, attributes in read(folder).tags if tag == "th"]
        assert {"row", "col"} == set(scopes)

    def test_what_was_compared_on_what(self, folder):
        write_report(folder)
        text = read(folder).text
        for said in (
            "known-heldout",
            "a" * 64,
            "static, demand, fair",
            "c0ffee",
            "small-heldout, 2 episodes in 2 independent blocks",
            "slicegym-eval run",
        ):
            assert said in text  # fmt: skip

    def test_the_same_files_give_the_same_bytes(self, folder):
        write_report(folder)
        first = {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        write_report(folder)
        again = {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        assert first == again

    def test_drawings_are_files_of_their_own_too(self, folder):
        write_report(folder)
        for path in (folder / "figures").glob("*.svg"):
            root = ElementTree.fromstring(path.read_text())
            assert root.tag == "{http://www.w3.org/2000/svg}svg"
            assert "prefers-color-scheme:dark" in path.read_text()

    def test_markdown_names_files_that_exist(self, folder):
        write_report(folder)
        text = (folder / "report.md").read_text()
        links = re.findall(r"\]\((figures/[^)]+)\)", text)
        assert len(links) == 2 * len(OF_ONE) + 1
        assert all((folder / link).is_file() for link in links)
        assert "| **demand** | **−1.500** |" in text

    def test_without_bounds_there_are_no_scores(self, tmp_path):
        folder = known(tmp_path / "run", bound=None)
        names = {figure.name for figure in write_report(folder).figures}
        assert names == OF_ONE - {"small-score", "small-profile"}

    def test_one_allocator_alone(self, tmp_path):
        p = part(scenario())
        cells = {("small", i, "fair"): row(p, i, "fair", -1.0) for i in range(2)}
        folder = write(tmp_path / "run", [p], ["fair"], cells)
        assert "it played alone" in write_report(folder).verdict

    def test_nobody_completes_anything(self, tmp_path):
        p, nan = part(scenario()), float("nan")
        unknown = ("utilization", "little_latency_s", "latency_p50_s", "slo")
        none = {"completed": 0, "open": 0, "cost_usd": 0.0, **dict.fromkeys(unknown, nan)}
        cells = {("small", i, s): row(p, i, s, -1.0, **none) for i in range(2) for s in NAMES}
        write_report(write(tmp_path / "run", [p], NAMES, cells))

    def test_forty_allocators(self, tmp_path):
        p = part(scenario())
        names = [f"threshold:at={i}" for i in range(40)]
        cells = {("small", i, s): row(p, i, s, -1.0 - i - n)
                 for i in range(2) for n, s in enumerate(names)}  # fmt: skip
        page = write_report(write(tmp_path / "run", [p], names, cells))
        caption = next(f.caption for f in page.figures if f.name == "small-latency")
        assert "The lines of 33 more are left out" in caption


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


class TestUnfinished:
    def test_it_says_so_and_reports_whole_episodes(self, tmp_path):
        folder = known(tmp_path / "run", is_finished=False, n_rows=4)
        page = write_report(folder)
        assert page.warning.startswith("This run is UNFINISHED: 2 of its cells")
        assert page.warning in read(folder).text
        assert page.warning.split(" (")[0] in (folder / "report.md").read_text()
        assert numbers(folder, "small-reward")[1]["mean"] == "-1"  # demand, on the first tape

    def test_all_rows_there_and_the_mark_too(self, tmp_path):
        page = write_report(known(tmp_path / "run", is_finished=False))
        assert "UNFINISHED: 0 of its cells" in page.warning

    def test_a_finished_one_has_no_warning(self, folder):
        assert write_report(folder).warning == ""

    def test_no_whole_episode(self, tmp_path, refuse):
        folder = known(tmp_path / "run", is_finished=False, n_rows=2)
        line = refuse("report", folder)
        assert "must hold at least one episode that every allocator has played" in line
        assert not (folder / "report.html").exists()

    def test_rows_of_another_run(self, tmp_path, refuse):
        folder = known(tmp_path / "run", is_finished=False, n_rows=4)
        rows = (folder / "rows.csv").read_text()
        (folder / "rows.csv").write_text(rows.replace("fair", "foul"))
        assert "rows.csv must be of" in refuse("report", folder)


class TestRefusals:
    def test_a_folder_that_is_no_runs(self, tmp_path, refuse):
        assert "must be the folder of a run, and holds no manifest.json" in refuse(
            "report", tmp_path
        )
        assert list(tmp_path.iterdir()) == []

    def test_a_manifest_of_something_else(self, tmp_path, refuse):
        for is_cut in (False, True):
            (tmp_path / "manifest.json").write_text('{"name": "site"}')
            (tmp_path / "summary.json").write_text("{}")
            if is_cut:
                (tmp_path / "UNFINISHED").touch()
            assert "manifest.json must be a run's" in refuse("report", tmp_path)

    def test_an_episode_is_missing(self, folder, refuse):
        (folder / "episodes" / "small-001-002.npz").unlink()
        assert "small-001-002.npz must be an episode that a run wrote" in refuse("report", folder)
        assert not (folder / "report.html").exists()

    def test_time_lines_of_somebody_who_did_not_play(self, folder, refuse):
        line = refuse("report", folder, "--allocators", "demand,fare")
        assert "'fare'" in line
        assert "fair" in line

    @pytest.mark.parametrize("given", ["demand", "demand,demand", "demand,fair,static"])
    def test_time_lines_of_other_than_two(self, folder, refuse, given):
        assert "--allocators must be two different ones" in refuse(
            "report", folder, "--allocators", given
        )


class TestNames:
    def test_names_are_never_markup(self, tmp_path):
        evil = scenario()
        evil["agents"][0]["name"] = EVIL
        p = part(evil)
        names = ("static", "demand", EVIL)
        folder = known(tmp_path / "run", names=names, families=[p])
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest |= {"suite": EVIL, "commit": EVIL, "command": [EVIL], "skipped": {EVIL: EVIL}}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        write_report(folder)
        found = read(folder)
        assert "script" not in {tag for tag, _ in found.tags}
        assert EVIL in found.text
        for path in (folder / "figures").glob("*.svg"):
            assert "<script" not in path.read_text()
        assert not re.search(r"(?<!\\)<", (folder / "report.md").read_text())

    def test_lines_of_a_terminal_do_not_break_a_drawing(self, tmp_path):
        names = ("static", "demand", "learned:a\x1b[31mb")
        folder = known(tmp_path / "run", names=names)
        write_report(folder)
        for path in (folder / "figures").glob("*.svg"):
            ElementTree.fromstring(path.read_text())


class TestCommand:
    def test_it_says_who_is_best_and_where_the_page_is(self, folder, cli):
        status, out, err = cli("report", folder, "--allocators", "static,fair")
        assert (status, err) == (0, "")
        assert out.startswith("demand has the highest mean reward on small-heldout")
        assert out.endswith(f"{folder / 'report.html'}\n")
        lines = numbers(folder, "small-timeline")
        assert list(dict.fromkeys(line["allocator"] for line in lines)) == ["static", "fair"]

    def test_a_run_that_was_played(self, tmp_path, cli, scenario_file, monkeypatch):
        monkeypatch.setenv("SLICEGYM_CACHE", str(tmp_path / "cache"))
        out = tmp_path / "run"
        specs = "static,demand,adaptive"
        assert cli("run", "--suite", f"{scenario_file}-validation", "--allocators", specs,
                   "--no-bound", "--out", out)[0] == 0  # fmt: skip
        assert cli("report", out)[0] == 0
        rows = list(csv.DictReader(io.StringIO((out / "rows.csv").read_text())))
        reference_s = gather(out).parts()[0]["scenario"]["reference_latency_s"]
        family = rows[0]["family"]
        lines = numbers(out, f"{family}-latency")
        above = next(line for line in lines if float(line["latency_s"]) >= reference_s)
        below = [line for line in lines if float(line["latency_s"]) <= reference_s][-1]
        for spec in specs.split(","):
            own = [r for r in rows if r["allocator"] == spec]
            opened = [float(r["completed"]) + float(r["open"]) + float(r["rejected"]) for r in own]
            within = sum(float(r["slo"]) * n for r, n in zip(own, opened, strict=True)) / sum(
                opened
            )
            # Quantiles are a hundredth apart, so that so much is lost in between.
            assert float(below[spec]) - 0.02 <= within <= float(above[spec]) + 0.02


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


def test_reports_say_nothing_of_where_they_were_made(folder):
    write_report(folder)
    for name in ("report.html", "report.md"):
        assert str(Path(folder).parent) not in (folder / name).read_text()
