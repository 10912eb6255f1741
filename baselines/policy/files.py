"""The two files of a trained policy, read without running anything that they hold.

`policy.json` says what the numbers mean (`Header`); `policy.safetensors` holds them, float32.
Neither can run code, and both are checked against each other before anything is decided.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import load as load_tensors

from ...envs import checks
from ...envs.errors import ConfigError
from .header import Header
from .networks import Tensors

HEADER_FILE, WEIGHTS_FILE = "policy.json", "policy.safetensors"
MAX_HEADER_BYTES = 64_000
ROOM = 100_000  # bytes that a safetensors file may hold besides its numbers


def read_policy(folder: Path | Traversable) -> tuple[Header, Tensors]:
    """Read and check the policy of a folder.

    Raises:
        ConfigError: A file is missing, cut, changed, too large or not what its header says.
    """
    if not (folder / HEADER_FILE).is_file() or not (folder / WEIGHTS_FILE).is_file():
        what = (
            "is not there" if not folder.is_dir() else f"must hold {HEADER_FILE} and {WEIGHTS_FILE}"
        )
        raise ConfigError(
            f"the policy's folder {folder} {what}; name the output folder of a `slicegym-train` run"
        )
    header = _read_header(folder / HEADER_FILE)
    return header, _read_tensors(folder / WEIGHTS_FILE, header)


def _read_header(path: Path | Traversable) -> Header:
    data = _read(path, MAX_HEADER_BYTES)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path} must be JSON, got {str(error) or 'too deep a nesting'}"
        ) from None
    names = [field.name for field in fields(Header)]
    values: Mapping[str, Any] = checks.mapping(str(path), content)
    checks.keys(str(path), values, names, required=names)
    try:
        return Header(**values)
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _read_tensors(path: Path | Traversable, header: Header) -> Tensors:
    data = _read(path, 4 * header.n_parameters + ROOM)
    got = hashlib.sha256(data).hexdigest()
    if got != header.weights_sha256:
        raise ConfigError(
            f"{path} must have the sha256 {header.weights_sha256!r} that its {HEADER_FILE} names, "
            f"got {got}: one of the two was cut or changed; train again, or copy both again"
        )
    try:
        tensors = load_tensors(data)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"{path} must be a safetensors file: {error}") from None
    if set(tensors) != set(header.shapes):
        named = f"{', '.join(header.shapes)}, got {', '.join(sorted(tensors))}"
        raise ConfigError(f"{path} must hold the tensors {named}")
    for name, shape in header.shapes.items():
        _check_tensor(f"{path}: {name}", tensors[name], shape)
    return tensors


def _check_tensor(name: str, tensor: NDArray[Any], shape: tuple[int, ...]) -> None:
    if tensor.dtype != np.float32 or tensor.shape != shape:
        raise ConfigError(
            f"{name} must be float32 of shape {shape}, got {tensor.dtype} of shape {tensor.shape}"
        )
    if not np.isfinite(tensor).all():
        raise ConfigError(
            f"{name} must hold finite numbers; it has {tensor[~np.isfinite(tensor)][0]}"
        )


def _read(path: Path | Traversable, at_most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(at_most + 1)
    except OSError as error:
        _unreadable(path, error)
    if len(data) > at_most:
        raise ConfigError(f"{path} must hold at most {at_most} bytes, got more")
    return data


def _unreadable(path: Path | Traversable, error: OSError) -> NoReturn:
    raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
