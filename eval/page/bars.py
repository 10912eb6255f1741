"""Figures with a row for each allocator: intervals, and bars that are sums of parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .draw import LINE, WIDTH, Drawing, Style, shorten
from .scales import Scale, short

LEFT, RIGHT, TOP, ROW = 112.0, 258.0, 22.0, 21.0
BOUND_STYLE = Style(0)


@dataclass(frozen=True)
class Entry:
    """A row: a mean with its interval.

    Attributes:
        name: Of the allocator, or of the bound.
        mean: Its mark.
        low: Lower end; None where there is no interval.
        high: Upper end, likewise.
        style: How it looks; None for what is no allocator.
    """

    name: str
    mean: float
    low: float | None
    high: float | None
    style: Style | None

    @property
    def text(self) -> str:
        """The numbers, as they stand beside the row."""
        mean = f"{self.mean:.3f}".replace("-", "−")
        if self.low is None or self.high is None or self.low == self.high:
            return mean
        return f"{mean} ± {(self.high - self.low) / 2:.3f}"


def interval_rows(entries: Sequence[Entry], label: str, alt: str, at: Sequence[float] = ()) -> str:
    """Return an SVG of means with intervals under each other.

    Args:
        entries: In the order in which they are drawn.
        label: Of the axis.
        alt: What it shows, in a sentence.
        at: Values that the axis must hold, and that are marked.
    """
    low, high = _limits(entries, at)
    drawing = Drawing(TOP + ROW * len(entries) + LINE + 8)
    x = Scale(low, high, LEFT, RIGHT)
    _axis(drawing, x, len(entries), label)
    for value in at:
        drawing.line(x(value), TOP, x(value), TOP + ROW * len(entries), "axis")
    for i, entry in enumerate(entries):
        y = TOP + ROW * (i + 0.5)
        style = entry.style or BOUND_STYLE
        drawing.text(4, y + 3.5, shorten(entry.name, 16), title=entry.name)
        kind = style.colour if entry.style else "ink"
        if entry.low is not None and entry.high is not None and entry.mean >= low:
            drawing.line(x(entry.low), y, x(entry.high), y, f"interval {kind}")
        if entry.mean < low:
            drawing.add("path", d=f"M{x(low):.1f} {y:.1f}l7 -4v8z", class_=f"mark {kind}")
            drawing.text(x(low) + 10, y + 3.5, "beyond the axis", "soft halo")
        elif entry.style:
            drawing.marker(x(entry.mean), y, style, f"{entry.name}: {entry.text}", 4.5)
        else:
            drawing.line(x(entry.mean), y - 6, x(entry.mean), y + 6, "tick")
        drawing.text(WIDTH - 2, y + 3.5, entry.text, "end")
    return drawing.svg(alt)


def stacked_rows(rows: Sequence[tuple[str, Mapping[str, float]]], label: str, alt: str) -> str:
    """Return an SVG of bars, each the sum of the same parts; lengths beyond the axis are cut."""
    parts = list(rows[0][1])
    sums = [sum(values.values()) for _, values in rows]
    middle = sorted(sums)[len(sums) // 2]
    high = max(min(max(sums), 3 * middle), 1e-9)
    drawing = Drawing(TOP + ROW * (len(rows) + 1) + 2 * LINE + 8)
    x = Scale(0.0, high, LEFT, RIGHT + 40)
    _axis(drawing, x, len(rows), label)
    for i, (name, values) in enumerate(rows):
        y, start = TOP + ROW * i + 3, 0.0
        drawing.text(4, y + 11, shorten(name, 16), title=name)
        for k, part in enumerate(parts):
            end = start + values[part]
            width = x(end) - x(start)
            title = f"{name}, {part}: {values[part]:.3f}"
            box = {"x": x(start), "y": y, "width": max(width, 0.0), "height": ROW - 6}
            drawing.add("rect", title, class_=f"part k{k} p{k}", **box)
            start = end
        cut = " ▸" if start > high * 1.0001 else ""
        drawing.text(WIDTH - 2, y + 11, f"{start:.3f}{cut}", "end")
    _part_legend(drawing, parts, TOP + ROW * len(rows) + 2 * LINE + 8)
    return drawing.svg(alt)


def _part_legend(drawing: Drawing, parts: Sequence[str], y: float) -> None:
    for k, part in enumerate(parts):
        x = LEFT + 74 * k
        drawing.add("rect", x=x, y=y, width=11, height=11, class_=f"part k{k} p{k}")
        drawing.text(x + 15, y + 9.5, part)


def _axis(drawing: Drawing, x: Scale, n: int, label: str) -> None:
    y = Scale(0.0, 1.0, TOP + ROW * n, TOP)
    for value in x.ticks(4):
        drawing.line(x(value), y.start, x(value), y.end)
        drawing.text(x(value), y.start + LINE, short(value), "soft middle")
    drawing.text(4, TOP - 9, label)


def _limits(entries: Sequence[Entry], at: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the axis; those far below the better half are beyond it."""
    means = sorted((e.mean for e in entries if not math.isnan(e.mean)), reverse=True)
    best, middle = means[0], means[len(means) // 2]
    floor = best - 4 * (best - middle) if best > middle else -math.inf
    inside = [e for e in entries if e.mean >= floor]
    lows = [e.mean if e.low is None else max(e.low, floor) for e in inside]
    highs = [e.mean if e.high is None else e.high for e in inside]
    low, high = min([*lows, *at]), max([*highs, *at])
    margin = 0.04 * (high - low) or abs(high) * 0.1 or 1.0
    return low - margin, high + margin
