"""Finding, checking and fetching trace files."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path

from ..errors import TraceError
from .registry import TraceSpec

TRACES_VARIABLE = "SLICEGYM_TRACES"
CACHE_VARIABLE = "SLICEGYM_CACHE"
TIMEOUT_S = 20.0  # of one read
DEADLINE_S = 600.0  # of a whole download
CHUNK = 1 << 16


def cache_folder() -> Path:
    """Folder that downloads are kept in: $SLICEGYM_CACHE/traces, or the user's cache folder's."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser() / "traces"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "slicegym" / "traces"


def folders(spec: TraceSpec) -> list[Path]:
    """Folders that a trace is looked for in, in this order."""
    found = [] if spec.folder is None else [Path(spec.folder)]
    chosen = os.environ.get(TRACES_VARIABLE)
    if chosen:
        found.append(Path(chosen).expanduser())
    return [*found, cache_folder()]


def find(spec: TraceSpec) -> Path | None:
    """Return the first local file of a trace, plain or packed, unchecked."""
    for folder in folders(spec):
        for name in (spec.file, spec.file + ".gz"):
            if _is_file(folder / name):
                return folder / name
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:  # a folder that may not be entered
        raise TraceError(f"cannot read {path}: {error.strerror or error}") from error


def obtain(spec: TraceSpec) -> tuple[bytes, Path]:
    """Return the checked, unpacked bytes of a trace and the file that they come from.

    The first file found counts: where it is damaged that is an error, and no other is tried.

    Raises:
        TraceError: The file is absent and cannot be fetched, cannot be read, or is not the trace.
    """
    path = find(spec)
    if path is None:
        path = download(spec)
    return read_checked(spec, path), path


def read_checked(spec: TraceSpec, path: Path) -> bytes:
    """Read, unpack and check a local file.

    Raises:
        TraceError: Unreadable, too large, not gzip, cut short, or of another sum than the trace's.
    """
    try:
        with path.open("rb") as file:
            data = file.read(spec.max_bytes + CHUNK)  # gzip may add a little to what it packs
    except OSError as error:
        raise TraceError(f"cannot read {path}: {error.strerror or error}") from error
    if path.suffix == ".gz":
        data = unpack(data, path, spec.max_bytes)
    way_out = "remove that file and fetch it again"
    if spec.url is None and spec.folder is not None:
        way_out = f"restore that file, or write its new sum into {spec.name}"
    _check(spec, data, str(path), way_out)
    return data


def unpack(data: bytes, path: Path, max_bytes: int) -> bytes:
    """Unpack gzip up to one byte over the bound: a small file may hold any number of zeros."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return file.read(max_bytes + 1)
    except EOFError:
        raise TraceError(f"{path} must be whole, but ends early; fetch it again") from None
    except (OSError, zlib.error) as error:
        raise TraceError(f"{path} must be a gzip file ({error}); fetch it again") from None


def _check(spec: TraceSpec, data: bytes, source: str, way_out: str) -> None:
    if len(data) > spec.max_bytes:
        raise TraceError(
            f"{source} must hold at most {spec.max_bytes} bytes unpacked, got more; {way_out}"
        )
    if spec.sha256 is None:
        return
    got = hashlib.sha256(data).hexdigest()
    if got != spec.sha256:
        raise TraceError(
            f"{source} must have the sha256 {spec.sha256} of trace {spec.name}, got {got} "
            f"({len(data)} bytes); {way_out}"
        )


def download(spec: TraceSpec) -> Path:
    """Fetch a trace into the cache folder and return its file; nothing half-written stays behind.

    Raises:
        TraceError: No address, no network, too slow, too large, a wrong sum, or no place to write.
    """
    if spec.url is None:
        derived = f"; it is {spec.origin}" if spec.origin else ""
        raise TraceError(f"{_absent(spec)}; put it there{derived}")
    data = _fetch(spec, spec.url)
    _check(spec, data, spec.url, "the address no longer holds that trace")
    folder = cache_folder()
    try:
        return _write(folder, spec.file, data)
    except OSError as error:
        raise TraceError(
            f"cannot write {folder / spec.file}: {error.strerror or error}; set ${CACHE_VARIABLE} "
            "to a folder that can be written"
        ) from None


def _fetch(spec: TraceSpec, url: str) -> bytes:
    deadline = time.monotonic() + DEADLINE_S
    data = bytearray()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:  # https: see RAW_ADDRESS
            while chunk := response.read(CHUNK):
                data += chunk
                if len(data) > spec.max_bytes:  # refused by `_check`
                    break
                if time.monotonic() > deadline:
                    raise TimeoutError(f"took over {DEADLINE_S:g} s")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise TraceError(
            f"{_absent(spec)}, and {url} could not be fetched ({_reason(error)}); "
            f"download it elsewhere and save it as {folders(spec)[0] / spec.file}"
        ) from None
    return bytes(data)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        error.close()  # it holds the connection
    elif isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__


def _absent(spec: TraceSpec) -> str:
    places = " nor in ".join(str(folder) for folder in folders(spec))
    unset = "" if os.environ.get(TRACES_VARIABLE) else f" (${TRACES_VARIABLE} is not set)"
    return f"trace {spec.name}: {spec.file}[.gz] is not in {places}{unset}"


def _write(folder: Path, name: str, data: bytes) -> Path:
    """Write a file in one move, so that no reader and no crash ever sees half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(folder / name)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return folder / name
