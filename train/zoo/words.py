"""Numbers and verdicts in the words of cards and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with a true minus sign, or a dash where there is none."""
    return "–" if value is None else f"{value:,.{digits}f}".replace("-", "−")


def percent(value: float | None) -> str:
    """Return a part of one in per cent."""
    return "–" if value is None else f"{100 * value:.1f} %".replace("-", "−")


def difference(found: Mapping[str, Any]) -> str:
    """Return a difference with its interval."""
    mean = f"{found['mean']:+.4f}".replace("-", "−")
    if found["low"] is None:
        return mean
    return f"{mean} [{number(found['low'], 4)}, {number(found['high'], 4)}]"


def verdict(found: Mapping[str, Any]) -> str:
    """Return what an interval says of a difference: better, worse or neither."""
    if found["low"] is None:
        return "undecided"
    said = "better" if found["low"] > 0 else "worse" if found["high"] < 0 else "undecided"
    return f"{said} (indicative)" if "indicative" in found["note"] else said


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose first column holds names and the others numbers."""
    rule = ["---", *("--:" for _ in headers[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (headers, rule, *rows))
