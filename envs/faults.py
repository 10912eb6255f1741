"""What goes wrong in a scenario, drawn into its tapes (docs/platform.md)."""

from __future__ import annotations


class Fault:
    """A source of trouble."""
