"""The search of `tune.py` on Ray Tune: Optuna's study stays here, trials are trained on workers.

Ray Tune hands trials out, takes reports in and runs again what was lost. The study decides all
else, and this process alone writes to it: a trial is drawn when Ray Tune asks for one, and stopped
when Optuna's pruner says so. That all of Ray Tune is known here alone, and Ray is needed here
alone, is why nothing imports this file before it is asked for.
"""

from __future__ import annotations

import importlib
import logging
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from ray import tune as ray_tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from ..envs.errors import ConfigError, TraceError
from ..eval.engines.base import RETRIES
from ..eval.engines.contract import contract
from ..eval.tune_search import optuna
from .parcel import Parcel
from .study import StudyFile
from .trial import Run, Watch, show
from .tune import Found, Task, Trainer, best_of, claim, open_study, train_seeds

PAYLOAD = "payload"  # of a trial: what to train
NEWS = "news"  # of a report: what came of it
SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",  # or it prints a table in spite of `verbose=0`
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # it would log for TensorBoard and as CSV
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours
}


def tune_on_ray(
    task: Task, n_workers: int, watch: Watch | None = None, trainer: Trainer | None = None
) -> Found:
    """Run the trials that the study lacks on the cluster that is connected; return the best of all.

    Args:
        task: What to do.
        n_workers: How many trials at the same time.
        watch: Called as trials go on, with trials done and the best validation reward, or NaN.
        trainer: Trains on the workers in place of `train`.

    Raises:
        ConfigError: Anything that cannot be tuned as asked, or a worker with other code or traces.
        TraceError: A trace is absent or damaged.
        ChildProcessError: The worker of a trial was lost again and again.
    """
    parcel = Parcel.of(task.config, {})
    with open_study(task) as file:
        state = _State(task, file, watch)
        if _is_left(task, file):
            _run(state, n_workers, _Sent(task.seeds, parcel, trainer))
        if state.error is not None:
            raise state.error
        return best_of(task, file)


def _is_left(task: Task, file: StudyFile) -> bool:
    places = {trial.user_attrs["place"] for trial in file.trials("COMPLETE", "PRUNED")}
    return not places.issuperset(range(task.trials))


def _run(state: _State, n_workers: int, sent: _Sent) -> None:
    with TemporaryDirectory(prefix="slicegym-ray-tune-") as folder, _settings():
        ray_tune.run(
            ray_tune.with_parameters(_trainable(), **sent.packed()),
            name="trials",
            storage_path=folder,
            search_alg=_Search(state),
            scheduler=_Judge(state),
            stop=_End(state),
            num_samples=-1,  # until the search has finished
            max_concurrent_trials=n_workers,
            max_failures=RETRIES,
            raise_on_failed_trial=False,
            resources_per_trial={"cpu": 1},
            reuse_actors=True,  # a new process has torch and compiled code to load first
            trial_name_creator=lambda trial: str(trial.trial_id),
            trial_dirname_creator=lambda trial: str(trial.trial_id),
            verbose=0,
        )


@contextmanager
def _settings() -> Iterator[None]:
    """Ray Tune takes a few settings from the environment alone."""
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what is lost is run again
    before = {name: os.environ.get(name) for name in SETTINGS}
    os.environ.update(SETTINGS)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _State:
    """The study, and the trials in it that Ray Tune runs.

    Attributes:
        error: What ends it all.
    """

    def __init__(self, task: Task, file: StudyFile, watch: Watch | None) -> None:
        self._task, self._file, self._watch = task, file, watch
        self._runs: dict[str, Run] = {}  # by Ray Tune's name for the trial
        self.error: Exception | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Ray Tune writes itself down to go on later, which is the study's task here."""
        return {}

    def begin(self, name: str) -> Run | None:
        """Draw a trial, or return None where there is none left to run."""
        trial = claim(self._task, self._file)
        if trial is None:
            return None
        self._runs[name] = Run(self._task.config, self._task.seeds, self._file, trial)
        return self._runs[name]

    def hear(self, name: str, news: Any) -> bool:
        """Take a report of a trial; return whether it is to be stopped."""
        kind, *content = pickle.loads(news)
        if kind == "error":
            self.error = self.error or content[0]
            return True
        run = self._runs[name]
        if kind == "report":
            rewards, best, timesteps = content
            run.note(rewards, timesteps)
            show(self._file, self._runs.values(), self._watch)
            try:
                run.judge(rewards, best, timesteps)
            except optuna().TrialPruned:
                run.stop()
            else:
                return False
        elif kind == "diverged":
            run.stop(diverged=content[0])
        else:
            run.complete(content[0])
        del self._runs[name]
        return bool(kind == "report")

    def lose(self, name: str, reason: str) -> None:
        """Take note that a trial has ended without a word."""
        if name in self._runs and self.error is None:
            self.error = ChildProcessError(
                f"a trial's worker was lost {RETRIES + 1} times, perhaps for want of memory; try "
                "fewer with --jobs"
            )
            self.error.add_note(reason)


