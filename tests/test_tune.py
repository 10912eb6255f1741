"""Tuning one allocator: what is searched, on which tapes, and what is kept."""

import math
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from slicegym.baselines import Allocator, make_allocator
from slicegym.baselines.base import Choice, Range
from slicegym.envs.errors import ConfigError
from slicegym.envs.loading import load_scenario
from slicegym.eval import tune as tuning
from slicegym.eval import tune_search
from slicegym.eval.rollout import play
from slicegym.eval.tune import Task, tune


@dataclass
class Landscape(Allocator):
    """Its reward is known: best at size 0.3 with 7 and mode `b`; `idle` makes no difference."""

    size: float = 1.0
    number: int = 2
    mode: str = "a"
    idle: float = 0.5

    search_space = (
        Range("size", 0.01, 10.0, log=True),
        Range("number", 1, 20),
        Choice("mode", ("a", "b")),
        Range("idle", 0.0, 1.0),
    )

    def allocate(self, observation):
        raise AssertionError("never asked: its reward is computed")

    def reward(self):
        return (
            -(math.log(self.size / 0.3) ** 2)
            - 0.1 * abs(self.number - 7)
            - (0.0 if self.mode == "b" else 1.0)
        )


class Played(list):
    """What was played, as (allocator, tape); each tape shifts the reward of everybody."""

    def __call__(self, scenario, tape, allocator):
        self.append((allocator, tape))
        return SimpleNamespace(rewards=np.array([allocator.reward() + tape]))


@pytest.fixture
def played(monkeypatch):
    log = Played()
    monkeypatch.setattr(tune_search, "play", log)
    return log


def searched(n_tapes=8, trials=60, seed=0):
    scores = tune_search.Scores(Landscape, None, [float(k) for k in range(n_tapes)])
    return scores, list(tune_search.search(Landscape, scores, trials, seed, lambda: None))


class TestSearch:
    def test_it_comes_close_to_a_known_optimum(self, played):
        _, tried = searched(trials=120)
        best, _ = max((one for one in tried if one is not None), key=lambda one: one[1])
        assert best["size"] == pytest.approx(0.3, rel=0.3)
        assert abs(best["number"] - 7) <= 2
        assert best["mode"] == "b"

    def test_the_defaults_come_first_and_are_left_out(self, played):
        _, tried = searched(trials=1)
        assert tried == [({}, Landscape().reward() + 3.5)]  # 3.5: the mean of the tapes 0 … 7

    def test_it_repeats_and_another_seed_differs(self, played):
        first, again, other = (searched(trials=20, seed=seed)[1] for seed in (3, 3, 4))
        assert first == again
        assert first != other

    def test_bad_candidates_are_stopped_after_a_quarter_of_the_tapes(self, played):
        _, tried = searched(n_tapes=8, trials=60)
        stopped = sum(one is None for one in tried)
        assert stopped >= 30
        assert len(played) <= 2 * 60 + 6 * (60 - stopped)

    def test_values_are_rounded_and_of_their_fields_types(self, played):
        searched(n_tapes=1, trials=40)
        for allocator, _ in played:
            assert type(allocator.number) is int
            assert 1 <= allocator.number <= 20
            assert allocator.mode in ("a", "b")
            assert allocator.size == float(f"{allocator.size:.3g}")
            assert 0.01 <= allocator.size <= 10.0

    def test_nothing_is_played_twice(self, played):
        scores, _ = searched(n_tapes=4, trials=40)
        keys = [(repr(allocator), tape) for allocator, tape in played]
        assert len(set(keys)) == len(keys)
        scores.mean({})
        assert len(played) == len(keys)

    def test_time_ends_it(self, played):
        scores, _ = searched(trials=1)
        scores.deadline = -math.inf
        search = tune_search.search(Landscape, scores, 50, 1, lambda: None)
        assert list(search) == [({}, scores.mean({}))]  # the defaults had been played already

    def test_a_default_outside_the_space_is_drawn_instead(self, played):
        @dataclass
        class Outside(Landscape):
            size: float = math.inf

        scores = tune_search.Scores(Outside, None, [0.0])
        ((parameters, _),) = tune_search.search(Outside, scores, 1, 0, lambda: None)
        assert list(parameters) == ["size"]
        assert 0.01 <= parameters["size"] <= 10.0


