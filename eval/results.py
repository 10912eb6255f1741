"""Reading the folder that `slicegym-eval run --out` wrote: nothing here simulates."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs import checks
from ..envs.errors import ConfigError
from .output import UNFINISHED
from .runs.files import (
    AGAIN,
    AGENTS,
    EPISODES,
    FAILED,
    MANIFEST,
    ROWS,
    SUMMARY,
    check_row,
    failed_cells,
    read_json,
)
from .runs.plan import Key, planned
from .runs.tables import Row, parse, read_whole

Floats = NDArray[np.floating[Any]]

SERIES = (
    "reward",
    "latency_term",
    "cost_term",
    "idle_term",
    "share",
    "queue",
    "in_service",
    "warm",
)


@dataclass(frozen=True, eq=False)
class EpisodeRecord:
    """What plots need of one allocator on one episode; K decisions, N agents.

    Attributes:
        latency_s: Quantiles, 0 to 100 %, of the completed tasks' latency, (101,) [s]; NaN of none.
        n_completed: Tasks completed.
        reward: Of each decision, (K,); like all below None where no series was kept.
        latency_term: Unweighted, (K,).
        cost_term: Unweighted, (K,).
        idle_term: Unweighted, (K,).
        share: In force, (K, N) [GPU].
        queue: Calls waiting, (K, N).
        in_service: Calls in service, (K, N).
        warm: Whether the model is loaded, 0 or 1, (K, N).
        agents: Their names.
    """

    latency_s: Floats
    n_completed: int
    reward: Floats | None = None
    latency_term: Floats | None = None
    cost_term: Floats | None = None
    idle_term: Floats | None = None
    share: Floats | None = None
    queue: Floats | None = None
    in_service: Floats | None = None
    warm: Floats | None = None
    agents: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Results:
    """A finished run.

    Attributes:
        path: The folder.
        manifest: What was played, and how.
        summary: By family, and who is missing why.
        rows: One for each cell: columns of `rows.csv`, numbers as floats, empty ones as NaN. Who
            failed on a tape of a family has no rows of it.
        agents: One for each cell and agent, likewise.
    """

    path: Path
    manifest: Mapping[str, Any]
    summary: Mapping[str, Any]
    rows: list[Row]
    agents: list[Row]

    @property
    def families(self) -> tuple[str, ...]:
        """Families with rows, in the order of the suite."""
        return tuple(dict.fromkeys(row["family"] for row in self.rows))

    @property
    def allocators(self) -> tuple[str, ...]:
        """Allocators with rows, in the order in which they were given."""
        found = {row["allocator"] for row in self.rows}
        return tuple(spec for spec in self.manifest["allocators"] if spec in found)

    @property
    def skipped(self) -> Mapping[str, str]:
        """Why a family, or an allocator on one (`X on FAMILY`), is missing."""
        found: Mapping[str, str] = self.summary["skipped"]
        return found

    def of(self, family: str, allocator: str) -> list[Row]:
        """Return an allocator's rows of a family, one an episode, in order."""
        return [r for r in self.rows if (r["family"], r["allocator"]) == (family, allocator)]

    def episode(self, family: str, index: int, allocator: str) -> EpisodeRecord:
        """Return what plots need of one cell.

        Raises:
            ConfigError: There is none, or its file is damaged.
        """
        key = self._keys.get((family, index, allocator))
        if key is None:
            raise ConfigError(f"{self.path} holds no episode {index} of {allocator} on {family}")
        return _read_record(self.path / EPISODES / key.file)

    @cached_property
    def _keys(self) -> dict[tuple[str, int, str], Key]:
        return {key.cell: key for key in planned(self.manifest)}


def load_results(path: Path | str) -> Results:
    """Read the folder of a finished run.

    Raises:
        ConfigError: It is none, it is unfinished, or something in it is missing or damaged.
    """
    folder = Path(path)
    if not (folder / MANIFEST).is_file():
        raise ConfigError(
            f"{folder} must be the folder of a run, and holds no {MANIFEST}; "
            "`slicegym-eval run --out` writes one"
        )
    if (folder / UNFINISHED).exists():
        raise ConfigError(f"{folder} is unfinished: end its run first, with --resume")
    manifest, summary = read_json(folder / MANIFEST), read_json(folder / SUMMARY)
    try:
        keys = planned(manifest)
        skipped = checks.mapping("skipped", summary["skipped"])
    except (KeyError, TypeError, AttributeError) as error:
        where = f"{folder / MANIFEST} or {SUMMARY}"
        raise ConfigError(f"{where} must be as a run writes it: {error}; {AGAIN}") from None
    rows = read_cells(folder, keys)
    agents = read_agents(folder, [key for key, _ in rows])
    lost = set(skipped)
    return Results(
        folder,
        manifest,
        summary,
        [row for _, row in rows if not _is_lost(row, lost)],
        [row for row in agents if not _is_lost(row, lost)],
    )


def _is_lost(row: Row, lost: Set[str]) -> bool:
    return row["family"] in lost or f"{row['allocator']} on {row['family']}" in lost


def read_cells(folder: Path, keys: list[Key]) -> list[tuple[Key, Row]]:
    """Return the rows of a run with their cells.

    Raises:
        ConfigError: There are more or fewer than cells, or a row is of another one.
    """
    failed = failed_cells(folder / FAILED)
    expected = [key for key in keys if key.cell not in failed]
    columns, lines = read_whole(folder / ROWS)
    if len(lines) != len(expected):
        raise ConfigError(
            f"{folder / ROWS} must hold {len(expected)} rows, as {MANIFEST} says, "
            f"got {len(lines)}; {AGAIN}"
        )
    rows = parse(folder / ROWS, columns, lines)
    for number, (key, row) in enumerate(zip(expected, rows, strict=True), start=2):
        check_row(folder / ROWS, number, key, row)
    return list(zip(expected, rows, strict=True))


def read_agents(folder: Path, keys: list[Key]) -> list[Row]:
    """Return the agents' rows of the cells.

    Raises:
        ConfigError: They are others than the cells'.
    """
    columns, lines = read_whole(folder / AGENTS)
    rows = parse(folder / AGENTS, columns, lines)
    expected = [(key.family, key.allocator, agent) for key in keys for agent in key.agents]
    if [(row.get("family"), row.get("allocator"), row.get("agent")) for row in rows] != expected:
        raise ConfigError(
            f"{folder / AGENTS} must hold one line for each row and agent, {len(expected)} in the "
            f"order of {ROWS}, got {len(rows)}; {AGAIN}"
        )
    return rows


def _read_record(path: Path) -> EpisodeRecord:
    try:
        with np.load(path, allow_pickle=False) as file:
            series: dict[str, Any] = {n: file[n] for n in SERIES if n in file.files}
            if series:
                series["agents"] = tuple(str(name) for name in file["agents"])
            return EpisodeRecord(file["latency_s"], int(file["n_completed"]), **series)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path} must be as a run writes it: {error}; {AGAIN}") from error
