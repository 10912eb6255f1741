"""The command `slicegym-eval losses`: where the distance to the clairvoyant bound comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import JobsOption, JsonOption, check_json, deliver, jobs_or_default, split_names

EXAMPLES = (
    "slicegym-eval losses --suites azure-train,bursty-train --jobs 2",
    "slicegym-eval losses --suites pool-validation --cuts 2 --intervals 24 --json -",
)


def losses(
    suites: Annotated[str, typer.Option(help="Names by comma: SCENARIO-train or -validation.")],
    allocator: Annotated[str, typer.Option(help="Whose distance is split.")] = "demand",
    cuts: Annotated[int, typer.Option(min=1, help="Cuts of each suite's tapes.")] = 8,
    intervals: Annotated[int, typer.Option(min=1, help="Decision intervals of a cut.")] = 30,
    plays: Annotated[int, typer.Option(min=1, help="Tries of the search, from each start.")] = 5000,
    time_limit_s: Annotated[float, typer.Option(help="For a program with whole loads [s].")] = 60.0,
    jobs: JobsOption = None,
    json_target: JsonOption = None,
) -> None:
    """Split an allocator's distance to the clairvoyant bound into its causes.

    On short cuts of a suite's tapes: foresight (what a search that knows the tape finds), whole
    loads (what loads and memory in parts gain), and slack (what the program's flow gains, and what
    the search did not find).
    """
    from ..envs import checks
    from . import loss_split

    checks.number("--time-limit-s", time_limit_s, above=0)
    check_json(json_target)
    effort = loss_split.Effort(cuts, intervals, plays, time_limit_s, allocator)
    content = loss_split.split_losses(
        split_names("--suites", suites), effort, jobs_or_default(jobs), quiet=json_target == "-"
    )
    deliver(content, json_target, loss_split.as_table(content))
