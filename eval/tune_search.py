"""Candidates by Optuna, and what they earn on shared tapes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..baselines.base import Choice, Range
from ..baselines.parameters import field_defaults, field_types
from ..envs.errors import ConfigError
from .rollout import play

if TYPE_CHECKING:
    from ..baselines import Allocator
    from ..envs.spec import Scenario
    from ..envs.tape import Tape

Parameters = Mapping[str, Any]

KEEP = 4  # one candidate in so many survives the first look, after one in so many of the tapes
DIGITS = 3  # more would claim a precision that the search does not have


class OutOfTime(Exception):
    """The budget is spent."""


class Scores:
    """Rewards of parameter sets on shared tapes; nothing is played twice.

    Args:
        kind: Class of the allocator.
        scenario: What is simulated.
        tapes: Training tapes.

    Attributes:
        deadline: When to stop, by `time.monotonic`.
    """

    def __init__(self, kind: type[Allocator], scenario: Scenario, tapes: Sequence[Tape]) -> None:
        self.kind, self.scenario, self.tapes = kind, scenario, tapes
        self.deadline = np.inf
        self._known: dict[Any, list[float]] = {}

    def mean(self, parameters: Parameters, n_tapes: int | None = None) -> float:
        """Return the mean reward per interval over the first tapes, by default all.

        Raises:
            OutOfTime: The deadline has passed and something is left to play.
        """
        tapes = self.tapes[:n_tapes]
        known = self._known.setdefault(tuple(sorted(parameters.items())), [])
        if len(known) < len(tapes):
            allocator = self.kind(**parameters)
            for tape in tapes[len(known) :]:
                if time.monotonic() > self.deadline:
                    raise OutOfTime
                known.append(float(play(self.scenario, tape, allocator).rewards.mean()))
        return float(np.mean(known[: len(tapes)]))


def search(
    kind: type[Allocator], scores: Scores, trials: int, seed: int, advance: Callable[[], None]
) -> Iterator[tuple[Parameters, float] | None]:
    """Yield each candidate that played all tapes with its mean reward, None for one stopped before.

    The defaults come first. Ends early when the time of `scores` is over.
    """
    library, n_tapes = optuna(), len(scores.tapes)
    study = library.create_study(
        direction="maximize",
        sampler=library.samplers.TPESampler(seed=seed),
        pruner=library.pruners.SuccessiveHalvingPruner(
            min_resource=max(1, n_tapes // KEEP), reduction_factor=KEEP
        ),
    )
    defaults = field_defaults(kind)
    inside = [one.name for one in kind.search_space if one.holds(defaults[one.name])]
    study.enqueue_trial({name: defaults[name] for name in inside})
    for _ in range(trials):
        trial = study.ask()
        parameters = draw(kind, trial)
        try:
            reward = _reward(trial, parameters, scores)
        except OutOfTime:
            return
        if reward is None:
            study.tell(trial, state=library.trial.TrialState.PRUNED)
        else:
            study.tell(trial, reward)
        advance()
        yield None if reward is None else (parameters, reward)


def _reward(trial: Any, parameters: Parameters, scores: Scores) -> float | None:
    """Return the mean reward over all tapes, or None where the candidate is given up before."""
    for n_tapes in range(1, len(scores.tapes)):
        trial.report(scores.mean(parameters, n_tapes), n_tapes)
        if trial.should_prune():
            return None
    return scores.mean(parameters)


def draw(kind: type[Allocator], trial: Any) -> dict[str, Any]:
    """Let Optuna draw one candidate; a parameter at its default is left out."""
    types, defaults = field_types(kind), field_defaults(kind)
    drawn = {one.name: _draw_one(one, types[one.name], trial) for one in kind.search_space}
    return {name: value for name, value in drawn.items() if value != defaults[name]}


def _draw_one(one: Range | Choice, kind: type, trial: Any) -> Any:
    if isinstance(one, Choice):
        return trial.suggest_categorical(one.name, one.options)
    if kind is int:
        return trial.suggest_int(one.name, int(one.low), int(one.high), log=one.log)
    value = trial.suggest_float(one.name, float(one.low), float(one.high), log=one.log)
    return min(max(float(f"{value:.{DIGITS}g}"), one.low), one.high)


def optuna() -> Any:
    """Return the library, silenced: nothing but tuning needs it.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import optuna as library
    except ImportError:
        raise ConfigError(
            "tuning needs Optuna, which is not installed: pip install 'slicegym[tune]'"
        ) from None
    library.logging.set_verbosity(library.logging.WARNING)
    return library
