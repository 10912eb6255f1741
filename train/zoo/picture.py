"""Learning curves as a PNG: validation reward of every seed, with the rivals as lines."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ...envs.panels import COLOURS, DPI, FAINT, INK, OTHERS
from ..seeds import Seed

SIZE = (8.0, 4.0)  # inches: 800 x 400 pixels
LABEL = 0.04  # height of a name beside the axis, in parts of it


def draw(
    scenario: str, seeds: Sequence[Seed], shipped: Seed, validation: Mapping[str, Any]
) -> bytes:
    """Return the PNG.

    Args:
        scenario: Name for the title.
        seeds: All of them.
        shipped: The one that is drawn thick.
        validation: `rivals`, the reward of each, and `best_rival`.
    """
    figure = Figure(figsize=SIZE, dpi=DPI, facecolor="white")
    figure.set_layout_engine("constrained")
    FigureCanvasAgg(figure)
    axis = figure.add_subplot()
    for place, seed in enumerate(seeds):
        colour = COLOURS[place % len(COLOURS)]
        width = 2.2 if seed is shipped else 1.0
        label = f"seed {seed.number}" + (", shipped" if seed is shipped else "")
        points = np.array(seed.curve).reshape(-1, 2)
        axis.plot(points[:, 0] / 1e6, points[:, 1], color=colour, linewidth=width, label=label)
    axis.set_ylim(*limits(seeds, list(validation["rivals"].values())))
    _draw_rivals(axis, validation["rivals"], validation["best_rival"])
    axis.set_xlabel("timesteps [million]", fontsize=9)
    axis.set_ylabel("validation reward", fontsize=9)
    axis.set_title(f"PPO on {scenario}", loc="left", fontsize=11, color=INK, parse_math=False)
    axis.legend(loc="best", fontsize=8, frameon=False)
    _style(axis)
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()


def limits(seeds: Sequence[Seed], rivals: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the axis: from the middle rival or the worst seed's last to the best.

    How a policy begins, and how the worst rivals fare, would press all else into a line.
    """
    ends = [seed.curve[-1][1] for seed in seeds if seed.curve]
    low = min([float(np.median(rivals)), *ends])
    high = max([*rivals, *(seed.reward for seed in seeds)])
    room = 0.08 * (high - low) or 0.05
    return low - room, high + room


def _draw_rivals(axis: Axes, rewards: Mapping[str, float], best: str) -> None:
    """Draw a line for each rival that lies within the axis, with its name beside it."""
    low, high = axis.get_ylim()
    beside = high
    for name, reward in sorted(rewards.items(), key=lambda item: -item[1]):
        if reward < low:
            break
        is_best = name == best
        style: dict[str, Any] = {"color": INK if is_best else OTHERS}
        axis.axhline(reward, linewidth=1.2 if is_best else 0.6, linestyle="--", **style)
        beside = min(reward, beside - LABEL * (high - low))  # names do not cover each other
        place = (1.01, (beside - low) / (high - low))
        style |= {"va": "center", "fontsize": 8, "parse_math": False}
        axis.text(*place, name, transform=axis.transAxes, **style)


def _style(axis: Axes) -> None:
    axis.tick_params(labelsize=8, color=FAINT)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(FAINT)
