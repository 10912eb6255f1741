"""Makes the pages of the API reference: one for each module, and a table of all."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[2]
ROOMS = ("configs", "envs", "baselines", "eval", "train")
INTRODUCTION = """# API reference

Made from the docstrings. A program needs little of it: `slicegym.envs` for scenarios and the
simulator, `slicegym.baselines` for allocators and the bound, `slicegym.eval` to compare them,
`slicegym.train` to train one. How the parts fit is told in [architecture](../architecture.md).
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every module, and the table."""
    lines = [INTRODUCTION]
    for room in ROOMS:
        lines += ["", f"## `slicegym.{room}`", "", "| module | |", "|---|---|"]
        for path in sorted((ROOT / room).rglob("*.py")):
            name, what = module(path), summary(path)
            page = f"# `{name}`\n\n::: {name}\n"
            files.append(File.generated(config, f"reference/{name}.md", content=page))
            lines.append(f"| [`{name}`]({name}.md) | {what} |")
    files.append(File.generated(config, "reference/index.md", content="\n".join(lines) + "\n"))
    return files


def module(path: Path) -> str:
    """Return the name that a file is imported by."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("slicegym", *(part for part in parts if part != "__init__")))


def summary(path: Path) -> str:
    """Return the first line of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].replace("|", "\\|")
