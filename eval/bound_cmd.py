"""How near allocators come to what a clairvoyant could earn at most: the heart of a `run`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from .report import bound_note, number, played, reward_table
from .session import evaluate
from .summary import REFERENCE


def compare(
    suite_name: str, specs: Sequence[str], n_episodes: int | None, jobs: int
) -> dict[str, Any]:
    """Return the summary of a run of static and the allocators, with the bound.

    Raises:
        ConfigError: An unknown suite, or allocators that cannot play it.
        SolverError: A bound that was not found.
    """
    asked = [REFERENCE, *(spec for spec in specs if spec != REFERENCE)]
    result = evaluate(suite_name, asked, n_episodes, jobs=jobs)
    return {"suite": result["suite"], **result["summary"]}


def as_table(content: dict[str, Any]) -> RenderableType:
    """Return the bound and the scores as a table."""
    bound = content["bound"]
    head = Text(f"{content['suite']}: {played(content)}, mean reward per interval")
    foot = Text(f"{bound_note(bound)} {number(bound['solve_s'], 1)} s a tape.", style="dim")
    return Group(head, reward_table(content), foot)
