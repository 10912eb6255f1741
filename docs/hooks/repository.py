"""Brings what pages link to outside of docs/ into the site: it has no other place to look.

The README is the first page. Other Markdown of the repository becomes a page as it is, a file of
code or values a page that shows it, a folder a page that lists it, all below `repository/`; links
are written anew to lead there. So pages read and link alike on the site and in the checkout.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
HOME = "README.md"
ALWAYS = (HOME, "CONTRIBUTING.md", "CHANGELOG.md")
# [text](target#anchor), of targets without a scheme.
LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(?=(?:#[^)\s]*)?\))")
SHOWN = {".py": "python", ".yaml": "yaml", ".csv": "text", ".json": "json"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is linked to, and what that links to, and so on."""
    pending = [(origin(file.src_uri), file.content_string) for file in files.documentation_pages()]
    for path in ALWAYS:
        add(files, config, path, pending)
    while pending:
        source, text = pending.pop()
        for target in LINK.findall(text):
            path = resolve(source, target)
            if path is not None and files.get_file_from_path(uri(path)) is None:
                add(files, config, path, pending)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links out of docs/ to the pages that stand for their targets."""
    source = origin(page.file.src_uri)
    here = posixpath.dirname(page.file.src_uri)

    def lead(match: re.Match[str]) -> str:
        path = resolve(source, match[0])
        return match[0] if path is None else posixpath.relpath(uri(path), here or ".")

    return LINK.sub(lead, markdown)


def add(files: Files, config: MkDocsConfig, path: str, pending: list[tuple[str, str]]) -> None:
    """Add the page, or the picture, that stands for a path of the repository."""
    place = ROOT / path
    if place.is_dir() or place.suffix in SHOWN or place.suffix == ".md":
        text = as_page(path)
        files.append(File.generated(config, uri(path), content=text))
        pending.append((path, text))
    else:
        files.append(File.generated(config, uri(path), abs_src_path=str(place)))


def as_page(path: str) -> str:
    """Return the Markdown that stands for a path."""
    place = ROOT / path
    if place.is_dir():
        names = sorted(p.name for p in place.iterdir() if p.suffix in SHOWN)
        return "\n".join([f"# `{path}/`", "", *(f"- [{name}]({name})" for name in names)])
    text = place.read_text(encoding="utf-8")
    if place.suffix == ".md":
        return text
    return f"# `{path}`\n\n`````{SHOWN[place.suffix]}\n{text}\n`````\n"


def resolve(source: str, target: str) -> str | None:
    """Return the path in the repository that a link means; None where it leads to nothing.

    Args:
        source: Path of the file that the link stands in.
        target: As it is written there.
    """
    base = source if (ROOT / source).is_dir() else posixpath.dirname(source)
    path = posixpath.normpath(posixpath.join(base, target))
    return path if (ROOT / path).exists() and not path.startswith("..") else None


def origin(page: str) -> str:
    """Return the path in the repository of what a page shows."""
    if page == "index.md":
        return HOME
    if not page.startswith("repository/"):
        return f"docs/{page}"
    path = page.removeprefix("repository/")
    if path.endswith("/index.md"):
        return path.removesuffix("/index.md")
    return path if (ROOT / path).exists() else path.removesuffix(".md")


def uri(path: str) -> str:
    """Return the page, or the file of the site, that stands for a path of the repository."""
    if path == HOME:
        return "index.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if (ROOT / path).is_dir():
        return f"repository/{path}/index.md"
    shown = Path(path).suffix in SHOWN
    return f"repository/{path}.md" if shown else f"repository/{path}"
