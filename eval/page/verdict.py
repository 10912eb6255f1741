"""Who is best, in one sentence that says no more than the rows do."""

from __future__ import annotations

from ..report import label
from ..statistics import Interval, paired_difference
from .gather import Material


def lead(material: Material, family: str, better: str, worse: str) -> Interval:
    """Return the paired difference of reward between two allocators on a family."""
    own, others = (material.results.of(family, spec) for spec in (better, worse))
    blocks = [row["block"] for row in own]
    return paired_difference([r["reward"] for r in own], [r["reward"] for r in others], blocks)


def is_certain(difference: Interval) -> bool:
    """Whether the interval is there, and without 0."""
    return difference.low is not None and difference.low > 0


def in_numbers(difference: Interval) -> str:
    """Return a difference with half the width of its interval, where it has one."""
    mean = f"{difference.mean:+.3f}".replace("-", "−")
    if difference.low is None or difference.high is None:
        return mean
    return f"{mean} ± {(difference.high - difference.low) / 2:.3f}"


def verdict(material: Material) -> str:
    """Return who is best, by how much, and how sure that is."""
    families = list(material.summaries)
    return _of_one(material, families[0]) if len(families) == 1 else _of_many(material, families)


def _of_one(material: Material, family: str) -> str:
    playing, summary = material.playing(family), material.summaries[family]
    best = playing[0]
    reward = f"{summary['allocators'][best]['reward']:.3f}".replace("-", "−")
    head = f"{label(best)} has the highest mean reward on {family}-{summary['split']}, {reward}"
    if len(playing) == 1:
        return f"{head}; it played alone."
    difference = lead(material, family, best, playing[1])
    beside = f"{in_numbers(difference)} beside {label(playing[1])}, the next"
    if difference.low is None:
        return f"{head}, {beside}; one block tells nothing of how sure that is."
    if is_certain(difference):
        return f"{head}, {beside}: a difference that the tapes' luck does not explain (95 %)."
    tied = [s for s in playing[1:] if not is_certain(lead(material, family, best, s))]
    names = ", ".join(label(spec) for spec in tied)
    return f"{head}, but these tapes do not tell it apart from {names} ({beside}, 95 %)."


def _of_many(material: Material, families: list[str]) -> str:
    wins: dict[str, int] = {}
    sure: dict[str, int] = {}
    for family in families:
        playing = material.playing(family)
        wins[playing[0]] = wins.get(playing[0], 0) + 1
        if len(playing) > 1 and is_certain(lead(material, family, *playing[:2])):
            sure[playing[0]] = sure.get(playing[0], 0) + 1
    most = max(wins.values())
    first = [spec for spec in wins if wins[spec] == most]
    names = " and ".join(label(spec) for spec in first)
    each = " each" if len(first) > 1 else ""
    certain = " and ".join(str(sure.get(spec, "none")) for spec in first)
    verb = "have" if len(first) > 1 else "has"
    return (
        f"{names} {verb} the highest mean reward on {most} of {len(families)} families{each}, and "
        f"on {certain} of them the lead over the next is one that the tapes' luck does not explain "
        "(95 %)."
    )
