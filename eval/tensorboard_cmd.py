"""The command `slicegym-eval tensorboard`: the results of a run as curves side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = (
    "slicegym-eval run --suite bursty-validation --allocators static,demand,ppo --out results",
    "slicegym-eval tensorboard results",
    "slicegym-eval tensorboard results --out beside --timesteps 2000000",
    "slicegym-eval tensorboard results --overwrite",
)


def tensorboard(
    results: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder that `slicegym-eval run --out` wrote.")
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="New folder; by default DIR/tensorboard.")
    ] = None,
    timesteps: Annotated[
        int,
        typer.Option(
            min=1, help="Length of the means' lines: the timesteps of a training beside them."
        ),
    ] = 1,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace what this command has written there before."),
    ] = False,
) -> None:
    """Write the results of a run as event files for TensorBoard.

    Each allocator is a run, FAMILY/ALLOCATOR, and so is the clairvoyant bound, where there is one.
    All have curves of the same names: means over the suite (SPLIT/reward and so on, called as in
    training), each episode (episodes/), and each decision of the first one whose series were kept
    (decisions/, share/AGENT, queue/AGENT). The page Custom Scalars lays the chosen ones over each
    other, HParams lists who had what parameters, and Images shows the episodes. Nothing is
    simulated.
    """
    from .curves.events import check_installed
    from .curves.write import write_runs
    from .results import load_results

    check_installed()
    folder = results / "tensorboard" if out is None else out
    runs = write_runs(load_results(results), folder, timesteps=timesteps, overwrite=overwrite)
    families = list(dict.fromkeys(run.partition("/")[0] for run in runs))
    one = folder / families[0]
    typer.echo(f"{len(runs)} runs in {folder}\nAll:  tensorboard --logdir {folder}")
    if len(families) > 1:
        typer.echo(f"One of {len(families)} families:  tensorboard --logdir {one}")
