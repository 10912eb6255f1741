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

SPLIT = "validation"
UNRATED = 5  # so many finished trials make a median
WARMUP = 3  # nothing is stopped in the first third of its training
NO_MATTER = ("baselines", "torch_threads")  # to the reward of a run

Watch = Callable[[float, float], None]


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
    library = optuna()
    task.check()
    with StudyFile(task.study, task.asked()) as file:
        file.study.pruner = library.pruners.MedianPruner(UNRATED, _steps(task.config) // WARMUP)
        first = as_parameters(task.config, own_values(task.config))
        while (trial := file.claim(task.trials, _sampler(task), first)) is not None:
            _Run(task, file, trial, watch).play()
        return _found(task, file)


def _steps(config: TrainConfig) -> int:
    """Steps of a run, counted by evaluations: `eval_every` timesteps each."""
    return 1 + config.total_timesteps // config.eval_every


def _sampler(task: Task) -> Callable[[int], Any]:
    """Return what makes a sampler for each place: by itself, a trial is drawn again as it was."""

    def make(place: int) -> Any:
        seeds = np.random.SeedSequence([task.config.seed, place]).generate_state(1)
        return optuna().samplers.TPESampler(seed=int(seeds[0]))

    return make


class _Run:
    """One trial: draws its values, trains, and tells the study what came of it."""

    def __init__(self, task: Task, file: StudyFile, trial: Any, watch: Watch | None) -> None:
        self._task, self._file, self._trial, self._watch = task, file, trial, watch
        self._rewards: list[float] = []  # of the seeds that are done
        self._best = -math.inf  # of the seed being trained
        self._last = -1

    def play(self) -> None:
        """Train with every seed, or until the trial is stopped."""
        library, trial = optuna(), self._trial
        states, tell = library.trial.TrialState, self._file.study.tell
        values = draw(self._task.config, trial)
        config = with_values(self._task.config, values)
        trial.set_user_attr("values", {name: _plain(value) for name, value in values.items()})
        try:
            for k in range(self._task.seeds):
                self._train(replace(config, seed=config.seed + k, baselines=()))
        except library.TrialPruned:
            tell(trial, state=states.PRUNED)
        except ValueError as error:
            if isinstance(error, (ConfigError, TraceError)):
                raise
            trial.set_user_attr("diverged", " ".join(str(error).split())[:200])
            tell(trial, state=states.PRUNED)
        else:
            tell(trial, float(np.mean(self._rewards)))

    def _train(self, config: TrainConfig) -> None:
        self._best = -math.inf
        with TemporaryDirectory(prefix="slicegym-tune-") as folder:
            trained = train(config, Path(folder) / "run", quiet=True, report=self._report)
        self._rewards.append(trained.best["reward"])

    def _report(self, timesteps: int, reward: float) -> None:
        config, done = self._task.config, len(self._rewards)
        self._best = max(self._best, reward)
        self._show(done + min(1.0, timesteps / config.total_timesteps))
        step = done * _steps(config) + timesteps // config.eval_every
        if timesteps >= config.total_timesteps or step == self._last:
            return  # the end of a run: nothing to save by stopping
        self._trial.report(float(np.mean([*self._rewards, self._best])), step)
        self._last = step
        if self._trial.should_prune():
            raise optuna().TrialPruned

    def _show(self, runs: float) -> None:
        if self._watch is not None:
            ended = self._file.trials("COMPLETE", "PRUNED")
            self._watch(len(ended) + runs / self._task.seeds, _highest(ended))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _highest(trials: Sequence[Any]) -> float:
    complete = [trial.value for trial in trials if trial.state.name == "COMPLETE"]
    return max(complete, default=math.nan)


def _found(task: Task, file: StudyFile) -> Found:
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
