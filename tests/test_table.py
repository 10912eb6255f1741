"""The overview over families: its tables, its files, and what it does without."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from slicegym.baselines import clairvoyant_bound
from slicegym.baselines.bound import SolverError
from slicegym.envs import Scenario, Tape
from slicegym.envs.errors import ConfigError
from slicegym.eval import bounds
from slicegym.eval.engines import Workers
from slicegym.eval.runs.plan import nameable
from slicegym.eval.table_cmd import tabulate

from .test_score import SCENARIO


@pytest.fixture
def families(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("SLICEGYM_CACHE", str(tmp_path / "cache"))
    names = ("first", "second")
    for name in names:
        (tmp_path / f"{name}.yaml").write_text(SCENARIO)
    return [str(tmp_path / f"{name}.yaml") for name in names]


@pytest.fixture
def table(cli: Any, families: list[str]) -> Any:
    def run(*more: Any) -> str:
        options = ("--families", ",".join(families), "--allocators", "demand,fair", "--jobs", 1)
        status, out, err = cli("table", *options, *more)
        assert (status, err) == (0, "")
        return str(out)

    return run


def test_every_family_is_as_in_a_run_of_its_own(cli: Any, table: Any, families: list[str]) -> None:
    content = json.loads(table("--json", "-"))
    assert (list(content["families"]), content["skipped"]) == (["first", "second"], {})
    for family, path in zip(content["families"], families, strict=True):
        specs = "static,demand,fair"
        own = ("run", "--suite", f"{path}-validation", "--allocators", specs, "--json", "-")
        alone = json.loads(cli(*own)[1])["summary"]
        for summary in (alone, content["families"][family]):
            for entry in summary["allocators"].values():
                entry["decision_us"] = None
        assert content["families"][family] == {"split": "validation", **alone}


@pytest.mark.slow
def test_several_processes_find_the_same(
    families: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workers, "patience_s", 0.0)
    one, two = (
        tabulate(families[:1], ["demand"], "validation", 2, engine=Workers(jobs), quiet=True)
        for jobs in (1, 2)
    )
    for content in (one, two):
        for entry in content["families"]["first"]["allocators"].values():
            entry["decision_us"] = None
    assert one == two


def test_tables_fit_80_columns(table: Any) -> None:
    out = table()
    assert max(map(len, out.splitlines())) <= 80
    assert out.count("clairvoyant bound ") == 2
    for header in ("score", "µs", "vs static [95 %]"):
        assert out.count(header) == 2


def test_markdown_holds_a_table_for_each_family(
    table: Any, families: list[str], tmp_path: Path
) -> None:
    table("--episodes", 2, "--markdown", tmp_path / "table.md")
    lines = (tmp_path / "table.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("#")] == ["### first", "### second"]
    rows = [line for line in lines if line.startswith("| ")]
    assert len({line.count("|") for line in rows}) == 1
    assert sum(line.startswith("| clairvoyant bound | −") for line in rows) == 2
    assert sum(line.startswith("| `static` | −") for line in rows) == 2


def test_the_folder_holds_rows_and_table(table: Any, tmp_path: Path) -> None:
    table("--out", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "agents.csv", "episodes", "manifest.json", "rows.csv", "summary.json", "table.csv",
    ]  # fmt: skip
    with (tmp_path / "out" / "table.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["allocator"] for line in lines if line["kind"] == "allocator"] == 2 * [
        "static", "demand", "fair",
    ]  # fmt: skip
    assert [line["score"] for line in lines if line["kind"] == "bound"] == ["1.0", "1.0"]
    with (tmp_path / "out" / "rows.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 2 * 3 * 3


def test_no_bound_leaves_bound_and_score_out(table: Any) -> None:
    out = table("--no-bound")
    assert "score" not in out
    assert "clairvoyant bound" not in out


def test_a_family_without_its_trace_is_named_and_the_others_are_played(
    families: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLICEGYM_TRACES", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    content = tabulate(["azure", families[0]], ["fair"], "validation", 1, quiet=True)
    assert list(content["families"]) == ["first"]
    assert "trace azure_co" in content["skipped"]["azure"]  # either of its two


def test_it_is_skipped_where_results_are_written_too(
    families: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLICEGYM_TRACES", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    out = tmp_path / "out"
    content = tabulate(["azure", families[0]], ["fair"], "validation", 1, out, quiet=True)
    assert list(content["skipped"]) == ["azure"]
    parts = json.loads((out / "manifest.json").read_text())["parts"]
    assert [part["family"] for part in parts] == ["first"]


def no_network(*arguments: Any, **options: Any) -> None:
    raise OSError("no network")


def test_a_family_without_a_bound_is_named_and_shows_no_number(
    families: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_on_first(scenario: Scenario, tape: Tape) -> Any:
        if scenario.name == "first":
            raise SolverError("out of time")
        return clairvoyant_bound(scenario, tape)

    monkeypatch.setattr(bounds, "clairvoyant_bound", fail_on_first)
    content = tabulate(families, ["fair"], "validation", quiet=True)
    assert list(content["families"]) == ["second"]
    assert "seed 1000000: out of time" in content["skipped"]["first"]


def test_an_allocator_that_cannot_play_a_family_is_named(families: list[str]) -> None:
    first = Path(families[0])
    first.write_text(SCENARIO.replace("throughput: 4,", "throughput: 4, min_share: 3,"))
    spec = "demand:guarantee=true"
    content = tabulate(families, [spec], "validation", 1, quiet=True)
    assert list(content["families"]["first"]["allocators"]) == ["static"]
    assert list(content["families"]["second"]["allocators"]) == ["static", spec]
    assert "min_share" in content["skipped"][f"{spec} on first"]


def test_an_allocator_that_fails_on_a_tape_takes_no_other_along(families: list[str]) -> None:
    slow = "mpc:horizon=4,time_limit_s=1e-9"
    content = tabulate(families[:1], [slow, "fair"], "validation", 2, quiet=True)
    assert list(content["families"]["first"]["allocators"]) == ["static", "fair"]
    assert list(content["skipped"]) == [f"{slow} on first"]


def test_repeated_and_unknown_families_are_refused(families: list[str]) -> None:
    with pytest.raises(ConfigError, match="families must differ"):
        tabulate([families[0]] * 2, ["fair"], "validation")
    with pytest.raises(ConfigError, match="did you mean 'bursty-validation'"):
        tabulate(["burst"], ["fair"], "validation")


def test_by_default_everybody_plays_that_needs_no_file() -> None:
    assert {"static", "demand", "maxweight"} <= set(nameable())
    assert "learned" not in nameable()
