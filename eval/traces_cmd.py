"""Which real traces are at hand, and what to do about the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..envs.traces import TraceStatus, trace_names, trace_status

ADVICE = (
    "Absent traces are downloaded when a suite first needs them. Without a network, put the file "
    "into a folder of yours and set SLICEGYM_TRACES to it."
)


def trace_table() -> list[dict[str, Any]]:
    """Return the state of every trace; nothing is fetched."""
    return [_plain(trace_status(name)) for name in trace_names()]


def _plain(status: TraceStatus) -> dict[str, Any]:
    return {
        "name": status.name,
        "title": status.title,
        "present": status.present,
        "path": None if status.path is None else str(status.path),
        "bytes": status.bytes,
        "licence": status.licence,
        "url": status.url,
        "problem": status.problem,
    }


def as_table(traces: Sequence[dict[str, Any]]) -> RenderableType:
    """Return the traces as a table, with advice where one is not to be had."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for header in ("trace", "present", "licence", "where it is, or comes from"):
        table.add_column(header, overflow="fold")
    for trace in traces:
        where = trace["problem"] if trace["path"] else trace["url"]
        place = trace["path"] if trace["present"] else where
        table.add_row(
            *(Text(cell) for cell in (trace["name"], _yes(trace), trace["licence"], place or "–"))
        )
    missing = any(not trace["present"] for trace in traces)
    return Group(table, *([Text(ADVICE)] if missing else []))


def _yes(trace: dict[str, Any]) -> str:
    if trace["present"]:
        return "yes"
    return "no" if trace["path"] is None else "damaged"
