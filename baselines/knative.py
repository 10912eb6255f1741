"""Knative's autoscaler (KPA): replicas by average concurrency, with a panic mode for bursts.

    stable, panic = mean calls in the system over stable_s, over panic_s
    wanted_x = ceil(x/target), between floor(ready/2) and 1000·ready
    panic mode from ceil(panic/target)/ready ≥ threshold until stable_s after it last held:
        replicas = the largest of wanted_stable and wanted_panic since the mode began
    otherwise: replicas = wanted_stable

with `ready` the replicas in force, at least 1. Sources: knative.dev/docs/serving/autoscaling/
kpa-specific and scale-to-zero, and `Scale` in pkg/autoscaler/scaling/autoscaler.go of
github.com/knative/serving. Knative's defaults are windows of 60 s and 6 s, a threshold of 2 and a
target of 70 % of what a container takes at once; its last replica goes once the stable window is
empty, up to a grace period of 30 s later.

A replica is `replica` GPUs of the one deployment that an agent has here. Concurrency is sampled at
the decisions, and a replica of a model that is not loaded is not ready.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..envs import checks
from .base import Range, Shares, register
from .compiled import (
    WARM,
    Remembering,
    calls_at,
    either,
    fit,
    hold,
    is_new,
    rows,
    rule,
    share_of_replicas,
)

if TYPE_CHECKING:
    from ..envs.spec import Scenario

MAX_SCALE_UP = 1000.0
MAX_SCALE_DOWN = 2.0
# Rows of the memory, (rows, N); the samples of the stable window follow.
REPLICAS, SEEN, STABLE, PANIC, PANIC_UNTIL, MOST, LAST_WANTED, SAMPLES = range(8)


@rule
def _decide(
    raw: Shares,
    decision: NDArray[np.int64],
    clock: NDArray[np.int64],
    memory: Shares,
    constants: Shares,
    windows: NDArray[np.int64],
    gpus: float,
    held: float,
    interval_s: float,
    replica: float,
    target: float,
    stable_s: float,
    threshold: float,
    grace_s: float,
) -> Shares:
    least = constants[0]
    shares = np.empty(raw.shape[:2])
    for b in range(len(raw)):
        now = decision[b] * interval_s
        new = is_new(decision, clock, memory, b)
        seen = int(memory[b, SEEN, 0])
        memory[b, SEEN, 0] += new
        slot, leaving = SAMPLES + seen % windows[0], SAMPLES + (seen - windows[1]) % windows[0]
        stable, panic = min(seen + 1, windows[0]), min(seen + 1, windows[1])
        for i in range(raw.shape[1]):
            if new:
                _sample(memory, b, i, calls_at(raw, b, i), slot, leaving)
                by_stable = np.ceil(memory[b, STABLE, i] / stable / target)
                by_panic = np.ceil(memory[b, PANIC, i] / panic / target)
                ready = max(1.0, memory[b, REPLICAS, i] * (raw[b, i, WARM] > 0.0))
                _scale(memory, b, i, by_stable, by_panic, ready, now, stable_s, threshold, grace_s)
            count = memory[b, REPLICAS, i]
            shares[b, i] = share_of_replicas(raw, b, i, count, replica, least[i], held, interval_s)
        fit(shares, b, gpus, held)
    return shares


@rule
def _sample(memory: Shares, b: int, i: int, calls: float, slot: int, leaving: int) -> None:
    """Add a sample to both sums, and take out what leaves their windows: 0 until they are full."""
    memory[b, STABLE, i] += calls - memory[b, slot, i]
    memory[b, PANIC, i] += calls - memory[b, leaving, i]
    memory[b, slot, i] = calls


@rule
def _scale(
    memory: Shares,
    b: int,
    i: int,
    stable: float,
    panic: float,
    ready: float,
    now: float,
    stable_s: float,
    threshold: float,
    grace_s: float,
) -> None:
    """Set the replicas of agent i from those that its windows want."""
    until = memory[b, PANIC_UNTIL, i]
    until = either(panic / ready >= threshold, now + stable_s, until * (until >= now))
    low, high = np.floor(ready / MAX_SCALE_DOWN), np.ceil(ready * MAX_SCALE_UP)
    in_panic = until > 0.0
    most = max(min(max(panic, low), high), memory[b, MOST, i])
    wanted = max(min(max(stable, low), high), most * in_panic)
    memory[b, PANIC_UNTIL, i] = until
    memory[b, MOST, i] = wanted * in_panic
    if grace_s > 0.0:
        last = either(wanted > 0.0, now, memory[b, LAST_WANTED, i])
        memory[b, LAST_WANTED, i] = last
        stays = (memory[b, REPLICAS, i] > 0.0) & (now - last < grace_s)
        wanted = max(wanted, 1.0 * stays)
    memory[b, REPLICAS, i] = wanted


@register("knative")
@dataclass(eq=False)
class Knative(Remembering):
    """Replicas by concurrency over a stable and a panic window: O(N), remembers both windows.

    Attributes:
        target: Calls in the system that a replica is for.
        replica: Size of a replica [GPU].
        stable_s: Length of the stable window [s].
        panic: Part of the stable window that the panic window is, in (0, 1].
        threshold: Replicas wanted over those ready that start the panic mode, at least 1.
        grace_s: How long the last replica stays when none is wanted any more [s].
    """

    target: float = 2.0
    replica: float = 0.25
    stable_s: float = 20.0
    panic: float = 0.1
    threshold: float = 2.0
    grace_s: float = 0.0

    search_space = (
        Range("target", 0.2, 20.0, log=True),
        Range("replica", 0.02, 1.0, log=True),
        Range("stable_s", 2.0, 120.0, log=True),
        Range("panic", 0.05, 1.0, log=True),
        Range("threshold", 1.0, 10.0, log=True),
        Range("grace_s", 0.0, 60.0),
    )
    _rule = staticmethod(_decide)

    def __post_init__(self) -> None:
        for name in ("target", "replica", "stable_s", "panic"):
            checks.number(f"knative.{name}", getattr(self, name), above=0)
        checks.number("knative.panic", self.panic, at_most=1)
        checks.number("knative.threshold", self.threshold, at_least=1)
        checks.number("knative.grace_s", self.grace_s, at_least=0)

    @classmethod
    def examples(cls) -> tuple[str, ...]:
        """In the time scale of decisions, and with the product's windows and grace period."""
        return ("knative", "knative:stable_s=60,grace_s=30")

    def _windows(self, scenario: Scenario) -> NDArray[np.int64]:
        stable = max(1, round(self.stable_s / scenario.interval_s))
        panic = max(1, round(self.panic * self.stable_s / scenario.interval_s))
        return np.array([stable, min(panic, stable)])

    def _memory_shape(self, scenario: Scenario) -> tuple[int, ...]:
        return (SAMPLES + int(self._windows(scenario)[0]), scenario.n_agents)

    def _prepare(self, scenario: Scenario) -> tuple[Any, ...]:
        held = hold(scenario)
        return (
            rows(np.maximum(scenario.footprint, held)),
            self._windows(scenario),
            float(scenario.gpus),
            held,
            float(scenario.interval_s),
            float(self.replica),
            float(self.target),
            float(self.stable_s),
            float(self.threshold),
            float(self.grace_s),
        )
