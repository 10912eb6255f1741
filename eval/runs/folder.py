"""The folder of a run: manifest first, raw rows as they come, the summary last.

One process writes, cell after cell in a fixed order: first the file with what plots need, then the
agents' lines, then the row. A cell is done when its row is whole, so that a run that was killed
anywhere loses nothing, and repeats nothing, when it goes on. While the file `UNFINISHED` lies in
the folder, rows may be missing.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np

from ...envs.errors import ConfigError
from ..output import UNFINISHED, leave_mark, to_json, write_atomically
from .cells import Cell
from .files import (
    AGENTS,
    EPISODES,
    FAILED,
    FAILED_COLUMNS,
    MANIFEST,
    ROWS,
    SUMMARY,
    TABLE,
    read_json,
)
from .plan import planned
from .resume import check_same, is_fresh, recover, whole_cells
from .tables import agent_rows, flat, read_whole, to_line

MARK = "Rows may be missing: this run has not ended, or was cut. Go on with --resume.\n"


class RunFolder:
    """The folder of one evaluation.

    Args:
        path: Must not exist, unless `resume`.
        manifest: What was asked for, with which versions of everything.
        resume: Go on with the run in the folder; where there is none yet, begin it.

    Attributes:
        is_finished: Whether nothing is left to do.
        done: Cells that are written; `arrays` of theirs are left on the disk.
        pending: Keys of the cells that are not, in order.

    Raises:
        ConfigError: The folder exists, cannot be created, or is of another run.
    """

    def __init__(self, path: Path, manifest: Mapping[str, Any], *, resume: bool = False) -> None:
        self.path = path
        self.is_finished = False
        self.done: list[Cell] = []
        self.pending = planned(manifest)
        self._columns: dict[str, list[str]] = {}
        self._files: dict[str, IO[str]] = {}
        self._mark: IO[str] | None = None
        if path.exists() and not resume:
            raise ConfigError(
                f"--out must be a new folder, and {path} exists; name another one, or go on with "
                "the run in it by --resume"
            )
        if path.exists() and self._holds_a_run():
            self._reopen(manifest)
        else:
            self._create(manifest)

    def _holds_a_run(self) -> bool:
        if not self.path.is_dir():
            raise ConfigError(f"--out must be a folder, and {self.path} is a file; name another")
        if (self.path / MANIFEST).is_file():
            return True
        if is_fresh(self.path):
            return False
        raise ConfigError(
            f"--resume needs the folder of a run, and {self.path} holds something else and no "
            f"{MANIFEST}; name another one"
        )

    def _create(self, manifest: Mapping[str, Any]) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"cannot create --out {self.path}: {error.strerror or error}"
            ) from error
        self._mark = leave_mark(self.path, MARK)
        write_atomically(self.path / MANIFEST, to_json(manifest))
        (self.path / EPISODES).mkdir()

    def _reopen(self, manifest: Mapping[str, Any]) -> None:
        check_same(self.path, read_json(self.path / MANIFEST), manifest)
        self.is_finished = not (self.path / UNFINISHED).exists()
        if self.is_finished:
            self.done, self.pending = whole_cells(self.path, self.pending), []
            return
        self._mark = leave_mark(self.path, MARK)
        try:
            self.done = recover(self.path, self.pending)
        except BaseException:
            self._close()
            raise
        written = {cell.key for cell in self.done}
        self.pending = [key for key in self.pending if key not in written]
        for name in (ROWS, AGENTS):
            columns, _ = read_whole(self.path / name)
            if columns:
                self._columns[name] = columns

    def __enter__(self) -> Self:
        for name in (ROWS, AGENTS):
            self._files[name] = (self.path / name).open("a", newline="", encoding="utf-8")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        for file in (*self._files.values(), *([self._mark] if self._mark else [])):
            file.close()

    def add(self, cell: Cell) -> None:
        """Write what came of a cell and hand it to the operating system at once."""
        if cell.row is None:
            self._add_failed(cell)
            return
        target = io.BytesIO()
        arrays: dict[str, Any] = dict(cell.arrays)
        np.savez_compressed(target, **arrays)
        write_atomically(self.path / EPISODES / cell.key.file, target.getvalue())
        self._append(AGENTS, [flat(row) for row in agent_rows(cell.row)])
        self._append(ROWS, [flat(cell.row)])

    def _append(self, name: str, rows: list[dict[str, Any]]) -> None:
        text = ""
        if name not in self._columns:
            self._columns[name] = list(rows[0])
            text = to_line(self._columns[name])
        for row in rows:
            if list(row) != self._columns[name]:
                raise ConfigError(
                    f"{self.path / name} must keep its columns, and they are others now; "
                    "name a new folder"
                )
            text += to_line(row.values())
        self._files[name].write(text)
        self._files[name].flush()

    def _add_failed(self, cell: Cell) -> None:
        path, key = self.path / FAILED, cell.key
        text = "" if path.exists() and path.stat().st_size else to_line(FAILED_COLUMNS)
        text += to_line((key.family, key.index, key.allocator, " ".join(cell.failed.split())))
        with path.open("a", encoding="utf-8") as file:
            file.write(text)

    def finish(self, summary: Mapping[str, Any], table: str) -> None:
        """Write the summary and the table, and take the mark away."""
        write_atomically(self.path / TABLE, table)
        write_atomically(self.path / SUMMARY, to_json(summary))
        (self.path / UNFINISHED).unlink(missing_ok=True)
