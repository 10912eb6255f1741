"""A linear program over a whole tape whose optimum no allocator can beat."""
