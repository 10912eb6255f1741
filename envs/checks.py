"""Checks of single values, each raising one line that names field, rule and value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sized
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .errors import ConfigError, did_you_mean


def number(
    field: str,
    value: object,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
) -> float:
    """Return `value` as a finite float inside the bounds.

    Raises:
        TypeError: `value` is not a real number (a bool or a numeric string is none).
        ConfigError: it is NaN, infinite or out of bounds.
    """
    # Plain types first: the abstract class alone takes five times as long.
    if isinstance(value, bool) or not isinstance(value, (float, int, Real)):
        raise TypeError(f"{field} must be a number, got {value!r} ({type(value).__name__})")
    try:
        result = float(value)
    except OverflowError:  # a whole number beyond the floats
        result = math.inf
    if not math.isfinite(result):
        raise ConfigError(f"{field} must be a finite number, got {result!r}")
    if above is not None and not result > above:
        raise ConfigError(f"{field} must be greater than {above:g}, got {result!r}")
    if at_least is not None and not result >= at_least:
        raise ConfigError(f"{field} must be at least {at_least:g}, got {result!r}")
    if at_most is not None and not result <= at_most:
        raise ConfigError(f"{field} must be at most {at_most:g}, got {result!r}")
    return result


def integer(field: str, value: object, *, at_least: int, at_most: int = 2**31 - 1) -> int:
    """Return `value` as an int inside the bounds; floats and bools are a TypeError."""
    if isinstance(value, bool) or not isinstance(value, (int, Integral)):
        raise TypeError(f"{field} must be a whole number, got {value!r} ({type(value).__name__})")
    result = int(value)
    if not at_least <= result <= at_most:
        raise ConfigError(f"{field} must lie in [{at_least}, {at_most}], got {result!r}")
    return result


def text(field: str, value: object) -> str:
    """Return `value` if it is a non-empty string."""
    if not isinstance(value, str):
        raise TypeError(f"{field} must be a string, got {value!r} ({type(value).__name__})")
    if not value.strip():
        raise ConfigError(f"{field} must not be empty, got {value!r}")
    return value


def one_of(field: str, value: object, known: Iterable[str]) -> str:
    """Return `value` if it is one of the `known` words."""
    words = tuple(known)
    if value not in words:
        raise ConfigError(
            f"{field} must be one of {', '.join(words)}, got {value!r}{did_you_mean(value, words)}"
        )
    return str(value)


def listing(field: str, value: object) -> Sized:
    """Return `value` if it is a list, a tuple, an array … and not a string."""
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sized):
        raise TypeError(f"{field} must be a list, got {value!r} ({type(value).__name__})")
    return value


def array(field: str, value: object, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return `value` if it is an array of this shape and kind, without NaN or infinity."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{field} must be an array, got {value!r:.60} ({type(value).__name__})")
    if value.shape != shape or value.dtype != dtype:
        raise ConfigError(
            f"{field} must have the shape {shape} and hold {np.dtype(dtype)}, "
            f"got {value.shape} of {value.dtype}"
        )
    if not np.isfinite(value).all():
        raise ConfigError(f"{field} must hold finite numbers")
    return value


def mapping(field: str, value: object) -> Mapping[str, object]:
    """Return `value` if it is a mapping whose keys are strings."""
    if not isinstance(value, Mapping):
        raise TypeError(f"{field} must be a mapping of keys to values, got {value!r}")
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"{field} must have strings as keys, got the key {key!r}")
    return value


def keys(
    field: str, value: Mapping[str, object], allowed: Iterable[str], required: Iterable[str] = ()
) -> None:
    """Refuse unknown keys (with the nearest known one) and missing ones."""
    known = tuple(allowed)
    for key in value:
        if key not in known:
            raise ConfigError(f"{field} has an unknown key {key!r}{did_you_mean(key, known)}")
    missing = [key for key in required if key not in value]
    if missing:
        raise ConfigError(f"{field} lacks the required key {missing[0]!r}; add it")
