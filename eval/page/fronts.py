"""Figures of trade-offs: latency against cost, and against utilization."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..report import label, number
from ..summary import REFERENCE
from ..tradeoffs import alone_adds, hypervolume, pareto_front
from .draw import Style
from .gather import Material
from .model import Figure
from .plots import Point, scatter

Floats = NDArray[np.float64]

LATENCY, COST, UTILIZATION = "little_latency_s", "cost_usd", "utilization"


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
    return costs, worst(costs[[playing.index(REFERENCE)]] if REFERENCE in playing else costs)


def worst(costs: Floats) -> tuple[float, float]:
    """Return the largest cost and the largest latency that are known, of (points, 3)."""
    cost, latency, _ = np.nan_to_num(costs).max(axis=0)
    return float(cost), float(latency)


def pareto_figure(
    name: str,
    where: str,
    drawn_as: Sequence[tuple[str, Style]],
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
    area = reference[0] * reference[1] or math.nan  # capacity may be free
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
        f"{number(100 * share, 1)} % of the rectangle from zero to the reference point ({corner}: "
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
