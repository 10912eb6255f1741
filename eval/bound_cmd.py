"""The command `slicegym-eval bound`: a run's rewards and scores, with the bound's own figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import JobsOption, JsonOption, check_json, deliver, jobs_or_default, split_specs

# The rest is imported where it is used: every command starts by importing this file.
if TYPE_CHECKING:
    from rich.console import RenderableType

EXAMPLES = (
    "slicegym-eval bound --suite bursty-validation",
    "slicegym-eval bound --suite azure-heldout --allocators demand,learned:DIR --json -",
)


def bound(
    suite: Annotated[str, typer.Option(help="SCENARIO-train, -validation or -heldout.")],
    allocators: Annotated[str, typer.Option(help="Names by comma, as in run.")] = "demand",
    episodes: Annotated[
        int | None, typer.Option(min=1, help="Play only the suite's first episodes.")
    ] = None,
    json_target: JsonOption = None,
    jobs: JobsOption = None,
) -> None:
    """Bound what any allocator could earn, and score allocators between static and it.

    The bound is a linear program over each whole tape, kept in the cache folder once computed.
    `run` has it too, in its first table; here are its terms and how it was found.
    """
    check_json(json_target)
    content = compare(suite, split_specs(allocators), episodes, jobs_or_default(jobs))
    deliver(content, json_target, as_table(content))


def compare(
    suite_name: str, specs: Sequence[str], n_episodes: int | None, jobs: int
) -> dict[str, Any]:
    """Return the summary of a run of static and the allocators, with the bound.

    Raises:
        ConfigError: An unknown suite, or allocators that cannot play it.
        SolverError: A bound that was not found.
    """
    from .engines import Workers
    from .session import evaluate

    asked = ["static", *(spec for spec in specs if spec != "static")]
    result = evaluate(suite_name, asked, n_episodes, engine=Workers(jobs))
    return {"suite": result["suite"], **result["summary"]}


def as_table(content: dict[str, Any]) -> RenderableType:
    """Return the bound and the scores as a table."""
    from rich.console import Group
    from rich.text import Text

    from .report import bound_note, number, played, reward_table

    bound = content["bound"]
    head = Text(f"{content['suite']}: {played(content)}, mean reward per interval")
    foot = Text(f"{bound_note([bound])} {number(bound['solve_s'], 1)} s a tape.", style="dim")
    return Group(head, reward_table(content), foot)
