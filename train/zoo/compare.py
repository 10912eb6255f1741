"""A policy's seeds against its rivals, from raw rows; nothing here simulates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ...eval.output import numeric_keys
from ...eval.rollout import Row
from ...eval.statistics import (
    LEAST_ROOM,
    Floats,
    block_means,
    crossed_difference,
    paired_difference,
)
from ...eval.summary import summarise

LEARNER = "ppo"  # the mean over all training seeds
FIGURES = (
    *("reward", "latency_term", "cost_term", "idle_term", "score", "score_low", "score_high"),
    *("little_latency_s", "cost_usd", "utilization", "decision_us"),
)


def compare(
    rows: Sequence[Row], seeds: Sequence[str], rivals: Sequence[str], shipped: str
) -> dict[str, Any]:
    """Return what the seeds reach together and alone, and how that compares to each rival.

    Args:
        rows: Of every seed and rival on the same tapes, with bounds or without.
        seeds: Allocators that are seeds of one training.
        rivals: Allocators that are not.
        shipped: The seed that is shipped.

    Returns:
        `allocators` with the figures of each, `ppo` being the mean over the seeds; `bound`;
        `against`, by rival, the difference of `ppo` with its interval over blocks and seeds, that
        of the shipped seed over blocks alone, and `closed`, which part of the rival's distance to
        the bound `ppo` closes; `best_rival`; `losses`, the blocks where `ppo` is behind it.
    """
    played = {name: [r for r in rows if r["allocator"] == name] for name in (*seeds, *rivals)}
    mean = _mean_rows([played[seed] for seed in seeds])
    summary = summarise([*mean, *(row for name in played for row in played[name])])
    figures = {n: {k: e.get(k) for k in FIGURES} for n, e in summary["allocators"].items()}
    best = max(rivals, key=lambda name: figures[name]["reward"])
    top = summary["bound"]["reward"] if summary["bound"] else None
    ours = [played[seed] for seed in seeds]
    return {
        **{key: summary[key] for key in ("weights", "episodes", "blocks")},
        "allocators": figures,
        "bound": summary["bound"] and {k: summary["bound"].get(k) for k in FIGURES[:4]},
        "against": {
            rival: {
                **asdict(crossed_difference(differences(ours, played[rival]))),
                "shipped": _alone(played[shipped], played[rival]),
                "closed": closed(figures[LEARNER]["reward"], figures[rival]["reward"], top),
            }
            for rival in rivals
        },
        "best_rival": best,
        "losses": losses(differences(ours, played[best]), _block_names(mean)),
    }


def differences(seeds: Sequence[Sequence[Row]], rival: Sequence[Row]) -> Floats:
    """Return reward minus the rival's, means over the tapes of a block, (seeds, blocks)."""
    return np.array([_by_block(own, rival) for own in seeds])


def closed(reward: float, rival: float, bound: float | None) -> float | None:
    """Return which part of a rival's distance to the bound is closed; None without distance."""
    if bound is None or not bound - rival >= LEAST_ROOM:
        return None
    return (reward - rival) / (bound - rival)


def losses(differences: Floats, blocks: Sequence[str]) -> list[dict[str, Any]]:
    """Return the blocks where the seeds are behind in the mean, the worst first.

    Args:
        differences: To the rival, (seeds, blocks).
        blocks: Their names.
    """
    means = differences.mean(axis=0)
    behind = (differences < 0).sum(axis=0)
    return [
        {"block": blocks[j], "difference": float(means[j]), "seeds_behind": int(behind[j])}
        for j in np.argsort(means, kind="stable")
        if means[j] < 0
    ]


def _by_block(own: Sequence[Row], rival: Sequence[Row]) -> Floats:
    if [row["tape"] for row in own] != [row["tape"] for row in rival]:
        raise ValueError("rows must be of the same tapes in the same order; play them in one run")
    gains = [a["reward"] - b["reward"] for a, b in zip(own, rival, strict=True)]
    return block_means(gains, [row["block"] for row in own])


def _alone(own: Sequence[Row], rival: Sequence[Row]) -> dict[str, Any]:
    values, others = [r["reward"] for r in own], [r["reward"] for r in rival]
    return asdict(paired_difference(values, others, [r["block"] for r in own]))


def _block_names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(str(row["block"]) for row in rows))


def _mean_rows(seeds: Sequence[Sequence[Row]]) -> list[Row]:
    """Return a row for each tape that has the seeds' means."""
    keys = numeric_keys(seeds[0])
    return [
        {**one[0], "allocator": LEARNER, **{key: _mean(one, key) for key in keys}}
        for one in zip(*seeds, strict=True)
    ]


def _mean(rows: Sequence[Mapping[str, Any]], key: str) -> float:
    return float(np.mean([row[key] for row in rows]))
