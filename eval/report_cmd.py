"""The command `slicegym-eval report`: a run's folder as one page that opens in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = (
    "slicegym-eval report results",
    "slicegym-eval report results --allocators demand,ppo",
)


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder that `run --out` wrote.")
    ],
    allocators: Annotated[
        str | None,
        typer.Option(help="A,B: whose time lines are shown; by default each family's best two."),
    ] = None,
) -> None:
    """Write DIR/report.html, one page that needs no network, and DIR/report.md.

    What was compared on what, who is best in a sentence, tables, and figures: rewards with
    intervals, scores to the bound, losses, trade-offs, latencies, SLO attainment against load, and
    time lines of an episode by two allocators. The numbers of each are in DIR/figures and in the
    page. Nothing is simulated; of a run that has not ended, whole episodes are reported.
    """
    from .options import split_specs
    from .page.write import HTML, write_report

    page = write_report(folder, None if allocators is None else split_specs(allocators))
    if page.warning:
        typer.echo(page.warning)
    typer.echo(f"{page.verdict}\n{folder / HTML}")
