"""How the kernel is compiled: once, cached on disk, with IEEE division as in NumPy."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit


@cache
def kernel_digest() -> str:
    """Return a digest of all sources of the kernel."""
    total = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        total.update(source.read_bytes())
    return total.hexdigest()


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function at its first call, or load what an earlier process compiled.

    A division by zero yields inf or nan without a branch (`error_model`), the global lock is
    released, and there is no fastmath: the order of operations is part of the results.
    """
    return _stamped(njit(cache=True, error_model="numpy", nogil=True)(function))


def compiled_in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile like `compiled` a function that makes no array, without counting references.

    Every slice of an array that is handed on would otherwise be counted, atomically: in the step
    of a batch that was half of the time. Such functions are inlined into each other: an array is
    handed on as seven numbers, and a step's functions take a dozen arrays.
    """
    return _stamped(
        njit(cache=True, error_model="numpy", nogil=True, _nrt=False, forceinline=True)(function)
    )


def _stamped(dispatcher: Any) -> Callable[..., Any]:
    """Make the cache of a function depend on all sources of the kernel.

    Numba renews a cached function when its own file changes, and not when a function that it
    inlined changes in another file.
    """
    return stamped(dispatcher, kernel_digest())


def stamped(dispatcher: Any, digest: str) -> Callable[..., Any]:
    """Make the cache of a function depend on a digest of sources that it inlines.

    What is on disk names the types of its arguments; where one is gone since, it is stale as well.
    """
    cache_file = dispatcher._cache._cache_file
    cache_file._source_stamp = (*cache_file._source_stamp, digest)
    load_index = cache_file._load_index

    def load_known() -> dict[Any, Any]:
        try:
            index: dict[Any, Any] = load_index()
        except (AttributeError, ImportError):
            return {}
        return index

    cache_file._load_index = load_known
    return dispatcher  # type: ignore[no-any-return]
