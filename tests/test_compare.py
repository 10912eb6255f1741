"""Which of two is better: by hand, by SciPy, and by simulated suites."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from slicegym.envs.errors import ConfigError
from slicegym.eval.compare import Difference, compare, stratified, tapes_to_decide
from slicegym.eval.compare_report import to_lines, verdict
from slicegym.eval.results import Results

from .test_eval_cli import SCENARIO


def row(family: str, block: str, allocator: str, reward: float, bound: float | None = None) -> Any:
    found = {"family": family, "block": block, "allocator": allocator, "reward": reward}
    # All of the reward is latency, of weight 2; cost and idle are 0.
    terms = {"latency_term": -reward / 2, "cost_term": 0.0, "idle_term": 0.0}
    weights = {"weights.latency": 2.0, "weights.cost": 1.0, "weights.idle": 1.0}
    return found | terms | weights | ({} if bound is None else {"bound.reward": bound})


def results(rows: list[Any]) -> Results:
    specs = list(dict.fromkeys(r["allocator"] for r in rows))
    return Results(Path("r"), {"suite": "mine", "allocators": specs}, {"skipped": {}}, rows, [])


# Family f: gains 1, 2, 3 in blocks x, x, y: block means 1.5 and 3. Family g: 1 and -1.
TWO = results(
    [
        *(row("f", "x", "a", -1.0, 0.0), row("f", "x", "b", -2.0, 0.0)),
        *(row("f", "x", "a", -1.0, 0.0), row("f", "x", "b", -3.0, 0.0)),
        *(row("f", "y", "a", -2.0, 0.0), row("f", "y", "b", -5.0, 0.0)),
        *(row("g", "x", "a", -1.0, 0.0), row("g", "x", "b", -2.0, 0.0)),
        *(row("g", "y", "a", -3.0, 0.0), row("g", "y", "b", -2.0, 0.0)),
    ]
)


def test_a_comparison_worked_out_by_hand() -> None:
    found = compare(TWO, "a", "b")
    assert found.families == {"f": 2.25, "g": 0.0}
    assert found.blocks == {"f, x": 1.5, "f, y": 3.0, "g, x": 1.0, "g, y": -1.0}
    assert found.difference.mean == 1.125
    assert found.difference.n_blocks == 4
    # f: variance 1.125 over 2 blocks; g: 2 over 2. se² = (0.5625 + 1) / 4.
    assert found.difference.standard_error == pytest.approx((1.5625 / 4) ** 0.5)
    # ν = (0.5625 + 1)² / (0.5625² + 1²), each with one degree of freedom.
    assert found.difference.freedom == pytest.approx(1.5625**2 / (0.5625**2 + 1))
    # a: f (1 and 2) and g (1 and 3); b: f (2.5 and 5) and g (2 and 2).
    assert found.rewards == (-1.75, -2.875)
    assert found.terms == {"latency": 1.125, "cost": 0.0, "idle": 0.0}
    # Over blocks: gains 1.5, 3, 1, -1 of rooms 2.5, 5, 2, 2.
    assert found.closed is not None
    assert found.closed.mean == pytest.approx(4.5 / 11.5)


def test_the_other_way_round_it_is_the_same_with_another_sign() -> None:
    one, other = compare(TWO, "a", "b"), compare(TWO, "b", "a")
    assert other.difference.mean == -one.difference.mean
    assert other.difference.p_value == one.difference.p_value
    assert other.closed == one.closed  # the one ahead closes it, whoever is named first
    assert other.ahead == one.ahead == ("a", "b")


def test_two_strata_are_welchs_test() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(1, 1, 7), rng.normal(0, 3, 5)
    expected = stats.ttest_ind(x, y, equal_var=False)
    found = stratified([x.tolist(), (-y).tolist()])  # their mean is half of x̄ − ȳ
    interval = expected.confidence_interval(0.95)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.low == pytest.approx(interval.low / 2)
    assert found.high == pytest.approx(interval.high / 2)


def test_one_stratum_is_students() -> None:
    values = np.random.default_rng(4).normal(0.3, 1, 9)
    expected = stats.ttest_1samp(values, 0.0)
    found = stratified([values.tolist()])
    interval = expected.confidence_interval(0.95)
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("n", [4, 16])
def test_the_interval_covers_and_the_null_is_kept(n: int) -> None:
    rng = np.random.default_rng(5)
    draws = [
        stratified([rng.normal(0, 1, n).tolist(), rng.normal(0, 2, 2 * n).tolist()])
        for _ in range(3000)
    ]
    false_positives = np.mean([d.p_value is not None and d.p_value < 0.05 for d in draws])
    assert 0.03 <= false_positives <= 0.06
    covered = np.mean([d.low <= 0 <= d.high for d in draws if d.low is not None and d.high])
    assert 0.93 <= covered <= 0.97


def test_the_tapes_that_it_asks_for_have_the_power_promised() -> None:
    # 16 tapes with a gain of 0.3 and a spread of 1: the plan says how many there must be.
    error = 1 / 4
    seen = Difference(0.3, -0.23, 0.83, 0.25, error, 15.0, 16)
    more = tapes_to_decide(seen, 16)
    assert more is not None
    rng = np.random.default_rng(6)
    found = [stratified([rng.normal(0.3, 1.0, 16 + more).tolist()]) for _ in range(2000)]
    power = np.mean([d.low is not None and d.low > 0 for d in found])
    assert 0.78 <= power <= 0.84


def test_few_blocks_and_equal_rewards_have_no_verdict() -> None:
    single = compare(results([row("f", "x", "a", -1.0), row("f", "x", "b", -2.0)]), "a", "b")
    assert (single.difference.low, single.tapes_to_decide) == (None, None)
    assert "an interval wants two blocks a family" in "\n".join(to_lines(single))
    rows = [row("f", block, spec, -1.0) for block in "xyz" for spec in "ab"]
    equal = compare(results(rows), "a", "b")
    assert verdict(equal) == "Neither a nor b is shown to be better on mine."
    assert (equal.difference.p_value, equal.tapes_to_decide) == (1.0, None)
    assert "level on 3" in "\n".join(to_lines(equal))


def test_ten_lines_say_it() -> None:
    rows = [
        row("f", f"block {i}", spec, -reward, -0.5)
        for i in range(9)
        for spec, reward in (("a", 1.0 + 0.01 * i), ("b", 2.0 + 0.03 * i))
    ]
    lines = to_lines(compare(results(rows), "a", "b"))
    assert len(lines) <= 10
    assert lines[0] == "a is better than b on mine."
    assert lines[-1] == "Tapes: enough to decide."
    assert any("a wins most on f, block 8 (+1.160)" in line for line in lines)
    assert any("nowhere behind: closest on f, block 0 (+1.000)" in line for line in lines)
    assert all(len(line) <= 80 for line in lines)
    assert to_lines(compare(results(rows), "b", "a"))[0] == lines[0]


def test_families_that_one_has_not_played_are_named() -> None:
    more = [row("h", block, "a", -1.0) for block in "xy"]
    found = compare(results([*TWO.rows, *more]), "a", "b")
    assert found.missing == ("h",)
    assert to_lines(found)[-1].endswith("not played by both: h.")
    alone = results([*more, row("i", "x", "b", -1.0)])
    with pytest.raises(ConfigError, match="must have played one family both"):
        compare(alone, "a", "b")


def test_it_plays_or_reads(cli: Any, refuse: Any, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SCENARIO)
    suite = ("--suite", f"{tmp_path / 'small.yaml'}-validation")
    now = cli("compare", "demand", "static", *suite, "--no-bound", "--jobs", 1)
    out = tmp_path / "out"
    assert cli("run", *suite, "--no-bound", "--out", out)[0] == 0
    read = cli("compare", "demand", "static", "--results", out)
    assert now == read
    assert now[1].startswith("Neither demand nor static is shown to be better on small-v")
    content = json.loads(cli("compare", "demand", "static", "--results", out, "--json", "-")[1])
    assert content["difference"]["mean"] == pytest.approx(content["families"]["small"])
    assert "did you mean 'demand'" in refuse("compare", "demnd", "static", "--results", out)
    assert "'static' twice" in refuse("compare", "static", "static", "--results", out)
    assert "either --results" in refuse("compare", "demand", "static")
    assert "either --results" in refuse("compare", "demand", "static", *suite, "--results", out)
    assert "go with --suite" in refuse("compare", "a", "b", "--results", out, "--no-bound")
    assert "holds no manifest.json" in refuse("compare", "a", "b", "--results", tmp_path)
