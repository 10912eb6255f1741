import math

import numpy as np
import pytest

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
    def test_two_seeds_are_drawn_with_their_probabilities(self):
        # All blocks alike: the mean is 0, ½ or 1 with probabilities ¼, ½, ¼.
        interval = crossed_difference(np.repeat([[0.0], [1.0]], 8, axis=1))
        assert (interval.mean, interval.low, interval.high) == (0.5, 0.0, 1.0)
        assert (interval.n_blocks, interval.note) == (8, "")

    def test_the_variance_is_that_of_both_factors_and_their_interaction(self):
        # Owen (2007), for counts drawn independently: Σ(row means)²/R² + Σ(column means)²/C²
        # + Σ(residuals)²/(RC)², all about the mean; many rows and columns make it normal.
        rng = np.random.default_rng(2)
        n, m = 40, 60
        values = rng.normal(0, 2, (n, 1)) + rng.normal(0, 3, (1, m)) + rng.normal(0, 9, (n, m))
        rows = values.mean(1) - values.mean()
        columns = values.mean(0) - values.mean()
        rest = values - values.mean() - rows[:, None] - columns
        variance = sum((x**2).sum() / x.size**2 for x in (rows, columns, rest))
        interval = crossed_difference(values)
        assert interval.mean == pytest.approx(values.mean())
        half = 1.959964 * math.sqrt(variance)
        assert interval.high - interval.mean == pytest.approx(half, rel=0.04)
        assert interval.mean - interval.low == pytest.approx(half, rel=0.04)

    def test_few_blocks_have_students_interval_of_the_means_over_seeds(self):
        # The means of the columns are 1, 2, 3, 4, as above.
        interval = crossed_difference(np.array([[0.0, 4.0, 3.0, 1.0], [2.0, 0.0, 3.0, 7.0]]))
        assert interval == t_interval(np.array([1.0, 2.0, 3.0, 4.0]))
        assert interval.note == "4 blocks: indicative"

    def test_one_seed_says_nothing_about_others(self):
        assert crossed_difference(np.arange(8.0)[None]).note == "one seed: nothing about others"

    def test_the_same_differences_have_the_same_interval(self):
        values = np.random.default_rng(3).normal(size=(5, 16))
        assert crossed_difference(values) == crossed_difference(values)

    def test_nothing_is_an_error(self):
        with pytest.raises(ValueError, match="at least one block, got none"):
            crossed_difference(np.empty((3, 0)))
