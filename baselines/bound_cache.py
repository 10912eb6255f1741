"""Bounds that were computed before, in the user's cache folder: one small JSON file each."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..envs.traces.files import cache_folder

if TYPE_CHECKING:
    from ..envs.spec import Scenario

# What a scenario holds beside its dynamics and its reward: names, and where tapes come from.
BESIDE = ("name", "workload", "faults")


def scenario_digest(scenario: Scenario) -> str:
    """Return a SHA-256 over everything in a scenario that the reward on a tape depends on."""
    fields = [f.name for f in dataclasses.fields(scenario) if f.name not in BESIDE]
    text = repr([(name, getattr(scenario, name)) for name in fields])
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def program_digest() -> str:
    """Return a SHA-256 over the sources of the program: another program, another bound."""
    total = hashlib.sha256()
    for file in sorted(resources.files(f"{__package__}.program").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".py"):
            total.update(file.read_bytes())
    return total.hexdigest()


def cache_file(*parts: str) -> Path:
    """Return the file that a bound with these digests and settings is kept in."""
    key = hashlib.sha256("\n".join((*parts, program_digest())).encode()).hexdigest()
    return cache_folder().parent / "bounds" / f"{key}.json"


def recall(file: Path, fields: tuple[str, ...]) -> dict[str, Any] | None:
    """Read a bound; a file that is absent or damaged counts as none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        values = content["values"]
        is_whole = content["sum"] == _sum(values) and set(values) == set(fields)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(values) if is_whole else None


def keep(file: Path, values: dict[str, Any]) -> None:
    """Write a bound whole or not at all; a folder that cannot be written to keeps none."""
    content = json.dumps({"values": values, "sum": _sum(values)}).encode()
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            Path(temporary).replace(file)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _sum(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
