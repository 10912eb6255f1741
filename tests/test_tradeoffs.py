"""Trade-offs, on instances that are walked by hand."""

import numpy as np
import pytest

from slicegym.eval.tradeoffs import (
    OF_LOAD,
    OF_WEIGHTS,
    alone_adds,
    better_part,
    hypervolume,
    offered_gpu_s,
    pareto_front,
    pooled_cdf,
    profile,
    same_worlds,
)

from .results_folders import part, scenario


class TestParetoFront:
    def test_who_is_beaten_in_both_is_not_on_it(self):
        # (3, 3) is beaten by (2, 2); the others each have something that nobody else has.
        costs = np.array([[1.0, 4.0], [2.0, 2.0], [3.0, 3.0], [4.0, 1.0]])
        assert pareto_front(costs).tolist() == [True, True, False, True]

    def test_equal_in_one_and_worse_in_the_other_is_beaten(self):
        assert pareto_front(np.array([[1.0, 1.0], [1.0, 2.0]])).tolist() == [True, False]

    def test_equals_are_both_on_it(self):
        assert pareto_front(np.array([[1.0, 1.0], [1.0, 1.0]])).tolist() == [True, True]

    def test_a_third_objective_saves_who_was_beaten(self):
        costs = np.array([[2.0, 2.0, -0.5], [3.0, 3.0, -0.9]])
        assert pareto_front(costs[:, :2]).tolist() == [True, False]
        assert pareto_front(costs).tolist() == [True, True]

    def test_what_is_not_known_is_on_no_front_and_beats_nobody(self):
        costs = np.array([[np.nan, 0.0], [1.0, 1.0]])
        assert pareto_front(costs).tolist() == [False, True]


class TestHypervolume:
    STEPS = np.array([[1.0, 4.0], [2.0, 2.0], [4.0, 1.0]])

    def test_one_point_is_its_rectangle(self):
        assert hypervolume(np.array([[1.0, 2.0]]), (4.0, 5.0)) == 9.0

    def test_a_staircase(self):
        # To (5, 5): 4·1 from the first, then 3·2 below it, then 1·1 below that.
        assert hypervolume(self.STEPS, (5.0, 5.0)) == 4.0 + 6.0 + 1.0

    def test_beaten_points_and_those_beyond_the_reference_add_nothing(self):
        more = np.array([[3.0, 3.0], [5.0, 0.0], [0.0, 6.0], [np.nan, 1.0]])
        assert hypervolume(np.concatenate([self.STEPS, more]), (5.0, 5.0)) == 11.0

    def test_nobody_better_than_the_reference(self):
        assert hypervolume(np.array([[5.0, 5.0]]), (5.0, 5.0)) == 0.0

    def test_agrees_with_counting_cells(self):
        points = np.random.default_rng(0).integers(0, 12, (30, 2)).astype(float)
        corners = np.argwhere(np.ones((12, 12)))  # lower left corners of unit cells
        beaten = (points[None] <= corners[:, None]).all(axis=2).any(axis=1)
        assert hypervolume(points, (12.0, 12.0)) == beaten.sum()

    def test_what_each_alone_adds(self):
        # Without (2, 2) the staircase is 4·1 + 1·3; without the first 3·3 + 1·1; last 4 + 6.
        assert alone_adds(self.STEPS, (5.0, 5.0)).tolist() == [1.0, 4.0, 1.0]


class TestPooledCdf:
    def test_unfinished_tasks_keep_it_below_one(self):
        quantiles = np.array([np.linspace(0.0, 10.0, 101)])
        found = pooled_cdf(
            quantiles, np.array([8.0]), np.array([10.0]), np.array([-1.0, 5.0, 99.0])
        )
        assert found == pytest.approx([0.0, 0.4, 0.8])

    def test_episodes_count_by_their_tasks(self):
        # Thirty tasks take 1 s, ten take 3 s; an episode that completed none has no quantiles.
        quantiles = np.array([np.full(101, 1.0), np.full(101, 3.0), np.full(101, np.nan)])
        counts = np.array([30.0, 10.0, 0.0])
        found = pooled_cdf(
            quantiles, counts, np.array([30.0, 10.0, 10.0]), np.array([0.9, 1, 2, 3])
        )
        assert found == pytest.approx([0.0, 0.6, 0.6, 0.8])

    def test_no_task_at_all(self):
        nothing = np.array([np.full(101, np.nan)])
        assert np.isnan(pooled_cdf(nothing, np.zeros(1), np.zeros(1), np.ones(2))).all()

    def test_agrees_with_counting_the_tasks_themselves(self):
        rng = np.random.default_rng(1)
        tasks = [rng.exponential(2.0, 4000), rng.exponential(5.0, 1000)]
        quantiles = np.array([np.percentile(values, np.arange(101)) for values in tasks])
        at = np.array([0.5, 1.0, 3.0, 8.0])
        counted = [(np.concatenate(tasks) <= x).mean() for x in at]
        counts = np.array([4000.0, 1000.0])
        assert pooled_cdf(quantiles, counts, counts, at) == pytest.approx(counted, abs=0.005)


class TestBetterPart:
    def test_ties_are_half_and_blocks_count_alike(self):
        # Block a: won, lost; block b: tied. (½ + ½)/2.
        assert better_part([2, 1, 5], [1, 2, 5], ["a", "a", "b"]) == 0.5
        # Block a: won twice; block b: tied. (1 + ½)/2.
        assert better_part([2, 3, 5], [1, 2, 5], ["a", "a", "b"]) == 0.75


def test_profile_is_the_part_above():
    found = profile(np.array([0.2, 0.5, 0.9, 0.9]), np.array([0.0, 0.5, 0.9]))
    assert found.tolist() == [1.0, 0.5, 0.0]


class TestSameWorlds:
    def families(self, but):
        half = {"latency": 0.5, "cost": 1.0, "idle": 0.5}
        parts = [
            part(scenario("a")),
            part(scenario("b", gpus=1.0)),
            part(scenario("c", weights=half)),
            part({**scenario("d"), "reference_latency_s": 9.0}),
        ]
        return [[p["family"] for p in group] for group in same_worlds(parts, but)]

    def test_other_pools(self):
        assert self.families(OF_LOAD) == [["a", "b"]]

    def test_other_weights(self):
        assert self.families(OF_WEIGHTS) == [["a", "c"]]

    def test_other_speeds_are_another_world(self):
        faster = scenario("b", gpus=1.0)
        faster["agents"][0]["throughput"] = 8.0
        assert same_worlds([part(scenario("a")), part(faster)], OF_LOAD) == []

    def test_other_episodes_are_other_tapes(self):
        parts = [part(scenario("a")), part(scenario("b", gpus=1.0), n_episodes=3)]
        assert same_worlds(parts, OF_LOAD) == []


def test_what_is_asked_for_is_what_the_best_complete():
    def done(family, tape, allocator, x, y):
        key = {"family": family, "tape": tape, "allocator": allocator}
        return [{**key, "agent": "x", "completed": x}, {**key, "agent": "y", "completed": y}]

    rows = [
        *done("large", "1", "good", 40, 30),  # 40/4 + 30/10 = 13
        *done("large", "2", "good", 20, 20),  # 5 + 2 = 7
        *done("large", "1", "bad", 8, 10),  # 3
        *done("large", "2", "bad", 40, 10),  # 11
        *done("small", "1", "good", 12, 10),  # 4
        *done("small", "2", "good", 12, 10),
    ]
    assert offered_gpu_s(rows, {"x": 4.0, "y": 10.0}) == (13 + 11) / 2
