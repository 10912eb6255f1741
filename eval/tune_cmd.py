"""The command `slicegym-eval tune`: parameters of allocators, chosen on training splits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import EngineOption, JobsOption, RayAddressOption

# The rest is imported where it is used: every command starts by importing this file.
if TYPE_CHECKING:
    from .engines import Engine
    from .tune import Found, Task
    from .tune_many import Outcome

EXAMPLES = (
    "slicegym-eval tune --scenario azure --allocator hpa",
    "slicegym-eval tune --scenario bursty --out configs/allocators/demand.yaml",
    "slicegym-eval tune --scenario all --allocator all --jobs 8 --out configs/allocators",
    "slicegym-eval tune --scenario many,pool --allocator cmu,fair --budget 60",
    "slicegym-eval tune --scenario all --allocator all --engine ray --out configs/allocators",
)


def tune(
    scenario: Annotated[
        str, typer.Option(help="Scenarios by comma, whose training splits are tuned on, or all.")
    ],
    allocator: Annotated[
        str, typer.Option(help="Allocators with parameters by comma, or all.")
    ] = "demand",
    trials: Annotated[
        int, typer.Option(min=1, help="Parameter sets tried, the defaults among them.")
    ] = 64,
    tapes: Annotated[int, typer.Option(min=1, help="Training tapes that the best ones play.")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="Of tapes and parameter sets.")] = 0,
    budget: Annotated[
        float | None,
        typer.Option(min=0.1, metavar="S", help="Seconds for each allocator and scenario."),
    ] = None,
    jobs: JobsOption = None,
    engine: EngineOption = "local",
    ray_address: RayAddressOption = None,
    out: Annotated[
        Path | None,
        typer.Option(help="YAML file for the entry, or folder for NAME.yaml of each allocator."),
    ] = None,
) -> None:
    """Tune parameters of allocators on the training split of scenarios.

    Optuna draws candidates from the search space that an allocator declares, the defaults first.
    All play the same tapes; who is not among the better quarter after some of them is stopped.
    What does not beat the defaults is not kept. Without --out entries are printed.

    With a --budget the best so far is kept when the time is over; results then depend on the
    machine, and elsewhere on the seed alone.

    Of several tasks each is one on its own: one that fails is named at the end, with exit status 1,
    and an allocator that refuses a scenario is skipped.
    """
    from . import tune_many
    from .engines import LOCAL, make_engine
    from .tune import Task
    from .tune import tune as search
    from .tune_search import optuna

    optuna()  # if it is missing, say so once
    tasks = [
        Task(one, of, trials, tapes, seed, budget)
        for of in tune_many.scenarios_named(scenario)
        for one in tune_many.allocators_named(allocator)
    ]
    files = {} if out is None else tune_many.files(out, {task.allocator: 0 for task in tasks})
    where = make_engine(engine, jobs, ray_address)
    if len(tasks) == 1 and engine == LOCAL:
        _deliver(search(tasks[0]), files)
    else:
        _tune_all(tasks, where, files)


def _tune_all(tasks: list[Task], engine: Engine, files: dict[str, Path]) -> None:
    from .session import progress
    from .tune_many import outcomes

    others: list[Outcome] = []
    with progress("tuning", len(tasks)) as advance:
        for outcome in outcomes(tasks, engine):
            if outcome.found is None:
                others.append(outcome)
            else:
                _deliver(outcome.found, files)
            advance()
    for outcome in others:
        task, word = outcome.task, "skipped" if outcome.skipped else "FAILED"
        reason = " ".join((outcome.skipped or outcome.failed).split())
        typer.echo(f"{word} {task.allocator} on {task.scenario}: {reason}", err=True)
    if any(outcome.failed for outcome in others):
        raise typer.Exit(1)


def _deliver(found: Found, files: dict[str, Path]) -> None:
    from .tune import describe
    from .tune_many import save, to_yaml

    typer.echo(describe(found))
    if files:
        save(files[found.task.allocator], found)
    else:
        typer.echo(to_yaml({found.scenario: found.entry()}), nl=False)
