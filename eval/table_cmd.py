"""The command `slicegym-eval table`: allocators over every family of scenarios."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# The rest is imported where it is used: every command starts by importing this file.
from .options import (
    JobsOption,
    JsonOption,
    NoBoundOption,
    check_json,
    deliver,
    jobs_or_default,
    split_names,
    split_specs,
)

EXAMPLES = (
    "slicegym-eval table --families azure,bursty --allocators static,demand,fair",
    "slicegym-eval table --split heldout --jobs 16 --out results --markdown results.md",
)


def table(
    families: Annotated[
        str | None, typer.Option(help="Scenarios by comma; by default all that are shipped.")
    ] = None,
    allocators: Annotated[
        str | None, typer.Option(help="Names by comma, as in run; by default all of `list`.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, validation or heldout.")] = "validation",
    episodes: Annotated[
        int | None, typer.Option(min=1, help="Play only each suite's first episodes.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="New folder for manifest.json, rows.csv, table.csv and summary.json."),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the tables as Markdown too.")
    ] = None,
    json_target: JsonOption = None,
    no_bound: NoBoundOption = False,
    jobs: JobsOption = None,
) -> None:
    """Play allocators over every family of scenarios, in a table for each.

    Beside reward, terms and score stand the paired difference to static and the time of a
    decision. An episode with all its allocators is played by one process. What is missing, for
    want of a trace, say, is named at the end with the reason; bounds are kept in the cache folder,
    so that a run that was cut is soon where it was.
    """
    from .output import write_atomically
    from .table import tabulate
    from .table_report import as_table, to_markdown

    check_json(json_target)
    check_json(None if markdown is None else str(markdown))
    content = tabulate(
        None if families is None else split_names("--families", families),
        None if allocators is None else split_specs(allocators),
        split,
        episodes,
        out,
        bound=not no_bound,
        jobs=jobs_or_default(jobs),
        quiet=json_target == "-",
    )
    deliver(content, json_target, as_table(content))
    if markdown is not None:
        write_atomically(markdown, to_markdown(content))
