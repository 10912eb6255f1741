"""Pictures of an episode. Imports matplotlib, so it is itself imported only to draw.

Every picture is a Figure of its own on the Agg canvas: no pyplot, no window, no global state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from .kernel.layout import AWAITING_MEMORY, COLD, LOADING, WARM
from .timeline import Timeline

Floats = NDArray[np.float64]

DPI = 100
SIZE = (9.6, 6.4)  # inches: 960 x 640 pixels
# Okabe and Ito's palette, which colour-blind people tell apart; its yellow is too pale for lines.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
OTHERS = "#999999"
INK, FAINT = "#222222", "#dddddd"
# How much of an agent's colour its row shows in each state; the rest is white.
TINTS = {AWAITING_MEMORY: 0.18, LOADING: 0.45, WARM: 1.0}
COLD_GREY = "#ededed"
LINEAR_QUEUE = 10  # queues are drawn linearly up to here, and by their logarithm above
SHARE_LIMITS = (1.06, 1.5, 2.0, 3.0, 4.0)  # ends of the axis of shares, in pools
MAX_NAME = 14


@dataclass(frozen=True, eq=False)
class Series:
    """A timeline whose agents are few enough to have a colour each.

    Attributes:
        timeline: Of the agents drawn, the last of which may stand for all the others.
        names: Their labels.
        colours: Their colours.
        rows: Colours of the status strip, (agents, K, 3).
    """

    timeline: Timeline
    names: tuple[str, ...]
    colours: tuple[str, ...]
    rows: Floats


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
    series = _series(timeline)
    ratios = [3.0, 2.2, 2.2, 0.4 + 0.2 * len(series.names)]
    grid = figure.add_gridspec(
        4, 1, height_ratios=ratios, left=0.105, right=0.985, top=0.86, bottom=0.085, hspace=0.14
    )
    axes = [figure.add_subplot(grid[row, 0]) for row in range(4)]
    _draw_shares(axes[0], series, peaks[2])
    _draw_queues(axes[1], series, peaks[0])
    _draw_waits(axes[2], series, peaks[1])
    _draw_status(axes[3], series)
    for axis in axes:
        _time_axis(axis, span, labelled=axis is axes[-1])
    figure.text(0.012, 0.975, title, va="top", fontsize=13, fontweight="bold", color=INK)
    figure.text(0.012, 0.928, subtitle, va="top", fontsize=9.5, color=INK)
    _legend(figure, series, ncols=4)
    _status_legend(figure, series)
    return _finished(figure)


def comparison_figure(
    timelines: Mapping[str, Timeline], subtitles: Sequence[str], title: str
) -> Figure:
    """Draw several runs side by side: shares, queues and lifecycles, on shared axes."""
    n = len(timelines)
    width = 1.2 + 3.6 * n
    figure = _figure(width, 5.4)
    grid = figure.add_gridspec(
        3,
        n,
        height_ratios=[3.0, 2.4, 0.9],
        left=1.0 / width,
        right=1.0 - 0.15 / width,
        top=0.8,
        bottom=0.11,
        hspace=0.12,
        wspace=0.06,
    )
    peaks = np.max([timeline.peaks for timeline in timelines.values()], axis=0)
    for column, (name, timeline) in enumerate(timelines.items()):
        series = _series(timeline)
        axes = [figure.add_subplot(grid[row, column]) for row in range(3)]
        _draw_shares(axes[0], series, peaks[2])
        _draw_queues(axes[1], series, peaks[0])
        _draw_status(axes[2], series)
        span = (float(timeline.edges[0]), float(timeline.edges[-1]))
        for axis in axes:
            _time_axis(axis, span, labelled=axis is axes[-1])
            if column:
                axis.tick_params(labelleft=False)
                axis.set_ylabel("")
        axes[0].set_title(f"{name}\n", loc="left", fontsize=11, fontweight="bold", color=INK)
        axes[0].text(0, 1.03, subtitles[column], transform=axes[0].transAxes, fontsize=8.5)
        axes[2].xaxis.set_major_locator(MaxNLocator(6, prune=None if column == n - 1 else "upper"))
    figure.text(0.012, 0.975, title, va="top", fontsize=13, fontweight="bold", color=INK)
    _legend(figure, series, ncols=4 if n == 2 else 8)
    _status_legend(figure, series)
    return _finished(figure)


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """Return a figure as an image, (H, W, 3) uint8."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white", layout=None)
    FigureCanvasAgg(figure)
    return figure


def _finished(figure: Figure) -> Figure:
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # type: ignore[attr-defined]  # a name may hold a dollar
    return figure


def _series(timeline: Timeline) -> Series:
    """Give each agent a colour, and grey to what there are no colours for.

    Of those the shares are added up, and the largest queue and wait are drawn.
    """
    names = [_short(name) for name in timeline.scenario.agent_names]
    own = len(names) if len(names) <= len(COLOURS) else len(COLOURS)
    colours = list(COLOURS[:own])
    rows = _status_colours(timeline, [*colours, *[OTHERS] * (len(names) - own)])
    if own == len(names):
        return Series(timeline, tuple(names), tuple(colours), rows)
    merged = replace(
        timeline,
        share=_merge(timeline.share, own, np.sum),
        queue=_merge(timeline.queue, own, np.max),
        wait_s=_merge(timeline.wait_s, own, np.max),
    )
    rows = np.concatenate([rows[:own], rows[own:].mean(axis=0, keepdims=True)])
    return Series(merged, (*names[:own], f"{len(names) - own} others"), (*colours, OTHERS), rows)


