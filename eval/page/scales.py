"""From values to places on a drawing, with ticks that people count in."""

from __future__ import annotations

import math
from dataclasses import dataclass

LINEAR, LOG, LOG1P = "linear", "log", "log1p"
FORWARD = {LINEAR: float, LOG: math.log10, LOG1P: math.log1p}


@dataclass(frozen=True)
class Scale:
    """Maps values from `low` to `high` to places from `start` to `end`; what lies beyond, there.

    Attributes:
        low: Smallest value; above 0 where the kind is `log`.
        high: Largest value, above `low`.
        start: Its place [units of the drawing].
        end: Place of the largest.
        kind: `linear`, `log`, or `log1p`, which has a 0.
    """

    low: float
    high: float
    start: float
    end: float
    kind: str = LINEAR

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        forward = FORWARD[self.kind]
        value = min(max(value, self.low), self.high)
        part = (forward(value) - forward(self.low)) / (forward(self.high) - forward(self.low))
        return self.start + part * (self.end - self.start)

    def ticks(self, n: int = 5) -> list[float]:
        """Return at most about `n` values to be written at the axis."""
        if self.kind == LINEAR:
            step = nice((self.high - self.low) / n)
            begin, end = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
            return [i * step for i in range(begin, end + 1)]
        lowest = max(self.low, 1.0) if self.kind == LOG1P else self.low
        first, last = math.log10(lowest) - 1e-9, math.log10(self.high) + 1e-9
        decades = range(math.ceil(first), math.floor(last) + 1)
        found = [10.0**i for i in decades]
        if self.kind == LOG and len(found) < 3:
            found = sorted(
                m * 10.0**i for i in range(decades.start - 1, decades.stop) for m in (1, 2, 5)
            )
        found = [v for v in found if self.low * (1 - 1e-9) <= v <= self.high * (1 + 1e-9)]
        every = -(-len(found) // n)
        return ([0.0] if self.kind == LOG1P else []) + found[:: max(every, 1)]


def nice(value: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= value * (1 - 1e-9))


def spread(places: list[float], gap: float, low: float, high: float) -> list[float]:
    """Return places at least `gap` apart, in the same order, near where they were.

    Each is pushed down from the one above it, and all back up from `high`; where there is no space
    for all, they are as far apart as there is.
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    gap = min(gap, (high - low) / max(len(places) - 1, 1))
    found = list(places)
    at = low - gap
    for i in order:
        at = found[i] = max(found[i], at + gap)
    at = high + gap
    for i in reversed(order):
        at = found[i] = min(found[i], at - gap)
    return found


def short(value: float) -> str:
    """Return a number as it is written at an axis."""
    if math.isnan(value):
        return "–"
    return f"{value + 0.0:,.4g}".replace("-", "−")
