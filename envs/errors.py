"""Errors that name the field, the rule, the value got and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """A scenario, workload, suite or training run that cannot be used as written."""


class TraceError(ValueError):
    """A trace file that is missing, damaged or not what its name promises."""


class UnknownNameError(ConfigError):
    """A name that nothing is registered under."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return `" (did you mean 'x'?)"`, or the list of known names where nothing is close."""
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=1, cutoff=0.5)
    if close:
        return f" (did you mean {close[0]!r}?)"
    return f" (known: {', '.join(names)})" if names else ""


def unknown_name(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """Build the error for an unknown `kind` of thing called `name`."""
    return UnknownNameError(f"unknown {kind} {name!r}{did_you_mean(name, known)}")
