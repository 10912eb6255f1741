"""A user's table of calls, cleaned: sorted, with what cannot be used dropped and counted."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import checks
from ..errors import ConfigError, TraceError
from .calls import Floats
from .rows import Row, Table, open_table
from .stamps import Stamps, as_number

MAX_CALLS = 5_000_000
MAX_AGENTS = 1024
MAX_SESSIONS = 1_000_000
MAX_NAME = 100
ALLOWED_DROPPED = 0.01
UNNAMED = "agent"
# Why a row is dropped, in the words of the report.
UNREADABLE = "that cannot be read"
NO_TIME = "without a readable time stamp"
NO_AGENT = "without an agent's name"
NO_WORK = "with missing or non-positive work"
NO_SESSION = "without a session"

Ints = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which columns of a table hold what.

    Attributes:
        time: Time stamps.
        agent: Names of agents; `None` for one agent.
        work: Work, in any unit; `None` for 1 each.
        session: Sessions that have a clock each; `None` for one clock.
    """

    time: str
    agent: str | None = None
    work: str | None = None
    session: str | None = None

    def __post_init__(self) -> None:
        for option in ("time", "agent", "work", "session"):
            if getattr(self, option) is not None:
                checks.text(f"{option}-column", getattr(self, option))

    @property
    def wanted(self) -> tuple[str, ...]:
        """The columns to read, time first."""
        return tuple(n for n in (self.time, self.agent, self.work, self.session) if n is not None)


@dataclass(frozen=True, kw_only=True)
class Starts:
    """How sessions that have a clock each are put on one: a Poisson process.

    Attributes:
        rate: Sessions started per second [1/s].
        seed: Of the process and of the sessions' order.
    """

    rate: float
    seed: int = 0

    def __post_init__(self) -> None:
        checks.number("session-rate", self.rate, above=0)
        checks.integer("seed", self.seed, at_least=0, at_most=2**63 - 1)


@dataclass
class Dropped:
    """Rows dropped for one reason, with the first of them."""

    count: int
    line: int
    column: str | None
    got: object


@dataclass(frozen=True, eq=False)
class Imported:
    """The calls of a user's table.

    Attributes:
        arrival_s: From the first call on, sorted, shape (calls,) [s].
        work: Greater than 0, shape (calls,).
        agent: Number of each call's agent in `agents`, shape (calls,).
        agents: Their names, sorted.
        format: Of the file.
        n_rows: Rows of the file, dropped ones included.
        dropped: Rows dropped, by reason.
        time_unit: `s`, `ms`, `us`, `ns` or `iso`.
        time_found: How time stamps were understood, for people.
        first_stamp: The earliest one, as it stands; second 0, but for sessions.
        session_s: Starts of the sessions, sorted, shape (sessions,) [s]; `None` on one clock.
    """

    arrival_s: Floats
    work: Floats
    agent: Ints
    agents: tuple[str, ...]
    format: str
    n_rows: int
    dropped: Mapping[str, Dropped]
    time_unit: str
    time_found: str
    first_stamp: str
    session_s: Floats | None = None

    @property
    def n_calls(self) -> int:
        """Number of calls."""
        return int(self.arrival_s.size)


def import_calls(
    path: Path,
    columns: Columns,
    *,
    time_unit: str = "auto",
    starts: Starts | None = None,
    allow_dropped: float = ALLOWED_DROPPED,
) -> Imported:
    """Read, check and sort the calls of a table.

    Args:
        path: CSV, JSON lines or Parquet; text may be packed by gzip.
        columns: What stands where.
        time_unit: Unit of the time stamps, or `auto`.
        starts: How sessions start; given if `columns` names a column of sessions, and only then.
        allow_dropped: Largest part of the rows that may be dropped.

    Raises:
        ConfigError: Options that do not fit together or are out of range.
        TraceError: The file cannot be read, is too large, or too much of it cannot be used.
        UnknownNameError: It has no such column.
    """
    checks.number("allow-dropped", allow_dropped, at_least=0, at_most=1)
    if (starts is None) != (columns.session is None):
        raise ConfigError(
            "session-column and session-rate must be given together: sessions that have a clock "
            "each are started at that rate; leave both out for calls on one clock"
        )
    collector = _Collector(str(path), columns, Stamps(columns.time, time_unit))
    table = open_table(path, columns.wanted)
    for row in table.rows:
        collector.add(row)
    _check(path, table, collector, allow_dropped)
    return _sorted(path, table, collector, starts)


