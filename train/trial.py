"""One trial of a study: its values, what is made of its validation rewards, and its end."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..eval.tune_search import optuna
from .config import TrainConfig
from .search import draw, with_values
from .study import StudyFile

Watch = Callable[[float, float], None]


class Run:
    """One trial in the study: its values are drawn, it is judged as it goes, its end is told.

    Args:
        given: The configuration that is tuned.
        seeds: Runs of the trial.
        file: The study.
        trial: Optuna's, claimed by this process.

    Attributes:
        config: What to train.
        part: How much of it is done.
    """

    def __init__(self, given: TrainConfig, seeds: int, file: StudyFile, trial: Any) -> None:
        self._seeds, self._file, self._trial = seeds, file, trial
        values = draw(given, trial)
        self.config = replace(with_values(given, values), baselines=())
        trial.set_user_attr("values", {name: _plain(value) for name, value in values.items()})
        self.part = 0.0
        self._last = -1

    def note(self, rewards: Sequence[float], timesteps: int) -> None:
        """Take note of how far it is: seeds that are done, and timesteps of the one at work."""
        done = min(1.0, timesteps / self.config.total_timesteps)
        self.part = (len(rewards) + done) / self._seeds

    def judge(self, rewards: Sequence[float], best: float, timesteps: int) -> None:
        """Tell Optuna of an evaluation.

        Args:
            rewards: Of the seeds that are done.
            best: So far, of the seed being trained.
            timesteps: That it has been trained for.

        Raises:
            TrialPruned: Optuna's; the trial is to be stopped.
        """
        config, done = self.config, len(rewards)
        step = done * steps(config) + timesteps // config.eval_every
        if timesteps >= config.total_timesteps or step <= self._last:
            return  # the end of a run, with nothing to save by stopping; or all that is run again
        self._trial.report(float(np.mean([*rewards, best])), step)
        self._last = step
        if self._trial.should_prune():
            raise optuna().TrialPruned

    def complete(self, rewards: Sequence[float]) -> None:
        """End it with the rewards of all seeds."""
        self._file.study.tell(self._trial, float(np.mean(rewards)))

    def stop(self, diverged: str = "") -> None:
        """End it before its time, with an error's words where its network has diverged."""
        if diverged:
            self._trial.set_user_attr("diverged", " ".join(diverged.split())[:200])
        self._file.study.tell(self._trial, state=optuna().trial.TrialState.PRUNED)


def show(file: StudyFile, runs: Iterable[Run], watch: Watch | None) -> None:
    """Say how far the study is, runs that are under way included."""
    if watch is not None:
        ended = file.trials("COMPLETE", "PRUNED")
        watch(len(ended) + sum(run.part for run in runs), _highest(ended))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _highest(trials: Sequence[Any]) -> float:
    complete = [trial.value for trial in trials if trial.state.name == "COMPLETE"]
    return max(complete, default=math.nan)


def steps(config: TrainConfig) -> int:
    """Steps of a run, counted by evaluations: `eval_every` timesteps each."""
    return 1 + config.total_timesteps // config.eval_every
