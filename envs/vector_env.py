"""Many environments of one scenario in one compiled call per step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from . import checks
from .actions import Actions
from .episodes import EpisodeSource, as_scenario, observation_space
from .errors import ConfigError
from .history import History, episode_of, episode_state, generator_state, restore_generator
from .observation import Encoding, Observation
from .simulator import Simulator
from .spec import Scenario
from .tape import Tape
from .workloads.base import Episode

Flat = NDArray[np.float32]
Array = NDArray[Any]
INFO_TERMS = {"time_s": "time", "latency_term": "latency_term", "cost_term": "cost_term"}
INFO_TERMS["idle_term"] = "idle_term"
MAX_SEED = 2**63 - 1


class SliceVectorEnv(VectorEnv[Flat, Flat, Array]):
    """A batch of `SliceEnv`, equal to the single environment to the last bit.

    Environment i, seeded s + i, draws the episodes that a `SliceEnv` seeded s + i would. Episodes
    that end are reset in the same step (`AutoresetMode.SAME_STEP`): the observation is already the
    next episode's, the last one is in `info["final_obs"]`, its terms in `info["final_info"]`. The
    terms at the top of `info` are always those of the interval that the reward is of.

    Args:
        num_envs: Number of environments, B.
        scenario: A `Scenario`, the name of a shipped one, or the path of a YAML file.
        split: `"train"`, `"validation"` or `"heldout"`.
        render_mode: Must be `None`; render a single `SliceEnv` instead.
        horizon_charge: Whether the last interval pays for the work left open.
        max_episode_steps: Truncate episodes after so many steps; by default at the horizon only.
        staggered: After a reset of the whole batch start at phases spread over the episode, by
            playing equal shares up to there, so that a batch of rollouts sees all phases at once.
        actions: `"shares"` or, for a partitioned GPU, `"slices"`, as in `SliceEnv`.
        encoding: Scales of the flat observations; by default the documented ones.
        resumable: Keep the requests of the running episodes, which `state` needs.
        watch: Shown what is seen at decisions that are played without asking anybody: while phases
            are spread, and when a state is restored. An allocator with memory needs to know.

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
        actions: str = "shares",
        encoding: Encoding | None = None,
        resumable: bool = False,
        watch: Callable[[Observation], object] | None = None,
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
        self._actions = Actions(self.scenario, actions)
        self.single_action_space = self._actions.space
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
        if encoding is not None:
            self._simulator.encoding = encoding
        self._history = History(self._simulator) if resumable else None
        self._episodes: list[Episode | None] = [None] * num_envs
        self._staggered, self._watch = staggered, watch
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
                `{"tapes": [...]}` give each environment its own, `None` for one of the split's.

        Raises:
            TypeError: Seeds or options of the wrong type.
            ConfigError: Seeds or options out of range, or not one for each environment.
        """
        wanted: dict[str, Any] = dict(checks.mapping("options", options or {}))
        mask = self._mask(wanted.pop("reset_mask", None))
        each = {f"{key}s": wanted.pop(f"{key}s", None) for key in ("episode", "tape")}
        if wanted:
            known = "'reset_mask', 'episodes' or 'tapes'"
            raise ConfigError(f"options may hold {known}, got {sorted(wanted)}")
        given = {
            key[:-1]: self._one_each(f"options[{key!r}]", values)
            for key, values in each.items()
            if values is not None
        }
        seeds = self._seeds(seed)
        for b in np.flatnonzero(mask).tolist():
            if seeds[b] is not None:
                self._rngs[b] = seeding.np_random(seeds[b])[0]
            self._load(b, {key: values[b] for key, values in given.items()})
        if self._staggered and mask.all():
            self._stagger()
        self._begun = True
        return self._simulator.flat(self._simulator.observe()), self._info(mask)

    def step(self, actions: Flat) -> tuple[Flat, Array, Array, Array, dict[str, Any]]:
        """Put a batch of actions into force for one interval, each as `SliceEnv.step` does.

        Raises:
            TypeError: Actions that do not hold numbers.
            ValueError: Actions of another shape, or not finite.
            RuntimeError: No episode was begun.
        """
        if not self._begun:
            raise RuntimeError("no episode was begun; call reset() before step()")
        requests = self._actions.requests("actions", actions, (self.num_envs,))
        if not np.isfinite(requests).all():  # before any environment has moved
            b = np.flatnonzero(~np.isfinite(requests).all(axis=1))[0]
            got = np.asarray(actions, dtype=np.float64)[b]
            raise ValueError(f"actions[{b}] must be finite numbers, got {got}")
        simulator = self._simulator
        self._note(requests)
        flat = simulator.step_flat(requests)
        rewards, info = simulator.rewards, self._info(np.ones(self.num_envs, np.bool_))
        truncated: Array = simulator.environments["decision"] >= self._limit
        if truncated.any():
            info |= self._finish(truncated, flat)
        return flat, rewards, np.zeros(self.num_envs, np.bool_), truncated, info

    def action_masks(self) -> Array:
        """Return which discrete actions can be cut now, shape (B, actions).

        Raises:
            ConfigError: The environments were not made with `actions="slices"`.
        """
        return self._actions.masks(self._simulator.environments["blocked"])

    def observation(self) -> Observation:
        """Return what an allocator sees now, in physical units, arrays of the shape (B, N).

        Raises:
            RuntimeError: No episode was begun.
        """
        if not self._begun:
            raise RuntimeError("no episode was begun; call reset() before observation()")
        return self._simulator.observe()

    @property
    def decisions(self) -> NDArray[np.int64]:
        """Index of each environment's next decision, shape (B,)."""
        decisions: NDArray[np.int64] = self._simulator.environments["decision"].copy()
        return decisions

    @property
    def tapes(self) -> Sequence[Tape]:
        """The tape that each environment plays.

        Raises:
            RuntimeError: No episode was begun.
        """
        tapes = [tape for tape in self._simulator.tapes if tape is not None]
        if len(tapes) != self.num_envs:
            raise RuntimeError("no episode was begun; call reset() before asking for tapes")
        return tapes

    def state(self) -> dict[str, Any]:
        """Return what `restore` needs to go on from here: arrays, and values that JSON has.

        Raises:
            ConfigError: Not made with `resumable`, or a tape was given by hand.
            RuntimeError: No episode was begun.
        """
        if not self._begun:
            raise RuntimeError("no episode was begun; call reset() before state()")
        return {
            "episodes": [episode_state(episode) for episode in self._episodes],
            "generators": [generator_state(rng) for rng in self._rngs],
            **self._resumable().state(),
        }

    def restore(self, state: Mapping[str, Any]) -> Flat:
        """Go on where `state` was taken, from environments made alike, to the last bit.

        Returns:
            The observation, shape (B, N · features).

        Raises:
            ConfigError: Not made with `resumable`, or a state of other environments.
            TypeError: Values of the wrong type.
        """
        history = self._resumable()
        episodes = self._one_each("episodes", state["episodes"])
        generators = self._one_each("generators", state["generators"])
        for b in range(self.num_envs):
            self._load(b, {"episode": episode_of(episodes[b])})
            restore_generator(self._rngs[b], generators[b])
        history.restore(state, self._watch)
        self._begun = True
        return self._simulator.flat(self._simulator.observe())

    def _resumable(self) -> History:
        if self._history is None:
            raise ConfigError("resumable must be true for a state; make them with resumable=True")
        return self._history

    def _note(self, requests: NDArray[np.float64]) -> None:
        if self._history is not None:
            self._history.note(requests)

    def _finish(self, ended: Array, flat: Flat) -> dict[str, Any]:
        """Begin the next episodes in place of the ended ones and report those."""
        last = np.full(self.num_envs, None, dtype=object)
        final = self._info(ended)
        for b in np.flatnonzero(ended).tolist():
            last[b] = flat[b].copy()
            self._load(b, {})
            flat[b] = self._simulator.observe_flat(b)
        return {
            "final_obs": last,
            "_final_obs": ended.copy(),
            "final_info": final,
            "_final_info": ended.copy(),
        }

    def _load(self, b: int, options: Mapping[str, Any]) -> None:
        self._episodes[b], tape = self._source.draw(self._rngs[b], options)
        self._simulator.load(b, tape)

    def _stagger(self) -> None:
        """Bring environment b to phase b/B of its episode under equal shares."""
        simulator, n = self._simulator, self.scenario.n_agents
        phase = np.arange(self.num_envs) * self._limit // self.num_envs
        equal = np.full((self.num_envs, n), self.scenario.gpus / n)
        for decision in range(int(phase.max())):
            simulator.environments["done"] = phase <= decision
            self._note(equal)
            if self._watch is not None:
                self._watch(simulator.observe())
            simulator.step(equal)
        simulator.environments["done"] = 0

    def _info(self, mask: Array) -> dict[str, Any]:
        """Time and terms of the environments in the mask, 0 for the others, as Gymnasium does."""
        environments = self._simulator.environments
        info: dict[str, Any] = {key: environments[name].copy() for key, name in INFO_TERMS.items()}
        if not mask.all():
            info = {key: np.where(mask, values, 0.0) for key, values in info.items()}
        return info | {f"_{key}": mask.copy() for key in INFO_TERMS}

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, Integral):
            first = checks.integer("seed", seed, at_least=0, at_most=MAX_SEED)
            return [first + b for b in range(self.num_envs)]
        return [
            None if s is None else checks.integer(f"seed[{b}]", s, at_least=0, at_most=MAX_SEED)
            for b, s in enumerate(self._one_each("seed", seed))
        ]

    def _one_each(self, field: str, values: Any) -> Sequence[Any]:
        checks.listing(field, values)
        if len(values) != self.num_envs:
            raise ConfigError(
                f"{field} must hold one for each of {self.num_envs} environments, got {len(values)}"
            )
        each: Sequence[Any] = values
        return each

    def _mask(self, mask: NDArray[np.bool_] | None) -> Array:
        if mask is None:
            return np.ones(self.num_envs, np.bool_)
        if not self._begun:
            raise RuntimeError("no episode was begun; call reset() without 'reset_mask' first")
        mask = np.asarray(mask)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ConfigError(
                f"options['reset_mask'] must hold {self.num_envs} booleans, at least one of them "
                f"true, got {mask!r}"
            )
        return mask.copy()
