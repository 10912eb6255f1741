"""Trade-offs between latency, cost and utilization: pure functions of rows and quantiles."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .statistics import block_means

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = Sequence[Mapping[str, Any]]

# What a scenario may differ in, and still be the same world with other prices, or another pool.
OF_WEIGHTS = frozenset(("name", "weights"))
OF_LOAD = frozenset(("name", "gpus", "agents"))


def pareto_front(costs: Floats) -> Bools:
    """Return which points no other one dominates, (points,).

    A point dominates another if it is nowhere worse and somewhere better; equal points do not
    dominate each other. A point with a NaN is on no front, and dominates nothing.

    Args:
        costs: What is better the lower it is, (points, objectives).
    """
    known = ~np.isnan(costs).any(axis=1)
    nowhere_worse = (costs[:, None] <= costs).all(axis=2)
    somewhere_better = (costs[:, None] < costs).any(axis=2)
    return np.asarray(known & ~(nowhere_worse & somewhere_better).any(axis=0))


def hypervolume(costs: Floats, reference: tuple[float, float]) -> float:
    """Return the area that the points dominate, up to the reference point.

    The S metric of E. Zitzler and L. Thiele (Multiobjective optimization using evolutionary
    algorithms, PPSN V, 1998) in two dimensions: the area of the union of the rectangles between
    each point and the reference. Points that are not better than it in both add nothing.

    Args:
        costs: What is better the lower it is, (points, 2).
        reference: The corner that is worst, (2,).
    """
    inside = costs[(costs < np.array(reference)).all(axis=1)]
    area, ceiling = 0.0, reference[1]
    for x, y in sorted(map(tuple, inside)):
        if y < ceiling:
            area += (reference[0] - x) * (ceiling - y)
            ceiling = y
    return float(area)


def alone_adds(costs: Floats, reference: tuple[float, float]) -> Floats:
    """Return by how much the hypervolume falls without each point, (points,)."""
    whole = hypervolume(costs, reference)
    return np.array(
        [whole - hypervolume(np.delete(costs, i, axis=0), reference) for i in range(len(costs))]
    )


def pooled_cdf(quantiles: Floats, completed: Floats, opened: Floats, at_s: Floats) -> Floats:
    """Return the part of all tasks opened that completed within each time, (times,).

    Each episode's distribution is read from its quantiles, linearly between them, and counts by
    its completed tasks. What never completed keeps the curve below 1: a distribution of completed
    tasks alone flatters who starves the others.

    Args:
        quantiles: Of the completed tasks' latency, 0 to 100 %, (episodes, 101) [s].
        completed: Tasks completed, (episodes,).
        opened: Tasks opened, (episodes,).
        at_s: Times, (times,) [s].
    """
    parts = np.linspace(0.0, 1.0, quantiles.shape[1])
    within = np.zeros(len(at_s))
    for row, count in zip(quantiles, completed, strict=True):
        if count > 0:
            # Of equal quantiles the highest counts: a distribution is continuous from the right.
            last = np.append(row[1:] > row[:-1], True)
            steps = np.interp(at_s, row[last], parts[last], left=0.0)
            within += count * np.where(at_s < row[0], 0.0, steps)
    total = float(np.sum(opened))
    return within / total if total > 0 else np.full(len(at_s), np.nan)


def better_part(values: Sequence[float], others: Sequence[float], blocks: Sequence[str]) -> float:
    """Return P(X > Y) + ½·P(X = Y) on the same tape, the mean over blocks.

    The probability of improvement (R. Agarwal et al., Deep reinforcement learning at the edge of
    the statistical precipice, NeurIPS 2021, § 4.3), paired, since all play the same tapes.
    """
    won = [0.5 * ((a > b) + (a >= b)) for a, b in zip(values, others, strict=True)]
    return float(np.mean(block_means(won, blocks)))


def profile(scores: Floats, thresholds: Floats) -> Floats:
    """Return the part of the scores above each threshold, (thresholds,).

    A performance profile (E. D. Dolan and J. J. Moré, Mathematical Programming 91, 2002).
    """
    return np.asarray((scores[None, :] > thresholds[:, None]).mean(axis=1))


def same_worlds(
    parts: Sequence[Mapping[str, Any]], but: Collection[str]
) -> list[list[Mapping[str, Any]]]:
    """Group the parts of a manifest that differ in nothing but these keys of their scenario.

    Agents may differ in what is set by the size of the pool alone, where `agents` is among the
    keys: their names and speeds must be the same. Groups of one are left out.
    """
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for part in parts:
        scenario = part["scenario"]
        agents = [(agent["name"], agent["throughput"]) for agent in scenario["agents"]]
        rest = {key: value for key, value in scenario.items() if key not in but}
        key = json.dumps([rest, agents, part["split"], part["episodes"]], sort_keys=True)
        groups.setdefault(key, []).append(part)
    return [group for group in groups.values() if len(group) > 1]


def offered_gpu_s(agent_rows: Rows, throughput: Mapping[str, float]) -> float:
    """Return the GPU-seconds that a tape's calls ask for, as far as rows tell, per tape.

    Calls of mean work 1 take 1/T GPU-seconds. Of those who played the same tape, whoever completed
    most counts: with a pool that is large enough that is everything.

    Args:
        agent_rows: Rows of agents.csv.
        throughput: T by agent [calls/s per GPU].
    """
    done: dict[tuple[str, str, str], float] = {}
    for row in agent_rows:
        key = (row["family"], row["tape"], row["allocator"])
        done[key] = done.get(key, 0.0) + row["completed"] / throughput[row["agent"]]
    most: dict[tuple[str, str], float] = {}
    for (family, tape, _), value in done.items():
        most[family, tape] = max(value, most.get((family, tape), 0.0))
    by_family: dict[str, list[float]] = {}
    for (family, _), value in most.items():
        by_family.setdefault(family, []).append(value)
    return max((float(np.mean(values)) for values in by_family.values()), default=float("nan"))
