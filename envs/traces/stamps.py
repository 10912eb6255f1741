"""Time stamps of any kind that traces come with, turned into seconds from the first of them."""

from __future__ import annotations

import math
import re
from array import array
from datetime import date
from decimal import Decimal
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .. import checks
from ..errors import TraceError
from .calls import Floats

# Seconds in one unit of a number.
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
TIME_UNITS = (*UNITS, "iso", "auto")
# Numbers between these are seconds since 1970 of a day between 1990 and 2100.
EPOCH_S = (6.3e8, 4.11e9)
# Whole numbers with no other sign, this far apart on average, are taken for milliseconds: in
# seconds they would be less than a call a minute.
GUESS_GAP = 60.0
WRITTEN = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,18}))?)?"
    r" ?(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")  # of a column's name: time_ms, timeMs, TIME_MS
HINTS = {
    **{name: name for name in UNITS},
    **dict.fromkeys(("sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("msec", "msecs", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("usec", "usecs", "micros", "microsecond", "microseconds"), "us"),
    **dict.fromkeys(("nsec", "nsecs", "nanos", "nanosecond", "nanoseconds"), "ns"),
}
DAY_NS = 86_400_000_000_000
EPOCH_DAY = date(1970, 1, 1).toordinal()


class Stamps:
    """Collects time stamps: numbers, or dates with times; the first readable one says which.

    Args:
        column: Name of their column, which may end in a unit.
        unit: One of `TIME_UNITS`.
    """

    def __init__(self, column: str, unit: str = "auto") -> None:
        self.column = column
        self.unit = checks.one_of("time-unit", unit, TIME_UNITS)
        self.kind = {"auto": "", "iso": "date"}.get(unit, "number")
        self.zone: bool | None = None  # whether the dates have one; all or none
        self._numbers = array("d")
        self._dates = array("q")  # nanoseconds since 1970

    def __len__(self) -> int:
        return len(self._numbers) + len(self._dates)

    def add(self, value: object) -> bool:
        """Collect one stamp; False for one that cannot be read, or is not of the same kind."""
        if self.kind != "date":
            number = as_number(value)
            if number is not None:
                self.kind = "number"
                self._numbers.append(number)
                return True
        if self.kind == "number":
            return False
        written = _as_date(value)
        if written is None or self.zone not in (None, written[1]):
            return False
        self.kind, self.zone = "date", written[1]
        self._dates.append(written[0])
        return True

    def seconds(self, session: NDArray[np.int64] | None = None) -> tuple[Floats, str, str]:
        """Return the stamps in seconds from the earliest, and how they were understood.

        Args:
            session: Number of each stamp's session, where each has a clock of its own.

        Returns:
            Seconds, shape (stamps,); the unit; what was found, for people.

        Raises:
            TraceError: They span more time than 64 bits of nanoseconds hold.
        """
        if self.kind == "date":
            dates = np.frombuffer(self._dates, dtype=np.int64)
            first = int(dates.min())
            if int(dates.max()) - first >= 2**63:
                raise TraceError(f"column {self.column!r} must span less than 292 years")
            zone = "with a time zone" if self.zone else "without a time zone"
            return (dates - first) / 1e9, "iso", f"dates with times, {zone}"
        numbers = np.frombuffer(self._numbers, dtype=np.float64)
        unit, why = (self.unit, "as told") if self.unit in UNITS else self._guess(numbers, session)
        return (numbers - numbers.min()) * UNITS[unit], unit, f"{NAMES[unit]} ({why})"

    def _guess(self, numbers: Floats, session: NDArray[np.int64] | None) -> tuple[str, str]:
        middle = float(np.median(numbers))
        for unit, size in UNITS.items():
            if EPOCH_S[0] <= middle * size <= EPOCH_S[1]:
                return unit, "since 1970"
        last_word = "".join(WORDS.findall(self.column)[-1:]).lower()
        if last_word in HINTS:
            return HINTS[last_word], f"as the name {self.column!r} says"
        if np.any(numbers != np.floor(numbers)):
            return "s", "numbers with decimals"
        gap = mean_gap(numbers, session)
        unit = "ms" if gap > GUESS_GAP else "s"
        return unit, f"a guess: whole numbers, {gap:.3g} apart on average; --time-unit tells"

    def first(self) -> str:
        """Return the earliest stamp, for people."""
        if self.kind == "date":
            stamp = str(np.datetime64(min(self._dates), "ns")).replace("T", " ")
            return stamp + (" UTC" if self.zone else "")
        return f"{min(self._numbers):.17g}"


def mean_gap(numbers: Floats, session: NDArray[np.int64] | None = None) -> float:
    """Return the mean distance of neighbours, within sessions where there are any; 0 without."""
    if session is None:
        return float(np.ptp(numbers)) / max(numbers.size - 1, 1)
    order = np.lexsort((numbers, session))
    same = np.diff(session[order]) == 0
    gaps = np.diff(numbers[order])[same]
    return float(gaps.mean()) if gaps.size else 0.0


def as_number(value: object) -> float | None:
    """Return a finite float, from a number or its text; `None` for anything else."""
    if isinstance(value, str):
        if "_" in value:  # Python's own notation
            return None
    elif isinstance(value, (bool, np.datetime64)) or not isinstance(
        value, (int, float, Decimal, np.number)
    ):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _as_date(value: object) -> tuple[int, bool] | None:
    """Return nanoseconds since 1970, and whether the stamp has a zone."""
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else (int(value.astype("M8[ns]").astype(np.int64)), False)
    match = WRITTEN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    day, hour, minute, second, fraction, zone = match.groups()
    start = _day_ns(day)
    hours, minutes, seconds = int(hour), int(minute), int(second or 0)
    if start is None or hours > 23 or minutes > 59 or seconds > 59:
        return None
    whole = start + ((hours * 60 + minutes) * 60 + seconds) * 1_000_000_000
    total = whole + int((fraction or "0").ljust(9, "0")[:9]) - _offset_ns(zone)
    return (total, zone is not None) if abs(total) < 2**63 else None


@lru_cache(maxsize=1024)
def _day_ns(day: str) -> int | None:
    try:
        return (date.fromisoformat(day).toordinal() - EPOCH_DAY) * DAY_NS
    except ValueError:
        return None


@lru_cache(maxsize=1024)
def _offset_ns(zone: str | None) -> int:
    if zone is None or zone[0] not in "+-":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return (-1 if zone[0] == "-" else 1) * minutes * 60_000_000_000
