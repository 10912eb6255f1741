"""The files of a report, beside those of its run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...envs.errors import ConfigError
from ..output import write_atomically
from .content import make_page
from .gather import gather
from .html import standalone, to_csv, to_html
from .markdown import file_names, to_markdown
from .model import Page

HTML, MARKDOWN, FIGURES = "report.html", "report.md", "figures"


def write_report(folder: Path, pair: Sequence[str] | None = None) -> Page:
    """Write `report.html`, `report.md` and `figures/` into the folder of a run; return the page.

    The same files give the same bytes. A report that is there already is written anew.

    Raises:
        ConfigError: The folder is no run's, holds nothing to report, or cannot be written to.
    """
    page = make_page(gather(folder), pair)
    figures = folder / FIGURES
    try:
        figures.mkdir(exist_ok=True)
        for figure in page.figures:
            write_atomically(figures / f"{figure.name}.csv", to_csv(figure))
            for name, drawing in zip(file_names(figure), figure.drawings, strict=True):
                write_atomically(figures / name, standalone(drawing))
        write_atomically(folder / MARKDOWN, to_markdown(page))
        write_atomically(folder / HTML, to_html(page))
    except OSError as error:
        raise ConfigError(
            f"cannot write the report into {folder}: {error.strerror or error}"
        ) from error
    return page
