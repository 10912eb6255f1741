"""How near allocators come to what a clairvoyant could earn at most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.text import Text

from ..baselines import clairvoyant_bound
from .report import grid, number
from .rollout import make_allocators, play
from .suite import load_suite

YARDSTICK = "static"
# Under this the score is undefined (docs/model.md).
LEAST_ROOM = 1e-9
TERMS = ("reward", "latency_term", "cost_term", "idle_term")


def compare(suite_name: str, specs: Sequence[str], n_episodes: int | None) -> dict[str, Any]:
    """Return the mean bound over a suite's tapes, and each allocator's mean reward and score.

    Raises:
        ConfigError: An unknown suite, or allocators that cannot play it.
        SolverError: A bound that was not found.
    """
    suite = load_suite(suite_name).first(n_episodes)
    allocators = make_allocators([YARDSTICK, *(s for s in specs if s != YARDSTICK)])
    for allocator in allocators.values():
        allocator.reset(suite.scenario)
    bounds, rewards = [], []
    for episode in suite.episodes:
        tape = suite.scenario.tape(episode)
        bounds.append(clairvoyant_bound(suite.scenario, tape))
        runs = (play(suite.scenario, tape, a) for a in allocators.values())
        rewards.append([float(run.rewards.mean()) for run in runs])
    means = dict(zip(allocators, np.mean(rewards, axis=0).tolist(), strict=True))
    bound = {term: float(np.mean([getattr(b, term) for b in bounds])) for term in TERMS}
    room = bound["reward"] - means[YARDSTICK]
    scores = {
        name: (mean - means[YARDSTICK]) / room if room >= LEAST_ROOM else None
        for name, mean in means.items()
    }
    return {
        "suite": suite_name,
        "episodes": len(bounds),
        "bound": bound,
        "relaxation": sorted({b.relaxation for b in bounds}),
        "solve_s": float(np.mean([b.solve_s for b in bounds])),
        "allocators": {n: {"reward": m, "score": scores[n]} for n, m in means.items()},
    }


def as_table(content: dict[str, Any]) -> RenderableType:
    """Return the bound and the scores as a table."""
    table = grid("")
    table.add_column("allocator")
    for header in ("reward", "score"):
        table.add_column(header, justify="right")
    for name, entry in content["allocators"].items():
        table.add_row(name, number(entry["reward"], 3), number(entry["score"], 3))
    bound = content["bound"]
    table.add_row("clairvoyant bound", number(bound["reward"], 3), number(1.0, 3))
    head = f"{content['suite']}: {content['episodes']} episodes, mean reward per interval"
    foot = (
        f"Relaxation: {', '.join(content['relaxation'])}; its latency {bound['latency_term']:.3f}, "
        f"cost {bound['cost_term']:.3f}, idle {bound['idle_term']:.3f}; "
        f"{content['solve_s']:.1f} s a tape. 1 cannot be exceeded and need not be reachable."
    )
    return Group(Text(head), table, Text(foot))
