"""Intervals over strata and over the windows of one trace, by hand and by other routes."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter

from slicegym.eval.statistics import stratified_interval, studentised_interval, t_interval
from slicegym.eval.statistics.windows import (
    circular_variance,
    neighbour_correlation,
    windows_interval,
)

SKEWED = np.random.default_rng(0).exponential(size=12)


class TestStudentised:
    def test_it_is_that_of_draws_one_by_one(self):
        # The definition with another generator; its ends vary by some hundredths of their width.
        rng = np.random.default_rng(1)
        draws = rng.choice(SKEWED, size=(40_000, 12))
        mean, deviation = SKEWED.mean(), SKEWED.std(ddof=1) / math.sqrt(12)
        pivots = (draws.mean(1) - mean) / (draws.std(1, ddof=1) / math.sqrt(12))
        low, high = mean - np.quantile(pivots, [0.975, 0.025]) * deviation
        found = studentised_interval(SKEWED)
        assert (found.low, found.high) == pytest.approx((low, high), abs=0.04 * (high - low))
        assert (found.mean, found.n_blocks, found.note) == (mean, 12, "")
        assert found.method == "studentised bootstrap"

    def test_it_leans_to_the_long_side(self):
        found, plain = studentised_interval(SKEWED), t_interval(SKEWED)
        assert stats.skew(SKEWED) > 0
        assert found.high - plain.high > 0.1 * (plain.high - plain.mean)

    def test_few_blocks_have_students(self):
        assert studentised_interval(SKEWED[:7]) == t_interval(SKEWED[:7])

    def test_nearly_all_alike_have_students(self):
        # A third of the draws leave out the one that differs, and show no variance at all.
        values = np.array([0.0] * 7 + [1.0])
        found, plain = studentised_interval(values), t_interval(values)
        assert (found.low, found.high) == pytest.approx((plain.low, plain.high))

    def test_all_alike_have_a_point(self):
        found = studentised_interval(np.full(9, 0.1))
        assert (found.low, found.high) == pytest.approx((0.1, 0.1))

    def test_the_unit_does_not_matter(self):
        small, large = studentised_interval(SKEWED), studentised_interval(1e9 + 1e3 * SKEWED)
        assert large.high - large.mean == pytest.approx(1e3 * (small.high - small.mean))


class TestStratified:
    def test_two_strata_are_welchs(self):
        # The mean of two means is half of the difference of a to −b: Welch's interval of scipy.
        a, b = np.array([1.0, 2.0, 4.0]), np.array([10.0, 12.0, 17.0, 11.0])
        welch = stats.ttest_ind(a, -b, equal_var=False).confidence_interval(0.95)
        found = stratified_interval({"a": a, "b": b})
        assert (found.low, found.high) == pytest.approx((welch.low / 2, welch.high / 2))
        assert (found.n_blocks, found.note) == (7, "7 blocks in 2 families: indicative")

    def test_a_worked_number(self):
        # Means 2 and 5, variances 2/2 and 8/2: V = (1 + 4)/4, ν = 5²/(1² + 4²) = 25/17.
        found = stratified_interval({"a": np.array([1.0, 3.0]), "b": np.array([3.0, 7.0])})
        half = stats.t.ppf(0.975, 25 / 17) * math.sqrt(5 / 4)
        assert found.mean == 3.5
        assert found.high == pytest.approx(3.5 + half)

    def test_strata_are_as_heavy_as_each_other(self):
        strata = {"a": np.arange(4.0), "b": 10 + np.arange(40.0)}
        assert stratified_interval(strata).mean == (1.5 + 29.5) / 2

    def test_blocks_are_drawn_inside_their_strata(self):
        # Levels of strata that lie far apart do not widen anything.
        rng = np.random.default_rng(2)
        parts = {str(h): rng.exponential(size=8) for h in range(4)}
        found, apart = (
            stratified_interval({h: part + shift * int(h) for h, part in parts.items()})
            for shift in (0, 1000)
        )
        assert found.method == "studentised bootstrap"
        assert apart.high - apart.low == pytest.approx(found.high - found.low)
        together = studentised_interval(np.concatenate(list(parts.values())))
        assert found.high - found.low == pytest.approx(together.high - together.low, rel=0.15)

    def test_one_stratum_is_no_stratum(self):
        assert stratified_interval({"a": SKEWED}) == studentised_interval(SKEWED)

    def test_few_blocks_in_one_stratum_are_said(self):
        found = stratified_interval({"a": np.arange(16.0), "b": np.array([0.0, 1.0])})
        assert found.note == "2 blocks in a family: indicative"

    def test_a_stratum_of_one_block_has_no_interval(self):
        found = stratified_interval({"a": np.arange(16.0), "b": np.array([0.5])})
        assert (found.mean, found.low, found.n_blocks) == (4.0, None, 17)
        assert found.note == "one block in b: no interval"

    @pytest.mark.parametrize("strata", [{}, {"a": np.arange(9.0), "b": np.array([])}])
    def test_nothing_is_an_error(self, strata):
        with pytest.raises(ValueError, match="at least one block, got none"):
            stratified_interval(strata)


class TestWindows:
    def test_the_variance_is_that_of_every_draw(self):
        # n = 4, ℓ = 2: two blocks, each begins at one of 4 windows, so that 16 series are drawn.
        values = np.array([1.0, 4.0, 2.0, 9.0])
        circle = np.concatenate([values, values])
        means = [(circle[i : i + 2].sum() + circle[j : j + 2].sum()) / 4
                 for i in range(4) for j in range(4)]  # fmt: skip
        assert circular_variance(values, 2) == pytest.approx(np.var(means))

    def test_blocks_of_one_window_are_the_plain_bootstrap(self):
        values = np.array([1.0, 4.0, 2.0, 9.0])
        assert circular_variance(values, 1) == pytest.approx(values.var() / 4)

    def test_the_correlation_of_neighbours_by_hand(self):
        # Of −3, −1, 1, 3: (3 − 1 + 3)/20 = ¼; its bias adds (1 + ¾)/4 = 0.4375.
        assert neighbour_correlation(np.array([-3.0, -1.0, 1.0, 3.0])) == pytest.approx(0.6875)

    def test_a_worked_interval(self):
        # Eight windows, up and down in twos: ℓ = 1, t(0.975; 7), whitened by hand.
        values = np.array([1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
        phi = 1 / 8 + (1 + 3 / 8) / 8  # four pairs alike, three not
        plus, minus = 1 - phi, 1 + phi  # sizes of u; signs + − − + + − −
        u = np.array([plus, -minus, -plus, minus, plus, -minus, -plus])
        variance = u.var() / 7 / (1 - 1 / 7) * (7 / 8) / (1 - phi) ** 2
        found = windows_interval(values)
        half = stats.t.ppf(0.975, 7) * math.sqrt(variance)
        assert (found.low, found.high) == pytest.approx((-half, half))
        assert found.note == "8 windows of one trace: indicative"

    def test_what_hangs_together_tells_less(self):
        # y_i = ½·y_{i−1} + e_i: its mean varies (1 + ½)/(1 − ½) = 3 times as much as of e.
        rng = np.random.default_rng(3)
        ratios = []
        for _ in range(100):
            values = lfilter([1], [1, -0.5], rng.normal(size=900))[100:]
            found, plain = windows_interval(values), t_interval(values)
            assert (found.mean, found.note) == (plain.mean, "")
            ratios.append((found.high - found.low) / (plain.high - plain.low))
        expected = math.sqrt(3) * stats.t.ppf(0.975, 7) / stats.t.ppf(0.975, 799)
        assert np.mean(ratios) == pytest.approx(expected, rel=0.05)

    def test_few_windows_have_students(self):
        assert windows_interval(np.arange(7.0)).note == "7 blocks: indicative"

    def test_all_alike_have_a_point(self):
        found = windows_interval(np.full(9, 2.0))
        assert (found.low, found.high) == (2.0, 2.0)
