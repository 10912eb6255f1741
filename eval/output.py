"""Files and JSON: nothing half-written, and a mark for what is unfinished."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

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


def leave_mark(folder: Path, text: str) -> IO[str]:
    """Mark a folder as unfinished and hold it until the file that is returned is closed.

    Raises:
        ConfigError: Another process holds it: of two, one writes.
    """
    mark = (folder / UNFINISHED).open("a+", encoding="utf-8")
    _hold(mark, folder)
    if not mark.tell():
        mark.write(text)
        mark.flush()
    return mark


def check_idle(folder: Path) -> None:
    """Refuse a folder that another process writes into.

    Raises:
        ConfigError: There is one.
    """
    with suppress(FileNotFoundError, NotADirectoryError), (folder / UNFINISHED).open() as mark:
        _hold(mark, folder)


def _hold(mark: IO[str], folder: Path) -> None:
    """Lock a file until it is closed, however that comes; where no locks are, nothing is locked."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        mark.close()
        raise ConfigError(
            f"{folder} must have one writer, and another process is at it; let it end"
        ) from None
    except OSError:  # a file system without locks
        return


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
