"""Training runs side by side: one that is finished stays, one that was cut is gone on with."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from ..envs.errors import ConfigError, TraceError
from ..eval.engines import LOCAL, Engine, make_engine
from ..eval.output import UNFINISHED, check_idle
from ..eval.report import console
from .checkpoint import CHECKPOINT_FILE
from .config import TrainConfig, parse_config
from .folder import MANIFEST_FILE, Curve, TrainingFolder, read_curve
from .parcel import Files, Parcel, pack, unpack
from .ppo import train

DONE = ("finished", "stopped by time_limit_s", "stopped by patience")
LOOK_S = 1.0  # between two looks at how far the runs are

Run = tuple[TrainConfig, Path]


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


def train_all(
    runs: Sequence[Run],
    jobs: int | None,
    quiet: bool = False,
    *,
    engine: str = LOCAL,
    address: str | None = None,
    option: str = "--runs",
) -> Iterator[Seed]:
    """Yield what each run came to, in order, training what is not finished.

    Args:
        runs: Configuration and folder of each.
        jobs: How many at the same time, in processes of their own; 1 for this one.
        quiet: Show no progress.
        engine: Where they are trained. Any but `local` may be another machine: what is trained
            there comes back when it is finished, and what is cut there is lost.
        address: Of the engine, where it has one.
        option: That has named the folders.

    Raises:
        ConfigError: A folder holds a run of another configuration, or another process is at it.
        ChildProcessError: A process was ended from outside.
    """
    for run in runs:
        _check(*run, option)
    if engine != LOCAL:
        _train_elsewhere(runs, make_engine(engine, jobs, address), quiet)
        yield from (read_seed(folder) for _, folder in runs)
        return
    with make_engine(engine, jobs, address) as workers, _watched(runs, quiet):
        for folder in workers.map(train_one, runs):
            yield read_seed(folder)


def _train_elsewhere(runs: Sequence[Run], engine: Engine, quiet: bool) -> None:
    """Train where this disk is not; this process alone writes, a run as soon as it has ended.

    A network that diverges takes no other run's hours along: its error is raised in the end.
    """
    left = [run for run in runs if not is_finished(*run)]
    if not left:
        return
    parcels = [Parcel.of(config, _cut_short(folder)) for config, folder in left]
    errors: list[Exception] = []
    with engine, _watched(runs, quiet):
        for answer in engine.as_completed(
            train_parcel, [(parcel,) for parcel in parcels], traces=parcels[0].traces
        ):
            if isinstance(answer.error, (ConfigError, TraceError)):
                raise answer.error
            if answer.error is not None:
                errors.append(answer.error)
            else:
                unpack(answer.value, left[answer.place][1])
    if errors:
        raise errors[0]


def _cut_short(folder: Path) -> Files:
    """Return what a run that was cut has left to go on from."""
    return {} if is_void(folder) else pack(folder)


def train_parcel(parcel: Parcel) -> Files:
    """Train on a worker that may know no more than what came with the parcel; return the folder."""
    with TemporaryDirectory(prefix="slicegym-train-") as temporary, parcel.at_hand():
        folder = Path(temporary) / "run"
        if parcel.files:
            unpack(parcel.files, folder)
        return pack(train_one(parcel.config, folder))


def read_seed(folder: Path) -> Seed:
    """Read the folder of a finished run."""
    manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    return Seed(folder, manifest, read_curve(folder))


def train_one(config: TrainConfig, folder: Path) -> Path:
    """Train what is not finished in a folder, going on from its checkpoint; return the folder."""
    if is_finished(config, folder):
        return folder
    if is_void(folder):
        shutil.rmtree(folder, ignore_errors=True)
    train(config, folder, resume=folder.exists(), quiet=True)
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


def _check(config: TrainConfig, folder: Path, option: str) -> None:
    """Refuse a folder that holds something else, before any other run takes its hours."""
    check_idle(folder)
    if is_void(folder):
        return
    if not (folder / MANIFEST_FILE).exists():
        raise ConfigError(f"{option} must hold training runs, and {folder} is none; name another")
    TrainingFolder.reopen(folder, config)


def is_void(folder: Path) -> bool:
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
