"""A report as Markdown, with its drawings as files beside it."""

from __future__ import annotations

import re
from urllib.parse import quote

from .model import Figure, Page, Section, Table


def to_markdown(page: Page) -> str:
    """Return the report; figures are in `figures/` beside it."""
    parts = [f"# {_plain(page.title)}"]
    if page.warning:
        parts.append(f"> **{_plain(page.warning)}**")
    parts.append(f"**{_plain(page.verdict)}**")
    parts.append("\n".join(f"- {_plain(term)}: {_plain(text)}" for term, text in page.facts))
    for section in page.sections:
        parts += _section(section)
    parts.append("\n".join(f"- {_plain(note)}" for note in page.notes))
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> list[str]:
    parts = [f"## {_plain(section.title)}"]
    if section.text:
        parts.append(_plain(section.text))
    for item in section.content:
        parts += _table(item) if isinstance(item, Table) else _figure(item)
    return parts


def _table(table: Table) -> list[str]:
    rule = ["---", *("--:" for _ in table.headers[1:])]
    lines = [
        [f"**{_plain(cell)}**" if i in table.strong else _plain(cell) for cell in line]
        for i, line in enumerate(table.lines)
    ]
    rows = [[_plain(header) for header in table.headers], rule, *lines]
    return [f"### {_plain(table.title)}", "\n".join(f"| {' | '.join(row)} |" for row in rows)]


def _figure(figure: Figure) -> list[str]:
    images = [f"![{_plain(figure.alt)}](figures/{quote(name)})" for name in file_names(figure)]
    numbers = f"[Numbers (CSV)](figures/{quote(figure.name)}.csv)"
    return [f"### {_plain(figure.title)}", " ".join(images), f"{_plain(figure.caption)} {numbers}"]


def file_names(figure: Figure) -> list[str]:
    """Return the names of a figure's drawings."""
    if len(figure.drawings) == 1:
        return [f"{figure.name}.svg"]
    return [f"{figure.name}-{i}.svg" for i in range(1, len(figure.drawings) + 1)]


def _plain(text: str) -> str:
    """Return a text that Markdown shows as it is: no markup, no HTML, no line of its own."""
    one_line = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]<>|#!~&])", r"\\\1", one_line)
