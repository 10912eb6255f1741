"""Which episodes an environment plays: options, splits, and the arguments that choose them."""

from pathlib import Path
from typing import Any

import pytest

from slicegym.envs import ConfigError, Tape, UnknownNameError, load_scenario
from slicegym.envs.env import SliceEnv
from slicegym.envs.workloads import Episode
from slicegym.envs.workloads.base import SEEDS

from .builders import pair, rollout, same
from .miniatures import write_azure_scenario


def test_options() -> None:
    env, scenario = SliceEnv("bursty"), load_scenario("bursty")
    assert scenario.workload is not None
    episode = Episode("train", 7)
    chosen = rollout(env, 3, options={"episode": episode})
    assert env.episode == episode
    tape = scenario.workload.tape(scenario, episode)
    given = rollout(env, 3, options={"tape": tape})
    assert env.episode is None
    assert same(chosen, given)
    assert same(rollout(env, 3), rollout(env, 3, options={}))
    assert not same(rollout(env, 3), chosen)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epsiode": 1}, ConfigError, r"options may hold 'episode' or 'tape', got \['epsiode'\]"),
        ({"episode": 5}, TypeError, r"options\['episode'\] must be an Episode, got 5"),
        ({"tape": 5}, TypeError, r"options\['tape'\] must be a Tape, got 5"),
        (
            {"episode": Episode("heldout", 2_000_000)},
            ConfigError,
            r"options\['episode'\] must be of the environment's split 'train', got one of "
            r"'heldout'; make the environment with split='heldout'",
        ),
        (5, TypeError, "options must be a mapping of keys to values, got 5"),
        (
            {"tape": Tape.from_calls([0], [1], [0], horizon_s=5)},
            ConfigError,
            "the tape's horizon_s must be the scenario's 100.0, got 5.0",
        ),
        (
            {"tape": Tape.from_calls([4], [1], [0], horizon_s=100)},
            ConfigError,
            "the tape's agents must be below 4",
        ),
        (
            {"tape": Tape.from_calls([0, 0], [1, 1], [0, 0], [0, 0], horizon_s=100)},
            ConfigError,
            "a tape with call graphs needs",
        ),
    ],
)
def test_refused_options(options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        SliceEnv("paper").reset(options=options)


def test_splits_draw_disjoint_seeds() -> None:
    drawn = {}
    for split in ("train", "validation", "heldout"):
        env = SliceEnv("bursty", split=split)
        env.reset(seed=0)
        drawn[split] = set()
        for _ in range(20):
            env.reset()
            assert env.episode is not None
            assert env.episode.split == split
            drawn[split].add(env.episode.seed)
        assert len(drawn[split]) == 20
    assert max(drawn["train"]) < min(drawn["validation"])
    assert max(drawn["validation"]) < min(drawn["heldout"])


def test_splits_draw_disjoint_windows_of_a_trace(tmp_path: Path) -> None:
    scenario = load_scenario(write_azure_scenario(tmp_path))
    ends = {"train": 60, "validation": 40, "heldout": 80}
    for split, length in ends.items():
        env = SliceEnv(scenario, split=split)
        assert not same(rollout(env, 0), rollout(env, 1))
        fits = Episode(split, SEEDS[split][0], start_s=length - 20)
        assert env.reset(options={"episode": fits})[1]["time_s"] == 0
        late = {"episode": Episode(split, SEEDS[split][0], start_s=length - 19.5)}
        with pytest.raises(ConfigError, match=r"start_s must .*got"):
            env.reset(options=late)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"split": "trian"}, ConfigError, r"split must be one of train, .*did you mean 'train'"),
        ({"split": None}, ConfigError, "split must be one of train, validation, heldout, got None"),
        ({"render_mode": "human"}, ConfigError, "render_mode must be None, 'rgb_array' or 'ansi'"),
        ({"scenario": "papr"}, UnknownNameError, r"unknown scenario 'papr' \(did you mean"),
        ({"scenario": pair()}, ConfigError, "scenario 'custom' must have a workload .*got none"),
    ],
)
def test_refused_arguments(arguments: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        SliceEnv(**arguments)
