"""How the kernel is compiled: once, cached on disk, with IEEE division as in NumPy."""

from __future__ import annotations

from numba import njit

# `error_model="numpy"`: a division by zero yields inf or nan and needs no branch; the kernel has
# none. No fastmath: the order of floating-point operations is part of the results.
compiled = njit(cache=True, error_model="numpy", nogil=True)
