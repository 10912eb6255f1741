"""The calls of a trace, and the formats that they are read from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import TraceError
from ..kinds import Kinds

Floats = NDArray[np.float64]

# GPU-seconds of a call on an A10G-class GPU with an 8B model, by rule of thumb: prompts are read at
# 4000 tokens/s and answers written, in a batch, at 1000 tokens/s.
PROMPT_TOKENS_PER_GPU_S = 4000.0
OUTPUT_TOKENS_PER_GPU_S = 1000.0


@dataclass(frozen=True, eq=False)
class TraceCalls:
    """What a trace file holds.

    Attributes:
        arrival_s: Arrival on the trace's clock, sorted, shape (calls,) [s]; may be negative.
        work: Work of each call, shape (calls,), in any unit; from tokens, in GPU-seconds.
        agent: Name of each call's agent, shape (calls,) of str; `None` where the trace has one.
        in_calls: Whether `work` is in mean calls already and is not to be normalised.
    """

    arrival_s: Floats
    work: Floats
    agent: NDArray[np.str_] | None = None
    in_calls: bool = False

    @property
    def n_calls(self) -> int:
        """Number of calls."""
        return int(self.arrival_s.size)


class Format(Protocol):
    """Reads one file format; a frozen dataclass registered in `FORMATS`."""

    def read(self, data: bytes, source: str) -> object:
        """Read a whole file: `TraceCalls`, or what another loader asks for (`load_content`).

        Args:
            data: Its unpacked bytes.
            source: Its name, for error messages.

        Raises:
            TraceError: Naming the file, the line, the rule, the value and the way out.
        """


FORMATS: Kinds[Format] = Kinds("trace format")


def gpu_seconds(tokens_in: NDArray[np.int64], tokens_out: NDArray[np.int64]) -> Floats:
    """Work of calls with these token counts, shape (calls,) [GPU-s].

    1,155 tokens in and 211 out are 1155/4000 + 211/1000 = 0.49975 GPU-s.
    """
    return tokens_in / PROMPT_TOKENS_PER_GPU_S + tokens_out / OUTPUT_TOKENS_PER_GPU_S


def numbered_lines(data: bytes, source: str) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end); a final line end is optional.

    Raises:
        TraceError: An empty file or one that is not UTF-8 text.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        at = data[: error.start].count(b"\n") + 1
        raise bad_line(source, at, "must be UTF-8 text", data[error.start : error.end]) from None
    if not text.strip():
        raise TraceError(f"{source} must hold calls, but it is empty; fetch or export it again")
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    for number, line in enumerate(lines, start=1):
        yield number, line.removesuffix("\r")


def lines_below(header: str, data: bytes, source: str) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) below the header that a published trace must have.

    Raises:
        TraceError: Another header, an empty file or one that is not UTF-8 text.
    """
    lines = numbered_lines(data, source)
    _, found = next(lines)
    if found.removeprefix("\ufeff") != header:
        raise bad_line(source, 1, f"must be the header {header}", found, "is it that trace?")
    yield from lines


def bad_line(
    source: str, line: int, rule: str, value: object, way_out: str = "repair or remove the line"
) -> TraceError:
    """Build the error for a line that breaks a rule."""
    return TraceError(f"{source}, line {line}: {rule}, got {value!r:.120}; {way_out}")


def require_sorted(arrival_s: Floats, first_line: int, source: str) -> None:
    """Raise `TraceError` at the first call that is earlier than the one on the line before."""
    wrong = np.flatnonzero(arrival_s[1:] < arrival_s[:-1])
    if wrong.size:
        at = int(wrong[0])
        raise TraceError(
            f"{source}, line {first_line + at + 1}: calls must be sorted by time, got "
            f"{arrival_s[at + 1]:.7g} s after {arrival_s[at]:.7g} s; sort the lines by time"
        )
