"""Environments of several scenarios in one batch: one policy learns from all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from ..envs import checks
from ..envs.errors import ConfigError
from ..envs.observation import n_features
from .batch_vec_env import BatchVecEnv
from .outlook import columns, padded
from .sb3_vec_env import SliceVecEnv


class MixedVecEnv(BatchVecEnv):
    """Batches of different scenarios side by side, as if they were one.

    Their agents are filled up to the largest N of all by agents whose features are all zero, which
    no agent's are (its constants are not); what a policy wants for those is ignored. Environments
    of the first batch come first.

    Args:
        parts: With the same features for an agent, and made with the same arguments.

    Raises:
        ConfigError: Scenarios whose agents have different features.
    """

    def __init__(self, parts: Sequence[SliceVecEnv]) -> None:
        self.parts = list(parts)
        first = parts[0]
        self._n = max(part.scenario.n_agents for part in parts)
        for part in parts:
            _check_alike(first, part)
        self._inputs = n_features(first.scenario) + first.action_map.corrects
        self._outlook = first.sees_ahead
        ends = np.cumsum([part.num_envs for part in parts]).tolist()
        self._slices = [slice(end - p.num_envs, end) for p, end in zip(parts, ends, strict=True)]
        size = self._n * self._inputs + (columns(self._n) if self._outlook else 0)
        actions = (first.action_map.per_agent * self._n,)
        super().__init__(
            ends[-1],
            gym.spaces.Box(0.0, np.inf, (size,), np.float32),
            gym.spaces.Box(-1.0, 1.0, actions, np.float32),
        )

    def reset(self) -> NDArray[np.float32]:
        """Start new episodes, with the seeds set since the last reset."""
        for part, own in zip(self.parts, self._slices, strict=True):
            part._seeds = self._seeds[own]
            part._options = self._options[own]
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        return self._joined([part.reset() for part in self.parts])

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Take note of actions, shape (B, n), within [-1, 1]."""
        for part, own in zip(self.parts, self._slices, strict=True):
            part.step_async(actions[own, : part.action_space.shape[0]])  # type: ignore[index]

    def step_wait(self) -> VecEnvStepReturn:
        """Play one interval of every environment."""
        flat, rewards, dones, infos = zip(*(part.step_wait() for part in self.parts), strict=True)
        together = [info for part in infos for info in part]
        for part, own in zip(self.parts, self._slices, strict=True):
            for info in together[own]:
                if "terminal_observation" in info:
                    last = info["terminal_observation"][np.newaxis]
                    info["terminal_observation"] = self._filled_up(part, last)[0]
        return self._joined(flat), np.concatenate(rewards), np.concatenate(dones), together

    def _joined(self, flat: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        filled = [self._filled_up(p, own) for p, own in zip(self.parts, flat, strict=True)]
        return np.concatenate(filled)

    def _filled_up(self, part: SliceVecEnv, flat: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fill observations of a part up to as many agents as all have."""
        n = part.scenario.n_agents
        if n == self._n:
            return flat
        agents, ahead = flat[:, : n * self._inputs], flat[:, n * self._inputs :]
        nobody = np.zeros((len(flat), (self._n - n) * self._inputs), np.float32)
        outlook = [padded(ahead, n, self._n)] if self._outlook else []
        return np.concatenate([agents, nobody, *outlook], axis=1)

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs, by the place of the part."""
        return {str(place): part.state() for place, part in enumerate(self.parts)}

    def restore(self, state: Mapping[str, Any]) -> NDArray[np.float32]:
        """Go on where `state` was taken and return the observation, as `reset` does.

        Raises:
            ConfigError: A state of other environments.
        """
        places = [str(place) for place in range(len(self.parts))]
        checks.keys("environments", state, places, required=places)
        self._reset_seeds()
        found = [part.restore(state[i]) for i, part in zip(places, self.parts, strict=True)]
        return self._joined(found)

    def close(self) -> None:
        """Nothing to release."""

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of the parts, once for each environment asked for."""
        values = [value for part in self.parts for value in part.get_attr(attr_name)]
        return [values[i] for i in self._chosen(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of all parts; their environments have none of their own.

        Raises:
            ValueError: `indices` name only some environments.
        """
        for part, own in zip(self.parts, self._slices, strict=True):
            chosen = [i - own.start for i in self._chosen(indices) if own.start <= i < own.stop]
            part.set_attr(attr_name, value, chosen)


def _check_alike(first: SliceVecEnv, other: SliceVecEnv) -> None:
    wanted, got = n_features(first.scenario), n_features(other.scenario)
    if wanted != got:
        raise ConfigError(
            f"mixture must name scenarios whose agents have the {wanted} features of "
            f"{first.scenario.name!r}, got the {got} of {other.scenario.name!r}; train on it alone"
        )
