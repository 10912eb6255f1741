"""The bound as a row and the score as a column: by hand, and from the command line."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicegym.baselines import clairvoyant_bound
from slicegym.baselines.bound import SolverError
from slicegym.eval import bounds
from slicegym.eval.engines import Workers
from slicegym.eval.statistics import paired_difference, score_interval
from slicegym.eval.suite import load_suite
from slicegym.eval.summary import summarise

SCENARIO = """
agents:
  - {name: a, throughput: 4, cold_start_s: 2, keep_alive_s: 3}
  - {name: b, throughput: 2, priority: 2}
gpus: 2
horizon_s: 20
workload:
  kind: streams
  suite_episodes: 3
  streams:
    a: {kind: poisson, rate: 2, work: {kind: exponential}}
    b: {kind: poisson, rate: 1}
"""


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLICEGYM_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "small.yaml"
    path.write_text(SCENARIO)
    return path


# ---- by hand -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gains", "rooms", "blocks"),
    [
        ([1.0, 3.0], [2.0, 4.0], ["a", "b"]),
        ([0.0, 2.0, 3.0], [1.0, 3.0, 4.0], ["a", "a", "b"]),  # of a block, means
    ],
)
def test_a_worked_score(gains: list[float], rooms: list[float], blocks: list[str]) -> None:
    # R = 2/3. Residuals 1 − 2R = −1/3 and 3 − 4R = 1/3, over the mean room of 3: ∓1/9. Their mean
    # has the standard error 1/9, and t(0.975; 1) = 12.706205.
    found = score_interval(gains, rooms, blocks)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.mean == pytest.approx(2 / 3)
    assert found.low == pytest.approx(2 / 3 - 12.706205 / 9, abs=1e-6)
    assert found.high == pytest.approx(2 / 3 + 12.706205 / 9, abs=1e-6)


def test_with_equal_rooms_the_interval_is_that_of_the_difference() -> None:
    gains, blocks = [1.0, 2.0, 4.0], ["a", "b", "c"]
    score = score_interval(gains, [5.0] * 3, blocks)
    difference = paired_difference(gains, [0.0] * 3, blocks)
    assert score is not None
    assert difference.low is not None
    assert score.mean == pytest.approx(difference.mean / 5)
    assert score.low == pytest.approx(difference.low / 5)


def test_it_is_a_ratio_of_means_and_no_mean_of_ratios() -> None:
    found = score_interval([0.0, 3.0], [1.0, 3.0], ["a", "b"])
    assert found is not None
    assert found.mean == pytest.approx(3 / 4)  # the mean of ratios is 1/2


@pytest.mark.parametrize(("room", "expected"), [(2e-9, 0.5), (0.9e-9, None)])
def test_without_room_there_is_no_score(room: float, expected: float | None) -> None:
    found = score_interval([1e-9], [room], ["a"])
    assert (found and found.mean) == (expected and pytest.approx(expected))


def test_one_block_has_a_score_and_no_interval() -> None:
    found = score_interval([1.0, 2.0], [4.0, 4.0], ["a", "a"])
    assert found is not None
    assert (found.mean, found.low, found.high) == (0.375, None, None)


def test_intervals_of_scores_cover_what_they_promise() -> None:
    rng = np.random.default_rng(0)
    blocks = [str(i) for i in range(40)]
    covered = 0
    for _ in range(1000):
        rooms = rng.gamma(16.0, 1 / 16, 40)
        gains = 0.6 * rooms + rng.normal(0, 0.2, 40)
        found = score_interval(list(gains), list(rooms), blocks)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.6 <= found.high
    assert math.isclose(covered / 1000, 0.95, abs_tol=0.0207)  # three standard deviations


def row(allocator: str, reward: float, block: str, static: float, bound: float) -> dict[str, Any]:
    terms = {"latency_term": 0.1, "cost_term": 0.2, "idle_term": 0.3}
    return {
        **{"allocator": allocator, "scenario": "s", "tape": block, "seed": 0, "block": block},
        **{"reward": reward, "weights": {}, "completed": 1, "cost_usd": 1.0},
        "static": {"reward": static},
        "bound": {"reward": bound, **terms, "relaxation": "linear", "solve_s": 2.0},
    }


def test_a_summary_has_the_bound_beside_the_allocators() -> None:
    rows = [row("x", -3.0, "a", -4.0, -2.0), row("x", -1.0, "b", -4.0, 0.0)]
    found = summarise(rows)
    assert list(found["allocators"]) == ["x"]
    assert found["allocators"]["x"]["score"] == pytest.approx(2 / 3)
    assert found["bound"]["reward"] == -1.0
    assert found["bound"]["score"] == 1.0
    assert found["bound"]["vs_static"]["mean"] == 3.0
    assert found["bound"]["relaxation"] == ["linear"]


def test_a_summary_without_room_has_no_score() -> None:
    found = summarise([row("x", -3.0, "a", -3.0, -3.0)])
    assert found["allocators"]["x"]["score"] is None
    assert found["bound"]["score"] is None


# ---- slicegym-eval run -------------------------------------------------------------------------


def play(cli: Any, scenario: Path, *more: Any, specs: str = "static,demand") -> Any:
    status, out, err = cli("run", "--suite", f"{scenario}-heldout", "--allocators", specs, *more)
    assert (status, err) == (0, "")
    return out


def test_rows_hold_the_bound_of_their_tape(cli: Any, scenario: Path) -> None:
    content = json.loads(play(cli, scenario, "--json", "-"))
    suite = load_suite(f"{scenario}-heldout")
    expected = [
        clairvoyant_bound(suite.scenario, suite.scenario.tape(episode), use_cache=False).reward
        for episode in suite.episodes
    ]
    for name in ("static", "demand"):
        own = [r for r in content["rows"] if r["allocator"] == name]
        assert [r["bound"]["reward"] for r in own] == pytest.approx(expected)
    assert content["summary"]["bound"]["reward"] == pytest.approx(np.mean(expected))


def test_the_score_follows_from_the_rows(cli: Any, scenario: Path) -> None:
    content = json.loads(play(cli, scenario, "--json", "-"))
    reward, bound = (
        {
            name: np.mean([get(r) for r in content["rows"] if r["allocator"] == name])
            for name in ("static", "demand")
        }
        for get in (lambda r: r["reward"], lambda r: r["bound"]["reward"])
    )
    expected = (reward["demand"] - reward["static"]) / (bound["static"] - reward["static"])
    found = content["summary"]["allocators"]
    assert found["demand"]["score"] == pytest.approx(expected)
    assert found["demand"]["score_low"] < found["demand"]["score"] < found["demand"]["score_high"]
    assert found["static"]["score"] == 0.0


def test_the_table_has_row_and_column_in_80_columns(cli: Any, scenario: Path) -> None:
    specs = "static,demand,adaptive_guaranteed,predictive:forecast=seasonal"
    lines = play(cli, scenario, specs=specs).splitlines()
    assert max(map(len, lines)) <= 80
    header = next(line for line in lines if "reward" in line and "vs static" in line)
    assert "score" in header
    (bound,) = [line for line in lines if line.startswith(" clairvoyant bound ")]
    assert bound.split()[6] == "1.00"
    assert any(line.split()[:1] == ["adaptive_guaranteed"] for line in lines)  # not folded


def test_rows_csv_has_the_bound_in_columns_of_its_own(
    cli: Any, scenario: Path, tmp_path: Path
) -> None:
    play(cli, scenario, "--out", tmp_path / "out")
    with (tmp_path / "out" / "rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {r["allocator"] for r in rows} == {"static", "demand"}
    for r in rows:
        assert r["bound.relaxation"] == "linear"
        assert float(r["static.reward"]) <= float(r["bound.reward"]) <= 0
        assert {f"bound.{term}_term" for term in ("latency", "cost", "idle")} <= set(r)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["bound"] is True


def test_static_is_played_for_the_score_and_not_shown(cli: Any, scenario: Path) -> None:
    both = json.loads(play(cli, scenario, "--json", "-"))
    alone = json.loads(play(cli, scenario, "--json", "-", specs="demand"))
    assert {r["allocator"] for r in alone["rows"]} == {"demand"}
    assert list(alone["summary"]["allocators"]) == ["demand"]
    keys = ("score", "score_low", "score_high")
    for key in keys:
        expected = both["summary"]["allocators"]["demand"][key]
        assert alone["summary"]["allocators"]["demand"][key] == pytest.approx(expected)


def test_no_bound_leaves_bound_and_score_out(
    cli: Any, scenario: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "clairvoyant_bound", refuse)
    content = json.loads(play(cli, scenario, "--no-bound", "--json", "-"))
    assert "bound" not in content["rows"][0]
    assert content["summary"]["bound"] is None
    assert content["summary"]["allocators"]["demand"]["score"] is None
    text = play(cli, scenario, "--no-bound")
    assert "score" not in text
    assert "clairvoyant bound" not in text


def refuse(*arguments: Any) -> None:
    raise SolverError("HiGHS found no optimum in the 1 s that were left, so there is no bound")


def test_without_a_bound_there_is_an_error_and_no_number(
    cli: Any, scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "clairvoyant_bound", refuse)
    out = tmp_path / "out"
    status, text, err = cli("run", "--suite", f"{scenario}-heldout", "--out", out)
    assert (status, text) == (2, "")
    assert f"{scenario}-heldout, seed 2000000: HiGHS found no optimum" in err
    assert "--no-bound plays without bound and score" in err
    assert (out / "UNFINISHED").exists()
    assert not (out / "summary.json").exists()


def test_bounds_are_the_same_from_several_processes(
    cli: Any, scenario: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = json.loads(play(cli, scenario, "--jobs", 1, "--json", "-"))
    monkeypatch.setattr(Workers, "patience_s", 0.0)
    monkeypatch.setenv("SLICEGYM_CACHE", str(tmp_path / "another"))
    two = json.loads(play(cli, scenario, "--jobs", 2, "--json", "-"))
    assert [r["bound"]["reward"] for r in two["rows"]] == [
        r["bound"]["reward"] for r in one["rows"]
    ]
    assert len(list((tmp_path / "another" / "bounds").iterdir())) == 3


@pytest.mark.slow
def test_bounds_computed_beside_are_found_by_the_evaluation(
    cli: Any, scenario: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bounds.bounds_beside(load_suite(f"{scenario}-heldout")):
        pass
    monkeypatch.setattr("slicegym.baselines.bound.solve", refuse)
    assert "clairvoyant bound" in play(cli, scenario)
