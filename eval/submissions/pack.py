"""Packing one allocator's rows of a finished run, with its policy, into one file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from ...baselines import make_allocator
from ...envs import checks
from ...envs.errors import ConfigError, unknown_name
from ..output import check_target, to_json
from ..results import Results, load_results
from ..runs.files import ROWS as ROWS_FILE
from ..runs.tables import read_whole, to_line
from ..runs.unseen import MANIFEST_FILE
from . import archive

FORMAT = "slicegym-submission-1"
# Solvers differ from machine to machine, and a bound is nothing that an allocator has done.
LEFT_OUT = ("static.", "bound.")
LONGEST_TITLE = 80


def submit(folder: Path, spec: str, out: Path, title: str = "") -> dict[str, Any]:
    """Pack a submission and return its `submission.json`.

    Args:
        folder: Of a finished run.
        spec: Whose rows.
        out: New file.
        title: What a leaderboard calls it; the spec by default.

    Raises:
        ConfigError: The run is unfinished or damaged, the allocator has not played all of it, its
            policy has changed since, or the file exists.
    """
    check_target(out)
    if out.exists():
        raise ConfigError(f"--out must be a new file, and {out} exists; name another one")
    if len(title) > LONGEST_TITLE or not title.isprintable():
        raise ConfigError(f"--title must be at most {LONGEST_TITLE} plain characters: {title!r}")
    results = load_results(folder)
    if spec not in results.allocators:
        raise unknown_name("allocator", spec, results.allocators)
    _check_complete(results, spec)
    policy = _policy(results, spec)
    packed = f"{spec.partition(':')[0]}:policy" if policy else spec
    content = _content(results, spec, packed, title or packed)
    members = {
        archive.SUBMISSION: to_json(content).encode(),
        archive.ROWS: _rows(folder, spec, packed).encode(),
        **policy,
    }
    archive.write(out, members)
    return content


def _content(results: Results, spec: str, packed: str, title: str) -> dict[str, Any]:
    manifest = results.manifest
    copied = ("suite", "suite_sha256", "parts", "traces", "versions")
    return {
        "format": FORMAT,
        "title": title,
        "allocator": packed,
        "parameters": {f: played[spec] for f, played in manifest["parameters"].items()},
        **{name: manifest[name] for name in copied},
    }


def _check_complete(results: Results, spec: str) -> None:
    for family, why in results.manifest["skipped"].items():
        if " on " not in family:
            raise ConfigError(f"a submission must be of a whole suite, and {family} is out: {why}")
    for part in results.manifest["parts"]:
        if not results.of(part["family"], spec):
            raise ConfigError(
                f"{spec!r} must have played every family of the suite, and has no rows of "
                f"{part['family']!r}; evaluate it on a suite that it can play"
            )


def _policy(results: Results, spec: str) -> dict[str, bytes]:
    """Return the files of a policy that lies in a folder of its own."""
    allocator = make_allocator(spec)
    if allocator.folder is None:
        return {}
    now = allocator.parameters()["sha256"]
    for family, played in results.manifest["parameters"].items():
        before = checks.mapping(f"parameters.{family}", played[spec]).get("sha256")
        if before != now:
            raise ConfigError(
                f"the policy of {spec!r} must be the one that played, with sha256 {before}, and "
                f"its folder holds {now} now; evaluate it again"
            )
    header, weights, manifest = archive.POLICY
    files = {
        name: (allocator.folder / name.rpartition("/")[2]).read_bytes()
        for name in (header, weights)
    }
    learned_from = allocator.folder / MANIFEST_FILE
    if learned_from.is_file():
        files[manifest] = to_json(_data_of(json.loads(learned_from.read_text()))).encode()
    return files


def _data_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a policy has learned from: of a training run's manifest, no folder or command."""
    data = json.loads(json.dumps(manifest.get("data", {})))
    for use in data.values():
        windows = use.get("windows_s", {})
        use["windows_s"] = {PurePath(trace).name: window for trace, window in windows.items()}
    return {"data": data}


def _rows(folder: Path, spec: str, packed: str) -> str:
    columns, lines = read_whole(folder / ROWS_FILE)
    kept = [i for i, column in enumerate(columns) if not column.startswith(LEFT_OUT)]
    place = columns.index("allocator")
    text = to_line(columns[i] for i in kept)
    for line in lines:
        if line[place] == spec:
            cells = [*line[:place], packed, *line[place + 1 :]]
            text += to_line(cells[i] for i in kept)
    return text
