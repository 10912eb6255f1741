"""Mooncake's traces: JSON lines with `timestamp` [ms], `input_length` and `output_length`."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from .. import checks
from .calls import FORMATS, TraceCalls, bad_line, gpu_seconds, numbered_lines, require_sorted

KEYS = ("timestamp", "input_length", "output_length")
LARGEST = 10**12


@FORMATS("mooncake")
@dataclass(frozen=True)
class Mooncake:
    """Time stamps sit on ticks about 3 s apart; each call is spread uniformly over its tick.

    Attributes:
        jitter_s: Width of the uniform jitter added to every time stamp [s].
        jitter_seed: Seed of the jitter: the spread trace is always the same one.
    """

    jitter_s: float
    jitter_seed: int = 0

    def __post_init__(self) -> None:
        checks.number("jitter_s", self.jitter_s, at_least=0)
        checks.integer("jitter_seed", self.jitter_seed, at_least=0)

    def read(self, data: bytes, source: str) -> TraceCalls:
        """Read a whole file."""
        rows = [_row(line, number, source) for number, line in numbered_lines(data, source)]
        milliseconds, tokens_in, tokens_out = np.array(rows, dtype=np.int64).T
        tick = milliseconds / 1e3
        require_sorted(tick, 1, source)
        rng = np.random.default_rng(self.jitter_seed)
        arrival = tick + rng.uniform(0.0, self.jitter_s, tick.size)
        order = np.argsort(arrival, kind="stable")
        return TraceCalls(arrival[order], gpu_seconds(tokens_in, tokens_out)[order])


def _row(line: str, number: int, source: str) -> tuple[int, int, int]:
    try:
        call = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise bad_line(source, number, "must be one JSON object", line) from None
    if not isinstance(call, dict):
        raise bad_line(source, number, "must be one JSON object", line)
    values = tuple(_count(call, key, number, source) for key in KEYS)
    if values[1] + values[2] == 0:
        raise bad_line(source, number, "a call must have tokens", line)
    return values[0], values[1], values[2]


def _count(call: dict[str, object], key: str, number: int, source: str) -> int:
    value = call.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LARGEST:
        raise bad_line(source, number, f"{key} must be a whole number of at least 0", value)
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
