"""The batch of environments as stable-baselines3 wants it: a native `VecEnv`, one call per step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from ..baselines.action_map import ACTION_MAPS
from ..envs import checks
from ..envs.errors import ConfigError
from ..envs.spec import Scenario
from ..envs.vector_env import SliceVectorEnv

TERMS = ("latency_term", "cost_term", "idle_term")


class SliceVecEnv(VecEnv):
    """A batch of `SliceEnv` behind stable-baselines3's interface.

    ## Action space

    `Box(-1, 1, (n,), float32)`, which PPO's Gaussian suits; an action map makes requested shares
    of it (`baselines/action_map.py`). `direct` has one action per agent: g = (a + 1)/2 · G [GPU],
    which is the fraction (a + 1)/2 in `SliceEnv`, with the same results to the last bit.

    ## Observations, rewards, seeds

    Those of `SliceVectorEnv`: environment i, seeded s + i, plays the episodes of a `SliceEnv`
    seeded s + i. Rewards are float64, (B,).

    ## Episode end

    An episode that ends is followed by the next one in the same step. Its `info` holds
    `terminal_observation`, `TimeLimit.truncated` (always true: the horizon is a truncation) and
    `episode`: return `r`, length `l`, and the mean of each unweighted reward term. The infos of all
    other steps are empty.

    Args:
        num_envs: Number of environments, B.
        scenario: A `Scenario`, the name of a shipped one, or the path of a YAML file.
        split: `"train"`, `"validation"` or `"heldout"`.
        action: Name of the action map.
        horizon_charge: Whether the last interval pays for the work left open. Off by default: PPO
            bootstraps at a truncation, and would count that work twice.
        staggered: Start the first episodes at phases spread over the episode.

    Raises:
        ConfigError: A value out of range, or a scenario without a workload.
    """

    def __init__(
        self,
        num_envs: int = 1,
        scenario: Scenario | str | Path = "paper",
        split: str = "train",
        *,
        action: str = "direct",
        horizon_charge: bool = False,
        staggered: bool = False,
    ) -> None:
        self.envs = SliceVectorEnv(
            num_envs, scenario, split, horizon_charge=horizon_charge, staggered=staggered
        )
        self.scenario = self.envs.scenario
        self.action_map = ACTION_MAPS[checks.one_of("action", action, ACTION_MAPS)]
        self.render_mode = None
        self._shape = (num_envs, self.action_map.n_actions(self.scenario.n_agents))
        actions = gym.spaces.Box(-1.0, 1.0, self._shape[1:], np.float32)
        super().__init__(num_envs, self.envs.single_observation_space, actions)
        self._forget(np.arange(num_envs))

    def _forget(self, ended: NDArray[np.int64]) -> None:
        if len(ended) == self.num_envs:
            self._played = np.zeros(self.num_envs, np.int64)
            self._sums = np.zeros((4, self.num_envs))  # reward and its terms
        self._played[ended] = 0
        self._sums[:, ended] = 0.0

    def reset(self) -> NDArray[np.float32]:
        """Start new episodes, with the seeds and options set since the last reset."""
        options = _gather(self._options)
        flat, _ = self.envs.reset(seed=self._seeds, options=options)
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        self._forget(np.arange(self.num_envs))
        return flat

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Take note of actions, shape (B, n), within [-1, 1].

        Raises:
            ValueError: Another shape.
        """
        self._actions = np.asarray(actions, dtype=np.float64)
        if self._actions.shape != self._shape:
            raise ValueError(
                f"actions must have the shape (environments, actions) = {self._shape}, "
                f"got {self._actions.shape}"
            )

    def step_wait(self) -> VecEnvStepReturn:
        """Play one interval of every environment.

        Raises:
            ValueError: An action that is not a finite number.
        """
        fractions = self.action_map.fractions(self._actions)
        flat, rewards, _, dones, step = self.envs.step(fractions)  # type: ignore[arg-type]
        self._played += 1
        self._sums += (rewards, *(step[term] for term in TERMS))
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        ended = np.flatnonzero(dones)
        for b in ended.tolist():
            infos[b] = self._last_info(b, step["final_obs"][b])
        if len(ended):
            self._forget(ended)
        return flat, rewards, dones, infos

    def _last_info(self, b: int, observation: NDArray[np.float32]) -> dict[str, Any]:
        length = int(self._played[b])
        total, *terms = self._sums[:, b].tolist()
        means = {name: value / length for name, value in zip(TERMS, terms, strict=True)}
        return {
            "terminal_observation": observation,
            "TimeLimit.truncated": True,
            "episode": {"r": total, "l": length, **means},
        }

    def close(self) -> None:
        """Nothing to release."""
        self.envs.close()

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute of the batch, once for each environment asked for."""
        owner: Any = self if attr_name == "render_mode" else self.envs
        return [getattr(owner, attr_name) for _ in self._chosen(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of the whole batch; its environments have none of their own.

        Raises:
            ValueError: `indices` name only some environments.
        """
        if len(self._chosen(indices)) != self.num_envs:
            raise ValueError(
                f"{attr_name!r} must be set for all {self.num_envs} environments at once: they "
                "share one simulator; leave indices out"
            )
        setattr(self.envs, attr_name, value)

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """Refuse: there are no single environments to call.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            f"cannot call {method_name!r} on single environments: the batch is one simulator; "
            "use its own methods through `.envs`, or a SliceEnv"
        )

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Say no for each: nothing wraps the environments of the batch."""
        return [False for _ in self._chosen(indices)]

    def _chosen(self, indices: VecEnvIndices) -> Sequence[int]:
        chosen: int | Iterable[int] = self._get_indices(indices)
        return [chosen] if isinstance(chosen, int) else list(chosen)


def _gather(options: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Turn one mapping per environment into lists, as `SliceVectorEnv.reset` takes them."""
    names = {name for one in options for name in one}
    unknown = names - {"episode", "tape"}
    if unknown:
        raise ConfigError(f"options may hold 'episode' or 'tape', got {sorted(unknown)}")
    return {f"{name}s": [one.get(name) for one in options] for name in sorted(names)}
