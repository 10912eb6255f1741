"""A report as one page of HTML that needs nothing else: no script, no network, no font."""

from __future__ import annotations

import base64
import csv
import io

from .draw import printable
from .model import Figure, Page, Section, Table
from .style import COLOURS, DRAWINGS, PAGE

# Whatever a name may hold, the page loads and runs nothing.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
LONG = 40  # characters of a cell that is broken into lines


def to_html(page: Page) -> str:
    """Return the page."""
    facts = "".join(f"<dt>{printable(a)}</dt><dd>{printable(b)}</dd>" for a, b in page.facts)
    warning = (
        f'<p class="warning" role="alert">{printable(page.warning)}</p>' if page.warning else ""
    )
    notes = "".join(f"<li>{printable(note)}</li>" for note in page.notes)
    title = printable(page.title)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<title>{title}</title><link rel="icon" href="data:,">'
        f"<style>{COLOURS}{DRAWINGS}{PAGE}</style></head>\n<body>"
        f"<header><h1>{title}</h1>{warning}"
        f'<p class="verdict">{printable(page.verdict)}</p></header>\n'
        f"<main><dl>{facts}</dl>\n{''.join(map(_section, page.sections))}</main>\n"
        f"<footer><ul>{notes}</ul></footer></body></html>\n"
    )


def _section(section: Section) -> str:
    tables = [_table(item) for item in section.content if isinstance(item, Table)]
    figures = [_figure(item) for item in section.content if isinstance(item, Figure)]
    is_open = " open" if section.is_open else ""
    text = f"<p>{printable(section.text)}</p>" if section.text else ""
    return (
        f'<details class="part"{is_open}><summary><h2>{printable(section.title)}</h2></summary>'
        f'{text}{"".join(tables)}<div class="figures">{"".join(figures)}</div></details>\n'
    )


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{printable(header)}</th>' for header in table.headers)
    body = ""
    for i, (name, *cells) in enumerate(table.lines):
        kind = ' class="strong"' if i in table.strong else ""
        line = "".join(map(_cell_of, cells))
        body += f'<tr{kind}><th scope="row">{printable(name)}</th>{line}</tr>'
    title = printable(table.title)
    return (
        f'<h3>{title}</h3><div class="scroll" tabindex="0" role="region" aria-label="{title}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>\n"
    )


def _cell_of(text: str) -> str:
    kind = ' class="long"' if len(text) > LONG else ""
    return f"<td{kind}>{printable(text)}</td>"


def _figure(figure: Figure) -> str:
    wide = ' class="wide"' if len(figure.drawings) > 1 else ""
    name = printable(figure.name)
    numbers = base64.b64encode(to_csv(figure).encode()).decode()
    return (
        f'<figure id="{name}"{wide}><h3>{printable(figure.title)}</h3>'
        f'<div class="drawings">{"".join(figure.drawings)}</div>'
        f"<figcaption>{printable(figure.caption)} "
        f'<a download="{name}.csv" href="data:text/csv;base64,{numbers}">Numbers (CSV)</a>'
        f' · <a href="figures/{name}.csv">file</a></figcaption></figure>\n'
    )


def to_csv(figure: Figure) -> str:
    """Return a figure's numbers."""
    target = io.StringIO()
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(figure.columns)
    writer.writerows([_cell(value) for value in line] for line in figure.lines)
    return target.getvalue()


def _cell(value: object) -> object:
    """Return a value as it is written: numbers with six digits, which no drawing shows more of."""
    if not isinstance(value, float):
        return "" if value is None else value
    return "" if value != value else f"{value:.6g}"


def standalone(drawing: str) -> str:
    """Return an SVG that brings its colours along, for a file of its own."""
    start = drawing.index(">") + 1
    ground = '<rect width="100%" height="100%" fill="var(--page)"/>'
    return f"{drawing[:start]}<style>{COLOURS}{DRAWINGS}</style>{ground}{drawing[start:]}\n"
