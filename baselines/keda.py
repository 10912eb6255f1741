"""KEDA: replicas by queue length, zero after a cooldown without work.

    every polling_s: replicas = ceil(n/target), with n the calls that wait or are in service
    n = 0: one replica until cooldown_s after the last look that saw a call, then none

Source: keda.sh/docs/latest/reference/scaledobject-spec, whose defaults are a look every 30 s and a
cooldown of 300 s, and keda.sh/docs/latest/concepts/scaling-deployments; queue scalers take target
messages per replica, those in flight included. Between one replica and many KEDA leaves the work to
an HPA with that target; its window against shrinking (see `hpa`) is left out here.

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
from .compiled import Remembering, calls_at, fit, hold, is_new, rows, rule, share_of_replicas

if TYPE_CHECKING:
    from ..envs.spec import Scenario

# Rows of the memory, (rows, N).
REPLICAS, DUE, COOL_AT, N_ROWS = range(4)


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
    polling_s: float,
    cooldown_s: float,
) -> Shares:
    least = constants[0]
    shares = np.empty(raw.shape[:2])
    for b in range(len(raw)):
        now = decision[b] * interval_s
        is_due = is_new(decision, clock, memory, b) and now >= memory[b, DUE, 0]
        for i in range(raw.shape[1]):
            if is_due:
                calls = calls_at(raw, b, i)
                cool_at = now + cooldown_s if calls > 0.0 else memory[b, COOL_AT, i]
                memory[b, COOL_AT, i] = cool_at
                last = 1 if now < cool_at else 0
                memory[b, REPLICAS, i] = max(last, math.ceil(calls / target))
                memory[b, DUE, i] = now + polling_s
            count = memory[b, REPLICAS, i]
            shares[b, i] = share_of_replicas(raw, b, i, count, replica, least[i], held, interval_s)
        fit(shares, b, gpus, held)
    return shares


@register("keda")
@dataclass(eq=False)
class KEDA(Remembering):
    """Replicas by queue length with a cooldown before zero: O(N), remembers replicas and times.

    Attributes:
        target: Calls in the system that a replica is for.
        replica: Size of a replica [GPU].
        polling_s: Time between two looks [s].
        cooldown_s: Time without calls after which the last replica goes [s].
    """

    target: float = 2.0
    replica: float = 0.25
    polling_s: float = 2.0
    cooldown_s: float = 10.0

    search_space = (
        Range("target", 0.2, 20.0, log=True),
        Range("replica", 0.02, 1.0, log=True),
        Range("polling_s", 1.0, 30.0, log=True),
        Range("cooldown_s", 0.5, 300.0, log=True),
    )
    _rule = staticmethod(_decide)

    def __post_init__(self) -> None:
        for name in ("target", "replica", "polling_s"):
            checks.number(f"keda.{name}", getattr(self, name), above=0)
        checks.number("keda.cooldown_s", self.cooldown_s, at_least=0)

    @classmethod
    def examples(cls) -> tuple[str, ...]:
        """In the time scale of decisions, and with the product's times."""
        return ("keda", "keda:polling_s=30,cooldown_s=300")

    def _memory_shape(self, scenario: Scenario) -> tuple[int, ...]:
        return (N_ROWS, scenario.n_agents)

    def _prepare(self, scenario: Scenario) -> tuple[Any, ...]:
        held = hold(scenario)
        return (
            rows(np.maximum(scenario.footprint, held)),
            float(scenario.gpus),
            held,
            float(scenario.interval_s),
            float(self.replica),
            float(self.target),
            float(self.polling_s),
            float(self.cooldown_s),
        )
