"""Damaged and crafted checkpoints, and those of another run, are refused; nothing in them runs."""

import copy
import os
import pickle
import re
import shutil

import numpy as np
import pytest

from slicegym.envs import ConfigError, load_scenario
from slicegym.train.checkpoint import (
    CHECKPOINT_FILE,
    load_checkpoint,
    pack,
    save_checkpoint,
    unpack,
)
from slicegym.train.ppo import make_env, make_model

from .training import files

NOTES = {"timesteps": 0, "next": 512, "best": {"timesteps": 0, "reward": -1.5}, "wall_s": 2.5}


@pytest.fixture(scope="module")
def fresh(configured):
    config = configured(n_envs=4, n_steps=8, batch_size=16)
    scenario = load_scenario(config.scenario)
    return lambda: make_model(config, make_env(config, scenario), scenario)


@pytest.fixture(scope="module")
def good(fresh, tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    model = fresh()
    model.learn(128)
    save_checkpoint(folder, model, NOTES)
    return folder


class TestDamage:
    def test_a_sound_one_is_taken(self, good, fresh):
        assert load_checkpoint(good, fresh()) == NOTES

    @pytest.mark.parametrize("part", [0, 7, 8, 0.01, 0.3, 0.9, -1])
    def test_a_truncated_one_is_refused(self, good, fresh, tmp_path, part):
        data = (good / CHECKPOINT_FILE).read_bytes()
        end = part if isinstance(part, int) else int(part * len(data))
        (tmp_path / CHECKPOINT_FILE).write_bytes(data[:end])
        with pytest.raises(ConfigError, match="must be a checkpoint of this run"):
            load_checkpoint(tmp_path, fresh())

    def test_nothing_in_it_is_run(self, good, fresh, tmp_path):
        class Trap:
            def __reduce__(self):
                return os.mkdir, (str(tmp_path / "sprung"),)

        trap = pickle.dumps(Trap())
        shutil.copytree(good, tmp_path / "run")
        for data in (trap, len(trap).to_bytes(8, "little") + trap):
            (tmp_path / "run" / CHECKPOINT_FILE).write_bytes(data)
            with pytest.raises(ConfigError, match="must be a checkpoint of this run"):
                load_checkpoint(tmp_path / "run", fresh())
        assert files(tmp_path) == {"run"}

    @pytest.mark.parametrize(
        ("path", "value", "message"),
        [
            ("learner", None, "learner"),
            ("learner", [], "list indices"),
            ("learner/timesteps", -1, "timesteps must lie in"),
            ("learner/updates", 1.5, "updates must be a whole number"),
            ("learner/weights", {}, "weights lacks the required key"),
            (
                "learner/weights/log_std",
                np.zeros(3, np.float32),
                "log_std must have the shape (2,)",
            ),
            ("learner/weights/log_std", np.zeros(2), "hold float32, got (2,) of float64"),
            ("learner/weights/log_std", np.full(2, np.nan, np.float32), "hold finite numbers"),
            ("learner/optimizer/0/step", None, "optimizer.0 lacks the required key 'step'"),
            ("learner/optimizer/0/exp_avg", np.zeros(1, np.float32), "exp_avg must have the shape"),
            ("learner/optimizer/99", {}, "unknown key '99'"),
            ("learner/last_obs", np.zeros((4, 46), np.float32), "must come out as they were"),
            ("learner/episode_starts", np.zeros(4), "hold bool, got (4,) of float64"),
            ("learner/recent", [{"r": 1}], "recent lacks the required key 'l'"),
            ("learner/recent", 3, "recent must be a list"),
            ("learner/returns", np.zeros(5), "returns must have the shape (4,)"),
            ("learner/scale/var", -1.0, "scale.var must be at least 0"),
            ("learner/scale/mean", "a", "scale.mean must be a number"),
            ("learner/random/numpy", np.zeros(3, np.uint32), "numpy must have the shape (624,)"),
            ("learner/random/numpy_at", [625, 0, 0.0], "random.place must lie in [0, 624]"),
            ("learner/random/torch", np.zeros(8, np.uint8), "torch must have the shape"),
            ("learner/random/torch", np.zeros(5056, np.uint8), "Invalid mt19937 state"),
            ("learner/environments/played", np.zeros(4), "hold int64, got (4,) of float64"),
            ("learner/environments/sums", np.zeros((3, 4)), "sums must have the shape (4, 4)"),
            ("learner/environments/episodes", [], "episodes must hold one for each of 4"),
            ("learner/environments/generators", [[0] * 4] * 3, "must hold one for each of 4"),
            ("learner/environments/generators", [[0] * 3] * 4, "must be 4 whole numbers"),
            (
                "learner/environments/generators",
                [[0, 0, 2, 0]] * 4,
                "has_uint32 must lie in [0, 1]",
            ),
            ("learner/environments/decisions", np.full(4, -1), "decisions must lie in [0, 20]"),
            ("learner/environments/decisions", np.full(4, 2**40), "decisions must lie in [0, 20]"),
            ("learner/environments/decisions", np.full(4, 20), "requests must have the shape"),
            ("learner/environments/requests", np.zeros((1, 2)), "requests must have the shape"),
            ("notes", {}, "notes lacks the required key"),
            ("notes/best", None, "notes lacks the required key 'best'"),
            ("notes/wall_s", "long", "notes.wall_s must be a number"),
            ("notes/next", -1, "notes.next must be at least 0"),
        ],
    )
    def test_a_crafted_one_is_refused(self, good, fresh, tmp_path, path, value, message):
        state = unpack((good / CHECKPOINT_FILE).read_bytes())
        self.put(state, path, value)
        self.refused(tmp_path, fresh, pack(state), message)

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("split", "heldout", "episode.seed must lie in [2000000"),
            ("seed", 2**40, "episode.seed must lie in"),
            ("seed", 0.5, "episode.seed must be a whole number"),
            ("start_s", -1, "episode.start_s must be at least 0"),
            ("block", 3, "episode must have texts"),
            ("tape", "x", "episode has an unknown key 'tape'"),
        ],
    )
    def test_crafted_episodes_are_refused(self, good, fresh, tmp_path, key, value, message):
        state = unpack((good / CHECKPOINT_FILE).read_bytes())
        state["learner"]["environments"]["episodes"][0][key] = value
        self.refused(tmp_path, fresh, pack(state), message)

    def test_other_requests_do_not_come_out_as_they_were(self, good, fresh, tmp_path):
        state = unpack((good / CHECKPOINT_FILE).read_bytes())
        environments = state["learner"]["environments"]
        environments["requests"] = np.zeros_like(environments["requests"])
        self.refused(tmp_path, fresh, pack(state), "must come out as they were")

    def test_one_of_another_version_says_so(self, good, fresh, tmp_path):
        data = (good / CHECKPOINT_FILE).read_bytes()
        old = data.replace(b"slicegym-checkpoint-2", b"slicegym-checkpoint-1")
        self.refused(tmp_path, fresh, old, "another version wrote it")

    @staticmethod
    def put(state, path, value):
        *places, key = path.split("/")
        for place in places:
            state = state[place]
        if value is None:
            del state[key]
        else:
            state[key] = copy.deepcopy(value)

    @staticmethod
    def refused(folder, fresh, data, message):
        (folder / CHECKPOINT_FILE).write_bytes(data)
        with pytest.raises(ConfigError, match="must be a checkpoint of this run") as refusal:
            load_checkpoint(folder, fresh())
        assert re.search(re.escape(message), str(refusal.value))
        assert "\n" not in str(refusal.value)