def _merge(values: Floats, own: int, combine: Any) -> Floats:
    return np.column_stack([values[:, :own], combine(values[:, own:], axis=1)])


def _short(name: str) -> str:
    name = "".join(c if c.isprintable() else "?" for c in name)
    return name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"


def _status_colours(timeline: Timeline, colours: Sequence[str]) -> Floats:
    lifecycle = timeline.lifecycle
    rows = np.empty((len(colours), len(lifecycle), 3))
    for i, colour in enumerate(colours):
        table = np.array([_state_colour(colour, state) for state in range(WARM + 1)])
        rows[i] = table[lifecycle[:, i]]
    return rows


def _state_colour(colour: str, state: int) -> tuple[float, ...]:
    if state == COLD:
        return to_rgb(COLD_GREY)
    tint = TINTS[state]
    return tuple(1.0 - tint * (1.0 - part) for part in to_rgb(colour))


def _draw_shares(axis: Axes, series: Series, peak: float) -> None:
    timeline, gpus = series.timeline, series.timeline.scenario.gpus
    floor = np.zeros(len(timeline.share))
    for i, colour in enumerate(series.colours if len(floor) else ()):
        top = floor + timeline.share[:, i]
        axis.stairs(top, timeline.edges, baseline=floor, fill=True, color=colour, linewidth=0)
        floor = top
    axis.axhline(gpus, color=INK, linewidth=1.2)
    axis.plot(timeline.edges, timeline.asked, color=INK, linewidth=1.1, linestyle=(0, (3, 1.5)))
    # The shares stay readable where far more is asked for than there is.
    limit = next((m for m in SHARE_LIMITS if peak <= m * gpus), SHARE_LIMITS[-1])
    axis.set_ylim(0, limit * gpus)
    axis.set_ylabel("share [GPU]")


def _draw_queues(axis: Axes, series: Series, peak: float) -> None:
    _draw_lines(axis, series, series.timeline.queue)
    axis.set_yscale("symlog", linthresh=LINEAR_QUEUE, linscale=1.0)
    decades = int(np.ceil(np.log10(max(peak, LINEAR_QUEUE)) - 1e-9))
    axis.set_yticks([0, *(10**d for d in range(1, decades + 1))])
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_ylim(0, _rounded_up(1.02 * max(peak, LINEAR_QUEUE)))
    axis.set_ylabel("queue [calls]")


def _draw_waits(axis: Axes, series: Series, peak: float) -> None:
    _draw_lines(axis, series, series.timeline.wait_s)
    reference = series.timeline.scenario.reference_latency_s
    axis.axhline(reference, color=INK, linewidth=0.9, linestyle=(0, (1, 1.5)))
    at = (0.998, reference)
    axis.annotate(
        "reference latency",
        at,
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        xytext=(0, 2),
        ha="right",
        fontsize=7,
        color=INK,
        annotation_clip=True,
    )
    axis.set_ylim(0, _rounded_up(1.02 * max(peak, 0.1 * reference, 1e-9)))
    axis.set_ylabel("oldest wait [s]")


def _draw_lines(axis: Axes, series: Series, values: Floats) -> None:
    for i, colour in reversed(list(enumerate(series.colours))):
        axis.plot(series.timeline.edges, values[:, i], color=colour, linewidth=1.6)


def _draw_status(axis: Axes, series: Series) -> None:
    n = len(series.names)
    edges = series.timeline.edges
    if len(edges) > 1:
        axis.pcolormesh(edges, np.arange(n + 1), series.rows, linewidth=0, antialiased=False)
    for line in range(1, n):
        axis.axhline(line, color="white", linewidth=2)
    axis.set_ylim(n, 0)
    axis.set_yticks(np.arange(n) + 0.5, labels=series.names)


def _status_legend(figure: Figure, series: Series) -> None:
    labels = {COLD: "cold", AWAITING_MEMORY: "awaiting memory", LOADING: "loading", WARM: "warm"}
    if series.timeline.scenario.pool_memory_mb is None:
        del labels[AWAITING_MEMORY]
    handles = [
        tuple(Patch(color=_state_colour(colour, state)) for colour in series.colours[:3])
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


def _legend(figure: Figure, series: Series, *, ncols: int) -> None:
    handles: list[Any] = [Patch(color=colour) for colour in series.colours]
    handles.append(Line2D([], [], color=INK, linewidth=1.2))
    handles.append(Line2D([], [], color=INK, linewidth=1.1, linestyle=(0, (3, 1.5))))
    labels = [*series.names, "the pool", "asked for"]
    figure.legend(
        handles,
        labels,
        loc="upper right",
        bbox_to_anchor=(0.99, 0.99),
        ncols=ncols,
        fontsize=8.5,
        frameon=False,
        columnspacing=1.2,
    )


def _time_axis(axis: Axes, span: tuple[float, float], *, labelled: bool) -> None:
    axis.set_xlim(*span)
    axis.tick_params(labelbottom=labelled, labelsize=8, color=FAINT)
    axis.set_axisbelow(True)
    axis.grid(axis="x", color=FAINT, linewidth=0.6)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(FAINT)
    axis.yaxis.label.set_fontsize(9)
    if labelled:
        axis.set_xlabel("time [s]", fontsize=9)


def _rounded_up(value: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten, so that axes seldom change."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(m * power for m in (1, 2, 5, 10) if m * power >= value * (1 - 1e-12)))
