"""JSON lines: one object a line; a dot in a column's name leads into nested objects."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from .rows import Row, unknown_column

PATIENCE = 1000  # rows in which each wanted column has to turn up
MAX_KNOWN = 1000  # keys remembered to suggest from


def read(source: str, lines: Iterable[tuple[int, str]], columns: Sequence[str]) -> Iterator[Row]:
    """Yield the rows.

    Raises:
        UnknownNameError: A wanted column has not turned up in the first 1,000 rows, or at all.
    """
    waiting, known, n_rows = set(columns), dict[str, None](), 0
    for line, text in lines:
        if not text.strip():
            continue
        entry = _parse(text)
        if entry is None:
            yield Row(line, (), text.strip()[:200])
            continue
        n_rows += 1
        if waiting:
            waiting -= {name for name in waiting if _has(entry, name)}
            known |= dict.fromkeys(list(_names(entry))[: MAX_KNOWN - len(known)])
            if n_rows == PATIENCE:
                _refuse(source, columns, waiting, known)
        yield Row(line, tuple(_value(entry, name) for name in columns))
    _refuse(source, columns, waiting, known)


def _refuse(source: str, columns: Sequence[str], waiting: set[str], known: Iterable[str]) -> None:
    for name in columns:
        if name in waiting:
            raise unknown_column(source, name, known, "name one of its keys, or a.b for b inside a")


def _parse(text: str) -> dict[str, object] | None:
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _names(entry: dict[str, object]) -> Iterator[str]:
    for name, value in entry.items():
        yield name
        if isinstance(value, dict):
            yield from (f"{name}.{inner}" for inner in value)


def _has(entry: dict[str, object], name: str) -> bool:
    return name in entry or _value(entry, name) is not None


def _value(entry: dict[str, object], name: str) -> object:
    if name in entry or "." not in name:
        return entry.get(name)
    first, _, rest = name.partition(".")
    inner = entry.get(first)
    return _value(inner, rest) if isinstance(inner, dict) else None
