"""Tuning PPO's hyperparameters with Optuna, by the reward on the validation split.

A trial is a training run. What counts is the reward of the policy that the run would keep, its best
on the validation split; held-out data is not touched. The first trial is the configuration as
given, and the next ones are drawn by a tree-structured Parzen estimator (J. Bergstra et al.,
NeurIPS 2011). A trial whose best reward so far lies below the median of the finished ones at the
same moment of training is stopped (the median rule of D. Golovin et al., Google Vizier, KDD 2017).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ..envs.errors import ConfigError, TraceError
from ..envs.loading import load_scenario
from ..eval.manifests import describe
from ..eval.suite import load_suite
from ..eval.tune_search import optuna
from .config import TrainConfig
from .ppo import train
from .search import as_parameters, draw, own_values, space_around, with_values
from .study import StudyFile
from .trial import Run, Watch, show, steps

SPLIT = "validation"
UNRATED = 5  # so many finished trials make a median
WARMUP = 3  # nothing is stopped in the first third of its training
NO_MATTER = ("baselines", "torch_threads")  # to the reward of a run

Report = Callable[[Sequence[float], float, int], None]  # as `Run.judge` takes it
Trainer = Callable[..., Any]  # called as `train` is here


@dataclass(frozen=True)
class Task:
    """What is tuned, and how hard.

    Attributes:
        config: The configuration, which is the first trial. Its seed is that of the search, too.
        study: The study file, new or to be gone on with.
        trials: How many are to be finished or stopped in the end, those of earlier calls included.
        seeds: Runs of a trial, whose rewards are averaged.
        command: That repeats it.
    """

    config: TrainConfig
    study: Path
    trials: int = 32
    seeds: int = 1
    command: str = ""

    def asked(self) -> dict[str, Any]:
        """Return what has to be the same for trials to be comparable."""
        config = {k: v for k, v in self.config.as_dict().items() if k not in NO_MATTER}
        scenario = json.dumps(describe(self._suite().scenario), sort_keys=True)
        return {
            "config": config,
            "seeds": self.seeds,
            "space": {one.name: list(one[1:]) for one in space_around(self.config)},
            "scenario_sha256": hashlib.sha256(scenario.encode()).hexdigest(),
        }

    def check(self) -> None:
        """Refuse what could not be trained, before anything is written.

        Raises:
            ConfigError: It could not.
            TraceError: A trace is absent or damaged.
        """
        load_scenario(self.config.scenario)  # its errors speak of the scenario, not of a suite
        suite = self._suite()
        suite.scenario.tape(suite.episodes[0])

    def _suite(self) -> Any:
        return load_suite(f"{self.config.scenario}-{SPLIT}").first(self.config.validation_episodes)


@dataclass(frozen=True)
class Found:
    """What a study holds.

    Attributes:
        task: What was asked for.
        config: The best configuration.
        reward: Its validation reward.
        given_reward: That of the configuration as given; NaN where it could not be trained.
        trials: Trials that were finished or stopped.
        pruned: Those that were stopped.
        diverged: Those of them whose networks left the finite numbers.
        running: Trials that other processes are at.
    """

    task: Task
    config: TrainConfig
    reward: float
    given_reward: float
    trials: int
    pruned: int
    diverged: int
    running: int

    def content(self) -> dict[str, Any]:
        """Return the configuration as `slicegym-train` reads it, and how it was found."""
        tuned = {
            "command": self.task.command,
            "split": SPLIT,
            "date": datetime.now(UTC).date().isoformat(),
            "reward": round(self.reward, 4),
            "given_reward": None if math.isnan(self.given_reward) else round(self.given_reward, 4),
            "trials": self.trials,
            "pruned": self.pruned,
            "diverged": self.diverged,
            "seeds": self.task.seeds,
            "optuna": optuna().__version__,
        }
        return {**self.config.as_dict(), "tuned": tuned}


def tune(task: Task, watch: Watch | None = None) -> Found:
    """Run the trials that the study lacks, and return the best of all.

    Args:
        task: What to do.
        watch: Called as trials go on, with trials done and the best validation reward, or NaN.

    Raises:
        ConfigError: Anything that cannot be tuned as asked, or no Optuna.
        TraceError: A trace is absent or damaged.
    """
    task.check()
    with open_study(task) as file:
        while (trial := claim(task, file)) is not None:
            _play_here(Run(task.config, task.seeds, file, trial), file, task.seeds, watch)
        return best_of(task, file)


def open_study(task: Task) -> StudyFile:
    """Open the study of a task, with what decides which trials are stopped.

    Raises:
        ConfigError: It is another task's or damaged, or there is no Optuna.
    """
    file = StudyFile(task.study, task.asked())
    file.study.pruner = optuna().pruners.MedianPruner(UNRATED, steps(task.config) // WARMUP)
    return file


def claim(task: Task, file: StudyFile) -> Any | None:
    """Return a trial to run, or None where all are run or being run."""
    first = as_parameters(task.config, own_values(task.config))
    return file.claim(task.trials, _sampler(task), first)


def _sampler(task: Task) -> Callable[[int], Any]:
    """Return what makes a sampler for each place: by itself, a trial is drawn again as it was."""

    def make(place: int) -> Any:
        seeds = np.random.SeedSequence([task.config.seed, place]).generate_state(1)
        return optuna().samplers.TPESampler(seed=int(seeds[0]))

    return make


def _play_here(run: Run, file: StudyFile, seeds: int, watch: Watch | None) -> None:
    def report(rewards: Sequence[float], best: float, timesteps: int) -> None:
        run.note(rewards, timesteps)
        show(file, [run], watch)
        run.judge(rewards, best, timesteps)

    try:
        rewards = train_seeds(run.config, seeds, report)
    except optuna().TrialPruned:
        run.stop()
    except ValueError as error:
        if isinstance(error, (ConfigError, TraceError)):
            raise
        run.stop(diverged=str(error))
    else:
        run.complete(rewards)


def train_seeds(
    config: TrainConfig, seeds: int, report: Report, trainer: Trainer | None = None
) -> list[float]:
    """Train as often as a trial asks for, in folders that are not kept, and return the rewards.

    Args:
        config: Of the first run; the seeds of the others follow.
        seeds: How many.
        report: Called after each evaluation; what it raises ends it all.
        trainer: Trains in place of `train`.

    Raises:
        ValueError: A network has left the finite numbers.
        ConfigError: Anything that cannot be trained as asked.
        TraceError: A trace is absent or damaged.
    """
    rewards: list[float] = []
    for k in range(seeds):
        best = -math.inf

        def note(timesteps: int, reward: float) -> None:
            nonlocal best
            best = max(best, reward)
            report(tuple(rewards), best, timesteps)

        with TemporaryDirectory(prefix="slicegym-tune-") as folder:
            one = replace(config, seed=config.seed + k)
            trained = (trainer or train)(one, Path(folder) / "run", quiet=True, report=note)
        rewards.append(float(trained.best["reward"]))
    return rewards


def best_of(task: Task, file: StudyFile) -> Found:
    """Return what a study holds.

    Raises:
        ConfigError: No trial has come to its end.
    """
    complete, pruned = file.trials("COMPLETE"), file.trials("PRUNED")
    if not complete:
        raise ConfigError(
            f"at least one trial must come to its end, and none in {task.study} has; try a smaller "
            "learning_rate"
        )
    best = max(complete, key=lambda trial: float(trial.value))
    first = complete[0]
    return Found(
        task=task,
        config=with_values(task.config, _values(task.config, best)),
        reward=best.value,
        given_reward=first.value if first.user_attrs["place"] == 0 else math.nan,
        trials=len(complete) + len(pruned),
        pruned=len(pruned),
        diverged=sum("diverged" in trial.user_attrs for trial in pruned),
        running=len(file.trials("RUNNING")),
    )


def _values(config: TrainConfig, trial: Any) -> dict[str, Any]:
    """Return the values of a trial of the study: drawn again, they are what they were."""
    return draw(config, optuna().trial.FixedTrial(trial.params))
