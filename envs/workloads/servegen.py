"""Calls of many clients, resampled from what was measured of each: ServeGen's way."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from .. import checks
from ..kinds import nested
from ..traces import load_spec
from ..traces.servegen import WINDOW_S, ClientRates
from ..traces.trace import load_content
from .base import STREAMS, Floats
from .renewal import renewal_times
from .work import WORK, Constant, Work


@STREAMS("servegen")
@dataclass(frozen=True, kw_only=True)
class ServeGenClients:
    """The sum of independent renewal processes, one a client and window of ten minutes.

    Each has the client's measured rate and the fitted shape of its gaps in that window, and is in
    equilibrium where the window, or the episode, begins: calls expected are exactly rate times
    time. Every episode is sampled anew; what it replays are the rates.

    Attributes:
        trace: A trace of format `servegen`, or the path of one's own YAML.
        work: Work of the calls; tokens are not recorded call by call.
    """

    trace: str
    work: Work = field(default=Constant(), metadata=nested(WORK))

    is_random: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checks.text("trace", self.trace)

    @property
    def clock(self) -> str:
        """Name of the clock that the windows lie on."""
        return load_spec(self.trace).clock

    def window(self, split: str) -> tuple[float, float]:
        """Start and end of the split's window on the clock [s]."""
        return load_spec(self.trace).window(split)

    def mean_rate(self, horizon_s: float) -> float:
        """Calls per second over the training window [1/s]; reads the trace."""
        return load_content(self.trace, ClientRates).mean_rate(*self.window("train"))

    def arrivals(
        self, rng: np.random.Generator, start_s: float, horizon_s: float
    ) -> tuple[Floats, Floats]:
        """Return release times [s] and work, both (calls,)."""
        clients = load_content(self.trace, ClientRates)
        first, end = clients.start_s.searchsorted((start_s - WINDOW_S, start_s + horizon_s))
        parts = [np.empty(0)]
        for i in range(first, end):
            begin = max(float(clients.start_s[i]) - start_s, 0.0)
            length = min(float(clients.start_s[i]) + WINDOW_S - start_s, horizon_s) - begin
            if length > 0:
                parts.append(begin + _times(rng, clients, i, length))
        release = np.sort(np.concatenate(parts))
        release = release[: release.searchsorted(horizon_s)]  # begin + time may round up to it
        return release, self.work.draw(rng, release.size)


def _times(rng: np.random.Generator, clients: ClientRates, i: int, length_s: float) -> Floats:
    gamma, shape = bool(clients.is_gamma[i]), float(clients.shape[i])
    rate = float(clients.rate[i])
    mean = shape if gamma else math.gamma(1 + 1 / shape)  # of a gap, in units of the scale
    expected = rate * length_s
    chunk = math.ceil(expected + 3 * math.sqrt(expected / min(shape, 1.0))) + 4
    return renewal_times(rng, gamma, shape, 1 / (rate * mean), chunk, length_s)
