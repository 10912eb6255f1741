"""The figures of one family, each with its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..output import plain
from ..report import label
from ..statistics import block_means, t_interval
from ..summary import REFERENCE
from ..tradeoffs import (
    alone_adds,
    better_part,
    hypervolume,
    pareto_front,
    pooled_cdf,
    profile,
)
from .bars import Entry, interval_rows, stacked_rows
from .gather import Material
from .matrix import square
from .model import Figure
from .plots import Curve, Point, drawn, left_out, lines, scatter
from .scales import LOG

Floats = NDArray[np.float64]

BOUND = "bound"
ENDS = ("mean", "low", "high", "blocks")
TERMS = ("latency", "cost", "idle")
LATENCY, COST, UTILIZATION = "little_latency_s", "cost_usd", "utilization"
LEAST_LATENCY_S = 1e-2  # where the axis of latencies begins at the earliest
N_TIMES = 121


def family_figures(material: Material, family: str) -> Iterator[Figure]:
    """Yield the figures of a family, but for its time lines."""
    yield rewards(material, family)
    if REFERENCE in material.playing(family) and len(material.playing(family)) > 1:
        yield differences(material, family)
    if has_scores(material, family):
        yield scores(material, family)
    yield losses(material, family)
    yield pareto(material, family)
    yield utilization(material, family)
    yield latencies(material, family)
    if len(material.playing(family)) > 1:
        yield improvement(material, family)
    if has_scores(material, family):
        yield profiles(material, family)


def has_scores(material: Material, family: str) -> bool:
    """Whether there are bounds, and room between static and them."""
    bound = material.summaries[family]["bound"]
    return bool(bound) and bound["score"] is not None


def rewards(material: Material, family: str) -> Figure:
    """Return mean rewards with intervals, the bound above them."""
    entries, summary = [], material.summaries[family]
    for spec in material.playing(family):
        own = material.results.of(family, spec)
        found = t_interval(block_means([r["reward"] for r in own], [r["block"] for r in own]))
        style = material.style(spec)
        entries.append(Entry(label(spec), found.mean, found.low, found.high, style))
    if summary["bound"]:
        entries.insert(0, Entry(BOUND, summary["bound"]["reward"], None, None, None))
    alt = f"Mean reward of each allocator on {family}. {_ranking(entries)}"
    return Figure(
        f"{family}-reward",
        "Reward",
        "Mean reward per interval, less negative is better, with the 95 % interval over blocks. It "
        "holds the luck of the tapes, which all share: compare by the differences.",
        alt,
        (interval_rows(entries, "reward", alt),),
        ("allocator", *ENDS),
        _lines(entries, summary["blocks"]),
    )


def differences(material: Material, family: str) -> Figure:
    """Return paired differences to static with their intervals."""
    summary = material.summaries[family]
    entries = []
    for spec in material.playing(family):
        found = summary["allocators"][spec]["vs_static"]
        if found:
            ends = found["mean"], found["low"], found["high"]
            entries.append(Entry(label(spec), *ends, material.style(spec)))
    alt = f"Paired difference of reward to static on {family}. {_ranking(entries)}"
    return Figure(
        f"{family}-versus-static",
        "Difference to static",
        "Reward above static's on the same tapes, with the 95 % interval of the paired difference "
        "over blocks. An interval without 0 tells the two apart.",
        alt,
        (interval_rows(entries, "reward − static's", alt, at=(0.0,)),),
        ("allocator", *ENDS),
        _lines(entries, summary["blocks"]),
    )


def scores(material: Material, family: str) -> Figure:
    """Return scores, 0 at static and 1 at the bound, with intervals."""
    summary = material.summaries[family]
    entries = []
    for spec in material.playing(family):
        found = summary["allocators"][spec]
        ends = found["score"], found["score_low"], found["score_high"]
        entries.append(Entry(label(spec), *ends, material.style(spec)))
    alt = (
        f"Score of each allocator on {family}, 0 at static and 1 at the bound. {_ranking(entries)}"
    )
    return Figure(
        f"{family}-score",
        "Score to the bound",
        "Which part of the way from static (0) to the clairvoyant bound (1) each allocator goes, "
        "with its 95 % interval. The bound need not be reachable.",
        alt,
        (interval_rows(entries, "score", alt, at=(0.0, 1.0)),),
        ("allocator", *ENDS),
        _lines(entries, summary["blocks"]),
    )


def losses(material: Material, family: str) -> Figure:
    """Return what the reward is lost on, by allocator."""
    summary = material.summaries[family]
    entries = [(label(s), summary["allocators"][s]) for s in material.playing(family)]
    if summary["bound"]:
        entries.insert(0, (BOUND, summary["bound"]))
    rows = [
        (name, {t: summary["weights"][t] * entry[f"{t}_term"] for t in TERMS})
        for name, entry in entries
    ]
    alt = f"Weighted latency, cost and idle terms of each allocator on {family}; shorter is better."
    return Figure(
        f"{family}-losses",
        "What is lost on latency, cost and idle time",
        "The reward's three terms, each with its weight: their sum is minus the reward. ▸ marks a "
        "bar that is longer than the axis.",
        alt,
        (stacked_rows(rows, "weighted terms, per interval", alt),),
        ("allocator", *TERMS),
        [(name, *values.values()) for name, values in rows],
    )


def pareto(material: Material, family: str) -> Figure:
    """Return latency against cost, with the front and what each adds to its hypervolume."""
    costs, reference = trade_offs(material, family)
    return pareto_figure(
        f"{family}-pareto",
        f"on {family}",
        [(label(s), material.style(s)) for s in material.playing(family)],
        costs,
        reference,
        REFERENCE if REFERENCE in material.playing(family) else "the worst of each",
    )


def trade_offs(material: Material, family: str) -> tuple[Floats, tuple[float, float]]:
    """Return cost [$], latency [s] and −utilization, (allocators, 3), and the reference point."""
    entries = material.summaries[family]["allocators"]
    playing = material.playing(family)
    costs = np.array(
        [[entries[s][COST], entries[s][LATENCY], -entries[s][UTILIZATION]] for s in playing]
    )
    worst = np.nanmax(costs[:, :2], axis=0)
    corner = costs[playing.index(REFERENCE), :2] if REFERENCE in playing else worst
    return costs, (float(corner[0]), float(corner[1]))


def pareto_figure(
    name: str,
    where: str,
    drawn_as: Sequence[tuple[str, Any]],
    costs: Floats,
    reference: tuple[float, float],
    corner: str,
) -> Figure:
    """Return latency against cost of what is given.

    Args:
        name: Of the figure.
        where: Ends the sentence of what it shows.
        drawn_as: Name and style of each point.
        costs: Cost [$], latency [s] and −utilization, (points, 3).
        reference: Cost and latency of the reference point.
        corner: Whose these are.
    """
    both, three = pareto_front(costs[:, :2]), pareto_front(costs)
    area = reference[0] * reference[1]
    share = hypervolume(costs[:, :2], reference) / area
    adds = alone_adds(costs[:, :2], reference) / area
    points = [
        Point(text, row[0], row[1], style, bool(best))
        for (text, style), row, best in zip(drawn_as, costs, both, strict=True)
    ]
    best = ", ".join(point.name for point in points if point.is_best)
    alt = f"Cost against mean latency {where}. On the front: {best}."
    return Figure(
        name,
        "Latency against cost",
        "Lower left is better. Ringed: the Pareto front, whom nobody beats in both. It dominates "
        f"{100 * share:.1f} % of the rectangle from zero to the reference point ({corner}: "
        f"{reference[0]:.3g} $, {reference[1]:.3g} s), shaded as far as the axes hold it. Latency "
        "is Little's, with unfinished tasks in it.",
        alt,
        (scatter(points, "cost [$ per episode]", "latency [s]", alt, reference),),
        ("allocator", "cost_usd", "latency_s", "utilization", "on_front",
         "on_front_with_utilization", "hypervolume", "hypervolume_alone_adds"),
        [
            (point.name, *row[:2], -row[2], int(a), int(b), share, add)
            for point, row, a, b, add in zip(points, costs, both, three, adds, strict=True)
        ],
    )  # fmt: skip


def utilization(material: Material, family: str) -> Figure:
    """Return latency against utilization."""
    costs, _ = trade_offs(material, family)
    front = pareto_front(costs[:, 1:])
    points = [
        Point(label(spec), -row[2], row[1], material.style(spec), bool(best))
        for spec, row, best in zip(material.playing(family), costs, front, strict=True)
        if not np.isnan(row).any()
    ]
    best = ", ".join(point.name for point in points if point.is_best)
    alt = f"Utilization against mean latency on {family}. On the front: {best}."
    return Figure(
        f"{family}-utilization",
        "Latency against utilization",
        "Lower right is better: busy GPU-seconds over billed ones, against Little's latency. "
        "Ringed: whom nobody beats in both.",
        alt,
        (scatter(points, "utilization", "latency [s]", alt, x_range=(0.0, 1.0)),),
        ("allocator", "utilization", "latency_s", "on_front"),
        [(p.name, p.x, p.y, int(p.is_best)) for p in points],
    )


def latencies(material: Material, family: str) -> Figure:
    """Return the distribution of tasks' latency, pooled over episodes."""
    part, playing = material.part(family), material.playing(family)
    records = {spec: _records(material, family, spec) for spec in playing}
    reference_s = float(part["scenario"]["reference_latency_s"])
    at_s = _times([quantiles for quantiles, _, _ in records.values()], reference_s)
    curves = [
        Curve(label(s), list(at_s), list(pooled_cdf(*records[s], at_s)), material.style(s))
        for s in playing
    ]
    kept = drawn(playing, REFERENCE)
    shown = [curve for curve, spec in zip(curves, playing, strict=True) if spec in kept]
    alt = (
        f"Part of the tasks on {family} that completed within a time, by allocator; names from the "
        f"highest to the lowest at the reference latency of {reference_s:g} s."
    )
    return Figure(
        f"{family}-latency",
        "Distribution of latency",
        "Part of all tasks opened that completed within a time: higher is better, and a curve ends "
        f"below 1 where tasks were left. Dashed: the reference latency, {reference_s:g} s, where "
        f"the height is the SLO attainment.{left_out(playing, kept)}",
        alt,
        (
            lines(
                shown,
                "latency [s]",
                "part of tasks",
                alt,
                x_kind=LOG,
                order_x=reference_s,
                is_marked=True,
            ),
        ),
        ("latency_s", *(curve.name for curve in curves)),
        [(x, *values) for x, *values in zip(at_s, *(c.ys for c in curves), strict=True)],
    )


