"""One evaluation from a suite's name to rows and summary, written down as it goes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..envs.traces import load_spec
from ..envs.traces.files import obtain
from .output import RunFolder, check_target, plain
from .report import console
from .rollout import Row, make_allocators, play_suite, steps
from .suite import Suite, load_suite
from .summary import summarise
from .workers import Workers

if TYPE_CHECKING:
    from ..baselines import Allocator

VERSIONS_OF = ("slicegym", "numpy", "numba", "gymnasium", "scipy")


def evaluate(
    suite_name: str,
    specs: Sequence[str],
    n_episodes: int | None = None,
    out: Path | None = None,
    *,
    bound: bool = True,
    jobs: int = 1,
    quiet: bool = False,
    target: str | None = None,
) -> dict[str, Any]:
    """Play a suite and return `{"suite", "rows", "summary"}`.

    Args:
        suite_name: `SCENARIO-SPLIT`.
        specs: Allocators as `make_allocator` takes them.
        n_episodes: Play only the first ones; `None` for all.
        out: New folder to write into; nothing is created if the request itself is refused.
        bound: Compute the clairvoyant bound of each tape too, and score the allocators.
        jobs: Processes that compute bounds at the same time.
        quiet: Show no progress.
        target: File that will receive JSON later, checked now.

    Raises:
        ConfigError: Anything that cannot be played or written as asked.
        TraceError: The suite's trace is missing or damaged.
        SolverError: A bound that was not found.
    """
    if target not in (None, "-"):
        check_target(Path(str(target)))
    suite = load_suite(suite_name).first(n_episodes)
    allocators = make_allocators(specs)
    for allocator in allocators.values():
        allocator.reset(suite.scenario)
    workers = Workers(jobs)
    bounds = workers if bound else None
    folder = (
        RunFolder(out, manifest(suite, allocators, bound)) if out is not None else nullcontext()
    )
    rows: list[Row] = []
    total = len(suite.episodes) * steps(specs, bounds)
    with folder, workers, progress(suite.name, total, quiet) as advance:
        for row in play_suite(suite, specs, advance, bounds):
            rows.append(row)
            if isinstance(folder, RunFolder):
                folder.add(row)
        summary = summarise(rows)
        if isinstance(folder, RunFolder):
            folder.finish(summary)
    return {"suite": suite.name, "rows": rows, "summary": summary}


@contextmanager
def progress(what: str, total: int, quiet: bool = False) -> Iterator[Callable[[], None]]:
    """Show a bar on stderr while it is a terminal, and yield what advances it by one."""
    screen = console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=quiet or not screen.is_terminal,
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


def manifest(suite: Suite, allocators: Mapping[str, Allocator], bound: bool) -> dict[str, Any]:
    """Return what a reader needs to repeat the run; allocators by spec, reset."""
    return {"bound": bound, **describe_suite(suite, allocators), **circumstances()}


def describe_suite(suite: Suite, allocators: Mapping[str, Allocator]) -> dict[str, Any]:
    """Return what is played and by whom, with sums of the scenario and of the traces.

    Args:
        suite: What is played.
        allocators: By spec, reset to its scenario: tuned parameters depend on it.
    """
    scenario = describe(suite.scenario)
    text = json.dumps(scenario, sort_keys=True)
    return {
        "suite": suite.name,
        "allocators": list(allocators),
        "parameters": {spec: _parameters(one) for spec, one in allocators.items()},
        "episodes": [dataclasses.asdict(episode) for episode in suite.episodes],
        "scenario": scenario,
        "scenario_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "traces": {name: trace_sum(name) for name in sorted(set(traces_in(scenario)))},
    }


def _parameters(allocator: Allocator) -> dict[str, Any]:
    values = allocator.parameters().items()
    return {name: "inf" if value == math.inf else plain(value) for name, value in values}


def circumstances() -> dict[str, Any]:
    """Return by what, where and when something is run."""
    return {
        "command": sys.argv,
        "versions": versions(),
        "commit": commit(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def versions() -> dict[str, str]:
    """Return the versions of everything that figures depend on."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in VERSIONS_OF:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def commit() -> str | None:
    """Return the commit of the checkout that runs, with a `+` where it was edited, or None."""
    here = Path(__file__).resolve().parent
    if not (here.parent / "pyproject.toml").is_file():
        return None  # installed: a repository around it is somebody else's
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--match="],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def describe(value: Any) -> Any:
    """Return a configuration as plain mappings and lists, each object with its type's name."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = {field.name: describe(getattr(value, field.name)) for field in fields(value)}
        return {"type": type(value).__name__, **own}
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    return plain(value)


def traces_in(config: Any) -> Iterator[str]:
    """Yield the traces that a described configuration names."""
    if isinstance(config, list):
        for item in config:
            yield from traces_in(item)
    elif isinstance(config, dict):
        if isinstance(config.get("trace"), str):
            yield config["trace"]
        yield from traces_in(list(config.values()))


def trace_sum(name: str) -> str:
    """Return the sha256 of a trace's unpacked file.

    Raises:
        TraceError: It is absent or damaged.
    """
    data, _ = obtain(load_spec(name))
    return hashlib.sha256(data).hexdigest()
