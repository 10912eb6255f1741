"""Trained policies: what their two files hold, how they are read, and the networks in NumPy."""
