"""All that the next update of a run depends on, taken between two updates and put back."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize

from ..envs import checks
from ..envs.errors import ConfigError
from .batch_vec_env import BatchVecEnv
from .sb3_vec_env import TERMS

State = Mapping[str, Any]  # arrays, values that JSON has, and mappings of both

SCALE = ("mean", "var", "count")
MOMENTS = {"step", "exp_avg", "exp_avg_sq"}
EPISODE = ("r", "l", *TERMS)
KEYS = 624  # words in the state of NumPy's global generator, an MT19937


def learner_state(model: PPO) -> dict[str, Any]:
    """Return copies of what decides how training goes on.

    These are weights and optimiser, counters, the last observation, the recent episodes that the
    curves average over, the scale of rewards, the environments, and the random states.

    Args:
        model: Between two updates, with environments that are resumable.
    """
    scale, envs = _environments(model)
    optimizer = model.policy.optimizer.state_dict()["state"]
    assert model.ep_info_buffer is not None
    assert isinstance(model._last_obs, np.ndarray)
    assert model._last_episode_starts is not None
    return {
        "timesteps": model.num_timesteps,
        "updates": model._n_updates,
        "weights": _arrays(model.policy.state_dict()),
        "optimizer": {str(i): _arrays(moments) for i, moments in optimizer.items()},
        "last_obs": model._last_obs.copy(),
        "episode_starts": model._last_episode_starts.copy(),
        "recent": list(model.ep_info_buffer),
        "returns": scale.returns.copy(),
        "scale": {name: float(getattr(scale.ret_rms, name)) for name in SCALE},
        "environments": envs.state(),
        "random": _random_states(),
    }


def restore_learner(model: PPO, state: State) -> None:
    """Put the state of a learner into a new one that was made alike.

    Raises:
        ConfigError: A value out of range, or environments that do not come out as they were.
        KeyError, RuntimeError, TypeError, ValueError: Parts missing, or of another kind.
    """
    scale, envs = _environments(model)
    model.num_timesteps = checks.integer("timesteps", state["timesteps"], at_least=0)
    model._n_updates = checks.integer("updates", state["updates"], at_least=0)
    _restore_weights(model, state["weights"])
    _restore_optimizer(model, state["optimizer"])
    _restore_scale(scale, state)
    checks.listing("recent", state["recent"])
    recent = [_episode(values) for values in state["recent"]]
    model.ep_info_buffer = deque(recent, maxlen=model._stats_window_size)
    model.ep_success_buffer = deque(maxlen=model._stats_window_size)
    n = (envs.num_envs,)
    starts = checks.array("episode_starts", state["episode_starts"], n, np.bool_)
    model._last_episode_starts = starts.copy()
    model._last_obs = envs.restore(state["environments"])
    if not np.array_equal(model._last_obs, state["last_obs"]):
        raise ConfigError(
            "the environments must come out as they were when they are played again, got other "
            "observations: the scenario, its traces or slicegym have changed since; start again "
            "in another folder"
        )
    _restore_random(state["random"])  # at the end: nothing draws after it


def _environments(model: PPO) -> tuple[VecNormalize, BatchVecEnv]:
    scale = model.get_vec_normalize_env()
    assert scale is not None
    envs = scale.unwrapped
    assert isinstance(envs, BatchVecEnv)
    return scale, envs


def _arrays(tensors: Mapping[str, torch.Tensor]) -> dict[str, NDArray[Any]]:
    return {name: tensor.detach().numpy().copy() for name, tensor in tensors.items()}


def _restore_weights(model: PPO, arrays: State) -> None:
    wanted = _arrays(model.policy.state_dict())
    checks.keys("weights", arrays, wanted, required=wanted)
    checked = {
        name: checks.array(name, arrays[name], like.shape, like.dtype)
        for name, like in wanted.items()
    }
    model.policy.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in checked.items()})


def _restore_optimizer(model: PPO, state: State) -> None:
    optimizer = model.policy.optimizer
    parameters = {str(i): p for i, p in enumerate(optimizer.param_groups[0]["params"])}
    checks.keys("optimizer", state, parameters)
    moments = {}
    for i, arrays in state.items():
        checks.keys(f"optimizer.{i}", arrays, MOMENTS, required=MOMENTS)
        shapes = dict.fromkeys(MOMENTS, tuple(parameters[i].shape)) | {"step": ()}
        moments[int(i)] = {
            name: torch.from_numpy(checks.array(name, arrays[name], shape, np.float32).copy())
            for name, shape in shapes.items()
        }
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})


def _restore_scale(scale: VecNormalize, state: State) -> None:
    for name in SCALE:
        low = None if name == "mean" else 0.0
        number = checks.number(f"scale.{name}", state["scale"][name], at_least=low)
        setattr(scale.ret_rms, name, np.float64(number))
    n = (scale.num_envs,)
    scale.returns = checks.array("returns", state["returns"], n, np.float64).copy()


def _episode(values: object) -> dict[str, Any]:
    episode = checks.mapping("recent", values)
    checks.keys("recent", episode, EPISODE, required=EPISODE)
    for name in EPISODE:
        checks.number(f"recent.{name}", episode[name])
    return dict(episode)


def _random_states() -> dict[str, Any]:
    """Return the states of the generators that stable-baselines3 draws from, both of them global.

    torch's makes the exploration, NumPy's shuffles the minibatches.
    """
    ours: Any = np.random.get_state(legacy=False)  # noqa: NPY002 - it is the one in use
    return {
        "torch": torch.get_rng_state().numpy().copy(),
        "numpy": ours["state"]["key"].copy(),
        "numpy_at": [ours["state"]["pos"], ours["has_gauss"], ours["gauss"]],
    }


def _restore_random(state: State) -> None:
    key = checks.array("random.numpy", state["numpy"], (KEYS,), np.uint32)
    place, has_gauss, gauss = state["numpy_at"]
    inner = {"key": key, "pos": checks.integer("random.place", place, at_least=0, at_most=KEYS)}
    words = {
        "has_gauss": checks.integer("random.has_gauss", has_gauss, at_least=0, at_most=1),
        "gauss": checks.number("random.gauss", gauss),
    }
    size = (len(torch.get_rng_state()),)
    theirs = checks.array("random.torch", state["torch"], size, np.uint8)
    torch.set_rng_state(torch.from_numpy(theirs.copy()))
    np.random.set_state({"bit_generator": "MT19937", "state": inner, **words})  # noqa: NPY002
