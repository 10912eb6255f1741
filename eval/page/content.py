"""A report's content, from a run's files."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...envs.errors import ConfigError, unknown_name
from ..report import (
    MONEY,
    SERVICE,
    bound_note,
    label,
    number,
    played,
    reward_formula,
    reward_lines,
)
from ..results import EpisodeRecord
from .figures import family_figures
from .gather import Material
from .model import Figure, Page, Section, Table
from .timeline import binned, timeline
from .verdict import in_numbers, is_certain, lead, verdict
from .worlds import world_figures

OPEN_FAMILIES = 2  # more of them are folded at first
MOST_QUEUE = 10.0


def make_page(material: Material, pair: Sequence[str] | None = None) -> Page:
    """Return the report.

    Args:
        material: What is known of the run.
        pair: Two allocators whose time lines are shown; the best two of each family by default.

    Raises:
        ConfigError: One of the pair has not played, or a file is damaged.
    """
    check_pair(material, pair)
    families = list(material.summaries)
    sections = [_family(material, name, pair, len(families)) for name in families]
    if len(families) > 1:
        sections.insert(0, _overview(material))
    return Page(
        f"{material.results.manifest['suite']}",
        verdict(material),
        _warning(material),
        facts(material),
        tuple(sections),
        _notes(material),
    )


def check_pair(material: Material, pair: Sequence[str] | None) -> None:
    """Refuse time lines of those who have not played.

    Raises:
        ConfigError: They are not two, or one is unknown.
    """
    if pair is None:
        return
    if len(set(pair)) != 2 or len(pair) != 2:
        raise ConfigError(
            f"--allocators must be two different ones, as A,B, got {','.join(pair)!r}"
        )
    for spec in pair:
        if spec not in material.results.allocators:
            raise unknown_name("allocator", spec, material.results.allocators)


def facts(material: Material) -> tuple[tuple[str, str], ...]:
    """Return what was compared on what, as pairs of a term and what it says."""
    manifest = material.results.manifest
    parts = [
        f"{part['family']}-{part['split']}, {played(material.summaries[part['family']])}"
        + (f", windows on the traces' clocks: {_windows(part)}" if _windows(part) else "")
        for part in material.parts()
    ]
    specs = ", ".join(map(label, material.results.allocators))
    traces = ", ".join(f"{name} ({sha[:12]})" for name, sha in manifest["traces"].items())
    versions = ", ".join(f"{k} {v}" for k, v in manifest.get("versions", {}).items())
    found = (
        ("Allocators", specs),
        ("Played on", parts[0] if len(parts) == 1 else f"{len(parts)} families, listed below"),
        ("Suite", f"sha256 {manifest['suite_sha256']}"),
        ("Traces", traces or "none: synthetic workloads"),
        ("Clairvoyant bound", "computed on every tape" if manifest["bound"] else "not computed"),
        ("Versions", versions),
        ("Commit", str(manifest.get("commit") or "")),
        ("Command", shlex.join(manifest.get("command") or ())),
        ("Started", str(manifest.get("started") or "")),
    )
    return tuple((term, text) for term, text in found if text)


def _windows(part: Mapping[str, Any]) -> str:
    windows = part.get("windows_s") or {}
    return ", ".join(f"{t} {a:g} to {b:g}" for t, (a, b) in windows.items())


def _warning(material: Material) -> str:
    if material.n_left is None:
        return ""
    return (
        f"This run is UNFINISHED: {material.n_left} of its cells (an allocator on an episode) are "
        "missing. All below is of the episodes that every allocator has played, and may change."
    )


def _overview(material: Material) -> Section:
    """Return what several families say together."""
    headers = ("family", "best", "reward", "the next", "lead [95 %]", "told apart")
    lines = []
    for family, summary in material.summaries.items():
        best, *rest = material.playing(family)
        reward = number(summary["allocators"][best]["reward"], 3).replace("-", "−")
        line = [family, label(best), reward]
        if rest:
            difference = lead(material, family, best, rest[0])
            line += [
                label(rest[0]),
                in_numbers(difference),
                "yes" if is_certain(difference) else "no",
            ]
        lines.append([*line, *["–"] * (len(headers) - len(line))])
    table = Table("The best of each family", headers, lines)
    tables = (table, _by_family(material), _played_on(material))
    return Section("All families", "", (*tables, *world_figures(material)))


def _by_family(material: Material) -> Table:
    specs = material.results.allocators
    lines, columns = [], list(material.summaries.values())
    for spec in specs:
        cells = [summary["allocators"].get(spec, {}).get("reward", math.nan) for summary in columns]
        lines.append([label(spec), *(number(cell, 3).replace("-", "−") for cell in cells)])
    return Table("Mean reward by family", ("allocator", *material.summaries), lines)


def _played_on(material: Material) -> Table:
    lines = []
    for part in material.parts():
        summary = material.summaries[part["family"]]
        name = f"{part['family']}-{part['split']}"
        counts = str(summary["episodes"]), str(summary["blocks"])
        lines.append([name, *counts, _windows(part) or "–"])
    return Table(
        "What was played", ("suite", "episodes", "blocks", "windows on the traces' clocks"), lines
    )


def _family(material: Material, family: str, pair: Sequence[str] | None, n: int) -> Section:
    summary = material.summaries[family]
    text = f"{played(summary)}; {reward_formula(summary)}, mean per interval."
    content: tuple[Figure | Table, ...] = (
        *_tables(summary),
        *family_figures(material, family),
        *_time_lines(material, family, pair),
    )
    title = f"{family}-{summary['split']}"
    return Section(title, text, content, is_open=n <= OPEN_FAMILIES)


def _tables(summary: Mapping[str, Any]) -> tuple[Table, ...]:
    headers, lines = reward_lines(summary)
    best = max(entry["reward"] for entry in summary["allocators"].values())
    strong = frozenset(
        i for i, entry in enumerate(summary["allocators"].values()) if entry["reward"] == best
    )
    minus = [[line[0], *(cell.replace("-", "−") for cell in line[1:])] for line in lines]
    tables = [Table("Rewards", headers, minus, strong)]
    for title, columns in (
        ("Tasks: latency in s, and how many were left", SERVICE),
        ("Pool, per episode", MONEY),
    ):
        cells = [
            [label(spec), *(number(entry.get(key), digits) for _, key, digits in columns)]
            for spec, entry in summary["allocators"].items()
        ]
        tables.append(Table(title, ("allocator", *(h for h, _, _ in columns)), cells, strong))
    return tuple(tables)  # fmt: skip


def _time_lines(material: Material, family: str, pair: Sequence[str] | None) -> tuple[Figure, ...]:
    """Return the first episode by two allocators, where its series were kept."""
    playing = material.playing(family)
    specs = [spec for spec in (pair or playing[:2]) if spec in playing]
    records = {spec: material.results.episode(family, 0, spec) for spec in specs}
    if not records or any(record.share is None for record in records.values()):
        return ()
    scenario = material.part(family)["scenario"]
    times = {spec: _binned(record, scenario["interval_s"]) for spec, record in records.items()}
    pool = float(scenario["gpus"])
    share = max(pool * 1.05, *(float(t.share.sum(axis=1).max()) for t in times.values()))
    queue = max(MOST_QUEUE, *(float(t.queue.max()) for t in times.values()))
    names = " and ".join(label(spec) for spec in specs)
    alt = f"Shares and queues over time of {names} on the first episode of {family}"
    drawings = tuple(
        timeline(t, label(spec), f"{alt}: {label(spec)}.", pool, share, queue)
        for spec, t in times.items()
    )
    lines = [
        (label(spec), float(t.edges[i]), agent, float(t.share[i, j]), float(t.queue[i, j]))
        for spec, t in times.items()
        for i in range(len(t.share))
        for j, agent in enumerate(t.agents)
    ]
    caption = (
        "The first episode: shares in force on top of each other, in the order of the names, with "
        "the pool dashed, and below them the longest queue of each agent in each part of the time."
    )
    columns = ("allocator", "from_s", "agent", "share_gpu", "queue_calls")
    return (
        Figure(
            f"{family}-timeline",
            f"One episode: {names}",
            caption,
            f"{alt}.",
            drawings,
            columns,
            lines,
        ),
    )


def _binned(record: EpisodeRecord, interval_s: float) -> Any:
    share, queue = np.asarray(record.share, float), np.asarray(record.queue, float)
    return binned(share, queue, record.agents or (), interval_s)


def _notes(material: Material) -> tuple[str, ...]:
    notes = [
        "Intervals are Student's at 95 % over independent blocks of tapes, and indicative where "
        "these are fewer than 8; ± is half their width. They are not corrected for the number of "
        "comparisons.",
        "Little: mean time in the system, unfinished and rejected tasks included.",
    ]
    bounds = [summary["bound"] for summary in material.summaries.values() if summary["bound"]]
    if bounds:
        notes.append(bound_note(bounds))
    skipped = material.results.skipped.items()
    return (*notes, *(f"Skipped: {what}: {why}" for what, why in skipped))
