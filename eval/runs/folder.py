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
from typing import Any, Self

import numpy as np

from ...envs.errors import ConfigError
from ..output import UNFINISHED, to_json, write_atomically
from .cells import Cell
from .plan import Key, planned
from .tables import agent_rows, flat, to_line

MANIFEST, ROWS, AGENTS, FAILED, SUMMARY = (
    *("manifest.json", "rows.csv", "agents.csv"),
    *("failed.csv", "summary.json"),
)
EPISODES = "episodes"
MARK = "Rows may be missing: this run has not ended, or was cut. Go on with --resume.\n"
FAILED_COLUMNS = ("family", "episode", "allocator", "reason")


class RunFolder:
    """The folder of one evaluation.

    Args:
        path: Must not exist.
        manifest: What was asked for, with which versions of everything.

    Raises:
        ConfigError: It exists, or cannot be created.
    """

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        if path.exists():
            raise ConfigError(f"--out must be a new folder, and {path} exists; name another one")
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise ConfigError(f"cannot create --out {path}: {error.strerror or error}") from error
        self.path = path
        (path / UNFINISHED).write_text(MARK)
        write_atomically(path / MANIFEST, to_json(manifest))
        (path / EPISODES).mkdir()
        self.pending = planned(manifest)
        self._columns: dict[str, list[str]] = {}

    def __enter__(self) -> Self:
        self._files = {
            name: (self.path / name).open("a", newline="", encoding="utf-8")
            for name in (ROWS, AGENTS)
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            file.close()

    def add(self, cell: Cell) -> None:
        """Write what came of a cell and hand it to the operating system at once."""
        if cell.row is None:
            self._append_failed(cell.key, cell.failed)
            return
        target = io.BytesIO()
        np.savez_compressed(target, **cell.arrays)
        write_atomically(self.path / EPISODES / cell.key.file, target.getvalue())
        self._append(AGENTS, [flat(row) for row in agent_rows(cell.row)])
        self._append(ROWS, [flat(cell.row)])

    def _append(self, name: str, rows: list[dict[str, Any]]) -> None:
        text = ""
        if name not in self._columns:
            self._columns[name] = list(rows[0])
            text = to_line(self._columns[name])
        text += "".join(to_line(row[c] for c in self._columns[name]) for row in rows)
        self._files[name].write(text)
        self._files[name].flush()

    def _append_failed(self, key: Key, reason: str) -> None:
        path = self.path / FAILED
        text = "" if path.exists() else to_line(FAILED_COLUMNS)
        text += to_line((key.family, key.index, key.allocator, " ".join(reason.split())))
        with path.open("a", encoding="utf-8") as file:
            file.write(text)

    def finish(self, summary: Mapping[str, Any], table: str) -> None:
        """Write the summary and the table, and take the mark away."""
        write_atomically(self.path / "table.csv", table)
        write_atomically(self.path / SUMMARY, to_json(summary))
        (self.path / UNFINISHED).unlink()
