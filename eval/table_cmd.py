"""The command `slicegym-eval table`: `run` over families of one split, by their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

# The rest is imported where it is used: every command starts by importing this file.
from .options import (
    JobsOption,
    JsonOption,
    MarkdownOption,
    NoBoundOption,
    OutOption,
    ResumeOption,
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
    out: OutOption = None,
    resume: ResumeOption = False,
    markdown: MarkdownOption = None,
    json_target: JsonOption = None,
    no_bound: NoBoundOption = False,
    jobs: JobsOption = None,
) -> None:
    """Play allocators over every family of scenarios, in a table for each.

    As `run --suite SPLIT`, with families by name, and static always among the allocators. What is
    missing, for want of a trace, say, is named at the end with the reason.
    """
    from .engines import Workers
    from .table_report import as_table

    check_json(json_target)
    check_json(None if markdown is None else str(markdown))
    content = tabulate(
        None if families is None else split_names("--families", families),
        None if allocators is None else split_specs(allocators),
        split,
        episodes,
        out,
        bound=not no_bound,
        engine=Workers(jobs_or_default(jobs)),
        quiet=json_target == "-",
        resume=resume,
    )
    deliver(content, json_target, as_table(content), markdown)


def tabulate(
    families: Sequence[str] | None,
    specs: Sequence[str] | None,
    split: str,
    n_episodes: int | None = None,
    out: Path | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Evaluate static and the allocators on one split of the families; None means all of them.

    Raises:
        ConfigError: Unknown names, repeated ones, a folder that exists.
    """
    from ..envs.loading import scenario_names
    from .runs.suites import of_families
    from .session import evaluate
    from .summary import REFERENCE

    everybody = specs and [REFERENCE, *(spec for spec in specs if spec != REFERENCE)]
    suites = of_families(families or scenario_names(), split)
    return evaluate(suites, everybody, n_episodes, out, **options)
