"""Azure's LLM inference traces of 2023: `TIMESTAMP,ContextTokens,GeneratedTokens`."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError, TraceError
from .calls import (
    FORMATS,
    Floats,
    TraceCalls,
    bad_line,
    gpu_seconds,
    lines_below,
    require_sorted,
)

HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"
EXAMPLE = "2023-11-16 18:17:03.9799600,4808,10"
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,9})?"
ROW = re.compile(rf"({TIME}),(\d{{1,9}}),(\d{{1,9}})")


@FORMATS("azure")
@dataclass(frozen=True)
class Azure:
    """CRLF or LF line ends, no final one; times with 7 decimals and no time zone.

    Attributes:
        t0: Second 0 of the clock, written like the trace's times; traces that share it can be
            replayed side by side.
    """

    t0: str

    def __post_init__(self) -> None:
        if not isinstance(self.t0, str):
            raise TypeError(f"t0 must be a quoted string such as {EXAMPLE[:19]!r}, got {self.t0!r}")
        try:
            valid = re.fullmatch(TIME, self.t0) and np.datetime64(self.t0, "ns")
        except ValueError:
            valid = None
        if not valid:
            raise ConfigError(f"t0 must be a time such as {EXAMPLE[:19]!r}, got {self.t0!r}")

    def read(self, data: bytes, source: str) -> TraceCalls:
        """Read a whole file; times count from `t0`."""
        below = lines_below(HEADER, data, source)
        rows = [_row(line, number, source) for number, line in below]
        if not rows:
            raise TraceError(f"{source} must hold calls, but it has a header alone; fetch it again")
        stamps, tokens_in, tokens_out = zip(*rows, strict=True)
        arrival = _seconds(stamps, self.t0, source)
        require_sorted(arrival, 2, source)
        return TraceCalls(arrival, gpu_seconds(np.array(tokens_in), np.array(tokens_out)))


def _row(line: str, number: int, source: str) -> tuple[str, int, int]:
    match = ROW.fullmatch(line)
    if match is None:
        raise bad_line(source, number, f"must look like {EXAMPLE}", line)
    tokens_in, tokens_out = int(match[2]), int(match[3])
    if tokens_in + tokens_out == 0:
        raise bad_line(source, number, "a call must have tokens", line)
    return match[1], tokens_in, tokens_out


def _seconds(stamps: tuple[str, ...], t0: str, source: str) -> Floats:
    """Convert times to seconds since t0; through integers, so that all 7 decimals survive."""
    try:
        times = np.array(stamps, dtype="datetime64[ns]")
    except ValueError:
        number, stamp = next((i, s) for i, s in enumerate(stamps, 2) if not _is_time(s))
        raise bad_line(source, number, "the time must exist", stamp) from None
    seconds: Floats = (times - np.datetime64(t0, "ns")).astype(np.int64) / 1e9
    return seconds


def _is_time(stamp: str) -> bool:
    try:
        np.datetime64(stamp, "ns")
    except ValueError:
        return False
    return True
