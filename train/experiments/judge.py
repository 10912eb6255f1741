"""All seeds of all variants beside the rivals on the same tapes, and what that says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ...envs.errors import ConfigError
from ...eval.engines import Workers
from ...eval.rollout import Row, make_allocators
from ...eval.statistics import crossed_difference
from ...eval.suite import Suite, load_suite
from ..seeds import Seed
from ..zoo.compare import LEARNER, compare, differences
from ..zoo.judge import play_together
from .plan import Experiment

Seeds = Mapping[str, Sequence[Seed]]  # by the name of their variant


def judge(
    experiment: Experiment, seeds: Seeds, jobs: int, *, bound: bool = True, quiet: bool = False
) -> dict[str, Any]:
    """Return what every variant reaches on every suite, `{suite: {...}}`.

    Raises:
        SolverError: There is no bound for a tape.
    """
    found = {}
    with Workers(jobs) as workers:
        for name in experiment.suites:
            suite = load_suite(name)
            rivals = _able(experiment.rivals, suite)
            own = {_label(v, s): f"learned:{s.folder}" for v in seeds for s in seeds[v]}
            specs = {**{rival: rival for rival in rivals}, **own}
            rows = play_together(suite, specs, workers, bound=bound, quiet=quiet)
            found[name] = _of_suite(rows, seeds, rivals)
    return found


def _of_suite(rows: Sequence[Row], seeds: Seeds, rivals: Sequence[str]) -> dict[str, Any]:
    labels = {variant: [_label(variant, seed) for seed in own] for variant, own in seeds.items()}
    played: dict[str, list[Row]] = {}
    for row in rows:
        played.setdefault(row["allocator"], []).append(row)
    variants, first = {}, next(iter(labels))
    for variant, own in labels.items():
        shown = compare(rows, own, rivals, own[0])
        shown["against_first"] = None
        if variant != first:
            pairs = zip(own, labels[first], strict=True)
            gains = [differences([played[a]], played[b])[0] for a, b in pairs]
            shown["against_first"] = asdict(crossed_difference(np.stack(gains)))
        variants[variant] = shown
    some = variants[first]
    return {
        **{key: some[key] for key in ("weights", "episodes", "blocks", "best_rival", "bound")},
        "rivals": {name: some["allocators"][name] for name in rivals},
        "variants": {
            name: {
                "figures": shown["allocators"][LEARNER],
                "seeds": [shown["allocators"][label]["reward"] for label in labels[name]],
                "against_first": shown["against_first"],
                "against_rival": shown["against"][shown["best_rival"]],
            }
            for name, shown in variants.items()
        },
    }


def _label(variant: str, seed: Seed) -> str:
    return f"{variant}, seed {seed.number}"


def _able(rivals: Sequence[str], suite: Suite) -> list[str]:
    """Return the rivals that can play a suite."""
    able = []
    for spec, allocator in make_allocators(rivals).items():
        try:
            allocator.reset(suite.scenario)
            able.append(spec)
        except ConfigError:
            continue  # a rule for pools that do not grow, say
    return able
