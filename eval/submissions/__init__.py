"""Results that others can check: packed into one file, replayed from nothing, ranked."""
