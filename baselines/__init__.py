"""Everything that decides: one allocator a file, all `allocate(observation) -> shares`."""

from .base import Allocator, allocator_class, make_allocator, names, register

__all__ = ["Allocator", "allocator_class", "make_allocator", "names", "register"]
