"""Anybody's calls as a plain CSV: `release_s,agent,work`."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass

import numpy as np

from ..errors import TraceError
from .calls import FORMATS, TraceCalls, bad_line, numbered_lines, require_sorted

HEADER = ["release_s", "agent", "work"]
EXAMPLE = "12.5,nlp,1.0"


@FORMATS("table")
@dataclass(frozen=True)
class Table:
    """One call a line, sorted by time.

    Columns: `release_s`, seconds on a clock of the file's own; `agent`, a name; `work`, in units of
    the agent's mean call, greater than 0.
    """

    def read(self, data: bytes, source: str) -> TraceCalls:
        """Read a whole file; work is taken as it stands."""
        lines = numbered_lines(data, source)
        _, header = next(lines)
        if _cells(header.removeprefix("\ufeff"), 1, source) != HEADER:
            way_out = "rename or reorder the columns"
            raise bad_line(source, 1, f"must be the header {','.join(HEADER)}", header, way_out)
        rows = [_row(line, number, source) for number, line in lines]
        if not rows:
            raise TraceError(f"{source} must hold calls, but it has a header alone; add lines")
        release, agent, work = zip(*rows, strict=True)
        arrival = np.array(release, dtype=np.float64)
        require_sorted(arrival, 2, source)
        return TraceCalls(arrival, np.array(work, dtype=np.float64), np.array(agent), in_calls=True)


def _row(line: str, number: int, source: str) -> tuple[float, str, float]:
    cells = _cells(line, number, source)
    if len(cells) != len(HEADER) or not cells[1].strip():
        raise bad_line(source, number, f"must look like {EXAMPLE}", line)
    release = _number(cells[0], "release_s", number, source)
    work = _number(cells[2], "work", number, source)
    if work <= 0:
        raise bad_line(source, number, "work must be greater than 0", cells[2])
    return release, cells[1].strip(), work


def _cells(line: str, number: int, source: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        raise bad_line(source, number, f"must be CSV ({error})", line) from None


def _number(cell: str, name: str, number: int, source: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise bad_line(source, number, f"{name} must be a finite number", cell)
    return value
