"""The command `slicegym-eval trace`: a user's log of calls in, statistics and a scenario out."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..envs.errors import ConfigError

# The rest is imported where it is used: every command starts by importing this file.
if TYPE_CHECKING:
    from ..envs.traces.importing import Imported

EXAMPLES = (
    "slicegym-eval trace requests.csv --time-column time",
    "slicegym-eval trace log.jsonl.gz --time-column ts --time-unit ms --agent-column model \\",
    "    --work-column usage.total_tokens --out mine.yaml --picture mine.png",
    "slicegym-eval trace runs.csv --time-column t_s --session-column run --session-rate 0.05",
    "slicegym-eval run --suite mine.yaml-validation",
)


def trace(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV or JSON lines, also .gz, or Parquet.")
    ],
    time_column: Annotated[str, typer.Option(metavar="T", help="When each call came.")],
    agent_column: Annotated[
        str | None, typer.Option(metavar="A", help="Whose call it is; else all are one agent's.")
    ] = None,
    work_column: Annotated[
        str | None,
        typer.Option(metavar="W", help="How much work it is, in any unit; else 1 for each call."),
    ] = None,
    session_column: Annotated[
        str | None, typer.Option(metavar="S", help="Session, where each has a clock of its own.")
    ] = None,
    session_rate: Annotated[
        float | None,
        typer.Option(metavar="R", help="Sessions started per second, by a Poisson process."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sessions' starts.")] = 0,
    time_unit: Annotated[
        str, typer.Option(metavar="UNIT", help="s, ms, us, ns, iso, or auto to detect it.")
    ] = "auto",
    allow_dropped: Annotated[
        float, typer.Option(metavar="FRACTION", help="Part of the rows that may be dropped.")
    ] = 0.01,
    out: Annotated[
        Path | None,
        typer.Option(metavar="my.yaml", help="New scenario; its calls are written beside it."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw arrivals over time.")
    ] = None,
    json_target: Annotated[
        str | None,
        typer.Option("--json", metavar="FILE|-", help="Write JSON to a file, or to stdout with -."),
    ] = None,
) -> None:
    """Describe a trace of your own, and make a scenario of it.

    Time stamps are numbers (seconds, milliseconds …), ISO 8601 or YYYY-MM-DD HH:MM:SS with any
    fraction. Rows without a readable time stamp, or with missing or non-positive work, are dropped
    and counted; more than 1 % of them is an error unless --allow-dropped says so. With --out the
    calls are cut in time into training (60 %), validation and held-out (20 % each), and a scenario
    with first guesses for everything else is written for `slicegym-eval run`, `slicegym-train`
    and gym.make.
    """
    from ..envs.traces.importing import Columns, Starts, import_calls
    from . import trace_files
    from .output import to_json, write_atomically

    _check_targets(file, out, picture, json_target)
    names = None if out is None else trace_files.Names.beside(out)
    starts = None if session_rate is None else Starts(rate=session_rate, seed=seed)
    calls = import_calls(
        file,
        Columns(time=time_column, agent=agent_column, work=work_column, session=session_column),
        time_unit=time_unit,
        starts=starts,
        allow_dropped=allow_dropped,
    )
    content = describe(file, calls)
    drawn = None if picture is None else _draw(calls, content)
    if names is not None:
        content["written"] = _write(names, calls, file)
    if picture is not None and drawn is not None:
        write_atomically(picture, drawn)
    if json_target == "-":
        sys.stdout.write(to_json(content))
        return
    _print(calls, content)
    if json_target is not None:
        write_atomically(Path(json_target), to_json(content))


def _check_targets(
    file: Path, out: Path | None, picture: Path | None, json_target: str | None
) -> None:
    """Refuse what could not be written, or would overwrite the trace, before anything is read."""
    from .output import check_target

    if picture is not None and picture.suffix != ".png":
        raise ConfigError(f"--picture must end in .png, got {str(picture)!r}")
    json_file = None if json_target in (None, "-") else Path(str(json_target))
    for target in (picture, json_file):
        if target is not None:
            check_target(target)
    for option, target in (("--out", out), ("--picture", picture), ("--json", json_file)):
        if target is not None and target.resolve() == file.resolve():
            raise ConfigError(f"{option} must be another file than the trace, got {str(target)!r}")


def describe(file: Path, calls: Imported) -> dict[str, Any]:
    """Return everything that is known of a trace, as `--json` gives it."""
    from ..envs.traces import statistics
    from .trace_report import notes

    span = (0.0, float(calls.arrival_s[-1]))
    agents = {}
    for i, name in enumerate(calls.agents):
        mine = calls.agent == i
        agents[name] = _entry(
            statistics.arrivals(calls.arrival_s[mine], span),
            statistics.work_statistics(calls.work[mine]),
        )
    content: dict[str, Any] = {
        "file": str(file),
        "format": calls.format,
        "rows": calls.n_rows,
        "dropped": {reason: entry.count for reason, entry in calls.dropped.items()},
        "time": {
            "unit": calls.time_unit,
            "found": calls.time_found,
            "first": calls.first_stamp,
        },
        "sessions": None if calls.session_s is None else calls.session_s.size,
        "span_s": span[1],
        "all": _entry(statistics.arrivals(calls.arrival_s), statistics.work_statistics(calls.work)),
        "agents": agents,
        "written": None,
    }
    content["notes"] = notes(content)
    return content


def _entry(arrivals: Any, work: Any) -> dict[str, Any]:
    from dataclasses import asdict

    found = asdict(arrivals)
    for key in ("peak_to_mean", "dispersion"):
        found[key] = {f"{width:g}": value for width, value in found[key]}
    return {"arrivals": found, "work": asdict(work)}


def _write(names: Any, calls: Imported, file: Path) -> dict[str, Any]:
    from ..envs.traces.registry import SPLITS
    from . import trace_files, trace_scenario

    found = trace_scenario.guess(calls)
    command = f"slicegym-eval {shlex.join(sys.argv[1:])}" if sys.argv[1:] else "slicegym-eval trace"
    title = f"{file.name}: {calls.n_calls:,} calls of {_count(len(calls.agents), 'agent')}"
    trace_files.write(names, calls, found, title=title, command=command)
    episodes = {
        split: int((end - start) / found.horizon_s + 1e-9)
        for split, (start, end) in zip(SPLITS, found.splits, strict=True)
    }
    return {
        "scenario": str(names.scenario),
        "trace": str(names.trace),
        "calls": str(names.calls),
        "name": names.scenario.stem,
        "horizon_s": found.horizon_s,
        "splits": dict(zip(SPLITS, found.splits, strict=True)),
        "episodes": episodes,
    }


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _print(calls: Imported, content: dict[str, Any]) -> None:
    from .report import console
    from .trace_report import WIDTH, as_report

    console().print(as_report(content, _shape(calls, WIDTH)))


def _draw(calls: Imported, content: dict[str, Any]) -> bytes:
    from . import trace_picture
    from .trace_report import short
    from .trace_scenario import windows

    arrivals = content["all"]["arrivals"]
    dispersion = arrivals["dispersion"]
    return trace_picture.draw(
        _shape(calls, trace_picture.BINS),
        calls.agents,
        span_s=content["span_s"],
        splits=windows(calls),
        title=Path(content["file"]).name,
        subtitle=f"{calls.n_calls:,} calls in {short(content['span_s'])} s, "
        f"{short(arrivals['rate'])}/s; dispersion {short(dispersion['1'])} at 1 s, "
        f"{short(dispersion['60'])} at 60 s; silent {100 * arrivals['silent_share']:.0f} %",
    )


def _shape(calls: Imported, n_bins: int) -> Any:
    import numpy as np

    from ..envs.traces.statistics import histogram

    span = (0.0, float(calls.arrival_s[-1]))
    rows = [
        histogram(calls.arrival_s[calls.agent == i], span, n_bins) for i in range(len(calls.agents))
    ]
    return np.array(rows)
