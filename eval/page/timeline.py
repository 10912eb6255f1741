"""Time lines of one episode: shares on top of each other, and queues below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .draw import LINE, N_COLOURS, Drawing, Frame, Style, shorten
from .scales import LOG1P, Scale

Floats = NDArray[np.floating[Any]]

LEFT, RIGHT, TOP, SHARES, GAP, QUEUES = 36.0, 346.0, 40.0, 110.0, 24.0, 100.0
MOST_BINS = 160
MOST_AGENTS = N_COLOURS - 1


@dataclass(frozen=True, eq=False)
class Times:
    """Shares and queues of an episode in equal parts of its time.

    Attributes:
        edges: Ends of the parts, (parts + 1,) [s].
        share: Mean of the shares in force, (parts, agents) [GPU].
        queue: Longest queue, (parts, agents).
        agents: Names; the last may stand for all the others.
    """

    edges: Floats
    share: Floats
    queue: Floats
    agents: tuple[str, ...]


def binned(share: Floats, queue: Floats, agents: Sequence[str], interval_s: float) -> Times:
    """Return what is drawn of series over decisions, (K, N), so that a page stays small.

    With more agents than colours the last ones are taken together: their shares are added up, and
    of their queues the longest counts.
    """
    k = len(share)
    size = -(-k // MOST_BINS)
    starts = np.arange(0, k, size)
    counts = np.diff(np.append(starts, k))[:, None]
    shares = np.add.reduceat(share, starts) / counts
    queues = np.maximum.reduceat(queue, starts)
    edges = np.append(starts, k) * interval_s
    names = tuple(agents)
    if len(names) > MOST_AGENTS:
        own = MOST_AGENTS - 1
        shares = np.column_stack([shares[:, :own], shares[:, own:].sum(axis=1)])
        queues = np.column_stack([queues[:, :own], queues[:, own:].max(axis=1)])
        names = (*names[:own], f"{len(names) - own} others")
    return Times(edges, shares, queues, names)


def timeline(
    times: Times, title: str, alt: str, gpus: float, most_share: float, most_queue: float
) -> str:
    """Return an SVG of one allocator's episode.

    Args:
        times: What is drawn.
        title: Above it.
        alt: What it shows, in a sentence.
        gpus: The pool [GPU].
        most_share: What the axis of shares holds [GPU].
        most_queue: What the axis of queues holds.
    """
    bottom = TOP + SHARES + GAP + QUEUES
    rows = -(-len(times.agents) // 3)
    drawing = Drawing(bottom + 2 * LINE + 10 + rows * (LINE + 2))
    x = Scale(0.0, float(times.edges[-1]), LEFT, RIGHT)
    y = Scale(0.0, max(most_share, 1e-9), TOP + SHARES, TOP)
    drawing.text(2, 13, shorten(title, 50), "strong", title=title)
    Frame(drawing, x, y).axes("", "share [GPU]", numbers=False)
    _stack(drawing, x, y, times)
    drawing.line(LEFT, y(gpus), RIGHT, y(gpus), "tick dashed")
    below = Scale(0.0, max(most_queue, 10.0), bottom, TOP + SHARES + GAP, LOG1P)
    Frame(drawing, x, below).axes("time [s]", "queue [calls], by its logarithm")
    for i, name in enumerate(times.agents):
        d = stairs([x(edge) for edge in times.edges], [below(v) for v in times.queue[:, i]])
        drawing.path(f"M{d}", Style(i), name)
    for i, name in enumerate(times.agents):
        at = LEFT + 106 * (i % 3), bottom + 2 * LINE + 12 + (LINE + 2) * (i // 3)
        drawing.add("rect", x=at[0], y=at[1], width=11, height=8, class_=f"area k{i}")
        drawing.curve([(at[0] + 13, at[1] + 5), (at[0] + 33, at[1] + 5)], Style(i), name)
        drawing.text(at[0] + 37, at[1] + 8, shorten(name, 12), title=name)
    return drawing.svg(alt)


def _stack(drawing: Drawing, x: Scale, y: Scale, times: Times) -> None:
    floor = np.zeros(len(times.share))
    across = [x(edge) for edge in times.edges]
    for i, name in enumerate(times.agents):
        top = floor + times.share[:, i]
        there = stairs(across, [y(v) for v in top])
        back = stairs(across[::-1], [y(v) for v in floor[::-1]])
        drawing.add("path", name, d=f"M{there}L{back}z", class_=f"area k{i}")
        floor = top


def stairs(xs: Sequence[float], ys: Sequence[float]) -> str:
    """Return the path over steps: `ys` between `xs`, of which there is one more."""
    found = f"{xs[0]:.1f} {ys[0]:.1f}"
    for x, y, before in zip(xs[1:], ys[1:], ys, strict=False):
        if f"{y:.1f}" != f"{before:.1f}":
            found += f"H{x:.1f}V{y:.1f}"
    return f"{found}H{xs[-1]:.1f}"
