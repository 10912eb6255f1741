"""The CSV files of a run: written a line at a time, read strictly, cut where a kill cut them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...envs.errors import ConfigError
from ..output import flatten

# Columns of words and names; every other holds numbers.
LABELS = frozenset(
    ("family", "allocator", "agent", "scenario", "tape", "block", "bound.relaxation", "reason")
)
# What two runs of the same cells differ in.
TIMES = frozenset(("decision_us", "bound.solve_s"))

Row = dict[str, Any]


def to_line(cells: Iterable[Any]) -> str:
    """Return one line of CSV."""
    target = io.StringIO()
    csv.writer(target, lineterminator="\n").writerow(cells)
    return target.getvalue()


def read_whole(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the columns and the whole lines of a file; a last line that was cut is left out.

    Raises:
        ConfigError: It is no table that a run has written.
    """
    try:
        data = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        text = data[: data.rfind(b"\n") + 1].decode()
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            f"{path} must be a table as a run writes it: {error}; evaluate again into a new folder"
        ) from error
    if not lines:
        return [], []
    columns, *rest = lines
    for number, line in enumerate(rest, start=2):
        if len(line) != len(columns):
            raise ConfigError(
                f"{path} must have {len(columns)} cells in line {number}, got {len(line)}; "
                "evaluate again into a new folder"
            )
    return columns, rest


def parse(path: Path, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> list[Row]:
    """Return lines as rows: numbers as floats, empty ones as NaN.

    Raises:
        ConfigError: A number is none.
    """
    return [
        {
            column: cell if column in LABELS else _number(cell, path, number, column)
            for column, cell in zip(columns, line, strict=True)
        }
        for number, line in enumerate(lines, start=2)
    ]


def _number(cell: str, path: Path, line: int, column: str) -> float:
    try:
        return float(cell) if cell else math.nan
    except ValueError:
        raise ConfigError(
            f"{path} must hold a number in line {line}, column {column!r}, got {cell!r}; "
            "evaluate again into a new folder"
        ) from None


def nested(row: Mapping[str, Any]) -> Row:
    """Return a row with `a.b` as `b` inside `a`, as it was before it was written."""
    found: Row = {}
    for key, value in row.items():
        outer, dot, inner = key.partition(".")
        if dot:
            found.setdefault(outer, {})[inner] = value
        else:
            found[key] = value
    return found


def agent_rows(row: Mapping[str, Any]) -> list[Row]:
    """Return the long form of a row's `agents`: one row each."""
    key = {name: row[name] for name in ("family", "tape", "allocator")}
    return [{**key, "agent": agent, **values} for agent, values in row["agents"].items()]


def flat(row: Mapping[str, Any]) -> Row:
    """Return a row as it stands in rows.csv, without its agents."""
    return flatten({key: value for key, value in row.items() if key != "agents"})
