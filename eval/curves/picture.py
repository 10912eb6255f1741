"""The picture of an episode that was played: shares and queues over time, off its series."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...envs.errors import ConfigError
from ..picture_cmd import png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..results import EpisodeRecord

Floats = NDArray[Any]

PIXELS = (960, 440)
PLACE = {"left": 0.095, "right": 0.985, "top": 0.82, "bottom": 0.11, "hspace": 0.16}


def draw(record: EpisodeRecord, scenario: Mapping[str, Any], title: str) -> bytes:
    """Return a PNG of `PIXELS`: shares on top of each other, queues, and what is loaded.

    Agents that there are no colours for are one: the sum of their shares, the longest of their
    queues, and the part of them that is loaded.

    Args:
        record: Of K decisions and N agents.
        scenario: As the run's manifest describes it.
        title: What is seen.

    Raises:
        ConfigError: The record has no series.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from ...envs.panels import COLOURS, DPI, OTHERS, style_axis

    if record.share is None or record.queue is None or record.warm is None:
        raise ConfigError("a picture needs series, and none were kept: run with --series first")
    n, own = record.share.shape[1], len(COLOURS)
    colours = COLOURS[:n] if n <= own else (*COLOURS, OTHERS)
    figure = Figure(figsize=(PIXELS[0] / DPI, PIXELS[1] / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    ratios = (3.0, 2.2, 0.4 + 0.15 * len(colours))
    axes = figure.subplots(3, height_ratios=ratios, gridspec_kw=PLACE)
    edges = _edges(len(record.share), scenario)
    _draw_shares(axes[0], edges, _few(record.share, own, np.sum), colours, scenario["gpus"])
    _draw_queues(axes[1], edges, _few(record.queue, own, np.max), colours)
    names = _names(record.agents or (), own)
    _draw_loaded(axes[2], edges, _few(record.warm, own, np.mean), colours, names)
    for axis in axes:
        style_axis(axis, (edges[0], edges[-1]), last=axis is axes[-1])
    _write(figure, title, colours, names)
    return png(figure)


def _edges(k: int, scenario: Mapping[str, Any]) -> Floats:
    """Return starts and ends of the decision intervals, (K + 1,) [s]."""
    ends: Floats = np.minimum(np.arange(k + 1) * scenario["interval_s"], scenario["horizon_s"])
    return ends


def _few(values: Floats, own: int, combine: Callable[..., Any]) -> Floats:
    if values.shape[1] <= own:
        return values
    return np.column_stack([values[:, :own], combine(values[:, own:], axis=1)])


def _names(agents: tuple[str, ...], own: int) -> list[str]:
    from ...envs.panels import printable

    names = [printable(name) for name in agents]
    return names if len(names) <= own else [*names[:own], f"{len(names) - own} others"]


def _draw_shares(
    axis: Axes, edges: Floats, shares: Floats, colours: tuple[str, ...], gpus: float
) -> None:
    from ...envs.panels import INK

    floor = np.zeros(len(shares))
    for share, colour in zip(shares.T, colours, strict=True):
        top = floor + share
        axis.stairs(top, edges, baseline=floor, fill=True, color=colour, linewidth=0)
        floor = top
    axis.axhline(gpus, color=INK, linewidth=1.2)
    axis.set_ylim(0, 1.06 * gpus)
    axis.set_ylabel("share [GPU]")


def _draw_queues(axis: Axes, edges: Floats, queues: Floats, colours: tuple[str, ...]) -> None:
    for queue, colour in reversed(list(zip(queues.T, colours, strict=True))):
        axis.plot(edges[1:], queue, color=colour, linewidth=1.4)
    axis.set_ylim(0, 1.05 * max(1.0, float(queues.max())))
    axis.set_ylabel("queue [calls]")


def _draw_loaded(
    axis: Axes, edges: Floats, loaded: Floats, colours: tuple[str, ...], names: list[str]
) -> None:
    from matplotlib.colors import to_rgb

    from ...envs.panels import COLD_GREY

    cold = np.array(to_rgb(COLD_GREY))
    inks = np.array([to_rgb(colour) for colour in colours])
    part = loaded.T[:, :, None]
    axis.pcolormesh(edges, np.arange(len(inks) + 1), cold + part * (inks[:, None] - cold))
    axis.set_ylim(len(inks), 0)
    axis.set_yticks(np.arange(len(inks)) + 0.5, labels=names, parse_math=False)


def _write(figure: Figure, title: str, colours: tuple[str, ...], names: list[str]) -> None:
    """Write title and legend. Names are the user's: no text with them is parsed as mathematics."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    from ...envs.panels import INK, printable

    style: dict[str, Any] = {"va": "top", "color": INK, "fontsize": 12, "fontweight": "bold"}
    figure.text(0.012, 0.98, printable(title), parse_math=False, **style)
    patches: list[Any] = [Patch(color=colour) for colour in colours]
    patches.append(Line2D([], [], color=INK, linewidth=1.2))
    legend = figure.legend(
        patches,
        [*names, "the pool"],
        loc="upper left",
        bbox_to_anchor=(0.003, 0.93),
        ncols=len(patches),
        fontsize=8.5,
        frameon=False,
        columnspacing=1.2,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
