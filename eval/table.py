"""The overview: allocators over every family of scenarios, an episode at a time on each core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..baselines import Allocator, allocator_class, names
from ..baselines.bound import SolverError
from ..envs.errors import ConfigError, TraceError
from ..envs.loading import scenario_names
from .output import RunFolder, write_atomically
from .rollout import Row, make_allocators, play_suite
from .session import circumstances, describe_suite, progress
from .suite import Suite, load_suite
from .summary import REFERENCE, summarise
from .table_report import to_csv
from .workers import Workers


@dataclass(frozen=True)
class Part:
    """A family with the allocators that can play it; `played` is for the manifest."""

    family: str
    suite: Suite
    specs: tuple[str, ...]
    played: dict[str, Any]


def tabulate(
    families: Sequence[str] | None,
    specs: Sequence[str] | None,
    split: str,
    n_episodes: int | None = None,
    out: Path | None = None,
    *,
    bound: bool = True,
    jobs: int = 1,
    quiet: bool = False,
) -> dict[str, Any]:
    """Play every family and return `{"split", "families": {name: summary}, "skipped"}`.

    `skipped` says of each family, and of each allocator on a family, that is missing, why.

    Args:
        families: Scenarios; None for all that are shipped.
        specs: Allocators; static is always among them. None for all that need no file.
        split: `train`, `validation` or `heldout`.
        n_episodes: Play only the first ones of each suite; None for all.
        out: New folder for manifest, raw rows, table and summaries.
        bound: Compute the clairvoyant bound of each tape too, and score the allocators.
        jobs: Processes; each plays an episode with all allocators. Where they are more than the
            cores, decision times suffer.
        quiet: Show no progress.

    Raises:
        ConfigError: Unknown names, repeated ones, a folder that exists.
    """
    asked = list(specs or nameable())
    skipped: dict[str, str] = {}
    everybody = [REFERENCE, *(spec for spec in asked if spec != REFERENCE)]
    parts = _parts(families or scenario_names(), everybody, split, n_episodes, skipped)
    folder = RunFolder(out, _manifest(parts, bound)) if out is not None else nullcontext()
    tasks = [
        (part.family, replace(part.suite, episodes=(episode,)), part.specs, bound)
        for part in parts
        for episode in part.suite.episodes
    ]
    rows: dict[str, list[Row]] = {part.family: [] for part in parts}
    with folder, Workers(jobs) as workers, progress("episodes", len(tasks), quiet) as advance:
        for family, played, lost in workers.map(_play, tasks):
            rows[family] += played
            for spec, why in lost.items():
                skipped.setdefault(f"{spec} on {family}" if played else family, why)
            if isinstance(folder, RunFolder):
                for row in played:
                    folder.add({key: row[key] for key in row if key != "agents"})
            advance()
        summaries = {
            family: summarise([r for r in found if f"{r['allocator']} on {family}" not in skipped])
            for family, found in rows.items()
            if family not in skipped
        }
        content = {"split": split, "families": summaries, "skipped": skipped}
        if isinstance(folder, RunFolder):
            write_atomically(folder.path / "table.csv", to_csv(content))
            folder.finish(content)
    return content


def nameable() -> list[str]:
    """Return the allocators that need no file."""
    return [name for name in names() if not allocator_class(name).needs_file]


def _parts(
    families: Sequence[str],
    specs: Sequence[str],
    split: str,
    n_episodes: int | None,
    skipped: dict[str, str],
) -> list[Part]:
    allocators = make_allocators(specs)
    parts = []
    for family in families:
        if families.count(family) > 1:
            raise ConfigError(f"families must differ from each other, got {family!r} twice")
        try:
            suite = load_suite(f"{family}-{split}").first(n_episodes)
            playable = _playable(family, suite, allocators, skipped)
            parts.append(Part(family, suite, tuple(playable), describe_suite(suite, playable)))
        except TraceError as error:
            skipped[family] = str(error)
    return parts


def _playable(
    family: str, suite: Suite, allocators: Mapping[str, Allocator], skipped: dict[str, str]
) -> dict[str, Allocator]:
    playable = {}
    for spec, allocator in allocators.items():
        try:
            allocator.reset(suite.scenario)
            playable[spec] = allocator
        except ConfigError as error:
            skipped[f"{spec} on {family}"] = str(error)
    return playable


def _play(
    family: str, suite: Suite, specs: Sequence[str], bound: bool
) -> tuple[str, list[Row], dict[str, str]]:
    """Play one episode; return its rows, and who has none and why: the others go on."""
    try:
        return family, _rows(suite, specs, bound), {}
    except (SolverError, TraceError):
        pass  # a solver's time-out, say: see who it was
    rows: list[Row] = []
    lost = {}
    for spec in specs:
        try:
            rows += _rows(suite, [spec], bound)
        except (SolverError, TraceError) as error:
            lost[spec] = str(error)
    return family, rows, lost


def _rows(suite: Suite, specs: Sequence[str], bound: bool) -> list[Row]:
    return list(play_suite(suite, specs, bounds=Workers() if bound else None))


def _manifest(parts: Sequence[Part], bound: bool) -> dict[str, Any]:
    return {"bound": bound, "families": {p.family: p.played for p in parts}, **circumstances()}
