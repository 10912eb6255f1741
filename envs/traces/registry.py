"""What is known of each trace beside its calls: `configs/traces/NAME.yaml`, or anybody's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

# The module, not its names: it imports the workloads, which import this file.
from .. import checks, loading
from ..errors import ConfigError, TraceError, unknown_name
from ..kinds import construct, nested
from .calls import FORMATS, Format
from .table import Table

SPLITS = ("train", "validation", "heldout")
RAW_ADDRESS = "https://raw.githubusercontent.com/{repository}/{commit}/{path}"
# Bound on files whose exact size is not known: somebody's own traces.
MAX_BYTES = 1 << 30

Window = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class TraceSpec:
    """A trace's file, origin and splits.

    Attributes:
        name: Name in the registry, or the path of its YAML file.
        title: One line for people.
        format: How the file is read.
        file: Name of the local file; `file` + ".gz" serves as well.
        clock: Traces with the same clock are replayed from the same moment; the name by default.
        splits: Windows (start, end) of train, validation and heldout, disjoint: on the clock [s],
            or for sessions, which have a clock each, on [0, 1], where a hash puts their names.
        repository: GitHub's owner/name that it comes from.
        commit: Full commit hash, 40 hexadecimal digits.
        path: Path of the file in the repository.
        licence: SPDX identifier.
        sha256: Sum of the unpacked upstream file; without one nothing is downloaded.
        bytes: Size of the unpacked upstream file.
        derived_from: For a file that was made from upstream's and has no address itself: from
            what, and how to make it again.
        folder: Folder of the trace's own YAML file, where its file is looked for first; `None` for
            the traces of the registry.
    """

    name: str
    title: str
    format: Format = field(metadata=nested(FORMATS))
    file: str
    splits: tuple[tuple[str, Window], ...]
    clock: str
    licence: str = "unknown"
    repository: str | None = None
    commit: str | None = None
    path: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    derived_from: str | None = None
    folder: str | None = None

    def __post_init__(self) -> None:
        for name in ("title", "file", "clock", "licence"):
            checks.text(name, getattr(self, name))
        if Path(self.file).name != self.file:
            raise ConfigError(f"file must be a name without folders, got {self.file!r}")
        if self.sha256 is not None:
            _digest("sha256", self.sha256, 64)
        if self.derived_from is not None:
            checks.text("derived_from", self.derived_from)
        if self.bytes is not None:
            checks.integer("bytes", self.bytes, at_least=1, at_most=MAX_BYTES)
        self._check_origin()

    def _check_origin(self) -> None:
        origin = {key: getattr(self, key) for key in ("repository", "commit", "path")}
        given = [key for key, value in origin.items() if value is not None]
        if not given:
            return
        if self.derived_from is not None:
            raise ConfigError(
                f"derived_from must stand alone, got {given[0]} beside it; an address is that of "
                "the very file"
            )
        for key, value in origin.items():
            if value is None:
                raise ConfigError(f"{key} must be given beside {given[0]}, got null; add it")
            checks.text(key, value)
        _digest("commit", origin["commit"], 40)
        if self.sha256 is None:
            raise ConfigError("sha256 must be given for a trace with an address, got null; add it")

    @property
    def url(self) -> str | None:
        """Address that the file is downloaded from, if there is one."""
        if self.repository is None:
            return None
        return RAW_ADDRESS.format(repository=self.repository, commit=self.commit, path=self.path)

    @property
    def origin(self) -> str | None:
        """Where it comes from, for people."""
        return self.url if self.derived_from is None else f"derived from {self.derived_from}"

    @property
    def max_bytes(self) -> int:
        """Bound on the size of the unpacked file."""
        return MAX_BYTES if self.bytes is None else self.bytes

    def window(self, split: str) -> Window:
        """Start and end of a split on the clock [s]."""
        return dict(self.splits)[checks.one_of("split", split, SPLITS)]


def trace_names() -> tuple[str, ...]:
    """Names of the traces that come with the package."""
    return tuple(loading.shipped("traces"))


def load_spec(name: str) -> TraceSpec:
    """Read what is known of a trace.

    Args:
        name: A trace of the registry, or the path of anybody's own: a YAML file like the registry's
            (its `file` may lie next to it), or a plain CSV of calls, which is split in time, 60 %
            training, 20 % validation, 20 % held-out.

    Raises:
        ConfigError: Unknown name, unreadable file, or a key or value that it may not have.
        TraceError: A damaged CSV.
        TypeError: A value of the wrong type.
    """
    if not name.endswith(loading.TRACE_FILES):
        return _shipped_spec(name)
    path = Path(name)
    try:
        status = path.stat()
    except OSError as error:
        raise ConfigError(f"cannot read {path.absolute()}: {error.strerror or error}") from error
    if status.st_size > MAX_BYTES:
        raise ConfigError(f"{path} must hold at most {MAX_BYTES} bytes, got {status.st_size}")
    return _own_spec(str(path.absolute()), status.st_mtime_ns)


@lru_cache(maxsize=256)
def _shipped_spec(name: str) -> TraceSpec:
    known = loading.shipped("traces")
    if name not in known:
        raise unknown_name("trace", name, known)
    return parse_spec(loading.read_yaml(known[name]), name=name)


@lru_cache(maxsize=256)
def _own_spec(path: str, changed: int) -> TraceSpec:
    where = Path(path)
    if where.suffix != ".csv":
        return parse_spec(loading.read_yaml(where), name=path, folder=str(where.parent))
    span = Table().read(where.read_bytes(), path).arrival_s[[0, -1]]
    if not span[0] < span[1]:
        raise TraceError(f"{path} must span some time, got calls at {span[0]:g} s alone; add calls")
    edges = [float(span[0] + part * (span[1] - span[0])) for part in (0.0, 0.6, 0.8, 1.0)]
    splits = zip(SPLITS, pairwise(edges), strict=True)
    folder = str(where.parent)
    return TraceSpec(
        name=path,
        title=where.name,
        format=Table(),
        file=where.name,
        splits=tuple(splits),
        clock=path,
        folder=folder,
    )


def parse_spec(content: Mapping[str, object], *, name: str, folder: str | None = None) -> TraceSpec:
    """Build a trace's spec from the mapping of its YAML file."""
    at = f"trace {name}"
    for key in ("name", "folder"):
        if key in content:
            raise ConfigError(f"{at} has an unknown key {key!r}; remove it")
    values = {"title": name, "clock": name, **content, "name": name, "folder": folder}
    if "splits" in content:
        values["splits"] = parse_splits(content["splits"], f"{at}.splits")
    return construct(TraceSpec, values, at)


