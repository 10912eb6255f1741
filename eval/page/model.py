"""What a report consists of, before it is HTML or Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A figure with its numbers.

    Attributes:
        name: Of its files, and its anchor in the page.
        title: In a few words.
        caption: How to read it.
        alt: What it shows, for who cannot see it.
        drawings: SVG, side by side where there is space.
        columns: Of its numbers.
        lines: Its numbers.
    """

    name: str
    title: str
    caption: str
    alt: str
    drawings: tuple[str, ...]
    columns: tuple[str, ...]
    lines: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Table:
    """A table; the first cell of each line names it.

    Attributes:
        title: In a few words.
        headers: Of the columns.
        lines: Cells as they are shown.
        strong: Indices of the lines that stand out.
    """

    title: str
    headers: Sequence[str]
    lines: Sequence[Sequence[str]]
    strong: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Section:
    """What belongs together.

    Attributes:
        title: Its heading.
        text: Sentences above its content.
        content: Tables and figures, in order.
        is_open: Whether it is unfolded at first.
    """

    title: str
    text: str
    content: tuple[Figure | Table, ...]
    is_open: bool = True


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
        title: What was evaluated.
        verdict: Who is best, in a sentence.
        warning: What a reader must know first; empty where there is nothing.
        facts: What was compared on what: pairs of a term and what it says.
        sections: In order.
        notes: At the end.
    """

    title: str
    verdict: str
    warning: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...]

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All of them, in order."""
        return tuple(
            item for part in self.sections for item in part.content if isinstance(item, Figure)
        )
