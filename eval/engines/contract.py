"""What a worker elsewhere must have in common with the command it works for: code and traces.

Figures depend on the code, on the versions of a few libraries, and on traces. A worker that has
others would answer with figures of its own, and nobody would see it.
"""

from __future__ import annotations

import hashlib
import platform
import socket
from collections.abc import Mapping
from functools import cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from typing import Any

from ...envs.errors import ConfigError, TraceError
from ..manifests import trace_sum

LIBRARIES = ("numpy", "numba", "scipy")
ENDS = (".py", ".yaml", ".json", ".safetensors")


def contract(traces: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what a worker must have, as plain data.

    Args:
        traces: Sums of the traces that the jobs play, by name.
    """
    return {**code(), "traces": dict(traces or {})}


@cache
def code() -> dict[str, str]:
    """Return the versions of this package and of what its figures depend on."""
    versions = {name: metadata.version(name) for name in LIBRARIES}
    own = f"{metadata.version('slicegym')} ({_digest()[:12]})"
    return {"slicegym": own, "python": platform.python_version(), **versions}


def refuse_other_worker(wanted: Mapping[str, Any]) -> None:
    """Refuse to work for a command that has other code or other traces than this process.

    Raises:
        ConfigError: It has; the machine and the way out are named.
    """
    here, own = socket.gethostname(), code()
    for name, version in own.items():
        if wanted.get(name) != version:
            raise ConfigError(
                f"the worker on {here} must have {name} {wanted.get(name)}, as the command has "
                f"that it works for, and has {version}; install the same there"
            )
    for name, digest in wanted["traces"].items():
        _check_trace(here, name, digest)


@cache
def _check_trace(here: str, name: str, digest: str) -> None:
    try:
        found = trace_sum(name)
    except (ConfigError, TraceError) as error:
        raise ConfigError(f"the worker on {here} must have the trace {name!r}: {error}") from error
    if found != digest:
        raise ConfigError(
            f"the worker on {here} must have the trace {name!r} with sha256 {digest}, and has "
            f"{found}; copy the file there"
        )


def _digest() -> str:
    """Return the sha256 of all that the package consists of; caches and the like stay out."""
    total = hashlib.sha256()
    for name, data in sorted(_files(resources.files(__package__.split(".")[0]), "")):
        total.update(f"{name}\n{len(data)}\n".encode())
        total.update(data)
    return total.hexdigest()


def _files(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            found += _files(entry, f"{name}/")
        elif entry.name.endswith(ENDS):
            found.append((name, entry.read_bytes()))
    return found