def _times(quantiles: Sequence[Floats], reference_s: float) -> Floats:
    """Return times from the quickest tenth to the slowest task, the reference among them, [s]."""
    known = [rows[np.isfinite(rows).all(axis=1)] for rows in quantiles]
    low = min((rows[:, 10].min() for rows in known if len(rows)), default=reference_s)
    high = max((rows.max() for rows in known if len(rows)), default=reference_s)
    low, high = min(low, reference_s / 10), max(high, 2 * reference_s)
    return np.geomspace(max(low, LEAST_LATENCY_S), max(high, 2 * LEAST_LATENCY_S), N_TIMES)


def _records(material: Material, family: str, spec: str) -> tuple[Floats, Floats, Floats]:
    """Return quantiles, and tasks completed and opened, of an allocator's episodes."""
    rows = material.results.of(family, spec)
    found = [material.results.episode(family, i, spec).latency_s for i in range(len(rows))]
    completed = np.array([row["completed"] for row in rows])
    left = np.array([row["open"] + row["rejected"] for row in rows])
    return np.array(found), completed, completed + left


def improvement(material: Material, family: str) -> Figure:
    """Return the probability that one is better than another, for each pair."""
    playing = material.playing(family)
    rows = {spec: material.results.of(family, spec) for spec in playing}
    values = {spec: [row["reward"] for row in rows[spec]] for spec in playing}
    blocks = [row["block"] for row in rows[playing[0]]]
    parts = [[better_part(values[a], values[b], blocks) for b in playing] for a in playing]
    names = [label(spec) for spec in playing]
    alt = f"Probability on {family} that a row's allocator beats a column's. Best: {names[0]}."
    return Figure(
        f"{family}-improvement",
        "Probability of improvement",
        "On how many percent of the tapes the row has a higher reward than the column, ties half, "
        "in the mean over blocks. Blue: the row is better; orange: the column is.",
        alt,
        (square(names, parts, alt),),
        ("allocator", *names),
        [(name, *values) for name, values in zip(names, parts, strict=True)],
    )


