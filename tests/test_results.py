"""The folder of a run, read back: as it was played, or refused."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicegym.baselines import make_allocator
from slicegym.envs import simulate
from slicegym.envs.errors import ConfigError
from slicegym.envs.kernel.layout import WARM
from slicegym.eval.results import load_results
from slicegym.eval.session import evaluate
from slicegym.eval.suite import load_suite

from .test_eval_cli import SCENARIO


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results")
    (path / "small.yaml").write_text(SCENARIO)
    (path / "two.yaml").write_text(
        "parts: [{scenario: small.yaml, split: train}, {scenario: paper, split: train}]"
    )
    evaluate(str(path / "two.yaml"), ["demand", "static"], None, path / "out", bound=False)
    return path


def test_rows_and_agents_are_those_of_the_runs(folder: Path) -> None:
    results = load_results(folder / "out")
    assert results.families == ("small", "paper")
    assert results.allocators == ("demand", "static")
    suite = load_suite(f"{folder / 'small.yaml'}-train")
    rows = results.of("small", "demand")
    assert [row["seed"] for row in rows] == [0.0, 1.0, 2.0]
    for row, episode in zip(rows, suite.episodes, strict=True):
        run = simulate(suite.scenario, suite.scenario.tape(episode), make_allocator("demand"))
        assert row["reward"] == np.mean(run.rewards)
        assert row["tape"] == run.tape.digest[:16]
        agents = [
            agent
            for agent in results.agents
            if (agent["tape"], agent["allocator"]) == (row["tape"], "demand")
        ]
        assert [agent["agent"] for agent in agents] == ["a", "b"]
        of_a = np.asarray(run.tape.agent) == 0
        latency = (run.completed_at - run.released_at)[of_a & ~np.isnan(run.completed_at)]
        assert agents[0]["latency_mean_s"] == pytest.approx(latency.mean())
    assert len(results.rows) == 2 * (3 + 1)
    assert len(results.agents) == 2 * (3 * 2 + 4)


def test_unknown_numbers_are_nan(folder: Path) -> None:
    rows = load_results(folder / "out").rows
    assert all(row["open"] > 0 or math.isnan(row["open_age_s"]) for row in rows)


def test_an_episode_holds_what_plots_need(folder: Path) -> None:
    results = load_results(folder / "out")
    suite = load_suite(f"{folder / 'small.yaml'}-train")
    run = simulate(suite.scenario, suite.scenario.tape(suite.episodes[0]), make_allocator("demand"))
    record = results.episode("small", 0, "demand")
    latency = (run.completed_at - run.released_at)[~np.isnan(run.completed_at)]
    assert record.n_completed == len(latency)
    assert record.latency_s[[0, 50, 100]] == pytest.approx(
        [latency.min(), np.median(latency), latency.max()]
    )
    assert record.agents == ("a", "b")
    assert record.reward is not None
    np.testing.assert_array_equal(record.reward, run.rewards.astype(np.float32))
    for name in ("share", "queue", "in_service"):
        expected = run.records[name].astype(np.float32)
        np.testing.assert_array_equal(getattr(record, name), expected)
    np.testing.assert_array_equal(record.warm, run.records["status"] == WARM)
    later = results.episode("small", 1, "demand")
    assert (later.share, later.agents) == (None, None)
    assert later.latency_s.shape == (101,)
    with pytest.raises(ConfigError, match="holds no episode 3 of demand on small"):
        results.episode("small", 3, "demand")


@pytest.mark.parametrize(("series", "kept"), [("all", [True] * 3), ("none", [False] * 3)])
def test_series_are_kept_as_asked(
    folder: Path, tmp_path: Path, series: str, kept: list[bool]
) -> None:
    suite = f"{folder / 'small.yaml'}-train"
    evaluate(suite, ["static"], None, tmp_path / "out", bound=False, series=series)
    results = load_results(tmp_path / "out")
    found = [results.episode("small", i, "static").share is not None for i in range(3)]
    assert found == kept


def edit(name: str, before: str, after: str) -> Any:
    def change(out: Path) -> None:
        text = (out / name).read_text()
        assert before in text
        (out / name).write_text(text.replace(before, after, 1))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda out: (out / "manifest.json").unlink(), "holds no manifest.json"),
        (lambda out: (out / "UNFINISHED").touch(), "is unfinished: end its run first"),
        (lambda out: (out / "rows.csv").unlink(), "rows.csv must hold 8 rows"),
        (lambda out: (out / "agents.csv").unlink(), "agents.csv must hold one line for each"),
        (lambda out: (out / "summary.json").unlink(), "cannot read .*summary.json"),
        (lambda out: (out / "summary.json").write_text("{}"), "summary.json must be as a run"),
        (lambda out: (out / "manifest.json").write_text("[]"), "must be the JSON that a run"),
        (lambda out: (out / "manifest.json").write_text("{"), "must be the JSON that a run"),
        (edit("manifest.json", '"parts"', '"pieces"'), "must be as a run writes it"),
        (edit("rows.csv", "small,demand", "small,static"), "must be of .* in line 2"),
        (edit("rows.csv", ",-", ",x"), "must hold a number in line 2, column 'reward'"),
        (edit("rows.csv", ",-", ",,-"), "cells in line 2"),
        (edit("agents.csv", ",a,", ",c,"), "must hold one line for each"),
        (
            lambda out: (out / "rows.csv").write_bytes((out / "rows.csv").read_bytes()[:-9]),
            "must hold 8 rows, as manifest.json says, got 7",
        ),
        (lambda out: (out / "rows.csv").write_bytes(b"\xff\xfe\n"), "must be a table"),
        (lambda out: (out / "failed.csv").write_text("a,b\n1,2\n"), "must have the columns"),
    ],
)
def test_a_broken_folder_is_refused(
    folder: Path, tmp_path: Path, change: Any, message: str
) -> None:
    out = tmp_path / "out"
    shutil.copytree(folder / "out", out)
    change(out)
    with pytest.raises(ConfigError, match=message):
        load_results(out)


@pytest.mark.parametrize("data", [b"", b"PK", b"\x93NUMPY"])
def test_a_broken_episode_is_refused(folder: Path, tmp_path: Path, data: bytes) -> None:
    out = tmp_path / "out"
    shutil.copytree(folder / "out", out)
    (out / "episodes" / "paper-000-000.npz").write_bytes(data)
    with pytest.raises(ConfigError, match=r"paper-000-000\.npz must be as a run writes it"):
        load_results(out).episode("paper", 0, "demand")


def test_who_failed_on_a_tape_has_no_rows(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(
        f"parts: [{{scenario: {folder / 'small.yaml'}, split: train, episodes: 2}}]"
    )
    slow = "mpc:horizon=4,time_limit_s=1e-9"
    content = evaluate(
        str(tmp_path / "one.yaml"), ["static", slow], None, tmp_path / "out", bound=False
    )
    results = load_results(tmp_path / "out")
    assert list(results.skipped) == list(content["skipped"]) == [f"{slow} on small"]
    assert results.allocators == ("static",)
    assert len(results.rows) == 2
    assert len((tmp_path / "out" / "failed.csv").read_text().splitlines()) == 3
    json.loads((tmp_path / "out" / "manifest.json").read_text())
