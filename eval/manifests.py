"""What a reader needs to repeat a run: configurations as data, sums of traces, versions, commit."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from ..envs.traces import load_spec
from ..envs.traces.files import obtain
from .output import plain

VERSIONS_OF = ("slicegym", "numpy", "numba", "gymnasium", "scipy")


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
