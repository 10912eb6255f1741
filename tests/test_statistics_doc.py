"""The page of statistics tells the truth: its worked numbers, tables and names."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from slicegym.eval import statistics

PAGE = (Path(__file__).parents[1] / "docs" / "statistics.md").read_text(encoding="utf-8")
# One line of a worked number: name = arithmetic = result, in the page's typography.
WORKED = {
    name: (formula, float(result))
    for block in re.findall(r"^```text\n(.*?)^```", PAGE, re.M | re.S)
    for name, formula, result in re.findall(r"^(\w+) = (.+) = ([\d.]+)$", block, re.M)
}
FLAT = statistics.t_interval(np.array([1.0, 2.0, 3.0, 4.0]))


def half(interval):
    return (interval.high - interval.low) / 2


def crossed():
    # Mean squares 4, 4 and 1 of 2 seeds and 8 blocks.
    blocks = np.tile([1.0, 1.0, -1.0, -1.0], 2) * 7**0.5 / 2
    both = np.tile([1.0, -1.0, 1.0, -1.0], 2) * 7**0.5 / 4
    return statistics.crossed_difference(np.array([0.5 + blocks + both, -0.5 + blocks - both]))


# What the code says to the same example; the formula on the page must give it, too.
FOUND = {
    "half_t": lambda: half(FLAT),
    "V": lambda: statistics.stratified.moments([np.array([1.0, 3.0]), np.array([3.0, 7.0])])[1],
    "nu": lambda: statistics.stratified.moments([np.array([1.0, 3.0]), np.array([3.0, 7.0])])[2],
    "phi": lambda: statistics.windows.neighbour_correlation(np.array([-3.0, -1.0, 1.0, 3.0])),
    "V_crossed": lambda: (half(crossed()) / stats.t.ppf(0.975, 343 / 129)) ** 2,
    "nu_crossed": lambda: 343 / 129,
    "iqm": lambda: statistics.interquartile_mean(np.array([1.0, 2.0, 4.0, 8.0, 9.0])),
    "V_iqm": lambda: (
        (half(statistics.iqm_interval({"": np.arange(1.0, 9.0)})) / stats.t.ppf(0.975, 3.5)) ** 2
    ),
    "gap": lambda: statistics.optimality_gap(np.array([0.5, 0.75, 1.0, 1.25])).mean,
    "low_wins": lambda: statistics.wilson(np.repeat([1.0, 0.0], [7, 3])).low,
    "pairs": lambda: (
        statistics.improvement_over_all_pairs(
            np.array([2.0, 5.0, 6.0]), np.array([1.0, 3.0, 4.0])
        ).mean
    ),
    "band": lambda: (
        statistics.performance_profile(np.arange(16.0), np.array([7.5])).band_high[0] - 0.5
    ),
    "var_allocator": lambda: components().allocator,
    "var_tape": lambda: components().tape,
    "holm_2": lambda: statistics.holm([0.005, 0.01, 0.03, 0.04])[1],
}


def components():
    # Effects ±1 of rows, −2, 0, 2 of columns, ±½ of both: mean squares 6, 8 and ½.
    table = np.array([[-0.5, 1.0, 2.5], [-3.5, -1.0, 1.5]])
    return statistics.variance_components({"a": table[:1], "b": table[1:]})


def arithmetic(text: str) -> float:
    plain = text.replace("·", "*").replace("−", "-")
    assert re.fullmatch(r"[-+*/(). \d]+", plain), text
    return float(eval(plain))


def row(name: str) -> list[float]:
    found = re.search(rf"^\| {re.escape(name)} \|(.+)\|$", PAGE, re.M)
    assert found is not None, name
    return [float(cell) for cell in found[1].split("|")]


def test_every_worked_number_is_checked():
    assert set(WORKED) == set(FOUND)


@pytest.mark.parametrize("name", FOUND)
def test_a_worked_number_is_its_arithmetic_and_the_codes(name):
    formula, result = WORKED[name]
    assert arithmetic(formula) == pytest.approx(result, abs=1e-6)
    assert FOUND[name]() == pytest.approx(result, abs=1e-5)


@pytest.mark.parametrize("power", [80, 90])
def test_blocks_needed(power):
    needed = [statistics.blocks_needed(d, 1.0, power / 100) for d in row("δ/σ")]
    assert needed == row(f"blocks for {power} %")


def test_detectable_differences():
    found = [statistics.detectable_difference(1.0, int(n)) for n in row("blocks")]
    assert [round(one, 2) for one in found] == row("δ/σ shown with 80 %")


def test_every_interval_is_on_the_page():
    named = set(re.findall(r"`(\w+)`", PAGE))
    functions = {n for n in statistics.__all__ if n.endswith(("_interval", "_difference"))}
    assert functions - {"t_interval"} <= named
    assert named >= {"compare_all", "blocks_needed", "performance_profile", "optimality_gap"}
