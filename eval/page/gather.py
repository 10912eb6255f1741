"""What a report is made from: the folder of a run, also of one that has not ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...envs.errors import ConfigError
from ..output import UNFINISHED
from ..results import Results, load_results
from ..runs.files import AGAIN, AGENTS, FAILED, MANIFEST, ROWS, check_row, failed_cells, read_json
from ..runs.plan import planned
from ..runs.tables import Row, nested, parse, read_whole
from ..summary import summarise
from .draw import Style


@dataclass(frozen=True, eq=False)
class Material:
    """A run as far as it is known.

    Attributes:
        results: Its rows; of an unfinished run those of whole episodes.
        n_left: Cells of an unfinished run that are missing; None where it has ended.
        summaries: By family, as `slicegym-eval run` prints them.
    """

    results: Results
    n_left: int | None
    summaries: Mapping[str, Mapping[str, Any]]

    def parts(self) -> list[Mapping[str, Any]]:
        """Return the manifest's parts of the families that have rows."""
        return [p for p in self.results.manifest["parts"] if p["family"] in self.summaries]

    def part(self, family: str) -> Mapping[str, Any]:
        """Return the manifest's part of a family."""
        return next(part for part in self.parts() if part["family"] == family)

    def playing(self, family: str) -> tuple[str, ...]:
        """Return the allocators with rows of a family, the best first."""
        entries = self.summaries[family]["allocators"]
        return tuple(sorted(entries, key=lambda spec: -entries[spec]["reward"]))

    def style(self, allocator: str) -> Style:
        """Return how an allocator looks, in every figure."""
        return Style(list(self.results.manifest["allocators"]).index(allocator))


def gather(path: Path) -> Material:
    """Read the folder of a run.

    Raises:
        ConfigError: It is none, holds no whole episode yet, or something in it is damaged.
    """
    is_cut = (path / MANIFEST).is_file() and (path / UNFINISHED).exists()
    results, n_left = _read_begun(path) if is_cut else (load_results(path), None)
    if not results.rows:
        raise ConfigError(
            f"{path} must hold at least one episode that every allocator has played; "
            + ("go on with its run, with --resume" if is_cut else "all failed: see failed.csv")
        )
    parts = {part["family"]: part for part in results.manifest["parts"]}
    summaries = {}
    for family in results.families:
        rows = [nested(row) for row in results.rows if row["family"] == family]
        summaries[family] = {"split": parts[family]["split"], **summarise(rows)}
    return Material(results, n_left, summaries)


def _read_begun(path: Path) -> tuple[Results, int]:
    """Return the rows of the episodes that all have played, and how many cells are left."""
    manifest = read_json(path / MANIFEST)
    try:
        keys, skipped = planned(manifest), dict(manifest["skipped"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        where = path / MANIFEST
        raise ConfigError(f"{where} must be as a run writes it: {error}; {AGAIN}") from None
    failed = failed_cells(path / FAILED)
    keys = [key for key in keys if (key.family, key.index, key.allocator) not in failed]
    columns, lines = read_whole(path / ROWS)
    rows = parse(path / ROWS, columns, lines)
    for number, (key, row) in enumerate(zip(keys, rows, strict=False), start=2):
        check_row(path / ROWS, number, key, row)
    left = {(key.family, key.index) for key in keys[len(rows) :]}
    lost = {(family, allocator) for family, _, allocator in failed}
    whole: list[Row] = [
        row
        for key, row in zip(keys, rows, strict=False)
        if (key.family, key.index) not in left and (key.family, key.allocator) not in lost
    ]
    skipped |= {f"{allocator} on {family}": "see failed.csv" for family, allocator in sorted(lost)}
    n_left = max(len(keys) - len(rows), 0)
    return Results(path, manifest, {"skipped": skipped}, whole, _agents_of(path, whole)), n_left


def _agents_of(path: Path, rows: list[Row]) -> list[Row]:
    """Return the agents' lines of these rows; there are more, since they are written first."""
    columns, lines = read_whole(path / AGENTS)
    cell = ("family", "tape", "allocator")
    if lines and not {*cell, "agent", "completed"} <= set(columns):
        raise ConfigError(f"{path / AGENTS} must have the columns that a run writes, got {columns}")
    kept = {tuple(row[name] for name in cell) for row in rows}
    found = parse(path / AGENTS, columns, lines)
    return [row for row in found if tuple(row[name] for name in cell) in kept]
