"""Interquartile means, gaps, probabilities of improvement and profiles, by hand and by scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from slicegym.eval.statistics import (
    block_scores,
    improvement_over_all_pairs,
    interquartile_mean,
    iqm_interval,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    studentised_interval,
    wilson,
    wins,
)

RNG = np.random.default_rng(0)
BLOCKS = [str(i) for i in range(10)]


class TestScores:
    def test_a_block_has_the_ratio_of_its_means(self):
        found = block_scores([1.0, 2.0, 1.0], [2.0, 4.0, 4.0], ["a", "a", "b"])
        assert found.tolist() == [0.5, 0.25]

    def test_blocks_without_room_or_bound_have_no_score(self):
        assert block_scores([1.0, 0.0, 1.0], [2.0, 0.0, math.nan], ["a", "b", "c"]).tolist() == [
            0.5
        ]


class TestInterquartileMean:
    @pytest.mark.parametrize("n", [4, 8, 12, 40])
    def test_it_is_the_trimmed_mean_of_scipy(self, n):
        scores = RNG.normal(size=n)
        assert interquartile_mean(scores) == pytest.approx(stats.trim_mean(scores, 0.25))

    @pytest.mark.parametrize(
        ("scores", "expected"),
        [
            # Of 5, a quarter is 1¼: ¾ of the second, the third, ¾ of the fourth, over 2½.
            ([9.0, 1.0, 2.0, 4.0, 8.0], (0.75 * 2 + 4 + 0.75 * 8) / 2.5),
            ([7.0], 7.0),
            ([1.0, 2.0], 1.5),
        ],
    )
    def test_scores_across_a_quartile_count_in_part(self, scores, expected):
        assert interquartile_mean(np.array(scores)) == pytest.approx(expected)

    def test_weights_are_repetitions(self):
        scores = RNG.normal(size=5)
        repeated = interquartile_mean(np.repeat(scores, [3, 1, 4, 1, 5]))
        assert interquartile_mean(scores, np.array([3.0, 1, 4, 1, 5])) == pytest.approx(repeated)

    @pytest.mark.parametrize("n", [9, 12, 40])
    def test_the_interval_is_that_of_the_winsorised_scores(self, n):
        scores = RNG.normal(size=n)
        ends = np.quantile(scores, [0.25, 0.75], method="averaged_inverted_cdf")
        deviation = np.clip(scores, *ends).std(ddof=1)
        found = iqm_interval({"a": scores})
        half = stats.t.ppf(0.975, (n - 1) / 2) * 2 * deviation / math.sqrt(n)
        assert found.high - found.mean == pytest.approx(half)
        assert found.mean - found.low == pytest.approx(half)

    def test_a_worked_interval(self):
        # 1 … 8: quartiles 2.5 and 6.5, z = 5, 5, 6, 8, 10, 12, 13, 13, deviations from 9 squared
        # 16, 16, 9, 1, 1, 9, 16, 16, together 84: V = 84/7/8 = 1.5.
        found = iqm_interval({"a": np.arange(1.0, 9.0)})
        half = stats.t.ppf(0.975, 3.5) * math.sqrt(1.5)
        assert found.mean == 4.5
        assert (found.low, found.high) == pytest.approx((4.5 - half, 4.5 + half))
        assert (found.n_blocks, found.note) == (8, "")

    def test_families_are_as_heavy_as_each_other(self):
        few, many = RNG.normal(size=4), RNG.normal(size=40)
        both = np.concatenate([np.repeat(few, 10), many])
        assert iqm_interval({"a": few, "b": many}).mean == pytest.approx(interquartile_mean(both))

    def test_levels_of_families_are_no_uncertainty(self):
        part = RNG.normal(size=16)
        found = iqm_interval({"a": part, "b": part, "c": part + 100, "d": part + 100})
        assert found.high - found.low < 10

    def test_notes(self):
        wide, two = np.arange(16.0), np.array([0.0, 1.0])
        assert iqm_interval({"a": wide[:7]}).note == "7 blocks: indicative"
        assert iqm_interval({"a": wide, "b": two}).note == "2 blocks in a family: indicative"
        alone = iqm_interval({"a": wide, "b": np.array([1.0]), "c": np.array([])})
        assert (alone.low, alone.note) == (None, "one block in b: no interval")

    def test_nothing_is_an_error(self):
        with pytest.raises(ValueError, match="at least one score, got none"):
            iqm_interval({"a": np.array([])})


class TestGap:
    def test_what_is_above_the_target_makes_up_for_nothing(self):
        assert optimality_gap(np.array([0.5, 0.75, 1.25, 1.0])).mean == 0.75 / 4

    def test_below_the_target_it_is_the_mean_distance(self):
        scores = RNG.beta(5, 2, 12)
        assert optimality_gap(scores) == studentised_interval(1 - scores)
        assert optimality_gap(scores, 2.0).mean == pytest.approx(2 - scores.mean())

    def test_it_is_not_below_zero(self):
        assert optimality_gap(np.array([0.9, 1.0, 1.0])).low == 0.0


class TestImprovement:
    def test_ties_are_half_and_blocks_one(self):
        found = wins([1.0, 1.0, 2.0, 0.0], [0.0, 1.0, 1.0, 1.0], ["a", "a", "b", "c"])
        assert found.tolist() == [0.75, 1.0, 0.0]

    @pytest.mark.parametrize("won", [0, 3, 7, 10])
    def test_it_is_wilsons_interval_of_scipy(self, won):
        values = [1.0] * won + [-1.0] * (10 - won)
        found = probability_of_improvement(values, [0.0] * 10, BLOCKS)
        expected = stats.binomtest(won, 10).proportion_ci(0.95, method="wilson")
        assert found.mean == won / 10
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)

    def test_values_in_between_tell_more(self):
        # p = ½, s² = 10·0.01/9: m = 10·(¼/s²)·(z/t)², far more than 10.
        found = wilson(np.array([0.4, 0.6] * 5))
        z, t = stats.norm.ppf(0.975), stats.t.ppf(0.975, 9)
        m = 10 * 0.25 / (0.1 / 9) * (z / t) ** 2
        half = z * math.sqrt(0.25 / m + z**2 / (4 * m**2)) / (1 + z**2 / m)
        assert found.high == pytest.approx(0.5 + half)

    def test_few_blocks_are_said(self):
        assert wilson(np.ones(1)).note == "1 blocks: indicative"

    def test_nothing_is_an_error(self):
        with pytest.raises(ValueError, match="at least one block, got none"):
            wilson(np.array([]))


class TestAllPairs:
    def test_it_is_the_statistic_of_mann_and_whitney(self):
        a, b = RNG.integers(0, 9, 12).astype(float), RNG.integers(0, 7, 12).astype(float)
        found = improvement_over_all_pairs(a, b)
        assert found.mean == pytest.approx(stats.mannwhitneyu(a, b).statistic / 144)

    def test_a_worked_interval(self):
        # 2 > 1; 5, 6 > 1, 3, 4: 7 of 9. F = ⅓, 1, 1 and G = 1, ⅔, ⅔, so that F + G = 4⁄3, 5⁄3, 5⁄3
        # with the deviation 1/√27.
        found = improvement_over_all_pairs(np.array([2.0, 5.0, 6.0]), np.array([1.0, 3.0, 4.0]))
        half = stats.norm.ppf(0.975) * (1 / math.sqrt(27)) / math.sqrt(3) / (7 / 9 * 2 / 9)
        ends = [1 / (1 + math.exp(-(math.log(7 / 2) + side * half))) for side in (-1, 1)]
        assert found.mean == pytest.approx(7 / 9)
        assert (found.low, found.high) == pytest.approx(tuple(ends))

    def test_what_wins_everywhere_has_wilsons(self):
        found = improvement_over_all_pairs(np.arange(8.0) + 10, np.arange(8.0))
        expected = stats.binomtest(8, 8).proportion_ci(0.95, method="wilson")
        assert (found.mean, found.low, found.high) == pytest.approx((1, expected.low, 1))

    def test_other_blocks_are_refused(self):
        with pytest.raises(ValueError, match="the same blocks, got 3 and 2"):
            improvement_over_all_pairs(np.ones(3), np.ones(2))


class TestProfile:
    def test_by_hand(self):
        found = performance_profile(np.array([0.2, 0.5, 0.5, 0.9]), np.array([0.0, 0.5, 0.9]))
        assert found.fraction.tolist() == [1.0, 0.25, 0.0]
        one = stats.binomtest(1, 4).proportion_ci(0.95, method="wilson")
        assert (found.low[1], found.high[1]) == pytest.approx((one.low, one.high))
        assert found.n_blocks == 4

    @pytest.mark.parametrize("n", [8, 16, 40])
    def test_the_band_is_that_of_kolmogorov(self, n):
        found = performance_profile(np.arange(float(n)), np.array([(n - 1) / 2]))
        width = stats.kstwo.ppf(0.95, n)
        assert found.fraction[0] == 0.5
        assert found.band_high[0] - 0.5 == pytest.approx(width, abs=1e-4)
        assert 0.5 - found.band_low[0] == pytest.approx(width, abs=1e-4)

    def test_nothing_is_an_error(self):
        with pytest.raises(ValueError, match="at least one score, got none"):
            performance_profile(np.array([]), np.array([0.0]))
