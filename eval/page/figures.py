"""The figures of one family, each with its numbers; rewards, scores and losses are made here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..output import plain
from ..report import label
from ..statistics import block_means, t_interval
from ..summary import REFERENCE
from .bars import Entry, interval_rows, stacked_rows
from .fronts import pareto, utilization
from .gather import Material
from .model import Figure
from .spreads import improvement, latencies, profiles

BOUND = "bound"
ENDS = ("mean", "low", "high", "blocks")
TERMS = ("latency", "cost", "idle")


def family_figures(material: Material, family: str) -> Iterator[Figure]:
    """Yield the figures of a family, but for its time lines."""
    yield rewards(material, family)
    if REFERENCE in material.playing(family) and len(material.playing(family)) > 1:
        yield differences(material, family)
    if has_scores(material, family):
        yield scores(material, family)
    yield losses(material, family)
    yield pareto(material, family)
    yield utilization(material, family)
    yield latencies(material, family)
    if len(material.playing(family)) > 1:
        yield improvement(material, family)
    if has_scores(material, family):
        yield profiles(material, family)


def has_scores(material: Material, family: str) -> bool:
    """Whether there are bounds, and room between static and them."""
    bound = material.summaries[family]["bound"]
    return bool(bound) and bound["score"] is not None


def rewards(material: Material, family: str) -> Figure:
    """Return mean rewards with intervals, the bound above them."""
    entries, summary = [], material.summaries[family]
    for spec in material.playing(family):
        own = material.results.of(family, spec)
        found = t_interval(block_means([r["reward"] for r in own], [r["block"] for r in own]))
        style = material.style(spec)
        entries.append(Entry(label(spec), found.mean, found.low, found.high, style))
    if summary["bound"]:
        entries.insert(0, Entry(BOUND, summary["bound"]["reward"], None, None, None))
    alt = f"Mean reward of each allocator on {family}. {_ranking(entries)}"
    return Figure(
        f"{family}-reward",
        "Reward",
        "Mean reward per interval, less negative is better, with the 95 % interval over blocks. It "
        "holds the luck of the tapes, which all share: compare by the differences.",
        alt,
        (interval_rows(entries, "reward", alt),),
        ("allocator", *ENDS),
        _lines(entries, summary["blocks"]),
    )


def differences(material: Material, family: str) -> Figure:
    """Return paired differences to static with their intervals."""
    summary = material.summaries[family]
    entries = []
    for spec in material.playing(family):
        found = summary["allocators"][spec]["vs_static"]
        if found:
            ends = found["mean"], found["low"], found["high"]
            entries.append(Entry(label(spec), *ends, material.style(spec)))
    alt = f"Paired difference of reward to static on {family}. {_ranking(entries)}"
    return Figure(
        f"{family}-versus-static",
        "Difference to static",
        "Reward above static's on the same tapes, with the 95 % interval of the paired difference "
        "over blocks. An interval without 0 tells the two apart.",
        alt,
        (interval_rows(entries, "reward − static's", alt, at=(0.0,)),),
        ("allocator", *ENDS),
        _lines(entries, summary["blocks"]),
    )


def scores(material: Material, family: str) -> Figure:
    """Return scores, 0 at static and 1 at the bound, with intervals."""
    summary = material.summaries[family]
    entries = []
    for spec in material.playing(family):
        found = summary["allocators"][spec]
        ends = found["score"], found["score_low"], found["score_high"]
        entries.append(Entry(label(spec), *ends, material.style(spec)))
    alt = (
        f"Score of each allocator on {family}, 0 at static and 1 at the bound. {_ranking(entries)}"
    )
    return Figure(
        f"{family}-score",
        "Score to the bound",
        "Which part of the way from static (0) to the clairvoyant bound (1) each allocator goes, "
        "with its 95 % interval. The bound need not be reachable.",
        alt,
        (interval_rows(entries, "score", alt, at=(0.0, 1.0)),),
        ("allocator", *ENDS),
        _lines(entries, summary["blocks"]),
    )


def losses(material: Material, family: str) -> Figure:
    """Return what the reward is lost on, by allocator."""
    summary = material.summaries[family]
    entries = [(label(s), summary["allocators"][s]) for s in material.playing(family)]
    if summary["bound"]:
        entries.insert(0, (BOUND, summary["bound"]))
    rows = [
        (name, {t: summary["weights"][t] * entry[f"{t}_term"] for t in TERMS})
        for name, entry in entries
    ]
    alt = f"Weighted latency, cost and idle terms of each allocator on {family}; shorter is better."
    return Figure(
        f"{family}-losses",
        "What is lost on latency, cost and idle time",
        "The reward's three terms, each with its weight: their sum is minus the reward. ▸ marks a "
        "bar that is longer than the axis.",
        alt,
        (stacked_rows(rows, "weighted terms, per interval", alt),),
        ("allocator", *TERMS),
        [(name, *values.values()) for name, values in rows],
    )


def _ranking(entries: Sequence[Entry]) -> str:
    return "From the best: " + "; ".join(f"{e.name} {e.text}" for e in entries) + "."


def _lines(entries: Sequence[Entry], n_blocks: int) -> list[tuple[Any, ...]]:
    return [(e.name, e.mean, plain(e.low), plain(e.high), n_blocks) for e in entries]
