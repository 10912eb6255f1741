"""A comparison in ten lines."""

from __future__ import annotations

from .compare import POWER, Comparison
from .statistics import ENOUGH_BLOCKS


def to_lines(found: Comparison) -> list[str]:
    """Return the comparison in at most ten lines, the verdict first."""
    return [
        verdict(found),
        _rewards(found),
        _interval(found),
        _sureness(found),
        _distance(found),
        _terms(found),
        _best(found),
        _worst(found),
        _tapes(found),
        *_notes(found),
    ]


def verdict(found: Comparison) -> str:
    """Return who is better, in one sentence."""
    low, high = found.difference.low, found.difference.high
    if low is not None and low > 0:
        return f"{found.a} is better than {found.b} on {found.suite}."
    if high is not None and high < 0:
        return f"{found.b} is better than {found.a} on {found.suite}."
    return f"Neither {found.a} nor {found.b} is shown to be better on {found.suite}."


def _rewards(found: Comparison) -> str:
    a, b = found.rewards
    return (
        f"Mean reward: {found.a} {a:.3f}, {found.b} {b:.3f} over {count(len(found.tapes), 'tape')}."
    )


def _interval(found: Comparison) -> str:
    d = found.difference
    over = f"{count(d.n_blocks, 'block')}, {count(len(found.families), 'family', 'families')}"
    if d.low is None or d.high is None:
        return f"Difference: {d.mean:+.3f}; an interval wants two blocks a family, got {over}."
    return f"Difference: {d.mean:+.3f}, 95 % interval {d.low:+.3f} to {d.high:+.3f} ({over})."


def _sureness(found: Comparison) -> str:
    n = len(found.tapes)
    ahead = sum(tape.gain > 0 for tape in found.tapes)
    level = sum(tape.gain == 0 for tape in found.tapes)
    sure = "" if found.difference.p_value is None else f"p = {found.difference.p_value:.2g}; "
    tied = f", level on {level}" if level else ""
    return f"How sure: {sure}{found.a} is ahead on {ahead} of {count(n, 'tape')}{tied}."


def _distance(found: Comparison) -> str:
    closed, (ahead, behind) = found.closed, found.ahead
    if closed is None:
        return "Distance to the bound: unknown; play with bounds, or there is none."
    ends = ""
    if closed.low is not None and closed.high is not None:
        ends = f" ({100 * closed.low:.0f} to {100 * closed.high:.0f} %)"
    part = f"{100 * closed.mean:.0f} %{ends}"
    return f"Distance to the bound: {ahead} closes {part} of what {behind} leaves."


def _terms(found: Comparison) -> str:
    parts = ", ".join(f"{name} {gain:+.3f}" for name, gain in found.terms.items())
    return f"Where it comes from: {parts} (weighted)."


def _best(found: Comparison) -> str:
    block, gain = max(found.blocks.items(), key=lambda item: item[1])
    family, mean = max(found.families.items(), key=lambda item: item[1])
    word = "wins most" if gain > 0 else "is nowhere ahead: closest"
    return f"{found.a} {word} on {_place(found, family, mean, block, gain)}."


def _worst(found: Comparison) -> str:
    block, gain = min(found.blocks.items(), key=lambda item: item[1])
    family, mean = min(found.families.items(), key=lambda item: item[1])
    word = "loses most" if gain < 0 else "is nowhere behind: closest"
    return f"{found.a} {word} on {_place(found, family, mean, block, gain)}."


def _place(found: Comparison, family: str, mean: float, block: str, gain: float) -> str:
    of_families = f"{family} ({mean:+.3f}); of blocks " if len(found.families) > 1 else ""
    return f"{of_families}{block} ({gain:+.3f})"


def _tapes(found: Comparison) -> str:
    more = found.tapes_to_decide
    if more == 0:
        return "Tapes: enough to decide."
    if more is None:
        return "Tapes: how many would decide cannot be said from these."
    return f"Tapes: about {more} more would show such a difference (power {100 * POWER:.0f} %)."


def _notes(found: Comparison) -> list[str]:
    notes = []
    if found.difference.n_blocks < ENOUGH_BLOCKS:
        notes.append(f"fewer than {ENOUGH_BLOCKS} blocks are indicative")
    if found.missing:
        notes.append(f"not played by both: {', '.join(found.missing)}")
    return [f"Note: {'; '.join(notes)}."] if notes else []


def count(n: int, one: str, several: str = "") -> str:
    """Return a number with its word."""
    return f"{n} {one}" if n == 1 else f"{n} {several or one + 's'}"
