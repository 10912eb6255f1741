"""A user's trace as tables and a picture in letters, 80 columns wide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .report import grid, number

WIDTH, HEIGHT = 60, 7
SHADES = " .:-=+*#%@"
MOST_AGENTS = 12  # the others are in the JSON
EVERYTHING = "all"
LEAST_CALLS = 100
MANY_EPISODES = 50


def as_report(content: Mapping[str, Any], shape: NDArray[np.int64]) -> RenderableType:
    """Return what is printed.

    Args:
        content: What `--json` gives.
        shape: Calls of each agent in equal parts of the span, shape (agents, WIDTH).
    """
    agents = content["agents"]
    shown = {EVERYTHING: content["all"]} if len(agents) != 1 else {}
    shown |= dict(list(agents.items())[:MOST_AGENTS])
    parts: list[RenderableType] = [*(Text(line) for line in head(content)), Text("")]
    parts += [_arrivals(shown), _work(shown)]
    if len(agents) > MOST_AGENTS:
        parts.append(Text(f"… and {len(agents) - MOST_AGENTS} more agents: --json names all."))
    parts.append(Text("\n".join(picture(shape, list(agents)[:MOST_AGENTS], content["span_s"]))))
    parts += [Text(f"! {note}") for note in content["notes"]]
    if content["written"] is not None:
        parts.append(Text("\n".join(["", *_next(content["written"])])))
    return Group(*parts)


def head(content: Mapping[str, Any]) -> list[str]:
    """Say what was read, how, and what was dropped."""
    dropped = content["dropped"]
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in dropped.items())
    lost = f"{sum(dropped.values()):,} rows dropped ({reasons})" if dropped else "none dropped"
    return [
        f"{content['file']}: {content['format']}, {content['rows']:,} rows, {lost}",
        f"time stamps: {content['time']['found']}; the first is {content['time']['first']}",
    ]


def _arrivals(shown: Mapping[str, Any]) -> Table:
    table = grid("Arrivals. Poisson: dispersion 1 at every width, CV 1")
    table.add_column("agent", overflow="fold", max_width=14)
    headers = ("calls", "1/s", "peak 1s", "60s", "disp. 1s", "10s", "60s", "CV gaps", "silent")
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)
    for name, entry in shown.items():
        row = entry["arrivals"]
        cells = [f"{row['calls']:,}", short(row["rate"])]
        cells += [short(row["peak_to_mean"][width]) for width in ("1", "60")]
        cells += [short(row["dispersion"][width]) for width in ("1", "10", "60")]
        silent = row["silent_share"]
        cells += [short(row["gap_cv"]), "–" if math.isnan(silent) else f"{100 * silent:.0f} %"]
        table.add_row(*map(Text, (name, *cells)))
    return table


def _work(shown: Mapping[str, Any]) -> Table:
    table = grid("Work per call")
    table.add_column("agent", overflow="fold", max_width=14)
    for header in ("mean", "p50", "p99"):
        table.add_column(header, justify="right", no_wrap=True)
    for name, entry in shown.items():
        cells = (short(entry["work"][key]) for key in ("mean", "p50", "p99"))
        table.add_row(*map(Text, (name, *cells)))
    return table


def short(value: float) -> str:
    """Return a number in three digits, or a few more where it is whole."""
    if value is None or math.isnan(value):
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}" if abs(value) < 1e7 else f"{value:.3g}"
    return number(value, 2) if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"


def picture(shape: NDArray[np.int64], names: Sequence[str], span_s: float) -> list[str]:
    """Draw arrivals over time in ASCII: all of them as columns, each agent's as shades.

    Args:
        shape: Calls of each agent in equal parts of the span, shape (agents, columns).
        names: Of the agents to draw, the first ones.
        span_s: Length of the span [s].
    """
    total, n_columns = shape.sum(axis=0), shape.shape[1]
    rates = total * (n_columns / span_s)
    top = float(rates.max())
    levels = np.ceil(rates / top * HEIGHT).astype(int)
    margin = 12
    lines = ["Arrivals over time [calls/s], and by agent"]
    for level in range(HEIGHT, 0, -1):
        label = short(top) if level == HEIGHT else ""
        columns = "".join("#" if height >= level else " " for height in levels)
        lines.append(f"{label:>{margin - 1}} |{columns}".rstrip())
    lines.append(f"{'0':>{margin - 1}} +{'-' * n_columns}")
    for name, row in zip(names, shape, strict=False):
        label = "".join(c if c.isascii() and c.isprintable() else "?" for c in name)
        lines.append(f"{label[: margin - 1]:>{margin - 1}} |{_shades(row)}|")
    end = f"{short(span_s)} s"
    lines.append(" " * (margin + 1) + "0" + end.rjust(n_columns - 1))
    return lines


def _shades(row: NDArray[np.int64]) -> str:
    """Darker for more calls; a blank is none at all."""
    steps = np.ceil(row / max(int(row.max()), 1) * (len(SHADES) - 1)).astype(int)
    return "".join(SHADES[step] for step in steps)


def notes(content: Mapping[str, Any]) -> list[str]:
    """Return what a user should look at."""
    found, arrivals = [], content["all"]["arrivals"]
    if arrivals["longest_gap_s"] > 0.5 * content["span_s"] and arrivals["calls"] > 2:
        found.append(
            f"one gap of {short(arrivals['longest_gap_s'])} s is more than half of the time: is a "
            "time stamp far from the others, or is the unit another (--time-unit)?"
        )
    if "guess" in content["time"]["found"]:
        found.append("the unit of the time stamps is a guess: see --time-unit")
    if arrivals["calls"] < LEAST_CALLS:
        found.append(f"{arrivals['calls']} calls are few: a comparison will be uncertain")
    return found


def _next(written: Mapping[str, Any]) -> list[str]:
    scenario = written["scenario"]
    many = written["episodes"]["validation"] > MANY_EPISODES
    run = " --episodes 16" if many else ""
    train = " validation_episodes=16" if many else ""
    episodes = ", ".join(f"{split} {n}" for split, n in written["episodes"].items())
    return [
        f"Wrote {scenario}, {written['trace']}, {written['calls']}",
        f"Episodes of {short(written['horizon_s'])} s: {episodes}. Next:",
        f"  slicegym-eval run --suite {scenario}-validation{run}",
        f"  slicegym-train bursty scenario={scenario}{train} --out runs/{written['name']}",
        f'  gym.make("slicegym/Custom-v0", scenario="{scenario}")',
    ]
