"""A training run in a parcel: what a worker with another disk needs, and what it sends back."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..envs.loading import given, load_scenario
from ..envs.spec import Scenario
from ..eval.manifests import describe, trace_sum, traces_in
from .config import TrainConfig
from .worlds import own_suite

Files = Mapping[str, bytes]  # by path below the folder, with slashes


@dataclass(frozen=True)
class Parcel:
    """One run, to be trained where files of this machine are not.

    Attributes:
        config: The run's.
        scenarios: All that the configuration names, shipped or anybody's, by name.
        traces: Sums of the traces that they play, by name; the traces themselves must be there.
        command: That is being run, for the manifest.
        files: The folder of a run that was cut, to go on with.
    """

    config: TrainConfig
    scenarios: Mapping[str, Scenario]
    traces: Mapping[str, str]
    command: tuple[str, ...]
    files: Files

    @classmethod
    def of(cls, config: TrainConfig, files: Files) -> Parcel:
        """Pack what a run needs.

        Raises:
            ConfigError: A scenario that cannot be trained on.
            TraceError: A trace is absent or damaged.
        """
        scenarios = {name: load_scenario(name) for name in (config.scenario, *config.mixture)}
        own_suite(config, "validation")  # refuses what has none, before anything is sent
        traces = sorted(set(traces_in(describe(list(scenarios.values())))))
        sums = {name: trace_sum(name) for name in traces}
        return cls(config, scenarios, sums, tuple(sys.argv), files)

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """Work as the process does that packed it: with its scenarios, in its command's name."""
        before, sys.argv = sys.argv, list(self.command)
        try:
            with given(self.scenarios):
                yield
        finally:
            sys.argv = before


def pack(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def unpack(files: Files, folder: Path) -> None:
    """Make a folder of these files, whole or not at all; one that is there is replaced."""
    partial, old = (folder.with_name(f".{folder.name}.{end}") for end in ("partial", "old"))
    for left in (partial, old):  # by a kill
        shutil.rmtree(left, ignore_errors=True)
    for name, data in files.items():
        path = partial / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
