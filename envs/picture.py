"""Pictures of an episode. Imports matplotlib, so it is itself imported only to draw.

Every picture is a Figure of its own on the Agg canvas: no pyplot, no window, no global state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .kernel.layout import AWAITING_MEMORY, COLD, LOADING, WARM
from .panels import (
    DPI,
    INK,
    Series,
    draw_queues,
    draw_shares,
    draw_status,
    draw_waits,
    make_series,
    printable,
    state_colour,
    style_axis,
)
from .timeline import Timeline

Floats = NDArray[np.float64]

SIZE = (9.6, 6.4)  # inches: 960 x 640 pixels


def episode_figure(
    timeline: Timeline, title: str, subtitle: str, span: tuple[float, float], peaks: Floats
) -> Figure:
    """Draw shares, queues, waits and lifecycles under each other, 960 x 640 pixels.

    Args:
        timeline: What to draw.
        title: First line.
        subtitle: Second line.
        span: Ends of the time axis [s].
        peaks: Largest values that the axes must hold, as `Timeline.peaks`.
    """
    figure = _figure(*SIZE)
    series = make_series(timeline)
    ratios = [3.0, 2.2, 2.2, 0.4 + 0.2 * len(series.names)]
    grid = figure.add_gridspec(
        4, 1, height_ratios=ratios, left=0.115, right=0.985, top=0.86, bottom=0.085, hspace=0.14
    )
    axes = [figure.add_subplot(grid[row, 0]) for row in range(4)]
    draw_shares(axes[0], series, peaks[2])
    draw_queues(axes[1], series, peaks[0])
    draw_waits(axes[2], series, peaks[1])
    draw_status(axes[3], series)
    for axis in axes:
        style_axis(axis, span, last=axis is axes[-1])
    _write_title(figure, title)
    figure.text(0.012, 0.928, subtitle, va="top", fontsize=9.5, color=INK, parse_math=False)
    _legend(figure, series, ncols=4)
    _status_legend(figure, series)
    return figure


def comparison_figure(
    timelines: Mapping[str, Timeline], subtitles: Sequence[str], title: str
) -> Figure:
    """Draw several runs side by side: shares, queues and lifecycles, on shared axes."""
    n = len(timelines)
    width = 1.2 + 3.6 * n
    rows = max(len(make_series(timeline).names) for timeline in timelines.values())
    figure = _figure(width, 4.8 + 0.15 * rows)
    grid = figure.add_gridspec(
        3,
        n,
        height_ratios=[3.0, 2.4, 0.05 + 0.22 * rows],
        left=1.1 / width,
        right=1.0 - 0.15 / width,
        top=0.8,
        bottom=0.11,
        hspace=0.12,
        wspace=0.06,
    )
    peaks = np.max([timeline.peaks for timeline in timelines.values()], axis=0)
    for column, (name, timeline) in enumerate(timelines.items()):
        series = make_series(timeline)
        axes = [figure.add_subplot(grid[row, column]) for row in range(3)]
        draw_shares(axes[0], series, peaks[2])
        draw_queues(axes[1], series, peaks[0])
        draw_status(axes[2], series)
        span = (float(timeline.edges[0]), float(timeline.edges[-1]))
        for axis in axes:
            style_axis(axis, span, last=axis is axes[-1])
            if column:
                axis.tick_params(labelleft=False)
                axis.set_ylabel("")
        _write_column_title(axes[0], name, subtitles[column])
        axes[2].xaxis.set_major_locator(MaxNLocator(6, prune=None if column == n - 1 else "upper"))
    _write_title(figure, title)
    _legend(figure, series, ncols=4 if n == 2 else 8)
    _status_legend(figure, series)
    return figure


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """Return a figure as an image, (H, W, 3) uint8."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    rgba = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    return rgba[..., :3].copy()


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    figure.set_layout_engine("none")  # whatever a user's own settings say
    FigureCanvasAgg(figure)
    return figure


def _status_legend(figure: Figure, series: Series) -> None:
    labels = {COLD: "cold", AWAITING_MEMORY: "awaiting memory", LOADING: "loading", WARM: "warm"}
    if series.timeline.scenario.pool_memory_mb is None:
        del labels[AWAITING_MEMORY]
    handles: list[Any] = [
        tuple(Patch(color=state_colour(colour, state)) for colour in series.colours[:3])
        for state in labels
    ]
    figure.legend(
        handles,
        list(labels.values()),
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0)},
        loc="lower right",
        bbox_to_anchor=(0.99, 0.002),
        ncols=len(labels),
        fontsize=8,
        frameon=False,
        borderpad=0,
        columnspacing=1.2,
    )


def _write_column_title(axis: Axes, name: str, subtitle: str) -> None:
    style: dict[str, Any] = {"transform": axis.transAxes, "color": INK, "parse_math": False}
    axis.text(0, 1.13, printable(name), fontsize=11, fontweight="bold", **style)
    axis.text(0, 1.03, subtitle, fontsize=8, **style)


def _write_title(figure: Figure, title: str) -> None:
    # Names are the user's and may hold a dollar: no text with names is parsed as mathematics.
    style: dict[str, Any] = {"va": "top", "fontsize": 13, "fontweight": "bold", "color": INK}
    figure.text(0.012, 0.975, printable(title), parse_math=False, **style)


def _legend(figure: Figure, series: Series, *, ncols: int) -> None:
    handles: list[Any] = [Patch(color=colour) for colour in series.colours]
    handles.append(Line2D([], [], color=INK, linewidth=1.2))
    handles.append(Line2D([], [], color=INK, linewidth=1.1, linestyle=(0, (3, 1.5))))
    labels = [*series.names, "the pool", "asked for"]
    legend = figure.legend(
        handles,
        labels,
        loc="upper right",
        bbox_to_anchor=(0.99, 0.99),
        ncols=ncols,
        fontsize=8.5,
        frameon=False,
        columnspacing=1.2,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