def parse_splits(content: object, at: str) -> tuple[tuple[str, Window], ...]:
    """Check the windows of a trace: one [start, end] for each split, none overlapping another."""
    given = checks.mapping(at, content)
    checks.keys(at, given, SPLITS, SPLITS)
    windows = {split: _window(given[split], f"{at}.{split}") for split in SPLITS}
    ordered = sorted(windows.items(), key=lambda item: item[1])
    for (first, (_, end)), (second, (start, _)) in pairwise(ordered):
        if start < end:
            raise ConfigError(
                f"{at}.{second} must not overlap {first}, which ends at {end:g} s, got a start at "
                f"{start:g} s; data of one split must stay out of the others"
            )
    return tuple(windows.items())


def _window(content: object, at: str) -> Window:
    if not isinstance(content, (list, tuple)) or len(content) != 2:
        raise TypeError(f"{at} must be a pair [start, end] in seconds, got {content!r}")
    start = checks.number(f"{at}[0]", content[0])
    return start, checks.number(f"{at}[1]", content[1], above=start)


def _digest(name: str, value: object, digits: int) -> None:
    if not isinstance(value, str) or not re.fullmatch(f"[0-9a-f]{{{digits}}}", value):
        raise ConfigError(f"{name} must be {digits} hexadecimal digits, got {value!r}")
