"""Options that several commands share, and what becomes of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..envs.errors import ConfigError

JobsOption = Annotated[
    int | None,
    typer.Option(min=1, help="Processes at the same time; by default one a core, at most 8."),
]
EngineOption = Annotated[
    str, typer.Option(metavar="local|ray", help="Processes of this machine, or Ray.")
]
RayAddressOption = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Of a running cluster; without it Ray starts here."),
]
NoBoundOption = Annotated[
    bool, typer.Option("--no-bound", help="Leave out the clairvoyant bound and the scores.")
]
JsonOption = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE|-", help="Write JSON to a file, or to stdout with -."),
]
OutOption = Annotated[
    Path | None,
    typer.Option(help="New folder for manifest, raw rows, episodes, tables and summary."),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with the run in --out, or begin it.")
]
MarkdownOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the tables as Markdown too.")
]


def split_specs(text: str) -> list[str]:
    """Split `a,b:x=1,y=2,c` into allocators: a piece `y=2` belongs to the one before it."""
    specs: list[str] = []
    for piece in (part.strip() for part in text.split(",")):
        name = piece.partition(":")[0]
        if specs and "=" in name and ":" in specs[-1]:
            specs[-1] += f",{piece}"
        else:
            specs.append(piece)
    if not all(specs):
        raise ConfigError(f"--allocators must be names separated by commas, got {text!r}")
    return specs


def split_names(option: str, text: str) -> list[str]:
    """Split `a,b` into names that differ.

    Raises:
        ConfigError: An empty one, or one twice.
    """
    pieces = [piece.strip() for piece in text.split(",")]
    if not all(pieces) or len(set(pieces)) < len(pieces):
        raise ConfigError(f"{option} must be different names separated by commas, got {text!r}")
    return pieces


def jobs_or_default(asked: int | None) -> int:
    """Return how many processes to use."""
    from .engines import default_jobs

    return asked or default_jobs()


def check_json(target: str | None) -> None:
    """Refuse a file that could not be written, before anything is computed.

    Raises:
        ConfigError: It is a folder, or its folder does not exist.
    """
    from .output import check_target

    if target is not None and target != "-":
        check_target(Path(target))


def deliver(content: Any, target: str | None, show: Any, markdown: Path | None = None) -> None:
    """Print the report, or JSON alone on stdout; files of JSON and Markdown come on top of it."""
    from .output import to_json, write_atomically
    from .report import console
    from .table_report import to_markdown

    if markdown is not None:
        write_atomically(markdown, to_markdown(content))
    if target == "-":
        sys.stdout.write(to_json(content))
        return
    console().print(show)
    if target is not None:
        write_atomically(Path(target), to_json(content))
