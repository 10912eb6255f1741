"""Kubernetes' Horizontal Pod Autoscaler: replicas in proportion to utilization over its target.

    ratio = utilization/target
    wanted = ceil(current·ratio), or current where |ratio − 1| ≤ tolerance
    upwards:   at most the larger of 2·current and current + 4
    downwards: the largest `wanted` of the last window_s, so that nothing shrinks in haste

every sync_s. Source: kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale; there the
defaults are 15 s, a tolerance of 0.1, and a window of 300 s. Utilization is that of the servers,
in_service/c; while a model is not loaded there is no measurement, and nothing changes. There is at
least one replica: without pods there is nothing to measure, and the HPA cannot leave zero.

A replica is `replica` GPUs of the one deployment that an agent has here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..envs import checks
from .base import Range, Shares, register
from .compiled import (
    IN_SERVICE,
    WARM,
    Remembering,
    fit,
    hold,
    is_new,
    rows,
    rule,
    share_of_replicas,
)

if TYPE_CHECKING:
    from ..envs.spec import Scenario

ROUNDING = (
    1e-9  # 10 replicas at 0.9 of a target of 0.6 are 15, though 10·(0.9/0.6) is more by a hair
)
# Rows of the memory, (rows, N); the recommendations of the window follow.
REPLICAS, DUE, SEEN, RECOMMENDED = range(4)


@rule
def _decide(
    raw: Shares,
    decision: NDArray[np.int64],
    clock: NDArray[np.int64],
    memory: Shares,
    constants: Shares,
    gpus: float,
    held: float,
    interval_s: float,
    replica: float,
    target: float,
    tolerance: float,
    sync_s: float,
) -> Shares:
    servers, least = constants[0], constants[1]
    shares = np.empty(raw.shape[:2])
    most = max(1.0, math.ceil(gpus / replica))
    for b in range(len(raw)):
        now = decision[b] * interval_s
        is_due = is_new(decision, clock, memory, b) and now >= memory[b, DUE, 0]
        for i in range(raw.shape[1]):
            if is_due:
                used = raw[b, i, IN_SERVICE] / servers[i]
                ratio = used / target if raw[b, i, WARM] > 0.0 else 1.0
                _scale(memory, b, i, ratio, tolerance, most)
                memory[b, DUE, i] = now + sync_s
            count = memory[b, REPLICAS, i]
            shares[b, i] = share_of_replicas(raw, b, i, count, replica, least[i], held, interval_s)
        fit(shares, b, gpus, held)
    return shares


@rule
def _scale(memory: Shares, b: int, i: int, ratio: float, tolerance: float, most: float) -> None:
    """Set the replicas of agent i at one synchronisation."""
    current = max(1.0, memory[b, REPLICAS, i])
    wanted = current if abs(ratio - 1.0) <= tolerance else math.ceil(current * ratio - ROUNDING)
    wanted = min(max(1.0, wanted), max(2.0 * current, current + 4.0), most)
    window = memory.shape[1] - RECOMMENDED
    memory[b, RECOMMENDED + int(memory[b, SEEN, i]) % window, i] = wanted
    memory[b, SEEN, i] += 1.0
    if wanted < current:
        for k in range(window):
            wanted = max(wanted, memory[b, RECOMMENDED + k, i])
        wanted = min(wanted, current)
    memory[b, REPLICAS, i] = wanted


@register("hpa")
@dataclass(eq=False)
class HPA(Remembering):
    """Replicas by utilization, with a window against shrinking: O(N·window), remembers the window.

    Attributes:
        target: Utilization of the servers that is aimed at, in (0, 1].
        replica: Size of a replica [GPU].
        tolerance: Deviation of utilization/target from 1 that changes nothing, at least 0.
        sync_s: Time between two looks [s].
        window_s: Time over which the largest recommendation holds against a smaller one [s].
    """

    target: float = 0.7
    replica: float = 0.25
    tolerance: float = 0.1
    sync_s: float = 5.0
    window_s: float = 20.0

    search_space = (
        Range("target", 0.1, 1.0),
        Range("replica", 0.02, 1.0, log=True),
        Range("tolerance", 0.0, 0.5),
        Range("sync_s", 1.0, 30.0, log=True),
        Range("window_s", 1.0, 300.0, log=True),
    )
    _rule = staticmethod(_decide)

    def __post_init__(self) -> None:
        for name in ("target", "replica", "sync_s"):
            checks.number(f"hpa.{name}", getattr(self, name), above=0)
        checks.number("hpa.target", self.target, at_most=1)
        for name in ("tolerance", "window_s"):
            checks.number(f"hpa.{name}", getattr(self, name), at_least=0)

    @classmethod
    def examples(cls) -> tuple[str, ...]:
        """In the time scale of decisions, and with the product's times."""
        return ("hpa", "hpa:sync_s=15,window_s=300")

    def _memory_shape(self, scenario: Scenario) -> tuple[int, ...]:
        step_s = max(self.sync_s, scenario.interval_s)
        window = 1 + math.floor(self.window_s / step_s + ROUNDING)
        return (RECOMMENDED + window, scenario.n_agents)

    def _prepare(self, scenario: Scenario) -> tuple[Any, ...]:
        held = hold(scenario)
        return (
            rows(scenario.concurrency, np.maximum(scenario.footprint, held)),
            float(scenario.gpus),
            held,
            float(scenario.interval_s),
            float(self.replica),
            float(self.target),
            float(self.tolerance),
            float(self.sync_s),
        )
