"""The study file: Optuna's journal, one line of JSON an event, which a kill cannot spoil.

Every trial has a place, 0 to n - 1. A trial that was running when its process was killed is marked
as failed, and its place is taken again: what one process finds in the end does not depend on how
often it was killed. Several processes may work on one file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from ..envs.errors import ConfigError
from ..eval.output import flatten, plain
from ..eval.tune_search import optuna
from .alive import Alive

NAME = "slicegym-train tune"
PLACE = "place"  # attributes of a trial
ASKED = "asked"  # and of the study
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError)


class StudyFile:
    """A study on disk, new or taken up again.

    Args:
        path: Its file; made if it does not exist.
        asked: What is tuned and how. The file has to hold a study of the same.

    Attributes:
        study: Optuna's.

    Raises:
        ConfigError: The file holds something else, is damaged or cannot be written; or no Optuna.
    """

    def __init__(self, path: Path, asked: Mapping[str, Any]) -> None:
        library = optuna()
        self.path, self._states = path, library.trial.TrialState
        _n_whole(path)  # refuses before anything is written
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._alive = Alive(path.with_name(f"{path.name}.alive"))
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error
        try:
            with self._alive.alone():
                self.study = self._open(library)
                self._check_asked(plain(asked))
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._alive.__exit__()

    def _open(self, library: Any) -> Any:
        journal = library.storages.journal
        lock = journal.JournalFileOpenLock(str(self.path))
        lock.acquire()
        try:
            _mend(self.path)
        finally:
            lock.release()
        try:
            backend = journal.JournalFileBackend(str(self.path), lock_obj=lock)
            return library.create_study(
                storage=library.storages.JournalStorage(backend),
                study_name=NAME,
                direction="maximize",
                load_if_exists=True,
            )
        except DAMAGE as error:
            raise ConfigError(
                f"{self.path} must be a study of `{NAME}`, and its events do not fit together "
                f"({type(error).__name__}: {error}); name another file by --study"
            ) from error

    def _check_asked(self, asked: dict[str, Any]) -> None:
        before = self.study.user_attrs.get(ASKED)
        if before is None:
            self.study.set_user_attr(ASKED, asked)
            return
        old, new = flatten(before), flatten(asked)
        for name in (*old, *new):
            if old.get(name) != new.get(name):
                raise ConfigError(
                    f"{name} must stay {old.get(name)!r} in the study {self.path}, "
                    f"got {new.get(name)!r}; begin another study by --study"
                )

    def claim(
        self, n_trials: int, sampler: Callable[[int], Any], first: Mapping[str, Any]
    ) -> Any | None:
        """Return a trial to run, or None where all of `n_trials` are run or being run.

        Args:
            n_trials: Number of places.
            sampler: Makes Optuna's sampler for a place.
            first: Parameters of the trial at place 0.
        """
        with self._alive.alone():
            self._bury()
            taken = {trial.user_attrs[PLACE] for trial in self.trials()}
            place = next((place for place in range(n_trials) if place not in taken), None)
            if place is None:
                return None
            self.study.sampler = sampler(place)
            if place == 0 and not self.study.get_trials(states=(self._states.WAITING,)):
                self.study.enqueue_trial(dict(first))
            trial = self.study.ask()
            self._alive.claim(trial.number)
            trial.set_user_attr(PLACE, place)
            return trial

    def _bury(self) -> None:
        """Mark the trials as failed whose processes have ended."""
        for trial in self.study.get_trials(states=(self._states.RUNNING,)):
            if not self._alive.runs(trial.number):
                self.study.tell(trial.number, state=self._states.FAIL)

    def trials(self, *states: str) -> list[Any]:
        """Return the trials in the states named, by default all that were not cut, by place."""
        wanted = tuple(self._states[name] for name in states or ("RUNNING", "COMPLETE", "PRUNED"))
        found = self.study.get_trials(states=wanted)
        placed = [trial for trial in found if PLACE in trial.user_attrs]
        return sorted(placed, key=lambda trial: int(trial.user_attrs[PLACE]))


def _n_whole(path: Path) -> int:
    """Return how many bytes of a journal are whole lines, 0 of one that is not there yet.

    Raises:
        ConfigError: It is no journal, or damaged.
    """
    try:
        data = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    whole = data[: data.rfind(b"\n") + 1]
    if data and not whole:
        raise _no_study(path)
    for number, line in enumerate(whole.splitlines(), start=1):
        _check_line(path, number, line)
    return len(whole)


def _mend(path: Path) -> None:
    """Cut off a last line that was not written to its end."""
    n_whole = _n_whole(path)
    if path.exists() and n_whole < path.stat().st_size:
        with path.open("r+b") as file:
            file.truncate(n_whole)


def _check_line(path: Path, number: int, line: bytes) -> None:
    try:
        event = json.loads(line)
        if number == 1 and event["study_name"] != NAME:
            raise _no_study(path)
        event["op_code"], event["worker_id"]
    except ConfigError:
        raise
    except DAMAGE as error:
        if number == 1:
            raise _no_study(path) from error
        raise ConfigError(
            f"{path} is damaged in line {number}, which must be an event in JSON; cut the file "
            "off before that line, or begin another study by --study"
        ) from error


def _no_study(path: Path) -> ConfigError:
    return ConfigError(
        f"--study must be a file of `{NAME}` or a new one, and {path} holds something else; "
        "name another one"
    )
