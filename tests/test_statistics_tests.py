"""Many comparisons, sources of variance and power, by hand and by scipy."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from slicegym.envs.errors import ConfigError
from slicegym.eval.statistics import (
    blocks_needed,
    compare_all,
    detectable_difference,
    holm,
    mean_squares,
    paired_p_value,
    paired_power,
    sign_flip_p_values,
    variance_components,
)

RNG = np.random.default_rng(0)


class TestPValues:
    def test_it_is_that_of_scipy(self):
        a, b = RNG.normal(size=11), RNG.normal(0.5, 2, 11)
        assert paired_p_value(a - b) == pytest.approx(stats.ttest_rel(a, b).pvalue)

    @pytest.mark.parametrize(
        ("differences", "p"), [([5.0], 1.0), ([0.0, 0.0], 1.0), ([2.0, 2.0], 0.0)]
    )
    def test_where_there_is_no_t(self, differences, p):
        assert paired_p_value(np.array(differences)) == p


class TestHolm:
    def test_a_worked_example(self):
        # Sorted 0.005, 0.01, 0.03, 0.04: ×4, ×3, ×2, ×1, then never less than one before.
        found = holm([0.01, 0.04, 0.03, 0.005])
        assert found == pytest.approx([0.03, 0.06, 0.06, 0.02])

    def test_one_is_left_alone_and_none_exceeds_one(self):
        assert holm([0.2]).tolist() == [0.2]
        assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]

    def test_no_comparison_has_no_p_value(self):
        assert holm([]).tolist() == []


class TestSignFlips:
    def test_one_comparison_is_the_exact_test(self):
        # All 2⁸ signs, by hand; 10,000 draws stray by 0.01 with probability below 10⁻³.
        values = RNG.normal(0.5, 1, (1, 8))
        signs = np.array(list(product([-1, 1], repeat=8)))
        exact = (np.abs(signs @ values[0]) >= abs(values.sum()) - 1e-9).mean()
        assert sign_flip_p_values(values)[0] == pytest.approx(exact, abs=0.01)

    def test_all_blocks_won_has_the_least_p_value_there_is(self):
        # With 8 blocks only 2 of 2⁸ signs are as extreme.
        found = sign_flip_p_values(np.full((1, 8), 0.3))
        assert found[0] == pytest.approx(2 / 256, abs=0.003)

    def test_the_same_comparison_twice_costs_nothing(self):
        values = RNG.normal(0.5, 1, (1, 10))
        once, twice = sign_flip_p_values(values), sign_flip_p_values(np.repeat(values, 2, axis=0))
        assert twice.tolist() == [once[0], once[0]]

    def test_it_steps_down(self):
        # The clear one is compared to the largest of both, the other to itself alone.
        values = np.array([RNG.normal(5, 1, 10), RNG.normal(0.3, 1, 10)])
        found, alone = sign_flip_p_values(values), sign_flip_p_values(values[1:])
        assert found[0] < 0.01
        assert found[1] == alone[0]


VALUES = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array([0.0, 1.5, 1.0]), "c": np.zeros(3)}


class TestCompareAll:
    def test_all_pairs(self):
        found = compare_all(VALUES)
        assert [(c.a, c.b) for c in found] == [("a", "b"), ("a", "c"), ("b", "c")]
        expected = [stats.ttest_rel(VALUES[c.a], VALUES[c.b]).pvalue for c in found]
        assert [c.p for c in found] == pytest.approx(expected)
        assert [c.adjusted for c in found] == pytest.approx(list(holm(expected)))
        assert found[1].difference.mean == 2.0

    def test_to_a_reference(self):
        assert [(c.a, c.b) for c in compare_all(VALUES, "b")] == [("a", "b"), ("c", "b")]

    def test_refusals(self):
        with pytest.raises(ConfigError, match="reference must be one of a, b, c, got 'd'"):
            compare_all(VALUES, "d")
        with pytest.raises(ConfigError, match="at least 2 allocators, got \\['a'\\]"):
            compare_all({"a": np.zeros(3)})


class TestComponents:
    def test_mean_squares_by_hand(self):
        # Row effects ±1, column effects −2, 0, 2, and ±½ of both in the outer columns.
        table = np.array(
            [[1.0 - 2 + 0.5, 1.0, 1.0 + 2 - 0.5], [-1.0 - 2 - 0.5, -1.0, -1 + 2 + 0.5]]
        )
        # 3·(1 + 1)/1, 2·(4 + 0 + 4)/2, 4·¼/(1·2)
        assert mean_squares(table) == pytest.approx((6.0, 8.0, 0.5))

    def test_without_seeds(self):
        # The same table: (6 − ½)/3, (8 − ½)/2 and ½.
        table = np.array(
            [[1.0 - 2 + 0.5, 1.0, 1.0 + 2 - 0.5], [-1.0 - 2 - 0.5, -1.0, -1 + 2 + 0.5]]
        )
        found = variance_components({"a": table[:1], "b": table[1:]})
        assert (found.allocator, found.tape, found.interaction) == pytest.approx(
            (11 / 6, 3.75, 0.5)
        )
        assert (found.seed, found.residual) == (None, None)

    def test_with_seeds_by_hand(self):
        # Allocator a plays 2 tapes with 2 seeds, b with none. Within a: MS_S = 2·(2·1²)/1 = 4,
        # MS_R = 4·½²/1 = 1, so that σ²_R = 1, σ²_S = (4 − 1)/2, and h = ½/2 = ¼.
        # Means: a 10, 14; b 0, 0: MS_A = 2·2·6² = 144, MS_T = 2·2·1² = 4, MS_AT = 4·1² = 4.
        a = np.array([[10 + 1 + 0.5, 14 + 1 - 0.5], [10 - 1 - 0.5, 14 - 1 + 0.5]])
        found = variance_components({"a": a, "b": np.zeros((1, 2))})
        assert (found.seed, found.residual) == pytest.approx((1.5, 1.0))
        assert found.interaction == pytest.approx(4 - 0.25 * 1)
        assert found.tape == 0.0
        assert found.allocator == pytest.approx((144 - 4) / 2 - 0.25 * 1.5)

    def test_they_are_unbiased(self):
        # Numbers of seeds that differ, and an allocator without any.
        rng = np.random.default_rng(1)
        true, found = (4.0, 2.0, 1.0, 3.0, 1.5), []
        for _ in range(500):
            tape, tables = rng.normal(0, math.sqrt(true[1]), 40), {}
            for name, seeds in (("a", 1), *((str(i), 2 + i % 4) for i in range(9))):
                both = rng.normal(0, math.sqrt(true[2]), 40) + rng.normal(0, math.sqrt(true[0]))
                seed = rng.normal(0, math.sqrt(true[3]), (seeds, 1))
                rest = rng.normal(0, math.sqrt(true[4]), (seeds, 40))
                tables[name] = (tape + both + (seed + rest if seeds > 1 else 0)).reshape(seeds, 40)
            got = variance_components(tables)
            found.append((got.allocator, got.tape, got.interaction, got.seed, got.residual))
        error = np.std(found, axis=0) / math.sqrt(len(found))
        assert (np.abs(np.mean(found, axis=0) - true) < 4 * error).all()

    def test_what_is_below_zero_is_zero(self):
        found = variance_components({"a": np.array([[0.0, 1.0]]), "b": np.array([[1.0, 0.0]])})
        assert (found.allocator, found.tape) == (0.0, 0.0)

    @pytest.mark.parametrize(
        ("shapes", "message"),
        [
            ({"a": (1, 3)}, "at least 2 allocators, got \\['a'\\]"),
            ({"a": (1, 3), "b": (1, 4)}, "the same tapes for all.*evaluate them in one run"),
            ({"a": (1, 1), "b": (1, 1)}, "at least 2 tapes, got 1"),
        ],
    )
    def test_refusals(self, shapes, message):
        with pytest.raises(ConfigError, match=message):
            variance_components({name: np.zeros(shape) for name, shape in shapes.items()})


class TestPower:
    @pytest.mark.parametrize(
        ("difference", "n"), [(0.5, 34), (0.2, 199), (3.0, 40), (1.0, 2), (0.001, 10), (-0.5, 8)]
    )
    def test_it_is_the_noncentral_t_of_scipy(self, difference, n):
        t, shift = stats.t.ppf(0.975, n - 1), difference * math.sqrt(n)
        expected = stats.nct.sf(t, n - 1, shift) + stats.nct.cdf(-t, n - 1, shift)
        assert paired_power(difference, 1.0, n) == pytest.approx(expected, rel=1e-6)

    @pytest.mark.parametrize(("difference", "n"), [(6.0, 2), (8.0, 2), (30.0, 2), (0.7, 9)])
    def test_it_is_its_integral_over_the_deviation(self, difference, n):
        # Given s, T exceeds t where a standard normal exceeds t·s − λ: another route, and where
        # SciPy's noncentral t has NaN for what is nearly 1.
        t, shift = stats.t.ppf(0.975, n - 1), difference * math.sqrt(n)

        def given(s):
            beyond = stats.norm.sf(t * s - shift) + stats.norm.cdf(-t * s - shift)
            return beyond * 2 * s * (n - 1) * stats.chi2.pdf((n - 1) * s**2, n - 1)

        expected = quad(given, 0, 10, points=[0.01, 0.1, 1], limit=400)[0]
        assert paired_power(difference, 1.0, n) == pytest.approx(expected, abs=1e-7)

    def test_without_a_difference_it_is_alpha(self):
        assert paired_power(0.0, 1.0, 12, alpha=0.01) == pytest.approx(0.01)

    @pytest.mark.parametrize(("effect", "n"), [(0.2, 199), (0.5, 34), (0.8, 15)])
    def test_blocks_needed_are_those_of_cohens_conventions(self, effect, n):
        # Small, medium and large effects at 80 %: as G*Power has them for two dependent means.
        assert blocks_needed(3 * effect, 3.0) == n

    def test_more_power_and_a_smaller_alpha_need_more(self):
        assert blocks_needed(0.5, 1.0, power=0.9) == 44
        assert blocks_needed(0.5, 1.0, alpha=0.05 / 6) > 34

    def test_one_block_less_is_not_enough(self):
        n = blocks_needed(0.3, 1.0)
        assert paired_power(0.3, 1.0, n) >= 0.8 > paired_power(0.3, 1.0, n - 1)

    def test_the_difference_that_can_be_shown_is_shown(self):
        smallest = detectable_difference(2.0, 16, power=0.9)
        assert paired_power(smallest, 2.0, 16) == pytest.approx(0.9)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: blocks_needed(0.0, 1.0), "1000000 blocks to find it at a spread of 1, got 0"),
            (lambda: blocks_needed(0.1, 1.0, power=1.0), "power must be less than 1, got 1.0"),
            (lambda: paired_power(0.1, 0.0, 8), "spread must be greater than 0, got 0.0"),
            (lambda: paired_power(0.1, 1.0, 1), "n_blocks must lie in .*, got 1"),
            (lambda: paired_power(0.1, 1.0, 8, alpha=0), "alpha must be greater than 0, got 0.0"),
            (lambda: detectable_difference(1.0, 8, power=0.04), "power must be greater than alpha"),
            (lambda: detectable_difference(-1.0, 8), "spread must be greater than 0, got -1.0"),
        ],
    )
    def test_refusals(self, call, message):
        with pytest.raises(ConfigError, match=message):
            call()
