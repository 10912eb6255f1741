"""Everything that decides: one allocator a file, all `allocate(observation) -> shares`."""

from .base import Allocator, allocator_class, make_allocator, names, register
from .bound import Bound, clairvoyant_bound

__all__ = [
    "Allocator",
    "Bound",
    "allocator_class",
    "clairvoyant_bound",
    "make_allocator",
    "names",
    "register",
]