class _Search(Searcher):
    """Trials as the study draws them."""

    def __init__(self, state: _State) -> None:
        super().__init__()
        self._state = state

    def suggest(self, trial_id: str) -> Any:
        """Return what a trial needs, or that there are no more."""
        run = None if self._state.error else self._state.begin(trial_id)
        return Searcher.FINISHED if run is None else {PAYLOAD: pickle.dumps(run.config)}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Notice a trial that has not said what came of it."""
        self._state.lose(trial_id, f"its last report was {result}")

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "") -> None:
        """Keep nothing: all that matters stands in the study."""

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing, likewise."""

    def restore(self, checkpoint_path: str) -> None:
        """Bring nothing back."""


class _Judge(FIFOScheduler):
    """Stops what Optuna's pruner stops."""

    def __init__(self, state: _State) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._state = state

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Say whether a trial goes on."""
        is_over = self._state.hear(trial.trial_id, result[NEWS])
        return TrialScheduler.STOP if is_over else TrialScheduler.CONTINUE


class _End(Stopper):
    """Ends everything once something has gone wrong that another trial would meet too."""

    def __init__(self, state: _State) -> None:
        self._state = state

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Leave single trials alone."""
        return False

    def stop_all(self) -> bool:
        """Whether it has."""
        return self._state.error is not None


class _Sent:
    """What all trials have in common, on its way to the workers."""

    def __init__(self, seeds: int, parcel: Parcel, trainer: Trainer | None) -> None:
        self._seeds, self._parcel, self._trainer = seeds, parcel, trainer

    def packed(self) -> dict[str, Any]:
        """Return it as arguments of `_trainable`'s function."""
        from ray import cloudpickle

        common = (self._seeds, self._parcel, self._trainer)
        packed = cloudpickle.dumps(common)  # type: ignore[no-untyped-call]
        return {"wanted": contract(self._parcel.traces), "common": packed}


def _trainable() -> Callable[..., None]:
    """Return what a worker runs, sent whole itself: there, this package may be another."""
    module, room = __name__, __package__.rpartition(".")[0]

    def play(trial: dict[str, Any], wanted: dict[str, Any], common: bytes) -> None:
        import socket

        from ray.tune import report

        def tell(*news: Any) -> None:
            report({"news": pickle.dumps(news)})

        try:
            worker = importlib.import_module(f"{room}.eval.engines.contract")
            player = importlib.import_module(module)
        except ImportError as error:
            here, own = socket.gethostname(), wanted["slicegym"]
            text = f"the worker on {here} must have slicegym {own}, and has none or another"
            tell("error", ValueError(f"{text} ({error}); install the same there"))
            return
        try:
            worker.refuse_other_worker(wanted)
        except ValueError as error:
            tell("error", ValueError(str(error)))
            return
        player.play(pickle.loads(trial["payload"]), *pickle.loads(common), tell)

    return play


def play(
    config: Any,
    seeds: int,
    parcel: Parcel,
    trainer: Trainer | None,
    tell: Callable[..., None],
) -> None:
    """Train a trial on a worker and tell the command how it goes, whatever comes of it.

    An exception that left here would be taken for a lost worker, and the trial be run again.
    """

    def report(rewards: Sequence[float], best: float, timesteps: int) -> None:
        tell("report", rewards, best, timesteps)

    try:
        with parcel.at_hand():
            rewards = train_seeds(config, seeds, report, trainer)
    except Exception as error:
        is_numbers = isinstance(error, ValueError) and not isinstance(
            error, (ConfigError, TraceError)
        )
        tell(*(("diverged", str(error)) if is_numbers else ("error", error)))
    else:
        tell("complete", rewards)