class TestBudget:
    @pytest.mark.parametrize(
        ("budget_s", "n_tapes"), [(None, 16), (999.0, 16), (64.0, 4), (5.0, 1)]
    )
    def test_as_many_tapes_as_sixteen_candidates_can_play(
        self, played, monkeypatch, budget_s, n_tapes
    ):
        def take_a_second(*_):
            clock[0] += 1.0

        clock = [100.0]
        monkeypatch.setattr(tuning, "play", take_a_second)
        monkeypatch.setattr(tuning.time, "monotonic", lambda: clock[0])
        scores = tune_search.Scores(Landscape, None, [0.0] * 16)
        assert tuning._begin(scores, budget_s) == 100.0
        assert len(scores.tapes) == n_tapes


class TestSimplified:
    def test_what_makes_no_difference_is_dropped(self, played):
        scores, _ = searched(trials=1)
        found = {"size": 0.3, "number": 7, "mode": "b", "idle": 0.9}
        expected = {"size": 0.3, "number": 7, "mode": "b"}
        assert tuning._simplified(found, scores) == expected

    def test_without_time_all_is_kept(self, played):
        scores, _ = searched(trials=1)
        found = {"size": 0.3, "idle": 0.9}
        scores.mean(found)
        scores.deadline = -math.inf
        assert tuning._simplified(found, scores) == found


class TestTask:
    def test_only_the_training_split_is_drawn(self, monkeypatch):
        scenario = load_scenario("bursty")
        kind, drawn = type(scenario.workload), []
        sample = kind.sample

        def watched(self, scenario, split, rng):
            drawn.append(split)
            return sample(self, scenario, split, rng)

        def none(self, *_):
            raise AssertionError("suites are for validation and held-out windows")

        monkeypatch.setattr(kind, "sample", watched)
        monkeypatch.setattr(kind, "suite", none)
        tune(Task("cmu", "bursty", trials=2, n_tapes=3), quiet=True)
        assert drawn == ["train"] * 3

    def test_the_reward_is_that_of_the_parameters_and_not_below_the_defaults(self):
        task = Task("hpa", "bursty", trials=12, n_tapes=3, seed=1)
        found = tune(task, quiet=True)
        assert found.reward >= found.default_reward
        scenario = load_scenario("bursty")
        rng = np.random.default_rng(1)
        episodes = [scenario.workload.sample(scenario, "train", rng) for _ in range(3)]
        text = ",".join(f"{name}={value}" for name, value in found.parameters.items())
        for spec, reward in (
            (f"hpa:tuned=false,{text}".rstrip(","), found.reward),
            ("hpa:tuned=false", found.default_reward),
        ):
            runs = [play(scenario, scenario.tape(e), make_allocator(spec)) for e in episodes]
            assert np.mean([run.rewards.mean() for run in runs]) == pytest.approx(reward)

    def test_it_repeats(self):
        first, second = (tune(Task("keda", "paper", 6, 1, seed=5), quiet=True) for _ in range(2))
        assert first == second

    def test_tapes_that_are_the_same_are_played_once(self):
        assert tune(Task("cmu", "paper", trials=2, n_tapes=5), quiet=True).tapes == 1

    def test_values_that_ship_already_change_nothing(self):
        found = tune(Task("demand", "bursty", trials=1, n_tapes=1), quiet=True)
        assert found.parameters == {}
        scenario = load_scenario("bursty")
        episode = scenario.workload.sample(scenario, "train", np.random.default_rng(0))
        run = play(scenario, scenario.tape(episode), make_allocator("demand:tuned=false"))
        assert found.default_reward == pytest.approx(run.rewards.mean())

    def test_a_short_budget_keeps_the_best_so_far_and_says_so(self):
        found = tune(Task("keda", "bursty", 100_000, 4, budget_s=0.5), quiet=True)
        assert found.out_of_time
        assert 1 <= found.trials < 100_000
        assert found.reward >= found.default_reward
        assert found.entry()["tuned"]["out_of_time"] is True
        assert found.entry()["tuned"]["command"].endswith("--budget 0.5")

    def test_without_optuna_the_extra_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "optuna", None)
        with pytest.raises(ConfigError, match=r"needs Optuna.*pip install 'slicegym\[tune\]'"):
            tune(Task("hpa", "bursty"))
