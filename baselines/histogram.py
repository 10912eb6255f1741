"""Keep-alive by a histogram of idle times, as Azure Functions does.

Each agent's idle times, from the end of its last call to the next one's arrival, are counted in
bins. Of their distribution, with the head rounded down and the tail up to the edge of a bin,

    pre-warm   at   (1 − margin)·head percentile − cold start   after the last call
    let go     at   (1 + margin)·tail percentile

Before and after that the agent gets no share; with few short idle times the head is 0 and it just
stays. The histogram is not trusted while the coefficient of variation of its bins' counts is below
`spread`, or while most idle times lie beyond it; the agent is then kept for `standard_s`.

Source: M. Shahrad et al., "Serverless in the Wild", USENIX ATC 2020, section 4: percentiles 5 and
99, a margin of 10 %, a spread of 2, bins of a minute over four hours; there a time series model
follows where idle times lie beyond the histogram. The cold start is subtracted since loading takes
long here. The simulator's own keep-alive runs on top of a share that went to zero. Shares are by
need, as in `cmu`, and cut in proportion where the pool is short.
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
    ARRIVALS,
    IDLE,
    RATE_SHORT,
    Remembering,
    calls_at,
    either,
    fit,
    hold,
    is_new,
    rows,
    rule,
    serves,
    wanted,
)

if TYPE_CHECKING:
    from ..envs.spec import Scenario

# Columns of the memory, (N, columns); the counts of the bins follow.
IDLE_BEFORE, WARM_FROM, WARM_UNTIL, COUNT, SQUARES, BEYOND, BINS = range(7)


@rule
def _decide(
    raw: Shares,
    decision: NDArray[np.int64],
    clock: NDArray[np.int64],
    memory: Shares,
    constants: Shares,
    policy: Shares,
    gpus: float,
    held: float,
    interval_s: float,
    drain_s: float,
) -> Shares:
    throughput, servers, least, cold = constants[0], constants[1], constants[2], constants[3]
    shares = np.empty(raw.shape[:2])
    for b in range(len(raw)):
        new = is_new(decision, clock, memory, b)
        for i in range(raw.shape[1]):
            calls, idle = calls_at(raw, b, i), raw[b, i, IDLE]
            if new:
                if raw[b, i, ARRIVALS] > 0.0:
                    _learn(memory, b, i, policy, cold[i])
                memory[b, i, IDLE_BEFORE] = idle
            kept = memory[b, i, WARM_FROM] <= idle < memory[b, i, WARM_UNTIL]
            need = wanted(raw[b, i, RATE_SHORT], calls, throughput[i], servers[i], drain_s)
            need = either(serves(raw, b, i, interval_s), max(need, least[i]), held)
            shares[b, i] = need * ((calls > 0.0) | kept)
        fit(shares, b, gpus, held)
    return shares


@rule
def _learn(memory: Shares, b: int, i: int, policy: Shares, cold_start_s: float) -> None:
    """Count the idle time that a call has ended, and set the two windows anew."""
    bin_s, spread, standard_s = policy[0], policy[1], policy[2]
    head, tail, margin = policy[3], policy[4], policy[5]
    n_bins = memory.shape[2] - BINS
    # Idle since the start is no idle time between calls; there is no window yet then.
    if memory[b, i, IDLE_BEFORE] > 0.0 and memory[b, i, WARM_UNTIL] > 0.0:
        place = int(memory[b, i, IDLE_BEFORE] / bin_s)
        if place < n_bins:
            memory[b, i, COUNT] += 1.0
            memory[b, i, SQUARES] += 2.0 * memory[b, i, BINS + place] + 1.0
            memory[b, i, BINS + place] += 1.0
        else:
            memory[b, i, BEYOND] += 1.0
    count = memory[b, i, COUNT]
    memory[b, i, WARM_FROM], memory[b, i, WARM_UNTIL] = 0.0, standard_s
    mean = count / n_bins
    variance = memory[b, i, SQUARES] / n_bins - mean * mean
    if count > memory[b, i, BEYOND] and math.sqrt(max(0.0, variance)) >= spread * mean:
        low = _bin_of(memory, b, i, head * count)
        high = _bin_of(memory, b, i, tail * count) + 1
        memory[b, i, WARM_FROM] = max(0.0, (1.0 - margin) * low * bin_s - cold_start_s)
        memory[b, i, WARM_UNTIL] = (1.0 + margin) * high * bin_s


@rule
def _bin_of(memory: Shares, b: int, i: int, count: float) -> int:
    """Return the first bin up to which at least `count` idle times lie."""
    below, k = memory[b, i, BINS], 0
    while below < count and BINS + k + 1 < memory.shape[2]:
        k += 1
        below += memory[b, i, BINS + k]
    return k


@register("histogram")
@dataclass(eq=False)
class Histogram(Remembering):
    """Pre-warming and keep-alive by past idle times: O(N·bins), remembers the histograms.

    An agent is loaded for its first call. Idle times shorter than a decision interval are not seen.

    Attributes:
        drain_s: Time in which the calls in the system are to be done [s].
        head: Percentile of the idle times before which a call is not expected, in [0, 1].
        tail: Percentile after which none is expected any more, in [0, 1].
        margin: Part by which both are widened, in [0, 1].
        spread: Least coefficient of variation of the bins' counts, at least 0.
        standard_s: Keep-alive without a histogram to trust [s].
        bin_s: Width of a bin [s].
        bins: Number of bins.
    """

    drain_s: float = 5.0
    head: float = 0.05
    tail: float = 0.99
    margin: float = 0.1
    spread: float = 2.0
    standard_s: float = 10.0
    bin_s: float = 1.0
    bins: int = 120

    search_space = (
        Range("drain_s", 0.5, 50.0, log=True),
        Range("head", 0.0, 0.5),
        Range("tail", 0.5, 1.0),
        Range("margin", 0.0, 0.5),
        Range("spread", 0.0, 10.0),
        Range("standard_s", 0.5, 300.0, log=True),
        Range("bin_s", 0.25, 10.0, log=True),
    )
    beyond_linear = "keeps histograms"
    _rule = staticmethod(_decide)

    def __post_init__(self) -> None:
        for name in ("drain_s", "standard_s", "bin_s"):
            checks.number(f"histogram.{name}", getattr(self, name), above=0)
        for name in ("head", "tail", "margin"):
            checks.number(f"histogram.{name}", getattr(self, name), at_least=0, at_most=1)
        checks.number("histogram.spread", self.spread, at_least=0)
        checks.integer("histogram.bins", self.bins, at_least=1, at_most=100_000)

    def _memory_shape(self, scenario: Scenario) -> tuple[int, ...]:
        return (scenario.n_agents, BINS + self.bins)

    def _prepare(self, scenario: Scenario) -> tuple[Any, ...]:
        held = hold(scenario)
        policy = (self.bin_s, self.spread, self.standard_s, self.head, self.tail, self.margin)
        return (
            rows(
                scenario.throughput,
                scenario.concurrency,
                np.maximum(scenario.footprint, held),
                scenario.cold_start_s,
            ),
            np.array(policy, dtype=np.float64),
            float(scenario.gpus),
            held,
            float(scenario.interval_s),
            float(self.drain_s),
        )