def profiles(material: Material, family: str) -> Figure:
    """Return on which part of the blocks each has a score above a threshold."""
    playing = material.playing(family)
    found = {spec: block_scores(material.results.of(family, spec)) for spec in playing}
    thresholds = np.linspace(-0.5, 1.0, 61)
    curves = [
        Curve(label(s), list(thresholds), list(profile(found[s], thresholds)), material.style(s))
        for s in playing
    ]
    kept = drawn(playing, REFERENCE)
    shown = [curve for curve, spec in zip(curves, playing, strict=True) if spec in kept]
    alt = f"Part of the blocks of {family} on which each allocator's score is above a threshold."
    return Figure(
        f"{family}-profile",
        "Performance profile",
        "On which part of the blocks the score is above a threshold: further to the upper right is "
        f"better.{left_out(playing, kept)}",
        alt,
        (lines(shown, "score", "part of blocks", alt, order_x=0.5),),
        ("score", *(curve.name for curve in curves)),
        [(x, *values) for x, *values in zip(thresholds, *(c.ys for c in curves), strict=True)],
    )


def block_scores(rows: Sequence[Mapping[str, Any]]) -> Floats:
    """Return mean gain over mean room of each block with room between static and the bound."""
    blocks = [row["block"] for row in rows]
    gains = block_means([row["reward"] - row["static.reward"] for row in rows], blocks)
    rooms = block_means([row["bound.reward"] - row["static.reward"] for row in rows], blocks)
    return np.asarray(gains[rooms > 0] / rooms[rooms > 0])


def _ranking(entries: Sequence[Entry]) -> str:
    return "From the best: " + "; ".join(f"{e.name} {e.text}" for e in entries) + "."


def _lines(entries: Sequence[Entry], n_blocks: int) -> list[tuple[Any, ...]]:
    return [(e.name, e.mean, plain(e.low), plain(e.high), n_blocks) for e in entries]
