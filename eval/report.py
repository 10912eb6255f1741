"""Tables for people, from summaries alone; each fits into 80 columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from .paper import NOTES, PUBLISHED, PaperMetrics, spread

PAPER_AGENTS = ("coordinator", "nlp", "vision", "reasoning")

# Title, then header and key of each column, with the digits of its numbers.
Columns = tuple[tuple[str, str, int], ...]
REWARD: Columns = (
    ("reward", "reward", 3),
    ("latency", "latency_term", 3),
    ("cost", "cost_term", 3),
    ("idle", "idle_term", 3),
)
BOUND = "clairvoyant bound"
SERVICE: Columns = (
    ("Little", "little_latency_s", 1),
    ("mean", "latency_mean_s", 1),
    ("p50", "latency_p50_s", 1),
    ("p95", "latency_p95_s", 1),
    ("p99", "latency_p99_s", 1),
    ("in SLO", "slo", 2),
    ("open", "open", 0),
    ("rej.", "rejected", 0),
)
MONEY: Columns = (
    ("$", "cost_usd", 3),
    ("$/1000", "usd_per_1000_tasks", 2),
    ("util", "utilization", 2),
    ("tasks/s", "throughput", 2),
    ("cold", "cold_starts", 0),
    ("Jain", "jain", 2),
    ("churn", "churn", 2),
    ("µs", "decision_us", 1),
)


def console(*, stderr: bool = False) -> Console:
    """Return a console that is 80 columns wide where it is no terminal."""
    plain = Console(stderr=stderr)
    return plain if plain.is_terminal else Console(stderr=stderr, width=80)


def suite_report(name: str, summary: Mapping[str, Any]) -> RenderableType:
    """Return the tables of one evaluation."""
    head = f"[bold]{name}[/bold]: {played(summary)}; {reward_formula(summary)}, mean per interval"
    allocators = summary["allocators"]
    parts: list[RenderableType] = [
        Text.from_markup(head),
        reward_table(summary),
        _table("Tasks: latency [s], and how many were left", allocators, SERVICE),
        _table("Pool, per episode", allocators, MONEY),
    ]
    return Group(*parts, *(Text(note, style="dim") for note in _notes(summary)))


def played(summary: Mapping[str, Any]) -> str:
    """Return how much was played, in words."""
    blocks = _count(summary["blocks"], "independent block")
    return f"{_count(summary['episodes'], 'episode')} in {blocks}"


def reward_formula(summary: Mapping[str, Any]) -> str:
    """Return how the three terms make the reward."""
    weights = summary["weights"]
    return (
        f"reward = −({weights['latency']:g}·latency + {weights['cost']:g}·cost + "
        f"{weights['idle']:g}·idle)"
    )


def reward_table(summary: Mapping[str, Any], more: Columns = (), title: str = "") -> Table:
    """Return what `reward_lines` says as a table, the best allocator bold, the bound dim."""
    table = grid(title)
    table.padding = (0, 0, 0, 0)
    headers, lines = reward_lines(summary, more, is_narrow=bool(more))
    _add_columns(table, headers)
    best = _best(summary["allocators"])
    styles = ["bold" if e["reward"] == best else "" for e in summary["allocators"].values()]
    for line, style in zip(lines, [*styles, "dim"], strict=False):
        table.add_row(*map(Text, line), style=style)
    return table


def reward_lines(
    summary: Mapping[str, Any], more: Columns = (), *, is_narrow: bool = False
) -> tuple[list[str], list[list[str]]]:
    """Return headers and lines: rewards with their terms, scores, `more`, differences to static.

    The clairvoyant bound, where it is known, is the last line. Scores have their intervals where
    there is space for them.
    """
    entries = [(label(spec), entry) for spec, entry in summary["allocators"].items()]
    if summary["bound"]:
        entries.append((BOUND, summary["bound"]))
    lines = []
    for name, entry in entries:
        score = [_score(entry, not is_narrow)] if summary["bound"] else []
        others = (*score, *_cells(entry, more), _versus(entry))
        lines.append([name, *_cells(entry, REWARD), *others])
    names = ["score"] if summary["bound"] else []
    headers = [*(header for header, _, _ in REWARD), *names, *(header for header, _, _ in more)]
    return ["allocator", *headers, "vs static [95 %]"], lines


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _notes(summary: Mapping[str, Any]) -> list[str]:
    notes = [summary["note"]] if summary["note"] else []
    allocators = summary["allocators"].values()
    for entry in allocators:
        note = (entry["vs_static"] or {}).get("note", "")
        if note and note not in notes:
            notes.append(note)
    if summary["blocks"] > 1:
        notes.append("±: half the width of the 95 % interval.")
    if summary["bound"]:
        notes.append(bound_note([summary["bound"]]))
    notes.append("Little: mean time in the system, unfinished and rejected tasks included.")
    return notes


def bound_note(bounds: Iterable[Mapping[str, Any]]) -> str:
    """Return what a reader must know about bounds and scores."""
    relaxed = sorted({name for bound in bounds for name in bound["relaxation"]})
    return (
        f"Clairvoyant bound ({', '.join(relaxed)}): no allocator. None can have a higher reward, "
        "and it need not be reachable; its terms alone bound nothing. Score: 0 is static, 1 the "
        "bound."
    )


def _table(title: str, allocators: Mapping[str, Any], columns: Columns) -> Table:
    table = grid(title)
    _add_columns(table, ["allocator", *(header for header, _, _ in columns)])
    best = _best(allocators)
    for name, entry in allocators.items():
        style = "bold" if entry["reward"] == best else ""
        table.add_row(*map(Text, (label(name), *_cells(entry, columns))), style=style)
    return table


def _add_columns(table: Table, headers: Sequence[str]) -> None:
    table.add_column(headers[0], overflow="fold", max_width=22)
    for header in headers[1:]:
        table.add_column(Text(header), justify="right", no_wrap=True)


def _best(allocators: Mapping[str, Any]) -> float:
    return max((entry["reward"] for entry in allocators.values()), default=math.nan)


def _cells(entry: Mapping[str, Any], columns: Columns) -> list[str]:
    return [number(entry.get(key), digits) for _, key, digits in columns]


def label(spec: str) -> str:
    """Return an allocator's spec with a path cut to its last folder: tables are narrow."""
    name, _, text = spec.partition(":")
    return f"{name}:{Path(text).name}" if "/" in text else spec


