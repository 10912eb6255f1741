"""Training runs side by side: one that is finished stays, one that was cut is gone on with."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ...envs.errors import ConfigError
from ...eval.engines import Workers
from ...eval.output import UNFINISHED
from ...eval.report import console
from ..checkpoint import CHECKPOINT_FILE
from ..config import TrainConfig, parse_config
from ..folder import MANIFEST_FILE, TrainingFolder
from ..ppo import train

CURVE_FILE = "curve.csv"
DONE = ("finished", "stopped by time_limit_s", "stopped by patience")
LOOK_S = 1.0  # between two looks at how far the runs are

Run = tuple[TrainConfig, Path]
Curve = list[tuple[int, float]]


@dataclass(frozen=True)
class Seed:
    """What one training run came to.

    Attributes:
        folder: Of the run.
        manifest: Of the run.
        curve: Timesteps and validation reward of each evaluation.
    """

    folder: Path
    manifest: dict[str, Any]
    curve: Curve

    @property
    def number(self) -> int:
        """The seed itself."""
        return int(self.manifest["config"]["seed"])

    @property
    def reward(self) -> float:
        """Validation reward of the policy that was kept."""
        return float(self.manifest["best"]["reward"])


def train_all(runs: Sequence[Run], jobs: int, quiet: bool = False) -> Iterator[Seed]:
    """Yield what each run came to, in order, training what is not finished.

    Args:
        runs: Configuration and folder of each.
        jobs: How many at the same time, in processes of their own; 1 for this one.
        quiet: Show no progress.

    Raises:
        ConfigError: A folder holds a run of another configuration.
        ChildProcessError: A process was ended from outside.
    """
    for run in runs:
        _check(*run)
    with Workers(jobs) as workers, _watched(runs, quiet):
        for folder in workers.map(_train, runs):
            yield read_seed(folder)


def read_seed(folder: Path) -> Seed:
    """Read the folder of a finished run."""
    manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    return Seed(folder, manifest, read_curve(folder))


def read_curve(folder: Path) -> Curve:
    """Return timesteps and validation reward of a run's evaluations, a line that was cut left out.

    After a kill a run may evaluate itself again where it goes on; the later word counts.
    """
    found: dict[int, float] = {}
    path = folder / CURVE_FILE
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    for line in lines:
        if line.endswith("\n"):
            timesteps, reward = line.split(",")
            found[int(timesteps)] = float(reward)
    return sorted(found.items())


def _train(config: TrainConfig, folder: Path) -> Path:
    if is_finished(config, folder):
        return folder
    if _is_void(folder):
        shutil.rmtree(folder, ignore_errors=True)

    def note(timesteps: int, reward: float) -> None:
        with (folder / CURVE_FILE).open("a", encoding="utf-8") as file:
            file.write(f"{timesteps},{reward!r}\n")

    train(config, folder, resume=folder.exists(), quiet=True, report=note)
    return folder


def is_finished(config: TrainConfig, folder: Path) -> bool:
    """Whether a folder holds the whole run of a configuration; threads do not count."""
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
        before = parse_config(manifest["config"], str(folder)).as_dict()
        status = manifest["status"]
    except (OSError, ValueError, KeyError, TypeError):
        return False  # going on with it says what is wrong
    same = before | {"torch_threads": config.torch_threads} == config.as_dict()
    return same and status in DONE


def _check(config: TrainConfig, folder: Path) -> None:
    """Refuse a folder that holds something else, before any other run takes its hours."""
    if _is_void(folder):
        return
    if not (folder / MANIFEST_FILE).exists():
        raise ConfigError(f"--runs must hold training runs, and {folder} is none; name another")
    TrainingFolder.reopen(folder, config)


def _is_void(folder: Path) -> bool:
    """Whether there is no run, or one killed before its first checkpoint: nothing to go on from."""
    if not folder.exists() or not any(folder.iterdir()):
        return True
    return (folder / UNFINISHED).exists() and not (folder / CHECKPOINT_FILE).exists()


@contextmanager
def _watched(runs: Sequence[Run], quiet: bool) -> Iterator[None]:
    """Show on stderr, while it is a terminal, how far all runs are together: by their curves."""
    screen = console(stderr=True)
    shown = not quiet and screen.is_terminal
    columns = (TextColumn("{task.description}"), BarColumn(20), TaskProgressColumn())
    ended = threading.Event()
    with Progress(
        *columns,
        TimeRemainingColumn(elapsed_when_finished=True),
        console=screen,
        transient=True,
        disable=not shown,
    ) as bar:
        total = sum(config.total_timesteps for config, _ in runs)
        task = bar.add_task(f"training {len(runs)} runs", total=total)

        def look() -> None:
            while not ended.wait(LOOK_S):
                bar.update(task, completed=sum(_timesteps(folder) for _, folder in runs))

        watcher = threading.Thread(target=look, daemon=True)
        if shown:
            watcher.start()
        try:
            yield
        finally:
            ended.set()
            if shown:
                watcher.join()


def _timesteps(folder: Path) -> int:
    curve = read_curve(folder)
    return curve[-1][0] if curve else 0
