"""A user's arrivals over time as a PNG. Imports matplotlib: it is itself imported only to draw."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..envs.panels import COLOURS, DPI, FAINT, INK, OTHERS, printable, style_axis
from ..envs.traces.registry import SPLITS

SIZE = (9.6, 4.8)  # inches: 960 x 480 pixels
BINS = 240
MAX_NAME = 14


def draw(
    shape: NDArray[np.int64],
    names: Sequence[str],
    *,
    span_s: float,
    splits: Sequence[tuple[float, float]],
    title: str,
    subtitle: str,
) -> bytes:
    """Return a PNG: rates on top of each other, the splits, and a row of intensities per agent.

    Args:
        shape: Calls of each agent in equal parts of the span, shape (agents, bins).
        names: Of the agents.
        span_s: Length of the span [s].
        splits: Windows of training, validation and held-out [s].
        title: First line.
        subtitle: Second line.
    """
    shape, names, colours = _merged(shape, names)
    edges = np.linspace(0.0, span_s, shape.shape[1] + 1)
    figure = Figure(figsize=SIZE, dpi=DPI, facecolor="white")
    figure.set_layout_engine("none")  # whatever a user's own settings say
    FigureCanvasAgg(figure)
    ratios = [3.0, 0.35 + 0.2 * len(names)]
    grid = figure.add_gridspec(
        2, 1, height_ratios=ratios, left=0.115, right=0.985, top=0.79, bottom=0.11, hspace=0.1
    )
    rates, rows = (figure.add_subplot(grid[row, 0]) for row in range(2))
    _draw_rates(rates, shape / np.diff(edges), edges, colours)
    _draw_rows(rows, shape, edges, names, colours)
    for axis in (rates, rows):
        style_axis(axis, (0.0, span_s), last=axis is rows)
    _draw_splits(rates, splits, span_s)
    style: dict[str, Any] = {"va": "top", "color": INK, "parse_math": False}
    figure.text(0.012, 0.97, printable(title), fontsize=13, fontweight="bold", **style)
    figure.text(0.012, 0.905, printable(subtitle), fontsize=9.5, **style)
    legend = figure.legend(
        [Patch(color=colour) for colour in colours],
        names,
        loc="upper right",
        bbox_to_anchor=(0.99, 0.99),
        ncols=4,
        fontsize=8.5,
        frameon=False,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()


def _merged(
    shape: NDArray[np.int64], names: Sequence[str]
) -> tuple[NDArray[np.int64], list[str], list[str]]:
    """Give each agent a colour, the busiest ones first, and grey to what there are none for."""
    order = np.argsort(-shape.sum(axis=1), kind="stable")
    own = order if len(names) <= len(COLOURS) else order[: len(COLOURS)]
    labels = [_short(names[i]) for i in own]
    colours = list(COLOURS[: len(own)])
    rows = shape[own]
    if len(own) < len(names):
        rest = shape.sum(axis=0) - rows.sum(axis=0)
        rows = np.concatenate([rows, rest[None]])
        labels.append(f"{len(names) - len(own)} others")
        colours.append(OTHERS)
    return rows, labels, colours


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"


def _draw_rates(
    axis: Axes, rates: NDArray[np.float64], edges: NDArray[np.float64], colours: Sequence[str]
) -> None:
    floor = np.zeros(rates.shape[1])
    for row, colour in zip(rates, colours, strict=True):
        axis.stairs(floor + row, edges, baseline=floor, fill=True, color=colour, linewidth=0)
        floor = floor + row
    axis.set_ylim(0, 1.06 * float(floor.max()))
    axis.set_ylabel("calls/s")


def _draw_rows(
    axis: Axes,
    shape: NDArray[np.int64],
    edges: NDArray[np.float64],
    names: Sequence[str],
    colours: Sequence[str],
) -> None:
    """Draw each agent's own intensity: white is silence, its colour the busiest bin."""
    image = np.empty((*shape.shape, 3))
    for i, (row, colour) in enumerate(zip(shape, colours, strict=True)):
        tones = LinearSegmentedColormap.from_list("", ["#f4f4f4", colour])
        image[i] = tones(np.sqrt(row / max(int(row.max()), 1)))[:, :3]
        image[i][row == 0] = 1.0
    axis.pcolormesh(edges, np.arange(len(names) + 1), image, linewidth=0, antialiased=False)
    for line in range(1, len(names)):
        axis.axhline(line, color="white", linewidth=2)
    axis.set_ylim(len(names), 0)
    axis.set_yticks(np.arange(len(names)) + 0.5, labels=names, parse_math=False)


def _draw_splits(axis: Axes, splits: Sequence[tuple[float, float]], span_s: float) -> None:
    for name, (start, end) in zip(SPLITS, splits, strict=True):
        if start > 0:
            axis.axvline(start, color=INK, linewidth=0.9, linestyle=(0, (3, 1.5)))
        middle = (start + min(end, span_s)) / 2
        axis.annotate(
            name,
            (middle, 1.0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            xytext=(0, 4),
            ha="center",
            fontsize=8,
            color=INK,
        )
    if splits[-1][1] < span_s:
        axis.axvspan(splits[-1][1], span_s, color=FAINT, alpha=0.5, linewidth=0)
