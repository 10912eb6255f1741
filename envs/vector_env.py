"""Many environments of one scenario in one compiled call per step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from . import checks
from .episodes import EpisodeSource, action_space, as_scenario, observation_space
from .errors import ConfigError
from .observation import Observation
from .simulator import Simulator
from .spec import Scenario

Flat = NDArray[np.float32]
Array = NDArray[Any]
INFO_TERMS = {"time_s": "time", "latency_term": "latency_term", "cost_term": "cost_term"}
INFO_TERMS["idle_term"] = "idle_term"


class SliceVectorEnv(VectorEnv[Flat, Flat, Array]):
    """A batch of `SliceEnv`, equal to the single environment to the last bit.

    Environment i, seeded s + i, draws the episodes that a `SliceEnv` seeded s + i would. Episodes
    that end are reset in the same step (`AutoresetMode.SAME_STEP`): the observation is already the
    next episode's, the last one is in `info["final_obs"]`, its terms in `info["final_info"]`.

    Args:
        num_envs: Number of environments, B.
        scenario: A `Scenario`, the name of a shipped one, or the path of a YAML file.
        split: `"train"`, `"validation"` or `"heldout"`.
        render_mode: Must be `None`; render a single `SliceEnv` instead.
        horizon_charge: Whether the last interval pays for the work left open.
        max_episode_steps: Truncate episodes after so many steps; by default at the horizon only.
        staggered: Start the first episodes at phases spread over the episode, by playing equal
            shares up to there, so that a batch of rollouts sees all phases at once.

    Raises:
        ConfigError: A value out of range, or a scenario without a workload.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - the base class declares it so
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        scenario: Scenario | str | Path = "paper",
        split: str = "train",
        render_mode: str | None = None,
        *,
        horizon_charge: bool = True,
        max_episode_steps: int | None = None,
        staggered: bool = False,
    ) -> None:
        self.num_envs = checks.integer("num_envs", num_envs, at_least=1)
        if render_mode is not None:
            raise ConfigError(
                f"render_mode must be None for a batch, got {render_mode!r}; render a single "
                "environment made with gym.make"
            )
        self.scenario = as_scenario(scenario)
        self.render_mode = None
        self.single_observation_space = observation_space(self.scenario)
        self.single_action_space = action_space(self.scenario)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._limit = self.scenario.n_intervals
        if max_episode_steps is not None:
            limit = checks.integer("max_episode_steps", max_episode_steps, at_least=1)
            self._limit = min(self._limit, limit)
        self._source = EpisodeSource(self.scenario, split)
        self._simulator = Simulator(
            self.scenario,
            num_envs,
            graph=self._source.workload.has_graphs,
            horizon_charge=horizon_charge,
        )
        self._staggered = staggered
        self._rngs = [seeding.np_random(None)[0] for _ in range(num_envs)]
        self._begun = False

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[Flat, dict[str, Any]]:
        """Start new episodes.

        Args:
            seed: One seed (environment i gets `seed + i`), or one each.
            options: `{"reset_mask": bools}` resets only those; `{"episodes": [...]}` or
                `{"tapes": [...]}` give each environment its own.
        """
        wanted = dict(options or {})
        chosen = self._mask(wanted.pop("reset_mask", None))
        each = {"episode": wanted.pop("episodes", None), "tape": wanted.pop("tapes", None)}
        if wanted:
            known = "'reset_mask', 'episodes' or 'tapes'"
            raise ConfigError(f"options may hold {known}, got {sorted(wanted)}")
        for b, own in zip(chosen, self._seeds(seed)[chosen], strict=True):
            if own is not None:
                self._rngs[b] = seeding.np_random(int(own))[0]
            self._load(b, {key: v[b] for key, v in each.items() if v is not None})
        if self._staggered and not self._begun:
            self._stagger()
        self._begun = True
        return self._simulator.flat(self._simulator.observe()), self._info()

    def step(self, actions: Flat) -> tuple[Flat, Array, Array, Array, dict[str, Any]]:
        """Put the requested fractions of the pools, shape (B, N), into force for one interval.

        Raises:
            ValueError: Actions of another shape, or not finite.
            RuntimeError: No episode was begun.
        """
        if not self._begun:
            raise RuntimeError("no episode was begun; call reset() before step()")
        fractions = np.asarray(actions, dtype=np.float64)
        if fractions.shape != self.action_space.shape:
            raise ValueError(
                f"actions must have the shape (environments, agents) = {self.action_space.shape}, "
                f"got {fractions.shape}"
            )
        simulator = self._simulator
        flat = simulator.step_flat(fractions * self.scenario.gpus)
        rewards, info = simulator.rewards, self._info()
        truncated: Array = simulator.environments["decision"] >= self._limit
        if truncated.any():
            info |= self._finish(np.flatnonzero(truncated), flat, info)
        return flat, rewards, np.zeros(self.num_envs, np.bool_), truncated, info

    def observation(self) -> Observation:
        """Return what an allocator sees now, in physical units, arrays of the shape (B, N)."""
        return self._simulator.observe()

    def _finish(self, ended: NDArray[np.int64], flat: Flat, info: dict[str, Any]) -> dict[str, Any]:
        """Begin the next episodes in place of the ended ones and report those."""
        last = np.full(self.num_envs, None, dtype=object)
        mask = np.zeros(self.num_envs, np.bool_)
        mask[ended] = True
        for b in ended:
            last[b] = flat[b].copy()
            self._load(int(b), {})
            flat[b] = self._simulator.observe_flat(int(b))
        final = {key: value.copy() for key, value in info.items()}
        final |= {f"_{key}": mask.copy() for key in INFO_TERMS}
        return {
            "final_obs": last,
            "_final_obs": mask,
            "final_info": final,
            "_final_info": mask.copy(),
        }

    def _load(self, b: int, options: Mapping[str, Any]) -> None:
        _, tape = self._source.draw(self._rngs[b], options)
        self._simulator.load(b, tape)

    def _stagger(self) -> None:
        """Bring environment b to phase b/B of its episode under equal shares."""
        simulator, n = self._simulator, self.scenario.n_agents
        phase = np.arange(self.num_envs) * self._limit // self.num_envs
        equal = np.full((self.num_envs, n), self.scenario.gpus / n)
        for decision in range(int(phase.max())):
            simulator.environments["done"] = phase <= decision
            simulator.step(equal)
        simulator.environments["done"] = 0

    def _info(self) -> dict[str, Any]:
        environments = self._simulator.environments
        info: dict[str, Any] = {key: environments[name].copy() for key, name in INFO_TERMS.items()}
        every = np.ones(self.num_envs, np.bool_)
        return info | {f"_{key}": every.copy() for key in INFO_TERMS}

    def _seeds(self, seed: int | Sequence[int | None] | None) -> NDArray[Any]:
        if isinstance(seed, (int, np.integer)):
            return np.array([int(seed) + b for b in range(self.num_envs)], dtype=object)
        seeds = [None] * self.num_envs if seed is None else list(seed)
        if len(seeds) != self.num_envs:
            raise ConfigError(
                f"seed must be one number or one for each of {self.num_envs} environments, "
                f"got {len(seeds)}"
            )
        return np.array(seeds, dtype=object)

    def _mask(self, mask: NDArray[np.bool_] | None) -> NDArray[np.int64]:
        if mask is None:
            return np.arange(self.num_envs)
        mask = np.asarray(mask)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ConfigError(
                f"options['reset_mask'] must hold {self.num_envs} booleans, at least one of them "
                f"true, got {mask!r}"
            )
        return np.flatnonzero(mask)
