"""From the folder of a run to event files: a run of TensorBoard for each family and allocator."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...envs import checks
from ...envs.errors import ConfigError
from ..output import to_json, write_atomically
from ..results import EpisodeRecord, Results
from ..runs.files import AGAIN
from . import hparams
from .events import EventFile
from .layout import of_decisions, of_episodes, of_suite
from .picture import PIXELS, draw
from .tags import BOUND, DECISIONS, EPISODES, REWARD_AND_TERMS, figures, run_names, tag

MARK = "written.json"  # says that a folder holds nothing but what was written here
MAX_POINTS = 1000  # of a curve; TensorBoard shows so many, and chooses them by chance
MAX_AGENTS = 16  # with curves of their own
MAX_PICTURES = 10  # of a run; TensorBoard shows so many


def write_runs(
    results: Results, out: Path, *, timesteps: int = 1, overwrite: bool = False
) -> list[str]:
    """Write event files of a run's results; the folder is there whole or not at all.

    Args:
        results: What was played.
        out: New folder, in which each family has one, with one for each allocator in it.
        timesteps: Length of the lines of means over the suite.
        overwrite: Whether a folder that was written so before may be replaced.

    Returns:
        The names of the runs, `FAMILY/ALLOCATOR`.

    Raises:
        ConfigError: The folder exists or cannot be made, or the results are damaged.
    """
    checks.integer("--timesteps", timesteps, at_least=1)
    check_target(out, overwrite)
    time_s = begun_at(results)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise ConfigError(f"cannot create {out}: {error.strerror or error}") from error
    try:
        runs = list(_write_all(results, beside, time_s, timesteps))
        write_atomically(beside / MARK, to_json({"results": str(results.path), "runs": runs}))
        beside.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        beside.replace(out)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return runs


def check_target(out: Path, overwrite: bool) -> None:
    """Refuse to write over something.

    Raises:
        ConfigError: The folder exists, and was not written here before or shall stay.
    """
    if not out.exists():
        return
    if not overwrite:
        raise ConfigError(
            f"{out} must not exist yet, and it does; name another folder by --out, or replace it "
            "by --overwrite"
        )
    if not (out / MARK).is_file():
        raise ConfigError(
            f"--overwrite replaces what `slicegym-eval tensorboard` has written, and {out} holds "
            f"no {MARK}; name another folder by --out"
        )


def begun_at(results: Results) -> float:
    """Return when the run of the results began [s since 1970], the time of all events.

    Raises:
        ConfigError: Its manifest does not say.
    """
    started = results.manifest.get("started")
    try:
        return datetime.fromisoformat(str(started)).timestamp()
    except ValueError:
        raise ConfigError(
            f"{results.path / 'manifest.json'}: started must be a time, got {started!r}; {AGAIN}"
        ) from None


def _write_all(results: Results, out: Path, time_s: float, timesteps: int) -> Iterator[str]:
    parts = [part for part in results.manifest["parts"] if part["family"] in results.families]
    names = run_names([BOUND, *results.manifest["allocators"]])
    played = [(part, spec) for part in parts for spec in _players(results, part["family"])]
    lines = hparams.aligned([_line(results, part["family"], spec) for part, spec in played])
    table = hparams.table_of(lines, dict.fromkeys(part["split"] for part in parts), time_s)
    done: set[str] = set()
    for (part, spec), line in zip(played, lines, strict=True):
        family = part["family"]
        with EventFile(out / family / names[spec], time_s) as file:
            if family not in done:
                _write_chosen(file, part)
                file.add(table, step=0)
            file.add(hparams.line_of(line, time_s), step=0)
            _write_allocator(file, results, part, spec, timesteps)
        done.add(family)
        yield f"{family}/{names[spec]}"
    for part in parts:
        if results.summary["families"][part["family"]]["bound"]:
            with EventFile(out / part["family"] / names[BOUND], time_s) as file:
                _write_bound(file, results, part, timesteps)
            yield f"{part['family']}/{names[BOUND]}"


def _players(results: Results, family: str) -> list[str]:
    return [spec for spec in results.allocators if results.of(family, spec)]


def _line(results: Results, family: str, spec: str) -> dict[str, Any]:
    return hparams.played(family, spec, results.manifest["parameters"][family][spec])


def _write_chosen(file: EventFile, part: Mapping[str, Any]) -> None:
    agents = [agent["name"] for agent in part["scenario"]["agents"]]
    file.layout({**of_suite(part["split"]), **of_episodes(), **of_decisions(agents[:MAX_AGENTS])})


def _write_allocator(
    file: EventFile, results: Results, part: Mapping[str, Any], spec: str, timesteps: int
) -> None:
    family = part["family"]
    means = figures(results.summary["families"][family]["allocators"][spec])
    _write_line(file, part["split"], means, timesteps)
    for index, row in enumerate(results.of(family, spec)):
        file.scalars(_tagged(EPISODES, figures(row)), index)
    records = [results.episode(family, i, spec) for i in range(len(results.of(family, spec)))]
    seen = [(index, record) for index, record in enumerate(records) if record.share is not None]
    for _, record in seen[:1]:
        _write_decisions(file, record)
    for index, record in seen[:MAX_PICTURES]:
        title = f"{spec} on {family}, {part['split']} episode {index}"
        file.image("episode", draw(record, part["scenario"], title), PIXELS, index)


def _write_bound(
    file: EventFile, results: Results, part: Mapping[str, Any], timesteps: int
) -> None:
    """Write what nobody can earn more than: rewards alone, since its terms bound nothing."""
    family = part["family"]
    bound = results.summary["families"][family]["bound"]
    kept = {key: value for key, value in bound.items() if key in ("reward", "score")}
    _write_line(file, part["split"], figures(kept), timesteps)
    for index, row in enumerate(results.of(family, _players(results, family)[0])):
        file.scalars({tag(EPISODES, "reward"): row["bound.reward"]}, index)


def _write_line(file: EventFile, split: str, means: Mapping[str, float], timesteps: int) -> None:
    """Write a mean as a straight line, so that it can be laid beside a learning curve."""
    for step in (0, timesteps):
        file.scalars(_tagged(split, means), step)


def _tagged(group: str, values: Mapping[str, float]) -> dict[str, float]:
    return {tag(group, name): value for name, value in values.items()}


def _write_decisions(file: EventFile, record: EpisodeRecord) -> None:
    columns: dict[str, NDArray[Any]] = {
        tag(DECISIONS, name): getattr(record, name) for name in REWARD_AND_TERMS
    }
    for i, agent in enumerate((record.agents or ())[:MAX_AGENTS]):
        columns |= {tag(name, agent): getattr(record, name)[:, i] for name in ("share", "queue")}
    steps, values = thinned(np.column_stack(list(columns.values())))
    for step, row in zip(steps.tolist(), values.tolist(), strict=True):
        file.scalars(dict(zip(columns, row, strict=True)), step)


def thinned(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return at most `MAX_POINTS` of K decisions, each the mean of successive ones.

    Args:
        values: (K, columns).

    Returns:
        The last decision of each mean, and the means.
    """
    edges = np.linspace(0, len(values), min(len(values), MAX_POINTS) + 1).astype(np.int64)
    sums = np.add.reduceat(values.astype(np.float64), edges[:-1], axis=0)
    return edges[1:] - 1, sums / np.diff(edges)[:, None]
