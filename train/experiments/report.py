"""An experiment as Markdown: a table for each suite, to stand in a document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..zoo.words import difference, number, percent, table
from .plan import Experiment

HEADERS = (
    *("variant", "reward", "worst and best seed", "latency", "cost", "idle"),
    *("minus the first [95 %]", "minus the best rival [95 %]", "distance closed"),
)


def to_markdown(experiment: Experiment, found: Mapping[str, Any]) -> str:
    """Return the question, and for each suite who played and the table of the variants."""
    parts = [experiment.description.strip()]
    for suite, shown in found.items():
        parts += [_heading(suite, shown), table(HEADERS, list(_rows(shown)))]
    names = "; ".join(f"*{v.name}*: {_overrides(v.overrides)}" for v in experiment.variants)
    return "\n\n".join([*parts, f"Variants of `{experiment.config}`: {names}."])


def _heading(suite: str, shown: Mapping[str, Any]) -> str:
    rival = shown["best_rival"]
    reward = number(shown["rivals"][rival]["reward"])
    static = number(shown["rivals"]["static"]["reward"])
    seeds = len(next(iter(shown["variants"].values()))["seeds"])
    bound = f", bound {number(shown['bound']['reward'])}" if shown["bound"] else ""
    few = "" if shown["blocks"] >= 8 else ", indicative"
    return (
        f"**{suite}**, {shown['episodes']} episodes in {shown['blocks']} independent blocks"
        f"{few}, {seeds} seeds each; static {static}, best rival `{rival}` {reward}{bound}:"
    )


def _rows(shown: Mapping[str, Any]) -> Iterator[list[str]]:
    for name, variant in shown["variants"].items():
        figures, first = variant["figures"], variant["against_first"]
        seeds = variant["seeds"]
        yield [
            *(name, number(figures["reward"])),
            f"{number(min(seeds))}, {number(max(seeds))}",
            *(number(figures[term]) for term in ("latency_term", "cost_term", "idle_term")),
            "" if first is None else difference(first),
            *(difference(variant["against_rival"]), percent(variant["against_rival"]["closed"])),
        ]


def _overrides(overrides: tuple[str, ...]) -> str:
    return f"`{' '.join(overrides)}`" if overrides else "as it is"
