"""Tuning one allocator for one scenario, with Optuna, on the training split.

Only the training split is ever played. All candidates share their tapes, so that none is better for
its luck, and the defaults are the first of them: what is found is never worse than they are.
Candidates are drawn by a tree-structured Parzen estimator (J. Bergstra et al., NeurIPS 2011), and
those that are not among the best quarter after a quarter of the tapes are stopped there, which is
asynchronous successive halving (L. Li et al., MLSys 2020).
"""

from __future__ import annotations

import math
import shlex
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from ..baselines import allocator_class
from ..envs.errors import ConfigError
from ..envs.loading import load_scenario
from .rollout import play
from .session import progress
from .tune_search import OutOfTime, Parameters, Scores, optuna, search

if TYPE_CHECKING:
    from ..baselines import Allocator
    from ..envs.spec import Scenario
    from ..envs.tape import Tape

SPLIT = "train"
TOLERANCE = 5e-4  # a parameter that gains less of the reward is left at its default
SEARCH_PART = 0.8  # of the budget; the rest is for dropping parameters that make no difference
LEAST_TRIALS = 16  # a budget that is too short for so many on all tapes gets fewer tapes


class Refused(ConfigError):
    """An allocator that cannot keep its promises in the scenario."""


@dataclass(frozen=True)
class Task:
    """One allocator in one scenario, and how hard to search.

    Attributes:
        allocator: Its name.
        scenario: Name of a scenario, or the path of its file.
        trials: Candidates, the defaults among them.
        n_tapes: Training tapes that a candidate plays unless it is stopped.
        seed: Of tapes and candidates.
        budget_s: Time after which the best so far is kept [s]; None for no limit. With a limit the
            result depends on the machine.
    """

    allocator: str
    scenario: str
    trials: int = 64
    n_tapes: int = 16
    seed: int = 0
    budget_s: float | None = None

    @property
    def command(self) -> str:
        """The command that repeats it."""
        budget = "" if self.budget_s is None else f" --budget {self.budget_s:g}"
        return (
            f"slicegym-eval tune --allocator {self.allocator} "
            f"--scenario {shlex.quote(self.scenario)} "
            f"--trials {self.trials} --tapes {self.n_tapes} --seed {self.seed}{budget}"
        )


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        task: What was asked for.
        scenario: Name of the scenario.
        parameters: The best set; what it leaves out is at its default.
        reward: Its mean reward per interval over the tapes.
        default_reward: That of the defaults, on the same tapes.
        trials: Candidates tried.
        tapes: Tapes that the best ones played.
        out_of_time: Whether the budget ended the search.
    """

    task: Task
    scenario: str
    parameters: Parameters
    reward: float
    default_reward: float
    trials: int
    tapes: int
    out_of_time: bool

    def entry(self) -> dict[str, Any]:
        """Return what is written under the scenario's name."""
        manifest = {
            "command": self.task.command,
            "split": SPLIT,
            "date": datetime.now(UTC).date().isoformat(),
            "reward": round(self.reward, 4),
            "default_reward": round(self.default_reward, 4),
            "trials": self.trials,
            "tapes": self.tapes,
            "optuna": optuna().__version__,
        }
        if self.out_of_time:
            manifest["out_of_time"] = True
        return {"parameters": dict(self.parameters), "tuned": manifest}


def tune(task: Task, *, quiet: bool = False) -> Found:
    """Search for the parameters with the highest mean reward on training tapes.

    Raises:
        ConfigError: Unknown names, an allocator without parameters, a scenario without workload,
            or no Optuna.
        Refused: The allocator refuses the scenario.
        TraceError: The workload's trace is missing or damaged.
    """
    optuna()
    kind, scenario = tunable(task.allocator), load_scenario(task.scenario)
    scores = Scores(kind, scenario, _training_tapes(kind, scenario, task))
    begun = _begin(scores, task.budget_s)
    default = scores.mean({})
    with progress(f"{task.allocator} on {scenario.name}", task.trials, quiet) as advance:
        scores.deadline = begun + SEARCH_PART * _limit(task)
        tried = list(search(kind, scores, task.trials, task.seed, advance))
    scores.deadline = begun + _limit(task)
    complete = [one for one in tried if one is not None]
    best, _ = max([({}, default), *complete], key=lambda one: one[1])
    parameters = _simplified(best, scores)
    if scores.mean(parameters) <= default:
        parameters = {}
    return Found(
        task=task,
        scenario=scenario.name,
        parameters=parameters,
        reward=scores.mean(parameters),
        default_reward=default,
        trials=len(tried),
        tapes=len(scores.tapes),
        out_of_time=len(tried) < task.trials,
    )


def tunable(name: str) -> type[Allocator]:
    """Return the class of an allocator that has something to tune.

    Raises:
        ConfigError: It has not, or the name is unknown.
    """
    kind = allocator_class(name)
    if not kind.search_space:
        raise ConfigError(f"allocator {name!r} must have a search_space to be tuned, got none")
    return kind


def _training_tapes(kind: type[Allocator], scenario: Scenario, task: Task) -> list[Tape]:
    """Draw the tapes, once it is known that the allocator plays them."""
    workload = scenario.workload
    if workload is None:
        raise ConfigError(f"scenario {scenario.name!r} needs a workload to be tuned on; add one")
    try:
        kind().reset(scenario)
    except ConfigError as error:
        raise Refused(f"{task.allocator} refuses {scenario.name}: {error}") from error
    rng = np.random.default_rng(task.seed)
    episodes = [workload.sample(scenario, SPLIT, rng) for _ in range(task.n_tapes)]
    tapes = [scenario.tape(episode) for episode in episodes]
    return list({tape.digest: tape for tape in tapes}.values())  # some workloads have but one


def _limit(task: Task) -> float:
    return math.inf if task.budget_s is None else task.budget_s


def _begin(scores: Scores, budget_s: float | None) -> float:
    """Return when the search begins, by `time.monotonic`, and see that its tapes can be played.

    What is compiled at first is on no budget. A search over a few tapes beats none over many.
    """
    scores.mean({}, 1)
    begun = time.monotonic()
    if budget_s is not None:
        play(scores.scenario, scores.tapes[0], scores.kind())
        n_plays = int(budget_s / LEAST_TRIALS / (time.monotonic() - begun))
        scores.tapes = scores.tapes[: max(1, n_plays)]
    return begun


def _simplified(parameters: Parameters, scores: Scores) -> Parameters:
    """Drop every parameter whose default does as well, while there is time."""
    kept, target = dict(parameters), scores.mean(parameters)
    try:
        for name in parameters:
            without = {key: value for key, value in kept.items() if key != name}
            if scores.mean(without) >= target - TOLERANCE * abs(target):
                kept = without
    except OutOfTime:
        pass
    return kept


def describe(found: Found) -> str:
    """Return the result in one line of words and one to copy."""
    text = ",".join(f"{name}={_plain(value)}" for name, value in found.parameters.items())
    spec = ":".join((found.task.allocator, ",".join(filter(None, ("tuned=false", text)))))
    end = f", out of time after {found.trials} trials" if found.out_of_time else ""
    tapes = f"{found.tapes} training tape{'s' if found.tapes > 1 else ''}"
    return (
        f"# {found.scenario}: reward {found.reward:.4f} on {tapes}, "
        f"{found.default_reward:.4f} with defaults{end}\n# --allocators '{spec}'"
    )


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
