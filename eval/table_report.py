"""The overview as tables for a terminal, as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from .output import plain
from .report import BOUND, Columns, bound_note, played, reward_formula, reward_lines, reward_table
from .statistics import ENOUGH_BLOCKS

DECISION: Columns = (("µs", "decision_us", 1),)
NUMBERS = (
    *("reward", "latency_term", "cost_term", "idle_term"),
    *("score", "score_low", "score_high", "decision_us"),
)
ENDS = {"vs_static": "mean", "vs_static_low": "low", "vs_static_high": "high"}


def as_table(content: Mapping[str, Any]) -> RenderableType:
    """Return one table for each family, and what is missing at the end."""
    parts: list[RenderableType] = []
    for family, summary in content["families"].items():
        title = f"{family}-{summary['split']}: {played(summary)}"
        parts.append(reward_table(summary, DECISION, title))
    return Group(*parts, *(Text(note, style="dim") for note in _notes(content)))


def to_markdown(content: Mapping[str, Any], level: int = 3) -> str:
    """Return a section for each family, to stand in a document as it is."""
    text = [" ".join(_notes(content)[: 1 + _has_bounds(content)])]
    for family, summary in content["families"].items():
        headers, lines = reward_lines(summary, DECISION)
        rule = ["---", *("--:" for _ in headers[1:])]
        rows = [[_code(name), *(_minus(cell) for cell in cells)] for name, *cells in lines]
        text.append(f"{'#' * level} {family}")
        text.append(f"{summary['split']}, {played(summary)}; {reward_formula(summary)}.")
        text.append("\n".join(f"| {' | '.join(row)} |" for row in (headers, rule, *rows)))
    text += [f"- {note}" for note in _skipped(content)]
    return "\n\n".join(text) + "\n"


def to_csv(content: Mapping[str, Any]) -> str:
    """Return a line for each family and allocator; `kind` sets the bound's apart from them."""
    lines = list(_records(content))
    target = io.StringIO()
    writer = csv.DictWriter(target, list(lines[0]) if lines else ["family"])
    writer.writeheader()
    writer.writerows(lines)
    return target.getvalue()


def _records(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for family, summary in content["families"].items():
        entries = [("allocator", name, entry) for name, entry in summary["allocators"].items()]
        if summary["bound"] is not None:
            entries.append(("bound", BOUND, summary["bound"]))
        for kind, name, entry in entries:
            yield {
                **{"family": family, "split": summary["split"], "kind": kind, "allocator": name},
                **{"episodes": summary["episodes"], "blocks": summary["blocks"]},
                **{key: plain(entry.get(key)) for key in NUMBERS},
                **{key: (entry["vs_static"] or {}).get(end) for key, end in ENDS.items()},
            }


def _notes(content: Mapping[str, Any]) -> list[str]:
    few = f"indicative where these are fewer than {ENOUGH_BLOCKS}"
    notes = [f"±: half the width of the 95 % interval over a suite's independent blocks, {few}."]
    if _has_bounds(content):
        notes.append(bound_note(s["bound"] for s in content["families"].values()))
    return [*notes, *_skipped(content)]


def _has_bounds(content: Mapping[str, Any]) -> bool:
    found = [summary["bound"] is not None for summary in content["families"].values()]
    return bool(found) and all(found)


def _skipped(content: Mapping[str, Any]) -> list[str]:
    return [f"Skipped: {what}: {why}" for what, why in content["skipped"].items()]


def _code(name: str) -> str:
    return name if name == BOUND else f"`{name}`"


def _minus(cell: str) -> str:
    return cell.replace("-", "−")
