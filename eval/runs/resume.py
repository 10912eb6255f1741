"""Going on with a run that was cut: only with the same run, from its last whole row."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ...envs.errors import ConfigError
from ..output import UNFINISHED, to_json
from .cells import Cell
from .files import AGENTS, EPISODES, FAILED, MANIFEST, ROWS, SUMMARY, TABLE, check_row, failed_cells
from .plan import Key
from .tables import Row, nested, parse, read_whole, to_line

# What must be the same, to the last value, for two runs to write the same rows.
SAME = ("parts", "traces", "allocators", "parameters", "bound", "series", "versions", "commit")


def check_same(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with another run than the folder's.

    Raises:
        ConfigError: Suite, allocators, versions or something else differ; the first is named.
    """
    asked = json.loads(to_json(now))
    for name in SAME:
        for where, old, new in differences(before.get(name), asked.get(name), name):
            raise ConfigError(
                f"{path} must be of the same run to go on with it, and {where} was {old!r:.100} "
                f"and is {new!r:.100}; ask for what its {MANIFEST} says, or name a new folder"
            )


def differences(one: Any, other: Any, at: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield where two values as of JSON differ, with the two."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one | other:
            yield from differences(one.get(key), other.get(key), f"{at}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, (first, second) in enumerate(zip(one, other, strict=True)):
            yield from differences(first, second, f"{at}[{i}]")
    elif one != other:
        yield at, one, other


def is_fresh(path: Path) -> bool:
    """Whether a folder is of a run that was cut before it had written its manifest."""
    temporary = f".{MANIFEST}."
    return all(e.name == UNFINISHED or e.name.startswith(temporary) for e in path.iterdir())


def recover(path: Path, keys: Sequence[Key]) -> list[Cell]:
    """Cut a folder's files behind the last cell that is whole, and return what is done.

    Raises:
        ConfigError: A file is none of this run.
    """
    _tidy(path)
    cells = whole_cells(path, keys)
    done = [cell.key for cell in cells if cell.row is not None]
    _cut(path / ROWS, len(done))
    _cut(path / AGENTS, sum(len(key.agents) for key in done))
    return cells


def whole_cells(path: Path, keys: Sequence[Key]) -> list[Cell]:
    """Return the cells that are done, without their arrays: first those with a row, in order.

    A cell is done when its row, its agents' lines and its file of the episode are whole. One that
    failed is done, too.

    Raises:
        ConfigError: A file is none of this run.
    """
    failed = failed_cells(path / FAILED)
    expected = [key for key in keys if key.cell not in failed]
    rows = parse(path / ROWS, *read_whole(path / ROWS))
    agents = iter(parse(path / AGENTS, *read_whole(path / AGENTS)))
    if len(rows) > len(expected):
        raise ConfigError(
            f"{path / ROWS} must hold at most {len(expected)} rows, got {len(rows)}; name a new "
            "folder"
        )
    done: list[Cell] = []
    for number, (key, row) in enumerate(zip(expected, rows, strict=False), start=2):
        check_row(path / ROWS, number, key, row)
        own = list(islice(agents, len(key.agents)))
        if len(own) < len(key.agents) or not (path / EPISODES / key.file).is_file():
            break
        done.append(Cell(key, _with_agents(row, own), {}))
    return [*done, *(Cell(key, None, {}, failed[key.cell]) for key in keys if key.cell in failed)]


def _with_agents(row: Row, agents: Sequence[Row]) -> Row:
    names = {"family", "tape", "allocator", "agent"}
    values = {
        str(agent["agent"]): {k: v for k, v in agent.items() if k not in names} for agent in agents
    }
    return nested(row) | {"agents": values}


def _tidy(path: Path) -> None:
    """Remove what was half-written under a temporary name."""
    (path / EPISODES).mkdir(exist_ok=True)
    left = [file for name in (MANIFEST, SUMMARY, TABLE) for file in path.glob(f".{name}.*")]
    for file in (*left, *(path / EPISODES).glob(".*.npz.*")):
        file.unlink()


def _cut(path: Path, n_lines: int) -> None:
    """Cut a file behind its first lines; without one of them, its columns go too.

    Raises:
        ConfigError: It does not begin with them as a run writes them.
    """
    columns, lines = read_whole(path)
    kept = "".join(map(to_line, [columns, *lines[:n_lines]] if n_lines else [])).encode()
    data = path.read_bytes() if path.exists() else b""
    if not data.startswith(kept):
        raise ConfigError(f"{path} must be as a run wrote it, and was changed; name a new folder")
    if len(data) > len(kept):
        os.truncate(path, len(kept))
