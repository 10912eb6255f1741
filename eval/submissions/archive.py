"""The file of a submission: a zip of few known members, read without trusting it.

Members are read into memory up to a limit each, whatever their headers say, and nothing is
extracted under a name from the file. The same content makes the same file, byte by byte.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from ...envs.errors import ConfigError
from ..output import write_atomically

SUBMISSION, ROWS = "submission.json", "rows.csv"
POLICY = ("policy/policy.json", "policy/policy.safetensors", "policy/manifest.json")
# The most that a member may unpack to [bytes].
LIMITS = {
    SUBMISSION: 16_000_000,
    ROWS: 64_000_000,
    POLICY[0]: 64_000,
    POLICY[1]: 64_000_000,
    POLICY[2]: 4_000_000,
}
MOST_BYTES = 128_000_000
EPOCH = (1980, 1, 1, 0, 0, 0)


def write(path: Path, members: Mapping[str, bytes]) -> None:
    """Write members into a new file, with fixed times and in a fixed order."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name in sorted(members):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            file.writestr(entry, members[name])
    write_atomically(path, target.getvalue())


def read(path: Path) -> dict[str, bytes]:
    """Return the members of a file.

    Raises:
        ConfigError: It is no such zip: damaged, too large, or with other members.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"it must have at most {MOST_BYTES} bytes, got more")
        with zipfile.ZipFile(path) as file:
            _check_names([entry.filename for entry in file.infolist()])
            return {entry.filename: _read_member(file, entry) for entry in file.infolist()}
    except OSError as error:
        raise ConfigError(f"cannot read it: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"it must be a zip that `slicegym-eval submit` wrote: {error}") from error


def _check_names(names: list[str]) -> None:
    for name in names:
        if name not in LIMITS:
            raise ConfigError(f"it must hold {', '.join(LIMITS)} alone, got a member {name!r}")
        if names.count(name) > 1:
            raise ConfigError(f"it must hold each member once, got {name!r} twice")
    missing = {SUBMISSION, ROWS} - set(names)
    if set(names) & set(POLICY):
        missing |= set(POLICY[:2]) - set(names)
    if missing:
        raise ConfigError(f"it lacks the member {min(missing)!r}")


def _read_member(file: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    limit = LIMITS[entry.filename]
    if entry.flag_bits & 1:
        raise ConfigError(f"its member {entry.filename!r} must not be encrypted")
    with file.open(entry) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise ConfigError(f"its member {entry.filename!r} must unpack to at most {limit} bytes")
    return data