class _Collector:
    """Keeps what can be used of the rows in compact arrays, and counts the others."""

    def __init__(self, source: str, columns: Columns, stamps: Stamps) -> None:
        self.source = source
        self.columns = columns
        self.stamps = stamps
        self.work = array("d")
        self.agent = array("i")
        self.session = array("i")
        self.agents: dict[str, int] = {}
        self.sessions: dict[str, int] = {}
        self.dropped: dict[str, Dropped] = {}
        self.n_rows = 0

    def add(self, row: Row) -> None:
        self.n_rows += 1
        if not row.cells:
            return self._drop(UNREADABLE, row.line, None, row.got)
        names = self.columns
        cells = iter(row.cells)  # in the order of `Columns.wanted`
        stamp = next(cells)
        named = UNNAMED if names.agent is None else next(cells)
        weight = 1.0 if names.work is None else next(cells)
        ran = UNNAMED if names.session is None else next(cells)
        agent = named if named is UNNAMED else _name(named)
        session = ran if ran is UNNAMED else _name(ran)
        work = 1.0 if names.work is None else as_number(weight)
        if agent is None:
            return self._drop(NO_AGENT, row.line, names.agent, named)
        if session is None:
            return self._drop(NO_SESSION, row.line, names.session, ran)
        if work is None or work <= 0:
            return self._drop(NO_WORK, row.line, names.work, weight)
        if not self.stamps.add(stamp):
            return self._drop(NO_TIME, row.line, names.time, stamp)
        self.work.append(work)
        self.agent.append(self._number(self.agents, agent, MAX_AGENTS, names.agent, row.line))
        self.session.append(
            self._number(self.sessions, session, MAX_SESSIONS, names.session, row.line)
        )
        if len(self.work) > MAX_CALLS:
            raise TraceError(
                f"{self.source} must hold at most {MAX_CALLS:,} calls, got more by line "
                f"{row.line}; cut it into parts"
            )

    def _number(
        self, known: dict[str, int], name: str, most: int, column: str | None, line: int
    ) -> int:
        if name not in known:
            if len(known) == most:
                raise TraceError(
                    f"{self.source}, line {line}: column {column!r} must hold at most {most:,} "
                    f"different names, got {name!r} as another one; is it the right column?"
                )
            known[name] = len(known)
        return known[name]

    def _drop(self, reason: str, line: int, column: str | None, got: object) -> None:
        if reason not in self.dropped:
            self.dropped[reason] = Dropped(0, line, column, got)
        self.dropped[reason].count += 1


def _name(value: object) -> str | None:
    """Return the name in a cell, from a text or a whole number; `None` where there is none."""
    if isinstance(value, (float, np.floating)) and math.isfinite(value) and value == int(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    name = value.strip() if isinstance(value, str) else str(value)
    return name if 0 < len(name) <= MAX_NAME and name.isprintable() else None


def _check(path: Path, table: Table, found: _Collector, allowed: float) -> None:
    if not found.n_rows:
        raise TraceError(f"{path} must hold calls, but it has a header alone; export it again")
    n_dropped = sum(entry.count for entry in found.dropped.values())
    part = n_dropped / found.n_rows
    if part <= allowed and n_dropped < found.n_rows:
        return
    reasons = "; ".join(
        f"{entry.count:,} {reason} (first: {table.place} {entry.line}"
        f"{f', column {entry.column!r}' if entry.column else ''}, got {entry.got!r:.80})"
        for reason, entry in found.dropped.items()
    )
    enough = math.ceil(part * 1000) / 1000
    way_out = f"repair them, or pass --allow-dropped {enough:g}" if enough < 1 else "repair them"
    raise TraceError(
        f"{path}: at most {100 * allowed:g} % of the rows may be dropped, got {n_dropped:,} of "
        f"{found.n_rows:,} ({100 * part:.3g} %): {reasons}; {way_out}"
    )


def _sorted(path: Path, table: Table, found: _Collector, starts: Starts | None) -> Imported:
    """Put the calls on one clock, in order."""
    session = None if starts is None else np.array(found.session, dtype=np.int64)
    seconds, unit, how = found.stamps.seconds(session)
    begin = None
    if starts is not None and session is not None:
        begin = session_starts(len(found.sessions), starts)
        first = np.full(begin.size, math.inf)
        np.minimum.at(first, session, seconds)
        seconds = seconds - first[session] + begin[session]
        seconds -= seconds.min()
    order = np.argsort(seconds, kind="stable")
    if not seconds[order[-1]] > 0:
        stamps = f"{seconds.size:,} at {found.stamps.first()} alone"
        raise TraceError(f"{path} must hold calls at different times, got {stamps}; add calls")
    names = sorted(found.agents)
    rank = np.array([names.index(name) for name in found.agents], dtype=np.int32)
    return Imported(
        arrival_s=seconds[order],
        work=np.frombuffer(found.work, dtype=np.float64)[order],
        agent=rank[np.frombuffer(found.agent, dtype=np.int32)[order]],
        agents=tuple(names),
        format=table.format,
        n_rows=found.n_rows,
        dropped=found.dropped,
        time_unit=unit,
        time_found=how,
        first_stamp=found.stamps.first(),
        session_s=None if begin is None else np.sort(begin) - begin.min(),
    )


def session_starts(n_sessions: int, starts: Starts) -> Floats:
    """Return when each session starts, shape (sessions,) [s]: a Poisson process, in random order.

    The order is random because neighbours in a file are often alike: sorted by size, say.
    """
    rng = np.random.default_rng(starts.seed)
    moments = rng.exponential(1.0 / starts.rate, n_sessions).cumsum()
    return rng.permutation(moments)
