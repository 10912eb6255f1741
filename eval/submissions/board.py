"""A leaderboard in Markdown, from submissions that were verified."""

from __future__ import annotations

from collections.abc import Sequence

from ..compare import Difference, compare
from ..statistics import block_means
from ..summary import REFERENCE
from .verify import Verified

HEAD = """\
# Leaderboard

Written by `slicegym-eval leaderboard` from submissions that it has replayed from nothing. Reward
is the mean per interval, every family counting the same, and higher is better; ± is half the width
of the 95 % interval of the paired difference to static over independent blocks.
"""
COLUMNS = ("rank", "title", "allocator", "reward", "vs static", "policy", "file")


def to_markdown(verified: Sequence[Verified]) -> str:
    """Return the page: a table for each suite, the best first."""
    sections = [HEAD]
    for sha256 in dict.fromkeys(str(one.content["suite_sha256"]) for one in verified):
        own = [one for one in verified if one.content["suite_sha256"] == sha256]
        name = _safe(str(own[0].content["suite"]))
        sections.append(f"## {name}\n\nSuite {sha256[:16]}, {_size(own[0])}.\n\n{_table(own)}")
    return "\n".join(sections)


def _size(one: Verified) -> str:
    rows = [row for row in one.results.rows if row["allocator"] == one.allocator]
    families = len({row["family"] for row in rows})
    return f"{len(rows)} episodes of {families} {'family' if families == 1 else 'families'}"


def _table(verified: Sequence[Verified]) -> str:
    entries = sorted(((_reward(one), one) for one in verified), key=lambda entry: -entry[0])
    lines = [COLUMNS, ("--:", "---", "---", "--:", "--:", "---", "---")]
    for rank, (reward, one) in enumerate(entries, start=1):
        lines.append(
            (
                str(rank),
                _safe(str(one.content["title"])),
                f"`{_safe(one.allocator)}`",
                f"{reward:.4f}",
                _versus(one),
                one.policy_sha256[:12] or "–",
                one.sha256[:12],
            )
        )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _reward(one: Verified) -> float:
    rows = [row for row in one.results.rows if row["allocator"] == one.allocator]
    means = []
    for family in dict.fromkeys(row["family"] for row in rows):
        own = [row for row in rows if row["family"] == family]
        means.append(block_means([r["reward"] for r in own], [r["block"] for r in own]).mean())
    return float(sum(means) / len(means))


def _versus(one: Verified) -> str:
    if one.allocator == REFERENCE:
        return "–"
    found: Difference = compare(one.results, one.allocator, REFERENCE).difference
    half = "" if found.high is None else f" ± {found.high - found.mean:.4f}"
    return f"{found.mean:+.4f}{half}"


def _safe(text: str) -> str:
    """Return a text that can't leave its cell, nor make links or markup of its own."""
    return "".join(c if c.isalnum() or c in " :=,.+-_/()%" else "?" for c in text)
