"""The batch of environments as stable-baselines3 wants it: a native `VecEnv`, one call per step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from ..baselines.action_map import ACTION_MAPS
from ..baselines.learned import make_base, with_base
from ..baselines.policy.header import check_base, encoding
from ..baselines.policy.networks import NETWORKS
from ..envs import checks
from ..envs.actions import fractions
from ..envs.episodes import as_scenario
from ..envs.errors import ConfigError
from ..envs.observation import feature_places, n_features
from ..envs.spec import Scenario
from ..envs.vector_env import SliceVectorEnv
from .batch_vec_env import BatchVecEnv
from .outlook import Outlook

TERMS = ("latency_term", "cost_term", "idle_term")


class SliceVecEnv(BatchVecEnv):
    """A batch of `SliceEnv` behind stable-baselines3's interface.

    ## Action space

    `Box(-1, 1, (n,), float32)`, which PPO's Gaussian suits; an action map makes requested shares
    of it (`baselines/action_map.py`). `direct` has one action per agent: g = (a + 1)/2 · G [GPU],
    which is the fraction (a + 1)/2 in `SliceEnv`, with the same results. `residual` has one, too,
    which corrects the share that the base allocator requests; that share is one more feature.

    ## Observations, rewards, seeds

    Those of `SliceVectorEnv`, scaled as the network wants them: environment i, seeded s + i, plays
    the episodes of a `SliceEnv` seeded s + i. Rewards are float64, (B,).

    ## Episode end

    An episode that ends is followed by the next one in the same step. Its `info` holds
    `terminal_observation`, `TimeLimit.truncated` (true, but for a value with an outlook) and
    `episode`: return `r`, length `l`, and the mean of each unweighted reward term. The infos of all
    other steps are empty.

    Args:
        num_envs: Number of environments, B.
        scenario: A `Scenario`, the name of a shipped one, or the path of a YAML file.
        split: `"train"`, `"validation"` or `"heldout"`.
        action: Name of the action map.
        base: Allocator whose shares are corrected, where the action map corrects.
        network: Kind of network that is to learn, which decides how observations are scaled.
        without: Names of features that are told as 0.
        outlook: Whether columns for the value alone follow, with the calls to come.
        horizon_charge: Whether the last interval pays for the work left open. Off by default: PPO
            bootstraps at a truncation, and would count that work twice.
        staggered: Start the first episodes at phases spread over the episode.
        resumable: Keep what `state` needs.

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
        base: str = "",
        network: str = "mlp",
        without: Sequence[str] = (),
        outlook: bool = False,
        horizon_charge: bool = False,
        staggered: bool = False,
        resumable: bool = False,
    ) -> None:
        self.scenario = as_scenario(scenario)
        self.action_map = ACTION_MAPS[checks.one_of("action", action, ACTION_MAPS)]
        check_base(action, base)
        self._base = make_base(base) if base else None
        self._encoding = encoding(self.scenario, checks.one_of("network", network, NETWORKS))
        self.envs = SliceVectorEnv(
            num_envs,
            self.scenario,
            split,
            horizon_charge=horizon_charge,
            staggered=staggered,
            encoding=self._encoding,
            resumable=resumable,
            watch=None if self._base is None else self._base.allocate,
        )
        self._outlook = Outlook(self.scenario, num_envs) if outlook else None
        self._blind = feature_places(self.scenario, without)
        self.sees_ahead = outlook
        self._asked: NDArray[np.float64] | None = None
        self.render_mode = None
        self._shape = (num_envs, self.action_map.per_agent * self.scenario.n_agents)
        actions = gym.spaces.Box(-1.0, 1.0, self._shape[1:], np.float32)
        super().__init__(num_envs, self._observations(), actions)
        self._played = np.zeros(num_envs, np.int64)
        self._sums = np.zeros((4, num_envs))  # reward and its terms

    def _observations(self) -> gym.spaces.Space[NDArray[np.float32]]:
        plain = self.envs.single_observation_space
        if self._encoding.unit == self.scenario.gpus and not (self._base or self._outlook):
            return plain
        size = (n_features(self.scenario) + self.action_map.corrects) * self.scenario.n_agents
        size += self._outlook.size if self._outlook else 0
        return gym.spaces.Box(0.0, np.inf, (size,), np.float32)

    def _begin(self, begun: NDArray[np.int64]) -> None:
        """Take note of environments that have begun an episode."""
        self._played[begun] = 0
        self._sums[:, begun] = 0.0
        self._look_ahead(begun)

    def _look_ahead(self, begun: NDArray[np.int64]) -> None:
        if self._outlook is not None:
            tapes = self.envs.tapes
            for b in begun.tolist():
                self._outlook.load(b, tapes[b])

    def reset(self) -> NDArray[np.float32]:
        """Start new episodes, with the seeds and options set since the last reset."""
        options = _gather(self._options)
        flat, _ = self.envs.reset(seed=self._seeds, options=options)
        self._reset_seeds()
        self._reset_options()
        self.reset_infos = [{} for _ in range(self.num_envs)]
        self._begin(np.arange(self.num_envs))
        return self._features(flat)

    def _features(self, flat: NDArray[np.float32]) -> NDArray[np.float32]:
        """Put the base allocator's shares beside what is seen of every agent, and the outlook."""
        if self._base is not None:
            self._asked = self._base.allocate(self.envs.observation())
        features = self._agents(flat, self._asked)
        if self._outlook is None:
            return features
        return np.concatenate([features, self._outlook.columns(self.envs.decisions)], axis=1)

    def _agents(
        self, flat: NDArray[np.float32], base: NDArray[np.float64] | None
    ) -> NDArray[np.float32]:
        features = with_base(flat, base, self._encoding)
        if self._blind:
            features = features.copy()
            features[..., self._blind] = 0.0
        return features.reshape(len(flat), -1)

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
        shares = self.action_map.shares(self._actions, self._asked, self.scenario)
        actions = fractions(self.scenario, shares)
        flat, rewards, _, dones, step = self.envs.step(actions)  # type: ignore[arg-type]
        self._played += 1
        self._sums += (rewards, *(step[term] for term in TERMS))
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        ended = np.flatnonzero(dones)
        if len(ended):
            for b in ended.tolist():
                infos[b] = self._last_info(b, step["final_obs"][b])
            self._begin(ended)
        return self._features(flat), rewards, dones, infos

    def _last_info(self, b: int, observation: NDArray[np.float32]) -> dict[str, Any]:
        length = int(self._played[b])
        total, *terms = self._sums[:, b].tolist()
        means = {name: value / length for name, value in zip(TERMS, terms, strict=True)}
        return {
            "terminal_observation": self._at_the_end(observation),
            "TimeLimit.truncated": self._outlook is None,
            "episode": {"r": total, "l": length, **means},
        }

    def _at_the_end(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Complete a last observation: nothing comes, and nobody asks what the base would do."""
        none = None if self._base is None else np.zeros((1, self.scenario.n_agents))
        features = self._agents(observation[np.newaxis], none)[0]
        return np.concatenate(
            [features, np.zeros(self._outlook.size if self._outlook else 0, np.float32)]
        )

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs; see `SliceVectorEnv.state`."""
        return {"played": self._played.copy(), "sums": self._sums.copy(), **self.envs.state()}

    def restore(self, state: Mapping[str, Any]) -> NDArray[np.float32]:
        """Go on where `state` was taken and return the observation, as `reset` does.

        Raises:
            ConfigError: Not made with `resumable`, or a state of other environments.
            TypeError: Values of the wrong type.
        """
        self._played[:] = checks.array("played", state["played"], (self.num_envs,), np.int64)
        self._sums[:] = checks.array("sums", state["sums"], (4, self.num_envs), np.float64)
        self._reset_seeds()
        flat = self.envs.restore(state)
        self._look_ahead(np.arange(self.num_envs))
        return self._features(flat)

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


def _gather(options: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Turn one mapping per environment into lists, as `SliceVectorEnv.reset` takes them."""
    names = {name for one in options for name in one}
    unknown = names - {"episode", "tape"}
    if unknown:
        raise ConfigError(f"options may hold 'episode' or 'tape', got {sorted(unknown)}")
    return {f"{name}s": [one.get(name) for one in options] for name in sorted(names)}
