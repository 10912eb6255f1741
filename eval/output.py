"""Files and JSON: nothing overwritten, nothing half-written, unfinished runs marked."""

from __future__ import annotations

import csv
import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from ..envs.errors import ConfigError

UNFINISHED = "UNFINISHED"


def plain(value: Any) -> Any:
    """Return `value` in types that JSON knows; NaN and infinities become null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def to_json(value: Any) -> str:
    """Return strict JSON."""
    return json.dumps(plain(value), indent=2, allow_nan=False) + "\n"


def check_target(path: Path) -> None:
    """Refuse a file that could not be written, before hours are spent on its content.

    Raises:
        ConfigError: It is a folder, or its folder does not exist.
    """
    if path.is_dir():
        raise ConfigError(f"{path} must be a file to write to, and it is a folder")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: its folder {path.parent} does not exist; create it first")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, for readers and after a crash."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


class RunFolder:
    """The folder of one evaluation: manifest first, raw rows as they come, the summary last.

    While the file `UNFINISHED` lies in it, rows may be missing.

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
        (path / UNFINISHED).write_text("Rows may be missing: this run has not ended, or was cut.\n")
        write_atomically(path / "manifest.json", to_json(manifest))
        self._file = (path / "rows.csv").open("w", newline="", encoding="utf-8")
        self._columns: list[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, row: Mapping[str, Any]) -> None:
        """Append one raw row and hand it to the operating system at once."""
        flat = flatten(row)
        writer = csv.writer(self._file)
        if self._columns is None:
            self._columns = list(flat)
            writer.writerow(self._columns)
        writer.writerow([flat[column] for column in self._columns])
        self._file.flush()

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the summary and take the mark away."""
        write_atomically(self.path / "summary.json", to_json(summary))
        (self.path / UNFINISHED).unlink()


def flatten(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, with keys joined by dots; NaN becomes an empty cell."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            cell = plain(value)
            flat[f"{prefix}{key}"] = "" if cell is None else cell
    return flat


def numeric_keys(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys of a row that hold numbers to be averaged."""
    labels = ("seed",)
    return [
        key
        for key, value in rows[0].items()
        if key not in labels and isinstance(value, (int, float)) and not isinstance(value, bool)
    ]
