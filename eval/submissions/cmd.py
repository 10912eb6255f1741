"""The commands `slicegym-eval submit`, `verify` and `leaderboard`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ...envs.errors import ConfigError

# The rest is imported where it is used: every command starts by importing this file.
from ..options import JobsOption, JsonOption, check_json, deliver, jobs_or_default

SUBMIT = (
    "slicegym-eval submit results --allocator demand --out demand.zip",
    "slicegym-eval submit results --allocator learned:runs/mine --out mine.zip --title Mine",
)
VERIFY = ("slicegym-eval verify mine.zip", "slicegym-eval verify mine.zip --suite my.yaml")
LEADERBOARD = ("slicegym-eval leaderboard *.zip --markdown LEADERBOARD.md",)

SuiteOption = Annotated[
    str | None, typer.Option(help="Where the scenarios are somebody's own: the suite, as in run.")
]


def submit(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A finished run.")],
    allocator: Annotated[str, typer.Option(metavar="SPEC", help="Whose rows, as in the run.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="New file.")],
    title: Annotated[str, typer.Option(help="What a leaderboard calls it.")] = "",
    json_target: JsonOption = None,
) -> None:
    """Pack an allocator's rows of a run, with suite, sums and policy, into one file.

    Nothing in it can run, and no folder of this machine is named in it.
    """
    from rich.text import Text

    from .pack import submit as pack

    check_json(json_target)
    content = pack(folder, allocator, out, title)
    words = f"{out}: {content['allocator']} on {content['suite']}; check it with verify."
    deliver(content, json_target, Text(words))


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As submit writes it.")],
    suite: SuiteOption = None,
    jobs: JobsOption = None,
    json_target: JsonOption = None,
) -> None:
    """Replay a submission from nothing, and accept only what comes out the same.

    Scenarios and traces are this machine's, the policy is the packed one. Suite, sums of traces,
    parameters and every number of every row, times aside, must be as claimed; a refusal names the
    first thing that is not.
    """
    from rich.text import Text

    from .verify import verify as replay

    check_json(json_target)
    found = replay(file, suite, jobs=jobs_or_default(jobs), quiet=json_target == "-")
    n_rows = sum(row["allocator"] == found.allocator for row in found.results.rows)
    content = {
        "accepted": True,
        "sha256": found.sha256,
        "policy_sha256": found.policy_sha256 or None,
        "rows": n_rows,
        **{name: found.content[name] for name in ("title", "allocator", "suite", "suite_sha256")},
    }
    words = f"{file} is accepted: {found.allocator} on {found.content['suite']}, {n_rows} rows."
    deliver(content, json_target, Text(words))


def leaderboard(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Submissions.")],
    markdown: Annotated[Path, typer.Option(metavar="FILE", help="The page to write.")],
    suite: SuiteOption = None,
    jobs: JobsOption = None,
) -> None:
    """Verify submissions and rank those that come out the same, in a table for each suite.

    The others are named with the reason, and the status is 1 then.
    """
    from ..output import check_target, write_atomically
    from .board import to_markdown
    from .verify import verify as replay

    check_target(markdown)
    verified, refusals = [], []
    for file in files:
        try:
            verified.append(replay(file, suite, jobs=jobs_or_default(jobs)))
        except ConfigError as error:
            refusals.append(" ".join(str(error).split()))
    for line in refusals:
        print(line, file=sys.stderr)
    if verified:
        write_atomically(markdown, to_markdown(verified))
    if refusals:
        raise typer.Exit(1)
