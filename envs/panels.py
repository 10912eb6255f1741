"""The panels of an episode's picture, each drawn into axes that it is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from .kernel.layout import AWAITING_MEMORY, COLD, LOADING, WARM
from .timeline import Timeline

Floats = NDArray[np.float64]

# Okabe and Ito's palette, which colour-blind people tell apart; its yellow is too pale for lines.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
OTHERS = "#999999"
INK, FAINT = "#222222", "#dddddd"
# How much of an agent's colour its row shows in each state; the rest is white.
TINTS = {AWAITING_MEMORY: 0.25, LOADING: 0.5, WARM: 1.0}
COLD_GREY = "#ededed"
LINEAR_QUEUE = 10  # queues are drawn linearly up to here, and by their logarithm above
SHARE_LIMITS = (1.06, 1.5, 2.0, 3.0, 4.0)  # ends of the axis of shares, in pools
MAX_NAME = 14
DPI = 100
LABEL_INCHES = 0.5  # from an axis to its label


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


def make_series(timeline: Timeline) -> Series:
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
    name = printable(name)
    return name if len(name) <= MAX_NAME else name[: MAX_NAME - 1] + "…"


def printable(text: str) -> str:
    """Return a text with a question mark for every character that does not print."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _status_colours(timeline: Timeline, colours: Sequence[str]) -> Floats:
    lifecycle = timeline.lifecycle
    rows = np.empty((len(colours), len(lifecycle), 3))
    for i, colour in enumerate(colours):
        table = np.array([state_colour(colour, state) for state in range(WARM + 1)])
        rows[i] = table[lifecycle[:, i]]
    return rows


def state_colour(colour: str, state: int) -> tuple[float, float, float]:
    """Return the colour of an agent's row in a state of its lifecycle, as red, green and blue."""
    if state == COLD:
        return to_rgb(COLD_GREY)
    red, green, blue = (1.0 - TINTS[state] * (1.0 - part) for part in to_rgb(colour))
    return red, green, blue


def draw_shares(axis: Axes, series: Series, peak: float) -> None:
    """Draw shares on top of each other, the pool, and what is asked for, at most `peak` [GPU]."""
    timeline, gpus = series.timeline, series.timeline.scenario.gpus
    floor = np.zeros(len(timeline.share))
    for i, colour in enumerate(series.colours if len(floor) else ()):
        top = floor + timeline.share[:, i]
        axis.stairs(top, timeline.edges, baseline=floor, fill=True, color=colour, linewidth=0)
        floor = top
    if len(floor):
        axis.stairs(timeline.capacity, timeline.edges, baseline=None, color=INK, linewidth=1.2)
    else:
        axis.axhline(gpus, color=INK, linewidth=1.2)
    axis.plot(timeline.edges, timeline.asked, color="white", linewidth=3, alpha=0.6)
    axis.plot(timeline.edges, timeline.asked, color=INK, linewidth=1.1, linestyle=(0, (3, 1.5)))
    # The shares stay readable where far more is asked for than there is.
    limit = next((m for m in SHARE_LIMITS if peak <= m * gpus), SHARE_LIMITS[-1])
    axis.set_ylim(0, limit * gpus)
    axis.set_ylabel("share [GPU]")


def draw_queues(axis: Axes, series: Series, peak: float) -> None:
    """Draw calls waiting, on an axis that holds `peak` of them."""
    _draw_lines(axis, series, series.timeline.queue)
    axis.set_yscale("symlog", linthresh=LINEAR_QUEUE, linscale=1.0)
    decades = int(np.ceil(np.log10(max(peak, LINEAR_QUEUE)) - 1e-9))
    axis.set_yticks([0, *(10**d for d in range(1, decades + 1))])
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_ylim(0, _rounded_up(1.02 * max(peak, LINEAR_QUEUE)))
    axis.set_ylabel("queue [calls]")


def draw_waits(axis: Axes, series: Series, peak: float) -> None:
    """Draw the waits of the oldest calls, on an axis that holds `peak` [s], and L_ref."""
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


def draw_status(axis: Axes, series: Series) -> None:
    """Draw lifecycles, one row an agent."""
    n = len(series.names)
    edges = series.timeline.edges
    if len(edges) > 1:
        axis.pcolormesh(edges, np.arange(n + 1), series.rows, linewidth=0, antialiased=False)
    for line in range(1, n):
        axis.axhline(line, color="white", linewidth=2)
    axis.set_ylim(n, 0)
    axis.set_yticks(np.arange(n) + 0.5, labels=series.names, parse_math=False)


def style_axis(axis: Axes, span: tuple[float, float], *, last: bool) -> None:
    """Set the ends of the time axis [s], and the look that all panels share.

    Args:
        axis: The panel's axes.
        span: Ends of the time axis [s].
        last: Whether the panel is the lowest, the lifecycles, which carries the times.
    """
    axis.set_xlim(*span)
    axis.tick_params(labelbottom=last, labelsize=8, color=FAINT)
    axis.set_axisbelow(True)
    if not last:
        axis.grid(axis="x", color=FAINT, linewidth=0.6)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(FAINT)
    axis.yaxis.label.set_fontsize(9)
    inches = axis.get_window_extent().width / DPI
    axis.yaxis.set_label_coords(-LABEL_INCHES / inches, 0.5)  # in place, whatever the numbers
    if last:
        axis.set_xlabel("time [s]", fontsize=9)


def _rounded_up(value: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten, so that axes seldom change."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(m * power for m in (1, 2, 5, 10) if m * power >= value * (1 - 1e-12)))
