"""What `SliceVectorEnv` refuses, and that a refusal moves no environment."""

from typing import Any

import numpy as np
import pytest

from slicegym.envs import ConfigError, Tape, UnknownNameError
from slicegym.envs.vector_env import SliceVectorEnv
from slicegym.envs.workloads import Episode

from .builders import actions, rollout, same, vector

GRAPH = Tape.from_calls([0, 1], [1, 1], [0, 0], [0, 0], horizon_s=10)


@pytest.mark.parametrize(
    ("seed", "options", "error", "message"),
    [
        (-1, None, ConfigError, r"seed must lie in \[0, 9223372036854775807\], got -1"),
        (1.5, None, TypeError, r"seed must be a list, got 1.5 \(float\)"),
        ("abc", None, TypeError, r"seed must be a list, got 'abc' \(str\)"),
        (True, None, TypeError, "seed must be a whole number, got True"),
        ([1, 2], None, ConfigError, "seed must hold one for each of 3 environments, got 2"),
        ([1, 2, 2.5], None, TypeError, r"seed\[2\] must be a whole number, got 2.5"),
        ([1, -2, 3], None, ConfigError, r"seed\[1\] must lie in \[0, .*got -2"),
        (0, 5, TypeError, "options must be a mapping of keys to values, got 5"),
        (0, {"mask": 1}, ConfigError, r"options may hold 'reset_mask', .*got \['mask'\]"),
        (0, {"reset_mask": [True]}, ConfigError, r"must hold 3 booleans, .*got array\(\[ True\]\)"),
        (0, {"reset_mask": [1, 0, 0]}, ConfigError, "must hold 3 booleans"),
        (0, {"reset_mask": np.zeros(3, bool)}, ConfigError, "at least one of them true"),
        (0, {"tapes": 5}, TypeError, r"options\['tapes'\] must be a list, got 5"),
        (0, {"tapes": [GRAPH]}, ConfigError, r"options\['tapes'\] must hold one for each of 3"),
        (0, {"tapes": [GRAPH] * 3}, ConfigError, "a tape with call graphs needs"),
        (0, {"episodes": []}, ConfigError, r"options\['episodes'\] must hold one for each of 3"),
        (0, {"episodes": [5] * 3}, TypeError, "must be an Episode, got 5"),
        (
            0,
            {"episodes": [Episode("heldout", 2_000_000)] * 3},
            ConfigError,
            "must be of the environment's split 'train', got one of 'heldout'",
        ),
    ],
)
def test_refused_resets(seed: Any, options: Any, error: Any, message: str) -> None:
    envs = vector()
    envs.reset(seed=0)
    with pytest.raises(error, match=message):
        envs.reset(seed=seed, options=options)


def test_nothing_before_a_reset() -> None:
    envs = vector()
    for early in (lambda: envs.step(np.zeros((3, 2))), envs.observation):
        with pytest.raises(RuntimeError, match=r"no episode was begun; call reset\(\) before"):
            early()
    with pytest.raises(
        RuntimeError, match=r"no episode was begun; call reset\(\) without 'reset_mask'"
    ):
        envs.reset(options={"reset_mask": np.array([True, False, False])})


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (np.zeros((2, 2)), ValueError, r"actions must have the shape \(3, 2\), .*got \(2, 2\)"),
        (np.zeros(2), ValueError, r"actions must have the shape \(3, 2\), .*got \(2,\)"),
        (
            [[0, 0], [np.nan, 0], [0, 0]],
            ValueError,
            r"actions\[1\] must be finite .*got \[nan  0.\]",
        ),
        (
            [[0, 0], [0, 0], [0, np.inf]],
            ValueError,
            r"actions\[2\] must be finite .*got \[ 0. inf\]",
        ),
        (None, TypeError, "actions must hold numbers, got None"),
        ("abc", TypeError, "actions must hold numbers, got 'abc'"),
    ],
)
def test_refused_actions_move_no_environment(action: Any, error: Any, message: str) -> None:
    envs, twin = vector(), vector()
    rollout(envs, 0, 3)
    rollout(twin, 0, 3)
    with pytest.raises(error, match=message):
        envs.step(action)
    for good in actions(envs.action_space, 5):
        assert same(envs.step(good), twin.step(good))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_envs": 0}, ConfigError, r"num_envs must lie in \[1, .*got 0"),
        ({"num_envs": 2.0}, TypeError, "num_envs must be a whole number, got 2.0"),
        ({"num_envs": True}, TypeError, "num_envs must be a whole number, got True"),
        ({"max_episode_steps": 0}, ConfigError, r"max_episode_steps must lie in \[1, .*got 0"),
        ({"max_episode_steps": 1.5}, TypeError, "max_episode_steps must be a whole number"),
        ({"render_mode": "rgb_array"}, ConfigError, "render_mode must be None for a batch"),
        ({"split": "test"}, ConfigError, "split must be one of train, validation, heldout"),
        ({"scenario": "papr"}, UnknownNameError, r"unknown scenario 'papr' \(did you mean"),
    ],
)
def test_refused_arguments(arguments: dict[str, Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        SliceVectorEnv(**arguments)
