"""The report as a page: what is in it, what it says of unfinished runs, and what it refuses."""

import base64
import csv
import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from slicegym.eval.page.gather import gather
from slicegym.eval.page.write import write_report

from .results_folders import LATENCY_S, known, numbers, part, read, row, scenario, write

NAMES = ("static", "demand", "fair")
EVIL = '"><script>alert(1)</script>'
OF_ONE = {
    "small-reward", "small-versus-static", "small-score", "small-losses", "small-pareto",
    "small-utilization", "small-latency", "small-improvement", "small-profile", "small-timeline",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return known(tmp_path / "run")


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

    def test_without_series_there_are_no_time_lines(self, folder):
        for path in (folder / "episodes").glob("*.npz"):
            np.savez(path, latency_s=LATENCY_S, n_completed=3)
        assert {figure.name for figure in write_report(folder).figures} == OF_ONE - {
            "small-timeline"
        }

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
            line = refuse("report", tmp_path)
            assert "manifest.json" in line
            assert "must be as a run writes it" in line

    def test_an_episode_is_missing(self, folder, refuse):
        (folder / "episodes" / "small-001-002.npz").unlink()
        assert "small-001-002.npz must be as a run writes it" in refuse("report", folder)
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


def test_reports_say_nothing_of_where_they_were_made(folder):
    write_report(folder)
    for name in ("report.html", "report.md"):
        assert str(Path(folder).parent) not in (folder / name).read_text()
