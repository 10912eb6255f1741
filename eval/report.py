"""Tables for people, from summaries alone; each fits into 80 columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
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
SCORE = ("score", "score", 2)
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
    weights = summary["weights"]
    head = (
        f"[bold]{name}[/bold]: {played(summary)}; "
        f"reward = −({weights['latency']:g}·latency + {weights['cost']:g}·cost + "
        f"{weights['idle']:g}·idle), mean per interval"
    )
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


def reward_table(summary: Mapping[str, Any], more: Columns = (), title: str = "") -> Table:
    """Return rewards with their terms, scores, and differences to static; the bound comes last.

    The score has its interval unless there are `more` columns: the table is narrow.
    """
    bound = summary["bound"]
    table = _grid_of(title, (*REWARD, *((SCORE,) if bound else ()), *more), padding=(0, 0))
    table.add_column(Text("vs static [95 %]"), justify="right", no_wrap=True)
    best = max((entry["reward"] for entry in summary["allocators"].values()), default=math.nan)
    rows = {_label(spec): entry for spec, entry in summary["allocators"].items()}
    for name, entry in rows.items():
        score = [number(entry["score"], 2) if more else _score(entry)] if bound else []
        cells = [*_cells(entry, REWARD), *score, *_cells(entry, more), _versus(entry)]
        table.add_row(*map(Text, (name, *cells)), style="bold" if entry["reward"] == best else "")
    if bound:
        cells = [*_cells(bound, (*REWARD, SCORE, *more)), _versus(bound)]
        table.add_row(*map(Text, (BOUND, *cells)), style="dim")
    return table


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _notes(summary: Mapping[str, Any]) -> list[str]:
    notes = [summary["note"]] if summary["note"] else []
    allocators = summary["allocators"].values()
    for entry in allocators:
        note = (entry["vs_static"] or {}).get("note", "")
        if note and note not in notes:
            notes.append(note)
    if any((entry["vs_static"] or {}).get("low") is not None for entry in allocators):
        notes.append("±: half the width of the 95 % interval.")
    if summary["bound"]:
        notes.append(bound_note(summary["bound"]))
    notes.append("Little: mean time in the system, unfinished and rejected tasks included.")
    return notes


def bound_note(bound: Mapping[str, Any]) -> str:
    """Return what a reader must know about the bound and the score."""
    score = "0 is static, 1 the bound" if bound["score"] else "undefined: static attains the bound"
    return (
        f"Clairvoyant bound ({', '.join(bound['relaxation'])}): no allocator. None can have a "
        "higher reward, and it need not be reachable; its terms alone bound nothing. "
        f"Score: {score}."
    )


def _table(title: str, allocators: Mapping[str, Any], columns: Columns) -> Table:
    table = _grid_of(title, columns)
    best = max((entry["reward"] for entry in allocators.values()), default=math.nan)
    for name, entry in allocators.items():
        style = "bold" if entry["reward"] == best else ""
        table.add_row(*map(Text, (_label(name), *_cells(entry, columns))), style=style)
    return table


def _grid_of(title: str, columns: Columns, padding: tuple[int, int] = (0, 1)) -> Table:
    table = grid(title)
    table.padding = (0, padding[1], 0, padding[0])
    table.add_column("allocator", overflow="fold", max_width=22)
    for header, _, _ in columns:
        table.add_column(header, justify="right", no_wrap=True)
    return table


def _cells(entry: Mapping[str, Any], columns: Columns) -> list[str]:
    return [number(entry.get(key), digits) for _, key, digits in columns]


def _label(spec: str) -> str:
    """Return an allocator's spec with a path cut to its last folder: tables are narrow."""
    name, _, text = spec.partition(":")
    return f"{name}:{Path(text).name}" if "/" in text else spec


def _versus(entry: Mapping[str, Any]) -> str:
    difference = entry["vs_static"]
    if difference is None:
        return "–"
    return f"{difference['mean']:+.3f}{_half(difference['low'], difference['high'], 3)}"


def _score(entry: Mapping[str, Any]) -> str:
    return f"{number(entry['score'], 2)}{_half(entry['score_low'], entry['score_high'], 2)}"


def _half(low: float | None, high: float | None, digits: int) -> str:
    """Return half the width of an interval; static's score of 0 and unknown ones have none."""
    is_known = low is not None and high is not None and low < high
    return f" ± {(high - low) / 2:.{digits}f}" if is_known else ""


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
