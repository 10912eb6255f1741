"""What happens beside learning: validation, curves, checkpoints, the progress bar, the clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat
from torch.utils.tensorboard.writer import SummaryWriter

from ..baselines import Allocator, make_allocator
from ..baselines.learned import Learned
from ..eval.curves.layout import of_suite
from ..eval.curves.tags import BOUND, figures, run_names, tag
from ..eval.interrupt import hold_ctrl_c
from ..eval.report import console
from ..eval.rollout import Stage
from ..eval.session import progress
from ..eval.suite import Suite
from ..eval.summary import REFERENCE, summarise
from .checkpoint import save_checkpoint
from .config import TrainConfig
from .export import numpy_policy, save_policy
from .folder import add_to_curve
from .policy import AllocationPolicy
from .sb3_vec_env import TERMS

LEARNER = "ppo"
VALIDATION = "validation"

Figures = Mapping[str, float]
Report = Callable[[int, float], None]


class Validation:
    """Plays allocators over the validation episodes, always the same tapes.

    Args:
        suite: A suite of the validation split.
        bound: Whether the clairvoyant bound of each tape is worked out, and with it scores; the
            first time that takes seconds a tape.
        quiet: Show no progress while it is.

    Raises:
        SolverError: There is no bound.
    """

    def __init__(self, suite: Suite, *, bound: bool = False, quiet: bool = True) -> None:
        self.suite = suite
        self._stages = []
        self._has_bound = bound
        with progress("bounds", len(suite.episodes), quiet or not bound) as advance:
            for episode in suite.episodes:
                self._stages.append(Stage(suite, episode, bound=bound))
                advance()

    def figures(self, name: str, allocator: Allocator) -> dict[str, float]:
        """Return reward, terms and metrics of an allocator, means over the independent blocks."""
        return figures(self._summary(name, allocator)["allocators"][name])

    def baselines(self, specs: Sequence[str]) -> dict[str, dict[str, float]]:
        """Return the figures of each baseline by its spec, and of the bound where there is one.

        Of the bound they are reward and score: its terms by themselves bound nothing.
        """
        found = {spec: self.figures(spec, make_allocator(spec)) for spec in specs}
        if self._has_bound:
            bound = self._summary(REFERENCE, make_allocator(REFERENCE))["bound"]
            found[BOUND] = figures({key: bound[key] for key in ("reward", "score")})
        return found

    def _summary(self, name: str, allocator: Allocator) -> dict[str, Any]:
        return summarise([stage.play(name, allocator)[0] for stage in self._stages])


class Curves:
    """TensorBoard runs side by side, so that their scalars of one name lie in one chart.

    Names are those of `slicegym-eval tensorboard`, so that its runs lie there as well.

    Args:
        folder: Where each run gets a folder of its own.
        names: Runs to begin.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        folders = run_names(names)
        self._writers = {name: SummaryWriter(str(folder / folders[name])) for name in names}
        learner = self._writers[LEARNER]
        learner.add_custom_scalars(
            {
                category: {title: ["Multiline", curves] for title, curves in charts.items()}
                for category, charts in of_suite(VALIDATION).items()
            }
        )
        self.logger = Logger(None, [_OneWriter(learner)])

    def write(self, name: str, figures: Figures, step: int) -> None:
        """Add the validation figures of one allocator."""
        with hold_ctrl_c():
            for key, value in figures.items():
                if not math.isnan(value):
                    self._writers[name].add_scalar(tag(VALIDATION, key), value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with hold_ctrl_c():
            for writer in self._writers.values():
                writer.close()


class _OneWriter(TensorBoardOutputFormat):
    """Makes stable-baselines3 write into a run that is open already."""

    def __init__(self, writer: SummaryWriter) -> None:
        self.writer = writer
        self._is_closed = False

    def write(self, *args: Any, **kwargs: Any) -> None:
        with hold_ctrl_c():
            super().write(*args, **kwargs)


class Keeper(BaseCallback):
    """Between updates: plays the validation episodes, keeps the best policy, writes a checkpoint.

    That happens every `eval_every` timesteps and at both ends of training. What `notes` hold is
    saved with the checkpoint, so that a run that goes on from it does the same at the same places.

    Args:
        config: The run's.
        folder: Where policy and checkpoint go.
        validation: What decides which policy is the best.
        baselines: Their figures on the same episodes, drawn as straight lines.
        curves: Receive all of it.
        notes: The run so far, as `NEW_NOTES` describes it.
        report: Called with timesteps and reward after each evaluation; what it raises ends the run.
    """

    def __init__(
        self,
        config: TrainConfig,
        folder: Path,
        validation: Validation,
        baselines: Mapping[str, Figures],
        curves: Curves,
        notes: Mapping[str, Any],
        report: Report | None = None,
    ) -> None:
        super().__init__()
        self._config, self._folder, self._report = config, folder, report
        self._validation, self._baselines, self._curves = validation, baselines, curves
        self.notes = dict(notes)
        self._begun = time.monotonic() - self.notes["wall_s"]
        self.reward = math.nan

    def _on_rollout_start(self) -> None:
        if self.num_timesteps >= self.notes["next"]:
            self._evaluate()
        if self.has_no_progress:
            raise NoProgress

    @property
    def has_no_progress(self) -> bool:
        """Whether the best policy is older than the configuration has patience for."""
        patience, best = self._config.patience, self.notes["best"]
        if patience is None or best is None:
            return False
        age = self.notes["timesteps"] - max(best["timesteps"], self._config.burn_in)
        return bool(age >= patience)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        episodes = self.model.ep_info_buffer
        if episodes:
            for term in TERMS:
                mean = sum(episode[term] for episode in episodes) / len(episodes)
                self.logger.record(f"rollout/{term}", mean)

    def finish(self) -> None:
        """Do it at the end of training, where it is not done yet."""
        if self.num_timesteps != self.notes["timesteps"]:
            self._evaluate()

    def _evaluate(self) -> None:
        assert isinstance(self.model, PPO)
        scenario = self._validation.suite.scenario
        policy = numpy_policy(self.model, self._config, scenario)
        figures = self._validation.figures(LEARNER, Learned(policy))
        now, self.reward = self.num_timesteps, figures["reward"]
        for name, lines in {LEARNER: figures, **self._baselines}.items():
            self._curves.write(name, lines, now)
        self.notes["timesteps"] = now
        if now >= self.notes["next"]:
            self.notes["next"] = now + self._config.eval_every
        best = self.notes["best"]
        if best is None or self.reward > best["reward"]:
            self.notes["best"] = {"timesteps": now, "reward": self.reward}
            save_policy(self._folder, self.model, self._config, scenario)
        self.notes["wall_s"] = time.monotonic() - self._begun
        save_checkpoint(self._folder, self.model, self.notes)
        add_to_curve(self._folder, now, self.reward)
        if self._report is not None:
            self._report(now, self.reward)


class BurnIn(BaseCallback):
    """Keeps the policy as it is for so many timesteps, while the value learns."""

    def __init__(self, timesteps: int) -> None:
        super().__init__()
        self._timesteps = timesteps

    def _on_rollout_start(self) -> None:
        assert isinstance(self.model.policy, AllocationPolicy)
        self.model.policy.let_learn(self.num_timesteps >= self._timesteps)

    def _on_step(self) -> bool:
        return True


class OutOfTime(Exception):
    """Ends training between two updates, where a checkpoint can be taken."""


class NoProgress(Exception):
    """Ends training between two updates, where no policy has been better for long."""


class TimeLimit(BaseCallback):
    """Raises `OutOfTime` between two updates once the time is up; `None` never does."""

    def __init__(self, limit_s: float | None) -> None:
        super().__init__()
        self._end = math.inf if limit_s is None else time.monotonic() + limit_s
        self.expired = False

    def _on_rollout_start(self) -> None:
        self.expired = time.monotonic() > self._end
        if self.expired:
            raise OutOfTime

    def _on_step(self) -> bool:
        return True


class Bar(BaseCallback):
    """Advances a progress bar, with speed and validation reward on it."""

    def __init__(self, progress: Progress, total: int, keeper: Keeper) -> None:
        super().__init__()
        self._progress, self._keeper = progress, keeper
        self._task = progress.add_task("training", total=total, note="")
        self._begun = time.monotonic()
        self._first: int | None = None

    def _on_step(self) -> bool:
        if self._first is None:
            self._first = self.num_timesteps
        return True

    def _on_rollout_end(self) -> None:
        seconds = time.monotonic() - self._begun
        speed = (self.num_timesteps - (self._first or 0)) / max(seconds, 1e-9)
        note = f"{speed / 1000:.0f}k steps/s, validation {self._keeper.reward:.3f}"
        self._progress.update(self._task, completed=self.num_timesteps, note=note)


@contextmanager
def progress_bar(total: int, keeper: Keeper, quiet: bool = False) -> Iterator[Bar]:
    """Show a bar on stderr while it is a terminal, and yield the callback that moves it."""
    screen = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(20), TaskProgressColumn())
    with Progress(
        *columns,
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=screen,
        transient=True,
        disable=quiet or not screen.is_terminal,
    ) as progress:
        yield Bar(progress, total, keeper)
