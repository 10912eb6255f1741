"""Figures of what lies behind the means: latencies of tasks, wins on tapes, scores of blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..report import label
from ..statistics import block_means
from ..summary import REFERENCE
from ..tradeoffs import better_part, pooled_cdf, profile
from .gather import Material
from .matrix import square
from .model import Figure
from .plots import Curve, drawn, left_out, lines
from .scales import LOG

Floats = NDArray[np.float64]

LEAST_LATENCY_S = 1e-2  # where the axis of latencies begins at the earliest
N_TIMES = 121


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
