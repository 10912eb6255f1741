"""The folder of a training run: its manifest, and what marks it as finished or not."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import IO, Any, Self

from .. import __version__
from ..envs.errors import ConfigError
from ..envs.spec import Scenario
from ..envs.traces import load_spec
from ..envs.workloads.base import SEEDS
from ..eval.manifests import commit, describe, trace_sum, traces_in, versions
from ..eval.output import UNFINISHED, leave_mark, to_json, write_atomically
from ..eval.suite import Suite
from .checkpoint import CHECKPOINT_FILE
from .config import TrainConfig, parse_config

MANIFEST_FILE = "manifest.json"
CURVES_FOLDER = "tensorboard"
CURVE_FILE = "curve.csv"
MARK = "This run has not ended, or was cut: go on with --resume.\n"
LIBRARIES = ("torch", "stable-baselines3", "tensorboard", "safetensors")
# What may differ when a run is taken up again: how long it goes on, on how many threads, and if the
# bound is drawn. With another number of timesteps or threads it is no longer the run that was cut,
# byte by byte.
MAY_CHANGE = {"total_timesteps", "time_limit_s", "torch_threads", "bound"}

Curve = list[tuple[int, float]]


def make_manifest(
    config: TrainConfig, suite: Suite, others: Sequence[Scenario] = ()
) -> dict[str, Any]:
    """Return what a reader needs to repeat the run.

    Args:
        config: The run's.
        suite: Of validation.
        others: What is trained on beside the suite's scenario.

    Raises:
        TraceError: A trace is absent or damaged.
    """
    scenario, mixture = describe(suite.scenario), describe(list(others))
    traces = sorted({*traces_in(scenario), *traces_in(mixture)})
    libraries = {name: metadata.version(name) for name in LIBRARIES}
    return {
        "command": sys.argv,
        "status": "running",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": config.as_dict(),
        "seeds": {
            "policy": config.seed,
            "environments": [config.seed, config.seed + config.n_envs - 1],
        },
        "scenario": scenario,
        "trained_beside": mixture,
        "data": {
            "train": windows(config.split, traces),
            "validation": windows(suite.split, traces) | {"episodes": describe(suite.episodes)},
        },
        "traces": {name: trace_sum(name) for name in traces},
        "versions": {**versions(), "slicegym": __version__, **libraries},
        "commit": commit(),
    }


def windows(split: str, traces: list[str]) -> dict[str, Any]:
    """Where the episodes of a split come from: seeds, and windows of traces [s]."""
    windows = {name: list(load_spec(name).window(split)) for name in traces}
    return {"split": split, "seeds": list(SEEDS[split]), "windows_s": windows}


class TrainingFolder:
    """A folder on disk; use `create` or `reopen`. From `begin` to the end of `with`, nobody else's.

    Attributes:
        path: The folder.
        manifest: As last written.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self._mark: IO[str] | None = None

    @classmethod
    def create(cls, path: Path, manifest: dict[str, Any]) -> TrainingFolder:
        """Make the folder of a new run.

        Raises:
            ConfigError: It exists, or cannot be made.
        """
        check_new(path)
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise ConfigError(f"cannot create {path}: {error.strerror or error}") from error
        folder = cls(path, manifest)
        folder.begin({})
        return folder

    @classmethod
    def reopen(cls, path: Path, config: TrainConfig) -> TrainingFolder:
        """Open the folder of a run to go on with it.

        Raises:
            ConfigError: There is no run in it, or one with another configuration.
        """
        try:
            manifest = json.loads((path / MANIFEST_FILE).read_text(encoding="utf-8"))
            before = parse_config(manifest["config"], f"{path / MANIFEST_FILE}: config")
        except OSError as error:
            raise ConfigError(
                f"--resume needs the folder of a run, and {path} holds no {MANIFEST_FILE} that can "
                f"be read ({error.strerror or error}); leave --resume out to start a new run"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"{path / MANIFEST_FILE} must be a run's manifest: {error}") from None
        _check_same(before, config, path)
        return cls(path, manifest)

    def check_scenario(self, scenario: Scenario) -> None:
        """Refuse to go on with another scenario than the run began with.

        Raises:
            ConfigError: Its file has changed since.
        """
        if json.loads(to_json(describe(scenario))) != self.manifest.get("scenario"):
            raise ConfigError(
                f"scenario {scenario.name!r} must stay as {self.path / MANIFEST_FILE} describes it "
                "when the run is resumed, and it has changed since; restore it, or start a new run "
                "in another folder"
            )

    def begin(self, news: Mapping[str, Any]) -> None:
        """Mark the run as unfinished and write the manifest with `news` added.

        Raises:
            ConfigError: Another process is at it.
        """
        self._mark = leave_mark(self.path, MARK)
        self._write(news)

    def end(self, news: Mapping[str, Any], *, finished: bool) -> None:
        """Write the manifest with `news` added, and take the mark away from a finished run.

        A run that was cut before its first checkpoint leaves nothing behind.
        """
        if not finished and not (self.path / CHECKPOINT_FILE).exists():
            shutil.rmtree(self.path, ignore_errors=True)
            return
        self._write(news)
        if finished:
            (self.path / UNFINISHED).unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let the folder go: another process may write into it from now on."""
        if self._mark is not None:
            self._mark.close()

    def _write(self, news: Mapping[str, Any]) -> None:
        self.manifest |= news
        write_atomically(self.path / MANIFEST_FILE, to_json(self.manifest))


def add_to_curve(folder: Path, timesteps: int, reward: float) -> None:
    """Write down the validation reward of an evaluation."""
    with (folder / CURVE_FILE).open("a", encoding="utf-8") as file:
        file.write(f"{timesteps},{reward!r}\n")


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


def check_new(path: Path) -> None:
    """Refuse a folder that exists.

    Raises:
        ConfigError: It does.
    """
    if path.exists():
        raise ConfigError(
            f"--out must be a new folder, and {path} exists; name another one, or go on with the "
            "run in it by --resume"
        )


def _check_same(before: TrainConfig, now: TrainConfig, path: Path) -> None:
    old, new = before.as_dict(), now.as_dict()
    for name, value in old.items():
        if name not in MAY_CHANGE and value != new[name]:
            raise ConfigError(
                f"{name} must stay {value!r} when the run in {path} is resumed, got {new[name]!r}; "
                "start a new run with it, in another folder"
            )
