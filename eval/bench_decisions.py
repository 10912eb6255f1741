"""Time per decision by allocator and number of agents: `allocate`, as its caller waits for it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..baselines import Allocator, allocator_class, make_allocator, names
from ..envs.errors import ConfigError
from ..envs.observation import Observation
from ..envs.spec import Scenario
from . import bench_crowd as crowd
from .bench_cases import clock

SIZES = (4, 1_024, 1_000_000)
LARGE = SIZES[-1]  # not in a quick run: its agents alone take seconds to make
# What O(N) rules are held to by number of agents [µs], and what two of the others are.
LINEAR = {4: 5.0, LARGE: 20_000.0}
OWN: Mapping[str, Mapping[int, float]] = {
    "learned": {4: 50.0, 1_024: 5_000.0},
    "mpc": {4: 20_000.0},
}
MEASURED_S = 0.02  # of the CPU, in one repetition
FEWEST, MOST = 5, 2_000  # decisions of a repetition; autoscalers think at every few only
LONG_S = 0.5  # a decision of this length is a repetition
ROUNDS = 3
REPEATS = 10

Figures = dict[str, Any]
Floats = NDArray[np.float64]


def decisions(scale: float) -> Figures:
    """Time per decision of all causal allocators: `decision_us`, `decision_growth` and targets."""
    with TemporaryDirectory() as folder:
        policy = crowd.write_policy(Path(folder))
        texts = {"learned": f"learned:{policy}", "mpc": "mpc:horizon=60"}
        # `ppo` is `learned` with a policy that this scenario does not have.
        causal = [name for name in names() if allocator_class(name).causal and name != "ppo"]
        made = {name: texts.get(name, name) for name in causal}
        sizes = SIZES if scale == 1.0 else SIZES[:-1]
        figures = table(made, sizes, scale * MEASURED_S)
    for n in set(SIZES) - set(sizes):
        figures["reasons"][f"decision_us.{n}"] = "left out of a quick run"
    return figures


def table(texts: Mapping[str, str], sizes: Iterable[int], measured_s: float) -> Figures:
    """Measure allocators made of `texts`, by name.

    Returns:
        `decision_us` by allocator and number of agents [µs], null with a reason where the allocator
        refuses; `decision_growth`, the exponent of N from 1,024 to a million agents;
        `decision_targets_us`, what each is held to; and `decision_reported`, of those that are not
        held to what O(N) is, why.
    """
    times: dict[str, dict[str, float | None]] = {name: {} for name in texts}
    reasons = {}
    for n in sizes:
        case = crowd.crowd(n)
        # Rounds, since a machine may be slow for as long as all repetitions of one allocator take.
        for name, text in [*texts.items()] * (ROUNDS if n < LARGE else 1):
            try:
                found = decision_us(make_allocator(text), *case, measured_s)
                times[name][str(n)] = min(found, times[name].get(str(n)) or found)
            except ConfigError as error:
                times[name][str(n)] = None
                reasons[f"decision_us.{name}.{n}"] = str(error)
    return {
        "decision_us": times,
        "decision_growth": {name: growth(row) for name, row in times.items()},
        "decision_targets_us": {name: targets(name) for name in texts},
        "decision_reported": {name: why for name in texts if (why := _beyond_linear(name))},
        "reasons": reasons,
    }


def decision_us(allocator: Allocator, scenario: Scenario, seen: Floats, measured_s: float) -> float:
    """Return the time of a decision [µs]: the mean of a repetition, the best of ten.

    Decisions are counted on: an allocator with memory answers one that it has seen by heart.
    """
    allocator.reset(scenario)
    shown = observations(scenario, seen)

    def play(n: int) -> float:
        ahead = list(itertools.islice(shown, n))
        begun = clock()
        for observation in ahead:
            allocator.allocate(observation)
        return (clock() - begun) / n

    play(1)
    once = play(1)
    n = 1 if once > LONG_S else min(MOST, max(FEWEST, int(measured_s / once)))
    return 1e6 * min(play(n) for _ in range(REPEATS))


def observations(scenario: Scenario, seen: Floats) -> Iterator[Observation]:
    """Show what was seen over and over, (distinct ones, N, columns), at decisions 0, 1, …."""
    for k, raw in enumerate(itertools.cycle(seen)):
        yield Observation(scenario, np.int64(k), raw)  # type: ignore[arg-type]  # as simulated


def growth(times: Mapping[str, float | None]) -> float | None:
    """Return the exponent of N in the time between the two largest sizes; 1 is in proportion."""
    small, large = (times.get(str(n)) for n in SIZES[-2:])
    if small is None or large is None:
        return None
    return math.log(large / small) / math.log(SIZES[-1] / SIZES[-2])


def targets(name: str) -> dict[str, float]:
    """Return what an allocator is held to by number of agents [µs]; empty: it is reported."""
    default = {} if _beyond_linear(name) else LINEAR
    return {str(n): most for n, most in OWN.get(name, default).items()}


def _beyond_linear(name: str) -> str:
    return allocator_class(name).beyond_linear
