"""Figures over several families: the same world at several loads, or with several prices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..report import label
from ..summary import REFERENCE
from ..tradeoffs import OF_LOAD, OF_WEIGHTS, offered_gpu_s, same_worlds
from .fronts import pareto_figure, trade_offs, worst
from .gather import Material
from .model import Figure
from .plots import Curve, drawn, left_out, lines

Part = Mapping[str, Any]


def world_figures(material: Material) -> Iterator[Figure]:
    """Yield what compares families that are one world."""
    parts = material.parts()
    for i, group in enumerate(same_worlds(parts, OF_LOAD), start=1):
        if len({part["scenario"]["gpus"] for part in group}) > 1 and has_calls(material, group):
            yield attainment(material, group, i)
    for i, group in enumerate(same_worlds(parts, OF_WEIGHTS), start=1):
        yield weighted_pareto(material, group, i)


def has_calls(material: Material, group: Sequence[Part]) -> bool:
    """Whether anybody completed a call, so that there is a load."""
    families = {part["family"] for part in group}
    return any(row["completed"] > 0 for row in material.results.agents if row["family"] in families)


def attainment(material: Material, group: Sequence[Part], number: int) -> Figure:
    """Return SLO attainment against load."""
    load = loads(material, group)
    families = sorted(load, key=lambda family: load[family])
    specs = _by_mean_attainment(material, families)
    curves = []
    for spec in specs:
        there = [family for family in families if spec in material.playing(family)]
        ys = [_slo(material, family, spec) for family in there]
        curves.append(Curve(label(spec), [load[f] for f in there], ys, material.style(spec)))
    kept = drawn(specs, REFERENCE)
    shown = [curve for curve, spec in zip(curves, specs, strict=True) if spec in kept]
    names = ", ".join(f"{family} {load[family]:.2f}" for family in families)
    alt = f"SLO attainment against load ({names}), by allocator, from best to worst at the end."
    return Figure(
        f"slo-against-load-{number}",
        "SLO attainment against load",
        "Part of the tasks that completed within the reference latency, on the same calls with "
        f"smaller and smaller pools. Load: {names}; GPU-seconds asked for per GPU-second of the "
        f"pool, calls counted by those that anybody completed.{left_out(specs, kept)}",
        alt,
        (lines(shown, "load", "part within the reference latency", alt, with_markers=True),),
        ("family", "load", "allocator", "slo"),
        [
            (family, load[family], label(spec), _slo(material, family, spec))
            for family in families
            for spec in material.playing(family)
        ],
    )


def loads(material: Material, group: Sequence[Part]) -> dict[str, float]:
    """Return the offered load of each family of one world."""
    scenarios = {part["family"]: part["scenario"] for part in group}
    first = next(iter(scenarios.values()))
    throughput = {agent["name"]: agent["throughput"] for agent in first["agents"]}
    rows = [row for row in material.results.agents if row["family"] in scenarios]
    asked = offered_gpu_s(rows, throughput)
    return {f: asked / (s["gpus"] * s["horizon_s"]) for f, s in scenarios.items()}


def _by_mean_attainment(material: Material, families: Sequence[str]) -> list[str]:
    """Return who plays at two loads at least, the best in the mean first."""
    means = {}
    for spec in material.results.allocators:
        found = [_slo(material, f, spec) for f in families if spec in material.playing(f)]
        if len(found) > 1:
            means[spec] = float(np.mean(found))
    return sorted(means, key=lambda spec: -means[spec])


def _slo(material: Material, family: str, spec: str) -> float:
    return float(material.summaries[family]["allocators"][spec]["slo"])


def weighted_pareto(material: Material, group: Sequence[Part], number: int) -> Figure:
    """Return latency against cost over allocators and reward weights."""
    points, costs = [], []
    for part in group:
        family = part["family"]
        found, _ = trade_offs(material, family)
        weights = part["scenario"]["weights"]
        prices = ":".join(f"{weights[term]:g}" for term in ("latency", "cost", "idle"))
        costs.append(found)
        points += [(f"{label(s)} {prices}", s) for s in material.playing(family)]
    table = np.concatenate(costs)
    is_reference = [spec == REFERENCE for _, spec in points]
    corner = worst(table[is_reference] if any(is_reference) else table)
    return pareto_figure(
        f"pareto-weights-{number}",
        f"over reward weights (latency:cost:idle) on {', '.join(p['family'] for p in group)}",
        [(name, material.style(spec)) for name, spec in points],
        table,
        corner,
        "static, the worst of each" if any(is_reference) else "the worst of each",
    )
