"""One training run, from a configuration to an exported policy. Read it from top to bottom."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.utils import set_random_seed
from stable_baselines3.common.vec_env import VecNormalize

from ..baselines.learned import Learned
from ..envs.errors import ConfigError
from ..envs.loading import load_scenario
from ..envs.spec import Scenario
from ..eval.suite import load_suite
from .callbacks import LEARNER, Curves, TimeLimit, Validate, Validation, progress_bar
from .config import TrainConfig
from .export import load_checkpoint, numpy_policy, save_checkpoint, save_policy
from .folder import CURVES_FOLDER, TrainingFolder, check_new, make_manifest
from .policy import policy_arguments, start_equal
from .sb3_vec_env import SliceVecEnv


@dataclass(frozen=True)
class Trained:
    """What came of a run.

    Attributes:
        folder: Holds policy, manifest, checkpoint and curves.
        timesteps: Decisions trained for.
        best: Timesteps and validation reward of the policy that was kept.
        baselines: Validation reward of each baseline.
        wall_s: Time that it took, earlier parts of a resumed run included [s].
    """

    folder: Path
    timesteps: int
    best: dict[str, float]
    baselines: dict[str, float]
    wall_s: float


def train(
    config: TrainConfig, folder: Path, *, resume: bool = False, quiet: bool = False
) -> Trained:
    """Train, keep the best policy on the validation split, and write everything down.

    Args:
        config: What to do.
        folder: New folder for the run; with `resume` the folder of an unfinished one.
        resume: Go on from the last checkpoint.
        quiet: Show no progress.

    Raises:
        ConfigError: Anything that cannot be trained or written as asked; nothing is left behind.
        TraceError: A trace is absent or damaged.
    """
    # What is asked for. Everything that may be refused is refused before the folder is made.
    torch.set_num_threads(config.torch_threads)
    if not resume:
        check_new(folder)
    load_scenario(config.scenario)  # its errors speak of the scenario, the suite's of a suite
    suite = load_suite(f"{config.scenario}-validation").first(config.validation_episodes)
    scenario = suite.scenario
    env = make_env(config, scenario)
    model = make_model(config, env, scenario)
    validation = Validation(suite)
    baselines = validation.baselines(config.baselines)

    # Where it is written down.
    if resume:
        run = TrainingFolder.reopen(folder, config)
        state = load_checkpoint(folder, model)
        take_up(model, env, state, config)
        run.update({"status": "running", "config": config.as_dict()})
    else:
        run = TrainingFolder.create(folder, make_manifest(config, suite))
        state = {"timesteps": 0, "best": None, "wall_s": 0.0}
    begun = time.monotonic() - state["wall_s"]
    curves = Curves(folder / CURVES_FOLDER, [LEARNER, *config.baselines])
    model.set_logger(curves.logger)

    # What happens between updates: the best policy on the validation split is the one exported.
    def evaluate(timesteps: int) -> None:
        figures = validation.figures(LEARNER, Learned(numpy_policy(model, config, scenario)))
        curves.write(LEARNER, figures, timesteps)
        for name, others in baselines.items():
            curves.write(name, others, timesteps)
        if state["best"] is None or figures["reward"] > state["best"]["reward"]:
            state["best"] = {"timesteps": timesteps, "reward": figures["reward"]}
            save_policy(folder, model, config, scenario)
        state.update(timesteps=timesteps, wall_s=time.monotonic() - begun, **reward_scale(env))
        save_checkpoint(folder, model, state)
        bar.note = f", validation {figures['reward']:.3f}"

    # Learning itself.
    clock = TimeLimit(config.time_limit_s)
    with ExitStack() as stack:
        stack.callback(curves.close)
        bar = stack.enter_context(progress_bar(config.total_timesteps, quiet))
        try:
            model.learn(
                config.total_timesteps - model.num_timesteps,
                callback=[Validate(config.eval_every, evaluate), clock, bar],
                reset_num_timesteps=False,
            )
        except KeyboardInterrupt:
            run.update({"status": "interrupted", **_outcome(state, baselines)})
            raise

    # What came of it.
    status = "stopped by time_limit_s" if clock.expired else "finished"
    run.update({"status": status, **_outcome(state, baselines)}, finished=True)
    return Trained(
        folder,
        state["timesteps"],
        state["best"],
        {name: figures["reward"] for name, figures in baselines.items()},
        state["wall_s"],
    )


def make_env(config: TrainConfig, scenario: Scenario) -> VecNormalize:
    """Return the training environments: rewards are scaled, observations are left as they are."""
    env = SliceVecEnv(
        config.n_envs,
        scenario,
        config.split,
        action=config.action,
        staggered=config.staggered,
    )
    return VecNormalize(
        env, norm_obs=False, norm_reward=config.normalize_reward, gamma=config.gamma
    )


def make_model(config: TrainConfig, env: VecNormalize, scenario: Scenario) -> PPO:
    """Return PPO before its first step."""
    first, last = config.learning_rate, config.final_learning_rate
    model = PPO(
        "MlpPolicy",
        env,
        learning_rate=lambda remaining: last + remaining * (first - last),
        n_steps=config.n_steps,
        batch_size=config.batch_size,
        n_epochs=config.n_epochs,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip_range,
        ent_coef=config.ent_coef,
        vf_coef=config.vf_coef,
        max_grad_norm=config.max_grad_norm,
        policy_kwargs=policy_arguments(config),
        seed=config.seed,
        device="cpu",
    )
    start_equal(model.policy, config, scenario.n_agents)
    return model


def reward_scale(env: VecNormalize) -> dict[str, Any]:
    """Return the statistics that training rewards are divided by."""
    running = env.ret_rms
    return {
        "reward_scale": {
            "mean": float(running.mean),
            "var": float(running.var),
            "count": float(running.count),
        }
    }


def take_up(model: PPO, env: VecNormalize, state: dict[str, Any], config: TrainConfig) -> None:
    """Set clock, reward scale and random numbers of a model as a checkpoint left them.

    Raises:
        ConfigError: The run has nothing left to do.
    """
    done = int(state["timesteps"])
    if done >= config.total_timesteps:
        raise ConfigError(
            f"total_timesteps must be more than the {done} that this run has done already, "
            f"got {config.total_timesteps}; raise it to go on"
        )
    model.num_timesteps = done
    for name, value in state["reward_scale"].items():
        setattr(env.ret_rms, name, np.float64(value))
    # New episodes and new noise: those of the seed have been played.
    seed = int(np.random.SeedSequence([config.seed, done]).generate_state(1)[0])
    set_random_seed(seed)
    env.seed(seed)


def _outcome(state: dict[str, Any], baselines: dict[str, dict[str, float]]) -> dict[str, Any]:
    return {
        "timesteps": state["timesteps"],
        "wall_s": round(state["wall_s"], 1),
        "best": state["best"],
        "validation": baselines,
    }
