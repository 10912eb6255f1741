"""Tuning PPO: what is tried, what is stopped, and what a study survives."""

import math
import subprocess
import sys

import pytest

from slicegym.envs import ConfigError, TraceError, load_scenario
from slicegym.train import tune as tuning
from slicegym.train import tune_cmd
from slicegym.train.alive import Alive
from slicegym.train.study import StudyFile
from slicegym.train.tune import Task, tune

from .training import TINY
from .tuning import hill

LONG = {"total_timesteps": 1200, "eval_every": 100}  # 12 evaluations, and one before learning


@pytest.fixture
def task(configured, tmp_path):
    def make(trials, study="study.log", seeds=1, **changes):
        config = configured(**{**LONG, **changes})
        return Task(config, tmp_path / study, trials, seeds, "command")

    return make


def table(task):
    """What a study holds, by place: state, reward and parameters of each trial that counts."""
    with StudyFile(task.study, task.asked()) as file:
        return [(t.user_attrs["place"], t.state.name, t.value, t.params) for t in file.trials()]


def figures(found):
    return (found.config, found.reward, found.given_reward, found.trials, found.pruned)


class TestSearch:
    def test_the_configuration_as_given_comes_first(self, script, task):
        played = script(hill)
        found = tune(task(1, gamma=0.97, learning_rate=3.21e-5))
        assert found.config == task(1, gamma=0.97, learning_rate=3.21e-5).config
        assert [(run.gamma, run.learning_rate, run.net_arch) for run in played.runs] == [
            (0.97, 3.21e-5, TINY["net_arch"])
        ]
        # log10(0.0321)² = 2.2305, 10 · 0.01, 0.1 · 2 and 1/1201
        assert found.reward == found.given_reward == pytest.approx(-2.5314, abs=1e-4)

    def test_it_comes_close_to_a_known_optimum(self, script, task):
        script(hill)
        found = tune(task(60))
        assert found.config.learning_rate == pytest.approx(1e-3, rel=0.5)
        assert found.config.gamma == 0.98
        assert abs(found.config.n_epochs - 4) <= 1
        assert found.reward > found.given_reward
        assert found.trials == 60

    def test_the_same_seed_repeats_it_and_another_differs(self, script, task):
        script(hill)
        tune(task(14, "a"))
        tune(task(14, "b"))
        tune(task(14, "c", seed=1))
        assert table(task(14, "a")) == table(task(14, "b"))
        assert table(task(14, "a")) != table(task(14, "c", seed=1))

    def test_seeds_are_averaged(self, script, task):
        played = script(lambda config, run, timesteps: float(config.seed))
        assert tune(task(1, seeds=3, seed=4)).reward == 5.0  # the mean of 4, 5, 6
        assert [run.seed for run in played.runs] == [4, 5, 6]

    def test_more_trials_add_to_those_that_are_there(self, script, task):
        script(hill)
        tune(task(3))
        played = script(hill)
        assert tune(task(8)).trials == 8
        assert len(played.runs) == 5
        assert tune(task(5)).trials == 8

    def test_who_watches_sees_it_go_on(self, script, task):
        script(lambda config, run, timesteps: float(run))
        seen = []
        tune(task(2, seeds=2), lambda done, best: seen.append((done, best)))
        assert [done for done, _ in seen] == pytest.approx(
            [trial + (seed + t / 12) / 2 for trial in (0, 1) for seed in (0, 1) for t in range(13)]
        )
        best = [best for _, best in seen]
        assert all(map(math.isnan, best[:26]))
        assert best[26:] == [1.5] * 26  # the mean of the first trial's runs, 1 and 2


