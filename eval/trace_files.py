"""The files that a user's trace becomes: scenario, trace and calls; all of them or none."""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..envs.errors import ConfigError
from ..envs.loading import load_scenario
from ..envs.traces.importing import Imported
from ..envs.traces.registry import SPLITS
from .output import check_target
from .trace_scenario import Guess, scenario_yaml, trace_yaml

ENDINGS = (".yaml", ".yml")
CHUNK = 100_000


@dataclass(frozen=True)
class Names:
    """Where the three files go."""

    scenario: Path
    trace: Path
    calls: Path

    @classmethod
    def beside(cls, out: Path) -> Names:
        """Return the names for a scenario file.

        Raises:
            ConfigError: It is no YAML file's name, has no folder, or one of the three exists.
        """
        if out.suffix not in ENDINGS:
            raise ConfigError(f"--out must end in .yaml, got {str(out)!r}")
        check_target(out)
        names = cls(out, out.with_suffix(".trace.yaml"), out.with_suffix(".calls.csv"))
        for path in (names.scenario, names.trace, names.calls):
            if path.exists() or path.is_symlink():
                raise ConfigError(f"--out: {path} exists, and nothing is overwritten; remove it")
        return names


def write(names: Names, calls: Imported, found: Guess, *, title: str, command: str) -> None:
    """Write the three files, after the scenario has been loaded once from what was written.

    Raises:
        ConfigError: A file has come into being meanwhile, or the folder cannot be written to.
        TraceError: The calls cannot be played.
    """
    try:
        with _draft(names.scenario.parent) as folder:
            sha256 = _write_calls(folder / names.calls.name, calls, found)
            trace = trace_yaml(calls, found, title=title, file=names.calls.name, sha256=sha256)
            (folder / names.trace.name).write_text(trace, encoding="utf-8")
            scenario = scenario_yaml(
                calls, found, title=title, trace=names.trace.name, command=command
            )
            (folder / names.scenario.name).write_text(scenario, encoding="utf-8")
            _try(folder / names.scenario.name)
            _publish(folder, names)
    except OSError as error:
        raise ConfigError(f"cannot write --out {names.scenario}: {error.strerror}") from error


@contextmanager
def _draft(parent: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=".slicegym-trace-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_calls(path: Path, calls: Imported, found: Guess) -> str:
    """Write the project's plain format and return its sha256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for text in _tables(calls, found):
            data = text.encode()
            digest.update(data)
            file.write(data)
    path.chmod(0o644)
    return digest.hexdigest()


def _tables(calls: Imported, found: Guess) -> Iterator[str]:
    """Yield the CSV in pieces: seconds to the nanosecond, work with mean 1 in training."""
    work = calls.work / found.work[calls.agent]
    yield "release_s,agent,work\n"
    for first in range(0, calls.n_calls, CHUNK):
        part = slice(first, first + CHUNK)
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        rows: Any = zip(
            np.round(calls.arrival_s[part], 9).tolist(),
            (calls.agents[i] for i in calls.agent[part].tolist()),
            work[part].tolist(),
            strict=True,
        )
        writer.writerows(rows)
        yield buffer.getvalue()


def _try(path: Path) -> None:
    """Load the scenario as anybody will, and draw an episode of each split."""
    scenario = load_scenario(path)
    workload = scenario.workload
    assert workload is not None  # the file names one
    for split in SPLITS:
        scenario.tape(workload.suite(scenario, split)[0])


def _publish(folder: Path, names: Names) -> None:
    """Move the files to their places, none over another; after a failure none is there."""
    placed: list[Path] = []
    try:
        for path in (names.calls, names.trace, names.scenario):  # what others name comes first
            (folder / path.name).chmod(0o644)
            _place(folder / path.name, path)
            placed.append(path)
    except BaseException as error:
        for other in placed:
            other.unlink(missing_ok=True)
        if isinstance(error, FileExistsError):
            raise ConfigError(f"--out: {path} exists, and nothing is overwritten") from None
        raise


def _place(source: Path, target: Path) -> None:
    """Give a whole file its name, in one step where the file system can."""
    try:
        target.hardlink_to(source)
    except FileExistsError:
        raise
    except OSError:  # no links here
        with target.open("xb"):  # claims the name
            source.replace(target)
