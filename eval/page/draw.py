"""SVG by hand: coloured by classes alone, so that one style sheet makes it light or dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from .scales import Scale, short, spread

WIDTH = 360.0  # of a phone: drawings are read at this size, or larger
LINE = 13.0  # from one line of text to the next
N_COLOURS = 7
DASHES = ("", "7 3", "2 2", "9 3 2 3", "4 4")
# Of radius 1 around the origin.
MARKERS = (
    "M-1 0a1 1 0 1 0 2 0a1 1 0 1 0-2 0z",
    "M-.9-.9H.9V.9H-.9z",
    "M0-1.3L1.3 0L0 1.3L-1.3 0z",
    "M0-1.2L1.15.9H-1.15z",
    "M0 1.2L1.15-.9H-1.15z",
    "M-.35-1.2H.35V-.35H1.2V.35H.35V1.2H-.35V.35H-1.2V-.35H-.35z",
    "M-1.3-.8H1.3V.8H-1.3z",
)


@dataclass(frozen=True)
class Style:
    """How one allocator looks in every figure: colour, marker and dashes all tell it apart."""

    index: int

    @property
    def colour(self) -> str:
        """Class of the style sheet."""
        return f"k{self.index % N_COLOURS}"

    @property
    def marker(self) -> int:
        """Place in MARKERS; other than its colour's after the first round of colours."""
        return (self.index + self.index // N_COLOURS) % len(MARKERS)

    @property
    def dashes(self) -> str:
        """Lengths of dashes and gaps; empty for a whole line."""
        return DASHES[(self.index + self.index // N_COLOURS) % len(DASHES)]


class Drawing:
    """An SVG in the making.

    Args:
        height: In its own units.
        width: A phone's by default.
    """

    def __init__(self, height: float, width: float = WIDTH) -> None:
        self.width, self.height = width, height
        self._parts: list[str] = []

    def add(self, tag: str, title: str = "", **attributes: Any) -> None:
        """Add an element; a title shows when it is pointed at."""
        inside = f"<title>{printable(title)}</title>" if title else ""
        self._parts.append(f"<{tag}{_written(attributes)}>{inside}</{tag}>")

    def text(
        self, x: float, y: float, text: str, kind: str = "", title: str = "", **more: Any
    ) -> None:
        """Add a line of text; `kind` is a class: soft, end, middle, strong."""
        inside = f"<title>{printable(title)}</title>" if title and title != text else ""
        attributes = _written({"x": x, "y": y, "class": kind or None, **more})
        self._parts.append(f"<text{attributes}>{inside}{printable(text)}</text>")

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> None:
        """Add a straight line."""
        self.add("path", d=f"M{_n(x1)} {_n(y1)}L{_n(x2)} {_n(y2)}", class_=kind)

    def curve(self, points: Iterable[tuple[float, float]], style: Style, title: str) -> None:
        """Add a line through points, in a style."""
        self.path("M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points), style, title)

    def path(self, d: str, style: Style, title: str) -> None:
        """Add a line along a path, in a style."""
        dashes = style.dashes or None
        self.add("path", title, d=d, class_=f"curve {style.colour}", stroke_dasharray=dashes)

    def marker(self, x: float, y: float, style: Style, title: str = "", size: float = 4.0) -> None:
        """Add a style's marker."""
        place = f"translate({_n(x)} {_n(y)}) scale({_n(size)})"
        self.add(
            "path", title, d=MARKERS[style.marker], class_=f"mark {style.colour}", transform=place
        )

    def svg(self, label: str) -> str:
        """Return the SVG; the label says what it shows."""
        box = f"0 0 {_n(self.width)} {_n(self.height)}"
        # What is wider than a phone is not made smaller there: it scrolls in its place.
        least = f' style="min-width:{_n(self.width)}px"' if self.width > WIDTH else ""
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" role="img"{least}'
        return f'{head} aria-label="{printable(label)}">{"".join(self._parts)}</svg>'


@dataclass(frozen=True)
class Frame:
    """A pair of axes on a drawing."""

    drawing: Drawing
    x: Scale
    y: Scale

    def axes(self, x_label: str, y_label: str, *, x_ticks: int = 5, numbers: bool = True) -> None:
        """Draw grid, ticks and labels; the y axis' label stands above it."""
        left, right, bottom, top = self.x.start, self.x.end, self.y.start, self.y.end
        for value in self.x.ticks(x_ticks):
            at = self.x(value)
            self.drawing.line(at, bottom, at, top)
            if numbers:
                self.drawing.text(at, bottom + LINE + 1, short(value), "soft middle")
        for value in self.y.ticks(6):
            at = self.y(value)
            self.drawing.line(left, at, right, at)
            self.drawing.text(left - 4, at + 3.5, short(value), "soft end")
        self.drawing.line(left, bottom, right, bottom, "axis")
        if numbers:
            self.drawing.text((left + right) / 2, bottom + 2 * LINE + 2, x_label, "middle")
        self.drawing.text(2, top - 8, y_label)

    def curve(self, xs: Sequence[float], ys: Sequence[float], style: Style, title: str) -> None:
        """Draw a line through values."""
        self.drawing.curve(
            [(self.x(x), self.y(y)) for x, y in zip(xs, ys, strict=True)], style, title
        )


def labels(
    drawing: Drawing,
    x: float,
    entries: Sequence[tuple[float, str, Style]],
    ends: tuple[float, float],
    source: Sequence[float] | None = None,
) -> None:
    """Write names beside a plot, each with its marker, at its height or as near as there is space.

    Args:
        drawing: What to write on.
        x: Where the names begin.
        entries: Height, name and style of each.
        ends: Least and greatest height.
        source: Where a thin line to each name begins; none where there is no line.
    """
    places = spread([y for y, _, _ in entries], LINE, *ends)
    for i, ((y, name, style), at) in enumerate(zip(entries, places, strict=True)):
        if source is not None:
            drawing.line(source[i] + 5, y, x - 2, at, "leader")
        drawing.marker(x + 4, at, style, size=3.5)
        drawing.text(x + 11, at + 3.5, shorten(name, 13), title=name)


def shorten(name: str, most: int) -> str:
    """Return a name with its middle left out where it is too long: ends tell names apart."""
    if len(name) <= most:
        return name
    return f"{name[: most // 2]}…{name[-(most - most // 2 - 1) :]}"


def printable(text: str) -> str:
    """Return a text escaped, with a question mark for every character that does not print."""
    return escape("".join(c if c.isprintable() else "?" for c in text))


def _written(attributes: dict[str, Any]) -> str:
    known = ((key.rstrip("_"), value) for key, value in attributes.items() if value is not None)
    return "".join(f' {key.replace("_", "-")}="{_value(value)}"' for key, value in known)


def _value(value: str | float) -> str:
    return printable(value) if isinstance(value, str) else _n(value)


def _n(value: float) -> str:
    """Return a number with one digit behind the point, where it needs it."""
    return f"{value:.1f}".removesuffix(".0")