class TestPruning:
    def test_the_hopeless_are_stopped_after_a_third(self, script, task):
        # Five have come to their end at 0; the sixth lies below them, and 13 // 3 = 4.
        played = script(lambda config, run, timesteps: 0.0 if run <= 5 else -1.0)
        found = tune(task(7))
        assert (found.trials, found.pruned, found.reward) == (7, 2, 0.0)
        assert [told[-1] for told in played.told] == [1200] * 5 + [400] * 2

    def test_who_catches_up_in_time_goes_on(self, script, task):
        late = {400: 0.5}
        played = script(
            lambda config, run, timesteps: 0.0 if run <= 5 else late.get(timesteps, -1.0)
        )
        found = tune(task(6))
        assert (found.pruned, found.reward) == (0, 0.5)
        assert played.told[-1][-1] == 1200

    def test_a_diverged_network_is_a_bad_trial_and_no_end(self, script, task):
        def reward(config, run, timesteps):
            if run == 2:
                raise ValueError("nan in the actions")
            return 1.0

        script(reward)
        found = tune(task(4))
        assert (found.trials, found.pruned, found.diverged) == (4, 1, 1)
        assert found.content()["tuned"]["diverged"] == 1

    def test_a_configuration_that_diverges_is_said_to(self, script, task):
        def reward(config, run, timesteps):
            if run == 1:
                raise ValueError("nan")
            return 1.0

        script(reward)
        found = tune(task(2))
        assert math.isnan(found.given_reward)
        assert found.content()["tuned"]["given_reward"] is None
        assert "not trainable as given" in tune_cmd.describe(found)

    def test_without_a_single_end_there_is_no_result(self, script, task):
        def reward(*_):
            raise ValueError("nan")

        script(reward)
        with pytest.raises(ConfigError, match="at least one trial must come to its end"):
            tune(task(3))

    @pytest.mark.parametrize("error", [ConfigError, TraceError, OSError])
    def test_what_is_wrong_with_the_task_ends_it(self, script, task, error):
        def reward(*_):
            raise error("the disk is full")

        script(reward)
        with pytest.raises(error, match="the disk is full"):
            tune(task(3))


class TestKills:
    @pytest.fixture
    def whole(self, script, task):
        """A study that nothing cut: the task, what was found and the trials."""
        script(hill)
        whole = task(14, "whole.log")
        found = tune(whole)
        assert 0 < found.pruned < 9
        return whole, figures(found), table(whole)

    @pytest.mark.parametrize("cut_at", [(1, 0), (1, 1200), (4, 500), (13, 100)])
    def test_it_goes_on_to_the_same_end(self, whole, script, task, cut_at):
        cut = task(14)
        script(hill, cut_at)
        with pytest.raises(KeyboardInterrupt):
            tune(cut)
        played = script(hill)
        found = tune(cut)
        assert (figures(found), table(cut)) == whole[1:]
        assert len(played.runs) == 14 - (cut_at[0] - 1)

    @pytest.mark.parametrize("part", [0.05, 0.1, 0.4, 0.7, 0.9, 0.999])
    def test_a_line_that_was_not_written_to_its_end_is_left_out(self, whole, script, task, part):
        cut = task(14)
        data = whole[0].study.read_bytes()
        cut.study.write_bytes(data[: int(part * len(data))])
        assert not cut.study.read_bytes().endswith(b"\n")
        script(hill)
        found = tune(cut)
        assert (figures(found), table(cut)) == whole[1:]

    def test_between_any_two_events(self, script, task):
        script(hill)
        tune(task(2, "whole.log", eval_every=600))
        whole = table(task(2, "whole.log", eval_every=600))
        lines = task(2, "whole.log").study.read_bytes().splitlines(keepends=True)
        assert len(lines) > 30
        for n_lines in range(1, len(lines)):
            cut = task(2, f"{n_lines}.log", eval_every=600)
            cut.study.write_bytes(b"".join(lines[:n_lines]))
            script(hill)
            tune(cut)
            assert table(cut) == whole, n_lines

    def test_a_lock_ends_with_its_process(self, tmp_path):
        path = tmp_path / "alive"
        code = (
            "import sys; from pathlib import Path; from slicegym.train.alive import Alive\n"
            "alive = Alive(Path(sys.argv[1])); alive.claim(3); print('claimed', flush=True)\n"
            "sys.stdin.read()"
        )
        other = subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with other, Alive(path) as alive:
            assert other.stdout.readline() == b"claimed\n"
            alive.claim(5)
            assert [alive.runs(trial) for trial in (2, 3, 4, 5)] == [False, True, False, True]
            other.kill()
            other.wait()
            assert not alive.runs(3)
        with Alive(path) as alive:
            assert not alive.runs(5)


class TestData:
    def test_it_trains_on_train_and_judges_by_validation(self, configured, tmp_path, monkeypatch):
        kind, drawn = type(load_scenario(configured().scenario).workload), {"train": 0}

        def watch(name):
            method = getattr(kind, name)

            def watched(self, scenario, split, *rest):
                drawn[split] = drawn.get(split, 0) + 1
                return method(self, scenario, split, *rest)

            monkeypatch.setattr(kind, name, watched)

        watch("sample")
        watch("suite")
        tune(Task(configured(), tmp_path / "study.log", trials=1))
        assert set(drawn) == {"train", "validation"}
        assert drawn["train"] > 0

    def test_the_reward_is_that_of_the_policy_that_training_keeps(self, configured, tmp_path):
        config = configured()
        found = tune(Task(config, tmp_path / "study.log", trials=1))
        trained = tuning.train(config, tmp_path / "run", quiet=True)
        assert found.reward == trained.best["reward"]
