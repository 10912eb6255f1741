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
from .runs import Seed

SIZE = (8.0, 4.0)  # inches: 800 x 400 pixels


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
    for name, reward in validation["rivals"].items():
        _draw_rival(axis, name, reward, is_best=name == validation["best_rival"])
    for place, seed in enumerate(seeds):
        colour = COLOURS[place % len(COLOURS)]
        width = 2.2 if seed is shipped else 1.0
        label = f"seed {seed.number}" + (", shipped" if seed is shipped else "")
        points = np.array(seed.curve).reshape(-1, 2)
        axis.plot(points[:, 0] / 1e6, points[:, 1], color=colour, linewidth=width, label=label)
    axis.set_ylim(*limits(seeds, list(validation["rivals"].values())))
    axis.set_xlabel("timesteps [million]", fontsize=9)
    axis.set_ylabel("validation reward", fontsize=9)
    axis.set_title(f"PPO on {scenario}", loc="left", fontsize=11, color=INK, parse_math=False)
    axis.legend(loc="lower right", fontsize=8, frameon=False)
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


def _draw_rival(axis: Axes, name: str, reward: float, *, is_best: bool) -> None:
    colour = INK if is_best else OTHERS
    style: dict[str, Any] = {"color": colour, "linewidth": 1.2 if is_best else 0.6}
    axis.axhline(reward, linestyle="--" if is_best else ":", **style)
    # Beside the axes, where the curves do not go; those of equals lie on each other.
    axis.annotate(
        name,
        (1.01, reward),
        xycoords=("axes fraction", "data"),
        fontsize=8 if is_best else 6,
        color=colour,
        va="center",
        annotation_clip=True,
        parse_math=False,
    )


def _style(axis: Axes) -> None:
    axis.tick_params(labelsize=8, color=FAINT)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(FAINT)
