"""From raw rows to one line per allocator; nothing here simulates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from .output import numeric_keys
from .statistics import LEAST_ROOM, block_means, paired_difference, score_interval, t_interval

Rows = Sequence[Mapping[str, Any]]

REFERENCE = "static"
BOUND_MEANS = ("reward", "latency_term", "cost_term", "idle_term", "solve_s")


def summarise(rows: Rows) -> dict[str, Any]:
    """Return means over blocks, paired differences to static and scores, by allocator.

    `bound` has the same means of the clairvoyant bound, which is no allocator; where the rows
    know of none it is None, and so are the scores.

    Raises:
        ValueError: There are no rows.
    """
    if not rows:
        raise ValueError("a summary needs at least one row, got none")
    by_allocator = {str(row["allocator"]): _of(rows, row["allocator"]) for row in rows}
    reference = by_allocator.get(REFERENCE)
    return {
        "scenario": rows[0]["scenario"],
        "weights": rows[0]["weights"],
        "episodes": len(next(iter(by_allocator.values()))),
        "blocks": len({row["block"] for row in rows}),
        "allocators": {
            name: {**_means(own), **_score(own), "vs_static": _against(own, reference)}
            for name, own in by_allocator.items()
        },
        "bound": _bound(next(iter(by_allocator.values()))),
        "note": "" if reference else "no difference to static: it was not among the allocators",
    }


def _of(rows: Rows, allocator: object) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["allocator"] == allocator]


def _means(rows: Rows) -> dict[str, float]:
    means = {key: _mean_over_blocks(rows, key) for key in numeric_keys(rows)}
    # A ratio of means: an episode that completes nothing would drop out of a mean of ratios.
    done = means["completed"]
    means["usd_per_1000_tasks"] = 1000 * means["cost_usd"] / done if done > 0 else float("nan")
    return means


def _mean_over_blocks(rows: Rows, key: str) -> float:
    known = [row for row in rows if not np.isnan(row[key])]
    if not known:
        return float("nan")
    return float(np.mean(block_means([r[key] for r in known], [r["block"] for r in known])))


def _score(rows: Rows) -> dict[str, float | None]:
    found = None
    if _are_bounded(rows):
        gains = [row["reward"] - row["static"]["reward"] for row in rows]
        found = score_interval(gains, _rooms(rows), _blocks(rows))
    if found is None:
        return {"score": None, "score_low": None, "score_high": None}
    return {"score": found.mean, "score_low": found.low, "score_high": found.high}


def _bound(rows: Rows) -> dict[str, Any] | None:
    if not _are_bounded(rows):
        return None
    blocks = _blocks(rows)
    room = t_interval(block_means(_rooms(rows), blocks))
    means = {
        key: float(np.mean(block_means([row["bound"][key] for row in rows], blocks)))
        for key in BOUND_MEANS
    }
    return {
        **means,
        "relaxation": sorted({row["bound"]["relaxation"] for row in rows}),
        "score": 1.0 if room.mean >= LEAST_ROOM else None,
        "score_low": None,
        "score_high": None,
        "vs_static": asdict(room),
    }


def _are_bounded(rows: Rows) -> bool:
    return all("bound" in row for row in rows)


def _rooms(rows: Rows) -> list[float]:
    return [row["bound"]["reward"] - row["static"]["reward"] for row in rows]


def _blocks(rows: Rows) -> list[str]:
    return [row["block"] for row in rows]


def _against(rows: Rows, reference: Rows | None) -> dict[str, Any] | None:
    if reference is None or rows[0]["allocator"] == REFERENCE:
        return None
    if [row["tape"] for row in rows] != [row["tape"] for row in reference]:
        raise ValueError(
            f"rows of {rows[0]['allocator']!r} and {REFERENCE!r} must be of the same tapes in the "
            "same order; evaluate them in one run"
        )
    values, others = [r["reward"] for r in rows], [r["reward"] for r in reference]
    return asdict(paired_difference(values, others, [r["block"] for r in rows]))
