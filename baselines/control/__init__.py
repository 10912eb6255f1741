"""The linear program that `mpc` solves at every decision, and its solver."""
