import math

import numpy as np
import pytest

from slicegym.eval.statistics import block_means, paired_difference, t_interval


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
