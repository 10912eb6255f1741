"""One training run, from a configuration to an exported policy. Read it from top to bottom."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize

from ..envs.errors import ConfigError
from ..envs.loading import load_scenario
from ..envs.spec import Scenario
from .callbacks import (
    LEARNER,
    BurnIn,
    Curves,
    Keeper,
    NoProgress,
    OutOfTime,
    Report,
    TimeLimit,
    Validation,
    progress_bar,
)
from .checkpoint import NEW_NOTES, load_checkpoint
from .config import TrainConfig
from .folder import CURVES_FOLDER, TrainingFolder, check_new, make_manifest
from .mixed_vec_env import MixedVecEnv
from .policy import AllocationPolicy, Plan
from .sb3_vec_env import SliceVecEnv
from .worlds import own_suite, worlds


@dataclass(frozen=True)
class Trained:
    """What came of a run.

    Attributes:
        folder: Holds policy, manifest, checkpoint and curves.
        timesteps: Decisions trained for.
        best: Timesteps and validation reward of the policy that was kept.
        baselines: Validation reward of each baseline, and of the bound where it is drawn.
        wall_s: Time that it took, earlier parts of a resumed run included [s].
    """

    folder: Path
    timesteps: int
    best: dict[str, float]
    baselines: dict[str, float]
    wall_s: float


def train(
    config: TrainConfig,
    folder: Path,
    *,
    resume: bool = False,
    quiet: bool = False,
    report: Report | None = None,
) -> Trained:
    """Train, keep the best policy on the validation split, and write everything down.

    Args:
        config: What to do.
        folder: New folder for the run; with `resume` the folder of an unfinished one.
        resume: Go on from the last checkpoint. With the same configuration the run ends as one that
            was never cut, byte by byte, on the same machine with as many threads. With more
            `total_timesteps` it goes on from there along the longer run's learning rates.
        quiet: Show no progress.
        report: Called with timesteps and validation reward after each evaluation; what it raises
            ends the run.

    Raises:
        ConfigError: Anything that cannot be trained or written as asked; nothing is left behind.
        TraceError: A trace is absent or damaged.
        SolverError: A bound was asked for, and there is none.
    """
    # What is asked for. Everything that may be refused is refused before a folder is made.
    torch.set_num_threads(config.torch_threads)
    if resume:
        run = TrainingFolder.reopen(folder, config)
    else:
        check_new(folder)
    load_scenario(config.scenario)  # its errors speak of the scenario, the suite's of a suite
    suite = own_suite(config, "validation").first(config.validation_episodes)
    if resume:
        run.check_scenario(suite.scenario)
    validation = Validation(suite, bound=config.bound, quiet=quiet)
    baselines = validation.baselines(config.baselines)

    # What learns, and where.
    env = make_env(config, suite.scenario)
    model = make_model(config, env, suite.scenario)

    # Where it is written down.
    if resume:
        notes = load_checkpoint(folder, model)
        if run.manifest.get("status") == "finished":  # a kill may come just before it says so
            check_unfinished(model, config)
        resumed = [*run.manifest.get("resumed_at", []), model.num_timesteps]
        run.begin({"status": "running", "config": config.as_dict(), "resumed_at": resumed})
    else:
        notes = dict(NEW_NOTES)
        run = TrainingFolder.create(
            folder, make_manifest(config, suite, worlds(config, suite.scenario)[1:])
        )
    curves = Curves(folder / CURVES_FOLDER, [LEARNER, *baselines])
    model.set_logger(curves.logger)

    # Learning itself; between updates the keeper saves the policy that is best on validation.
    keeper = Keeper(config, folder, validation, baselines, curves, notes, report)
    clock = TimeLimit(config.time_limit_s)
    status = "interrupted"
    with run:
        try:
            with curves, progress_bar(config.total_timesteps, keeper, quiet) as bar:
                with suppress(OutOfTime, NoProgress):
                    model.learn(
                        config.total_timesteps - model.num_timesteps,
                        callback=[keeper, clock, BurnIn(config.burn_in), bar],
                        reset_num_timesteps=False,
                    )
                keeper.finish()
            status = "finished"
            if clock.expired or keeper.has_no_progress:
                status = f"stopped by {'time_limit_s' if clock.expired else 'patience'}"
        finally:
            outcome = {name: keeper.notes[name] for name in ("timesteps", "best", "wall_s")}
            news = {"status": status, **outcome, "validation": baselines}
            run.end(news, finished=status != "interrupted")

    # What came of it.
    rewards = {name: figures["reward"] for name, figures in baselines.items()}
    return Trained(folder, baselines=rewards, **outcome)


def make_env(config: TrainConfig, scenario: Scenario) -> VecNormalize:
    """Return the training environments: rewards are scaled, observations are left as they are.

    Where there are several scenarios, or versions of one, the batch is shared out among them.

    A value that sees what is left of an episode learns what its end is worth, so that the episode
    ends there and pays for what is left open, as in evaluation. Any other takes the end for an
    interruption.
    """
    found = worlds(config, scenario)
    sizes = [len(part) for part in np.array_split(np.arange(config.n_envs), len(found))]
    parts = [_batch(config, world, size) for world, size in zip(found, sizes, strict=True)]
    env = parts[0] if len(parts) == 1 else MixedVecEnv(parts)
    return VecNormalize(
        env, norm_obs=False, norm_reward=config.normalize_reward, gamma=config.gamma
    )


def _batch(config: TrainConfig, scenario: Scenario, n_envs: int) -> SliceVecEnv:
    return SliceVecEnv(
        n_envs,
        scenario,
        config.split,
        action=config.action,
        base=config.base,
        network=config.network,
        without=config.without,
        outlook=config.outlook,
        horizon_charge=config.outlook,
        staggered=config.staggered,
        resumable=True,
    )


def make_model(config: TrainConfig, env: VecNormalize, scenario: Scenario) -> PPO:
    """Return PPO before its first step."""
    first, last = config.learning_rate, config.final_learning_rate
    return PPO(
        AllocationPolicy,
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
        policy_kwargs={"plan": Plan.of(config, worlds(config, scenario))},
        seed=config.seed,
        device="cpu",
    )


def check_unfinished(model: PPO, config: TrainConfig) -> None:
    """Refuse to go on with a run that has nothing left to do.

    Raises:
        ConfigError: It is so.
    """
    done = model.num_timesteps
    if done >= config.total_timesteps:
        raise ConfigError(
            f"total_timesteps must be more than the {done} that this run has done already, "
            f"got {config.total_timesteps}; raise it to go on"
        )
