import math

import numpy as np
import pytest
from scipy import stats

from slicegym.eval.statistics import (
    block_means,
    crossed_difference,
    paired_difference,
    t_interval,
)


def test_a_worked_t_interval():
    # n = 4, mean 2.5, s = 1.290994, t(0.975; 3) = 3.182446: 2.5 ± 2.054260
    interval = t_interval(np.array([1.0, 2.0, 3.0, 4.0]))
    assert interval.mean == 2.5
    assert interval.low == pytest.approx(2.5 - 2.054260, abs=1e-6)
    assert interval.high == pytest.approx(2.5 + 2.054260, abs=1e-6)


def test_it_is_that_of_scipy():
    values = np.random.default_rng(4).normal(size=11)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    interval = t_interval(values)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


def test_few_blocks_are_said_to_be_few():
    assert t_interval(np.arange(7.0)).note == "7 blocks: indicative"
    assert t_interval(np.arange(8.0)).note == ""


def test_one_block_has_no_interval():
    interval = t_interval(np.array([1.5]))
    assert (interval.mean, interval.low, interval.high) == (1.5, None, None)
    assert "no interval" in interval.note


def test_no_block_is_an_error():
    with pytest.raises(ValueError, match="at least one block, got none"):
        t_interval(np.array([]))


def test_tapes_of_one_block_count_once():
    means = block_means([1.0, 3.0, 10.0], ["a", "a", "b"])
    np.testing.assert_array_equal(means, [2.0, 10.0])


def test_repeating_a_tape_inside_its_block_narrows_nothing():
    values, reference, blocks = [1.0, 2.0, 4.0], [0.5, 1.0, 2.0], ["a", "b", "c"]
    once = paired_difference(values, reference, blocks)
    thrice = paired_difference(values * 3, reference * 3, blocks * 3)
    assert once == thrice


def test_pairing_removes_the_luck_of_the_tape():
    luck = np.random.default_rng(0).normal(0, 100, 20)
    interval = paired_difference(list(luck + 1), list(luck), [str(i) for i in range(20)])
    assert interval.low is not None
    assert interval.low == pytest.approx(1)
    assert interval.high == pytest.approx(1)


def test_unequal_lengths_are_an_error():
    with pytest.raises(ValueError, match="zip"):
        paired_difference([1.0], [1.0, 2.0], ["a"])


def test_intervals_cover_what_they_promise():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(2000):
        interval = t_interval(rng.normal(3, 2, 5))
        assert interval.low is not None
        assert interval.high is not None
        covered += interval.low <= 3 <= interval.high
    # Binomial(2000, 0.95): three standard deviations are 0.0146
    assert math.isclose(covered / 2000, 0.95, abs_tol=0.0146)


class TestCrossed:
    def test_seeds_alone_leave_as_many_degrees_of_freedom_as_there_are_others(self):
        # All blocks alike: the mean of 0 and 1, s/√2 = ½, t(0.975; 1) = 12.706205.
        interval = crossed_difference(np.repeat([[0.0], [1.0]], 8, axis=1))
        assert interval.mean == 0.5
        assert interval.high == pytest.approx(0.5 + 12.706205 * 0.5, abs=1e-6)
        assert (interval.n_blocks, interval.note) == (8, "2 seeds: narrow where seeds differ")

    def test_blocks_alone_have_students_interval(self):
        # Seeds with the same mean, and less of it than noise: nothing is drawn from them.
        luck, noise = np.arange(8.0), np.tile([0.5, -0.5], 4)
        interval = crossed_difference(np.array([luck + noise, luck - noise] * 3))
        plain = t_interval(luck)
        assert (interval.low, interval.high) == pytest.approx((plain.low, plain.high))

    def test_a_worked_mix_of_both(self):
        # Effects ±½ of 2 seeds, ±√7/2 of 8 blocks, ±√7/4 of both: mean squares 4, 4 and 1, so that
        # V = (4 + 4 − 1)/16 and ν = 7²/(4²/1 + 4²/7 + 1²/7) = 343/129.
        blocks = np.tile([1.0, 1.0, -1.0, -1.0], 2) * math.sqrt(7) / 2
        both = np.tile([1.0, -1.0, 1.0, -1.0], 2) * math.sqrt(7) / 4
        interval = crossed_difference(np.array([0.5 + blocks + both, -0.5 + blocks - both]))
        half = stats.t.ppf(0.975, 343 / 129) * math.sqrt(7 / 16)
        assert (interval.low, interval.high) == pytest.approx((-half, half))

    def test_few_blocks_have_students_interval_of_the_means_over_seeds(self):
        # The means of the columns are 1, 2, 3, 4, as above.
        interval = crossed_difference(np.array([[0.0, 4.0, 3.0, 1.0], [2.0, 0.0, 3.0, 7.0]]))
        assert interval == t_interval(np.array([1.0, 2.0, 3.0, 4.0]))
        assert interval.note == "4 blocks: indicative"

    def test_one_seed_says_nothing_about_others(self):
        assert crossed_difference(np.arange(8.0)[None]).note == "one seed: nothing about others"

    def test_five_seeds_are_enough_to_say_nothing(self):
        assert crossed_difference(np.random.default_rng(3).normal(size=(5, 16))).note == ""

    def test_nothing_is_an_error(self):
        with pytest.raises(ValueError, match="at least one block, got none"):
            crossed_difference(np.empty((3, 0)))
