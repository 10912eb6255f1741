"""What lies in the folder of a run under which name, and strict reading of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...envs import checks
from ...envs.errors import ConfigError
from .plan import Key
from .tables import Row, read_whole

MANIFEST, SUMMARY = "manifest.json", "summary.json"
ROWS, AGENTS, FAILED, TABLE = "rows.csv", "agents.csv", "failed.csv", "table.csv"
EPISODES = "episodes"
FAILED_COLUMNS = ["family", "episode", "allocator", "reason"]
AGAIN = "evaluate again into a new folder"


def read_json(path: Path) -> Mapping[str, Any]:
    """Read a file of a run.

    Raises:
        ConfigError: It is missing, or no mapping in JSON.
    """
    try:
        return checks.mapping(str(path), json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}; {AGAIN}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigError(f"{path} must be the JSON that a run writes: {error}; {AGAIN}") from error


def failed_cells(path: Path) -> dict[tuple[str, int, str], str]:
    """Return (family, episode, allocator) of the cells that failed, with the reason.

    Raises:
        ConfigError: The file is none of a run.
    """
    columns, lines = read_whole(path)
    if columns not in ([], FAILED_COLUMNS):
        raise ConfigError(f"{path} must have the columns {FAILED_COLUMNS}, got {columns}; {AGAIN}")
    try:
        return {(family, int(index), allocator): why for family, index, allocator, why in lines}
    except ValueError as error:
        raise ConfigError(f"{path} must be as a run writes it: {error}; {AGAIN}") from None


def check_row(path: Path, number: int, key: Key, row: Row) -> None:
    """Refuse a row that is of another cell.

    Raises:
        ConfigError: It is.
    """
    wanted = (key.family, key.allocator, key.block, float(key.seed))
    got = tuple(row.get(name) for name in ("family", "allocator", "block", "seed"))
    if got != wanted:
        raise ConfigError(f"{path} must be of {wanted} in line {number}, got {got}; {AGAIN}")
