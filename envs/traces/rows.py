"""Anybody's table, row by row: CSV, JSON lines or Parquet, told apart by what the file holds.

Text is streamed, packed or not, and every bound below holds while it is: a small file that unpacks
to terabytes, or a line without end, is refused before it is in memory.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from ..errors import TraceError, UnknownNameError, did_you_mean
from .calls import bad_line

MAX_LINE_BYTES = 1 << 20
MAX_LINES = 10_000_000
MAX_UNPACKED_BYTES = 16 << 30
GZIP, PARQUET, ZIP = b"\x1f\x8b", b"PAR1", b"PK\x03\x04"
SHOWN_COLUMNS = 30


class Row(NamedTuple):
    """One row of a table.

    Attributes:
        line: Number of the line that it ends on, or in Parquet of the row; from 1.
        cells: Value of each wanted column, `None` where it has none; no cells at all where the row
            itself cannot be read.
        got: The unreadable row, for people.
    """

    line: int
    cells: tuple[object, ...]
    got: object = None


class Table(NamedTuple):
    """A file and its rows.

    Attributes:
        format: `CSV`, `JSON lines` or `Parquet`.
        place: What `Row.line` counts: `line` or `row`.
        rows: To be read once.
    """

    format: str
    place: str
    rows: Iterator[Row]


def open_table(path: Path, columns: Sequence[str]) -> Table:
    """Start reading the wanted columns of a file.

    Raises:
        TraceError: Not readable, or of no format that is known; later, while the rows are read, a
            line that is too long, too many lines or bytes, or no text.
        UnknownNameError: It has no such column; at the latest after the last row.
    """
    from . import rows_csv, rows_jsonl, rows_parquet  # each needs this file

    packed, head = _head(path)
    if head.startswith(PARQUET):
        if packed:
            raise TraceError(f"{path} must not pack a Parquet file a second time; gunzip it first")
        return Table("Parquet", "row", rows_parquet.read(path, columns))
    if head.startswith(ZIP):
        raise TraceError(
            f"{path} must be CSV, JSON lines or Parquet, got a ZIP or Excel file; save it as CSV"
        )
    first = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if first == b"[":
        raise TraceError(
            f"{path} must hold one JSON object a line, got a JSON array; "
            "convert it, for instance by `jq -c '.[]'`"
        )
    if first == b"{":
        return Table("JSON lines", "line", _closed(path, packed, rows_jsonl.read, columns))
    return Table("CSV", "line", _closed(path, packed, rows_csv.read, columns))


def _head(path: Path) -> tuple[bool, bytes]:
    """Whether a file is packed by gzip, and the beginning of its content."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
        packed = head.startswith(GZIP)
        if packed:
            with gzip.open(path, "rb") as unpacked:
                head = unpacked.read(4096)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from None
    if not head.strip():
        raise TraceError(f"{path} must hold calls, but it is empty; export it again")
    return packed, head


def _unreadable(path: Path, error: Exception, line: int | None = None) -> TraceError:
    at = "" if line is None else f" (after line {line})"
    if isinstance(error, OSError) and error.strerror:
        return TraceError(f"cannot read {path}: {error.strerror}")
    reason = "ends early" if isinstance(error, EOFError) else str(error)
    return TraceError(f"{path} must be a whole gzip file{at}, got: {reason}; pack it again")


def _closed(
    path: Path,
    packed: bool,
    read: Callable[[str, Iterable[tuple[int, str]], Sequence[str]], Iterator[Row]],
    columns: Sequence[str],
) -> Iterator[Row]:
    """Read rows from the lines of a file, and close it whatever happens."""
    with path.open("rb") as raw:
        file = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if packed else raw
        yield from read(str(path), bounded_lines(file, path), columns)


def bounded_lines(file: IO[bytes], path: Path) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, line with its end), never holding more than one line.

    Raises:
        TraceError: One of this module's bounds is passed, damaged gzip, or a line that is no text.
    """
    total = 0
    for number in range(1, MAX_LINES + 2):
        try:
            line = file.readline(MAX_LINE_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise _unreadable(path, error, number - 1) from None
        if not line:
            return
        total += len(line)
        if len(line) > MAX_LINE_BYTES:
            raise _beyond(path, number, "a line", f"{MAX_LINE_BYTES:,} bytes")
        if total > MAX_UNPACKED_BYTES:
            raise _beyond(path, number, "the file", f"{MAX_UNPACKED_BYTES:,} bytes unpacked")
        if number > MAX_LINES:
            raise _beyond(path, number, "the file", f"{MAX_LINES:,} lines")
        try:
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            got = line[error.start : error.end]
            raise bad_line(str(path), number, "must be UTF-8 text", got, "save it so") from None


def _beyond(path: Path, line: int, what: str, limit: str) -> TraceError:
    return TraceError(
        f"{path}, line {line}: {what} must hold at most {limit}, got more; "
        "keep the columns that are needed, or cut it into parts"
    )


def unknown_column(
    source: str, name: str, known: Iterable[Any], way_out: str = "name one of its columns"
) -> UnknownNameError:
    """Build the error for a column that a table does not have."""
    shown = [str(column)[:40] for column in list(known)[:SHOWN_COLUMNS]]
    return UnknownNameError(
        f"{source}: there is no column {name!r}{did_you_mean(name, shown)}; {way_out}"
    )
