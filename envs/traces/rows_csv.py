"""CSV with a header; the separator is whichever gives the wanted columns."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence

from ..errors import TraceError
from .calls import bad_line
from .rows import Row, unknown_column

SEPARATORS = (",", ";", "\t", "|")
MAX_CELL = 131_072  # characters: the csv module's own bound, which stops a quote that never closes


def read(source: str, lines: Iterable[tuple[int, str]], columns: Sequence[str]) -> Iterator[Row]:
    """Yield the rows; cells are stripped, and an empty one is `None`.

    Raises:
        UnknownNameError: The header lacks a wanted column.
        TraceError: A wanted column stands twice, or a quote is wrong.
    """
    texts = (line for _, line in lines)
    header_line = next(texts)
    separator, header = _header(header_line, columns, source)
    places = [_place(name, header, source) for name in columns]
    reader = csv.reader(texts, delimiter=separator, strict=True)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            way_out = f"repair its quotes; a cell holds at most {MAX_CELL:,} characters"
            line = reader.line_num + 1
            raise bad_line(source, line, "must be CSV", str(error), way_out) from None
        if cells is None:
            return
        line = reader.line_num + 1
        if len(cells) == len(header):
            yield Row(line, tuple(cells[place].strip() or None for place in places))
        elif cells and any(cell.strip() for cell in cells):  # a blank line is none
            yield Row(line, (), f"{len(cells)} cells under a header of {len(header)}")


def _header(line: str, columns: Sequence[str], source: str) -> tuple[str, list[str]]:
    """Return the separator that finds most of the wanted columns, and the names it makes."""
    found: list[tuple[tuple[int, int], str, list[str]]] = []
    for rank, separator in enumerate(SEPARATORS):
        try:
            cells = next(csv.reader([line], delimiter=separator, strict=True), [])
        except csv.Error:
            continue
        names = [cell.strip() for cell in cells]
        hits = sum(name in names for name in columns)
        found.append(((-hits, rank if len(names) > 1 else len(SEPARATORS)), separator, names))
    if not found:
        raise bad_line(source, 1, "must be a CSV header", line, "repair its quotes")
    _, separator, names = min(found)
    return separator, names


def _place(name: str, header: list[str], source: str) -> int:
    if name not in header:
        way_out = "name one of its columns, or give the file a header"
        raise unknown_column(f"{source}, line 1", name, header, way_out)
    if header.count(name) > 1:
        raise TraceError(
            f"{source}, line 1: column {name!r} must stand once in the header, got it "
            f"{header.count(name)} times; rename one"
        )
    return header.index(name)
