"""Figures with two axes: trade-offs, distributions, attainment against load, profiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .draw import LINE, Drawing, Frame, Style, labels
from .scales import LINEAR, LOG, Scale, short

Floats = NDArray[np.float64]

LEFT, RIGHT, TOP, HEIGHT = 36.0, 246.0, 26.0, 190.0
MOST_LINES = 8


@dataclass(frozen=True)
class Point:
    """An allocator between two objectives.

    Attributes:
        name: As it is written beside the mark.
        x: Along the horizontal axis.
        y: Along the vertical axis.
        style: How it looks.
        is_best: Whether it is on the front.
    """

    name: str
    x: float
    y: float
    style: Style
    is_best: bool


@dataclass(frozen=True)
class Curve:
    """A line of a figure.

    Attributes:
        name: As it is written beside it.
        xs: Values along the horizontal axis.
        ys: Values along the vertical axis.
        style: How it looks.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    style: Style


def scatter(
    points: Sequence[Point],
    x_label: str,
    y_label: str,
    alt: str,
    reference: tuple[float, float] | None = None,
    x_range: tuple[float, float] | None = None,
) -> str:
    """Return an SVG of points, those of the front joined by a staircase.

    Args:
        points: What is drawn, but for what is not known.
        x_label: Of the horizontal axis, on which less is better.
        y_label: Of the vertical axis, on which less is better where there is a reference.
        alt: What it shows, in a sentence.
        reference: Corner of the hypervolume.
        x_range: Ends of the horizontal axis; by default so that it holds the points.
    """
    points = [point for point in points if math.isfinite(point.x) and math.isfinite(point.y)]
    bottom = TOP + max(HEIGHT, LINE * len(points))
    drawing = Drawing(bottom + 2 * LINE + 8)
    x = Scale(*x_range, LEFT, RIGHT) if x_range else _axis([p.x for p in points], LEFT, RIGHT)
    y = _axis([p.y for p in points], bottom, TOP)
    Frame(drawing, x, y).axes(x_label, y_label)
    if reference:
        _corner(drawing, x, y, reference)
        front = sorted((p.x, p.y) for p in points if p.is_best)
        steps = [f"{x(front[0][0]):.1f} {y(front[0][1]):.1f}"] if front else []
        for (_, before), (across, down) in pairwise(front):
            steps += [f"{x(across):.1f} {y(before):.1f}", f"{x(across):.1f} {y(down):.1f}"]
        if len(steps) > 1:
            drawing.add("path", d="M" + "L".join(steps), class_="front")
    for point in points:
        title = f"{point.name}: {short(point.x)}, {short(point.y)}"
        at = x(point.x), y(point.y)
        if point.is_best:
            drawing.add("circle", cx=at[0], cy=at[1], r=8, class_="ring")
        drawing.marker(*at, point.style, title, 4.5)
    entries = [(y(p.y), p.name, p.style) for p in points]
    labels(drawing, RIGHT + 12, entries, (TOP, bottom), [x(p.x) for p in points])
    return drawing.svg(alt)


def _corner(drawing: Drawing, x: Scale, y: Scale, reference: tuple[float, float]) -> None:
    """Mark the rectangle that hypervolumes are parts of, as far as the axes hold it."""
    right, top = x(reference[0]), y(reference[1])
    box = {"x": x.start, "y": top, "width": right - x.start, "height": y.start - top}
    drawing.add("rect", "up to the reference point", class_="corner", **box)


def _axis(values: Sequence[float], start: float, end: float) -> Scale:
    """Return a scale that holds the values: by their logarithm where they differ tenfold."""
    known = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(known), max(known)
    if low > 0 and high / low >= 10:
        return Scale(low / 1.25, high * 1.25, start, end, LOG)
    margin = 0.08 * (high - low) or abs(high) * 0.1 or 1.0
    return Scale(low - margin, high + margin, start, end)


def lines(
    curves: Sequence[Curve],
    x_label: str,
    y_label: str,
    alt: str,
    *,
    x_kind: str = LINEAR,
    y_range: tuple[float, float] = (0.0, 1.0),
    order_x: float | None = None,
    is_marked: bool = False,
    with_markers: bool = False,
) -> str:
    """Return an SVG of lines, with their names at the right in the order of their height.

    Args:
        curves: At least one.
        x_label: Of the horizontal axis.
        y_label: Of the vertical axis.
        alt: What it shows, in a sentence.
        x_kind: Of the horizontal scale.
        y_range: Ends of the vertical axis.
        order_x: Where the order of names is taken; at the end without one.
        is_marked: Whether that is marked by a line.
        with_markers: Whether every value has its marker; without, every eighth of a line has.
    """
    drawing = Drawing(TOP + HEIGHT + 2 * LINE + 8)
    xs = [value for curve in curves for value in curve.xs]
    margin = 0.0 if x_kind == LOG or not with_markers else 0.05 * (max(xs) - min(xs))
    x = Scale(min(xs) - margin, max(xs) + margin, LEFT, RIGHT, x_kind)
    y = Scale(*y_range, TOP + HEIGHT, TOP)
    frame = Frame(drawing, x, y)
    frame.axes(x_label, y_label)
    if order_x is not None and is_marked:
        drawing.line(x(order_x), y.start, x(order_x), y.end, "tick dashed")
    entries = []
    for k, curve in enumerate(curves):
        frame.curve(curve.xs, curve.ys, curve.style, curve.name)
        for i in _marked(len(curve.xs), k, with_markers):
            value = f"{curve.name}: {short(curve.xs[i])}, {short(curve.ys[i])}"
            drawing.marker(x(curve.xs[i]), y(curve.ys[i]), curve.style, value, 3.5)
        end = len(curve.xs) - 1
        at = end if order_x is None else min(int(np.searchsorted(curve.xs, order_x)), end)
        entries.append((y(curve.ys[at]), curve.name, curve.style))
    labels(drawing, RIGHT + 12, entries, (TOP, TOP + HEIGHT))
    return drawing.svg(alt)


def _marked(n: int, k: int, every: bool) -> range:
    step = max(n // 8, 1)
    return range(n) if every else range(min((k * step) // 3 % step + step // 2, n - 1), n, step)


def drawn(names: Sequence[str], always: str) -> tuple[str, ...]:
    """Return those of whom lines are drawn: the first ones, and one that is always among them."""
    if len(names) <= MOST_LINES:
        return tuple(names)
    kept = set(names[: MOST_LINES - 1]) | ({always} & set(names))
    return tuple(name for name in names if name in kept)


def left_out(names: Sequence[str], kept: Sequence[str]) -> str:
    """Return a sentence on those of whom no line is drawn; empty where all are."""
    n = len(names) - len(kept)
    return f" The lines of {n} more are left out; their numbers are in the file." if n else ""
