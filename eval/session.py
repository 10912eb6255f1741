"""One evaluation from a suite's name to rows and summary, written down as it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..envs.errors import ConfigError
from .engines import Engine, Workers
from .output import check_target
from .report import console
from .results import load_results
from .rollout import Row
from .runs.cells import Cell, make_jobs, play_jobs
from .runs.folder import RunFolder
from .runs.plan import FIRST, make_manifest, planned
from .runs.suites import Suites, load_suites
from .summary import summarise
from .table_report import to_csv


def evaluate(
    suite: str | Suites,
    specs: Sequence[str] | None,
    n_episodes: int | None = None,
    out: Path | None = None,
    *,
    bound: bool = True,
    engine: Engine | None = None,
    quiet: bool = False,
    target: str | None = None,
    series: str = FIRST,
    resume: bool = False,
) -> dict[str, Any]:
    """Play a suite and return `{"suite", "rows", "families", "skipped"}`.

    `families` holds a summary for each, `skipped` says of a family, and of an allocator on a
    family, that is missing, why. Of a suite of one family the summary is under `summary`, too.

    Args:
        suite: As `load_suites` takes it.
        specs: Allocators as `make_allocator` takes them; None for all that need no file.
        n_episodes: Play only the first ones of each family; `None` for all.
        out: New folder to write into; nothing is created if the request itself is refused.
        bound: Compute the clairvoyant bound of each tape too, and score the allocators.
        engine: What plays, an episode with all allocators at a time; by default this process.
            Where its jobs are more than the cores, decision times suffer.
        quiet: Show no progress.
        target: File that will receive JSON later, checked now.
        series: Of which episodes series over decisions are kept: `first`, `all` or `none`.
        resume: Go on with the run in `out`; begin it where there is none, and where it is finished
            return what it found.

    Raises:
        ConfigError: Anything that cannot be played or written as asked.
        ChildProcessError: A process that played was lost again and again.
        TraceError: The suite's trace is missing or damaged.
        SolverError: A bound that was not found, where there is one family.
    """
    if target not in (None, "-"):
        check_target(Path(str(target)))
    if resume and out is None:
        raise ConfigError("--resume needs the folder of the run that it goes on with; name --out")
    suites = (load_suites(suite) if isinstance(suite, str) else suite).first(n_episodes)
    manifest = make_manifest(suites, specs, bound=bound, series=series)
    folder = None if out is None else RunFolder(out, manifest, resume=resume)
    if folder is not None and folder.is_finished:
        return as_asked(suites, load_results(folder.path).summary, rows_of(folder.done))
    keys = planned(manifest) if folder is None else folder.pending
    cells: list[Cell] = [] if folder is None else folder.done
    todo = make_jobs(suites, keys, bound=bound, series=series)
    with (
        folder or nullcontext(),
        engine or Workers() as playing,
        progress(suites.name, len(keys), quiet) as advance,
    ):
        for cell in play_jobs(todo, playing):
            if folder is not None:
                folder.add(cell)
            cells.append(replace(cell, arrays={}))
            advance()
        content = conclude(manifest, cells)
        if folder is not None:
            folder.finish(content, to_csv(content))
    return as_asked(suites, content, rows_of(cells))


def rows_of(cells: Sequence[Cell]) -> list[Row]:
    """Return the rows of the cells that have one."""
    return [cell.row for cell in cells if cell.row is not None]


def conclude(manifest: Mapping[str, Any], cells: Sequence[Cell]) -> dict[str, Any]:
    """Return `{"suite", "suite_sha256", "families": {family: summary}, "skipped"}`.

    An allocator that failed on one tape of a family has no summary there: the others' are of all.
    """
    skipped, families = dict(manifest["skipped"]), {}
    for part in manifest["parts"]:
        family = part["family"]
        own = [cell for cell in cells if cell.key.family == family]
        lost: dict[str, str] = {}
        for cell in own:
            if cell.row is None:
                lost.setdefault(cell.key.allocator, cell.failed)
        rows = [cell.row for cell in own if cell.row and cell.key.allocator not in lost]
        if rows:
            families[family] = {"split": part["split"], **summarise(rows)}
            skipped |= {f"{spec} on {family}": why for spec, why in lost.items()}
        elif lost:
            skipped[family] = next(iter(lost.values()))
    head = {name: manifest[name] for name in ("suite", "suite_sha256")}
    return {**head, "families": families, "skipped": skipped}


def as_asked(suites: Suites, content: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """Return what the caller gets: of one family its rows and its summary, else the overview."""
    if not suites.is_strict:
        return dict(content)
    (summary,) = content["families"].values()
    return {"suite": suites.name, "rows": list(rows), "summary": summary}


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