def _versus(entry: Mapping[str, Any]) -> str:
    difference = entry["vs_static"]
    if difference is None:
        return "–"
    return f"{difference['mean']:+.3f}{_half(difference['low'], difference['high'], 3)}"


def _score(entry: Mapping[str, Any], with_interval: bool) -> str:
    half = _half(entry["score_low"], entry["score_high"], 2) if with_interval else ""
    return number(entry["score"], 2) + half


def _half(low: float | None, high: float | None, digits: int) -> str:
    """Return half the width of an interval; static's score of 0 and unknown ones have none."""
    if low is None or high is None or low == high:
        return ""
    return f" ± {(high - low) / 2:.{digits}f}"


def number(value: float | None, digits: int) -> str:
    """Return a number for a table; unknown ones are a dash."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.{digits}f}"


def paper_report(table: Mapping[str, PaperMetrics]) -> RenderableType:
    """Return the paper's Table II beside ours, with what is and isn't reproduced."""
    rows = grid("Zhang, Guo, Tan (arXiv 2512.22149), Table II: ours · paper")
    rows.add_column("strategy", no_wrap=True)
    for header in ("latency [s]", "Little", "calls/s", "cost [$]", "std [s]"):
        rows.add_column(Text(header), justify="right", no_wrap=True)
    for name, row in table.items():
        theirs = PUBLISHED[name]
        rows.add_row(
            name,
            f"{row.queue_latency_s:.2f} · {theirs.latency_s:.1f}",
            f"{row.little_latency_s:.2f}",
            f"{row.throughput:.1f} · {theirs.throughput:.1f}",
            f"{row.cost_usd:.3f} · {theirs.cost_usd:.3f}",
            f"{spread(row):.1f} · {theirs.std_s:.1f}",
        )
    return Group(rows, _per_agent(table), *(Text(note) for note in NOTES))


def _per_agent(table: Mapping[str, PaperMetrics]) -> Table:
    rows = grid("Latency per agent [s], and our time per allocation")
    rows.add_column("strategy", no_wrap=True)
    for header in (*PAPER_AGENTS, "µs"):
        rows.add_column(header, justify="right")
    for name, row in table.items():
        cells = (*(number(value, 1) for value in row.per_agent_s), number(row.decision_us, 1))
        rows.add_row(name, *cells)
    return rows


def grid(title: str) -> Table:
    """Return an empty table in this project's style."""
    heading = Text(title, style="italic") if title else None
    return Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
