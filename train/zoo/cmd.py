"""The command `slicegym-train zoo`: shipped policies from nothing, with their model cards."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...envs.errors import ConfigError, TraceError
from ...eval.cli import examples

# Nothing here may need torch: without it the command still has to say what to install.
if TYPE_CHECKING:
    from ..seeds import Seed
    from .plan import Entry

PROGRAM = "slicegym-train zoo"
app = typer.Typer(
    name=PROGRAM,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command(
    epilog=examples(
        "slicegym-train zoo",
        "slicegym-train zoo bursty azure --seeds 5 --jobs 2",
        "slicegym-train zoo my/run.yaml total_timesteps=1e6 --seeds 3 --out my/zoo",
        "slicegym-train zoo --only-table --table docs/zoo.md",
        "slicegym-train zoo --check",
    ),
)
def zoo(
    configs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CONFIG]... [KEY=VALUE]...",
            help="Shipped configurations or YAML files, by default all that bear the name of their "
            "scenario; then values that go before those of the files.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Training runs of each configuration.")] = 5,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Processes at the same time; by default one a core, at most 8."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The zoo: a folder for each scenario; by default configs/zoo, and of --check the "
            "one that comes with the package.",
            show_default=False,
        ),
    ] = None,
    runs: Annotated[
        Path, typer.Option(help="Folder of the training runs, each at SCENARIO/SEED.")
    ] = Path("runs/zoo"),
    rivals: Annotated[
        str | None, typer.Option(help="Allocators by comma in place of the usual ones.")
    ] = None,
    mpc: Annotated[
        bool, typer.Option("--mpc", help="Add mpc to the rivals: milliseconds a decision.")
    ] = False,
    no_bound: Annotated[
        bool, typer.Option("--no-bound", help="Leave out the clairvoyant bound and the scores.")
    ] = False,
    table: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Document whose table of the zoo is renewed."),
    ] = None,
    only_table: Annotated[bool, typer.Option("--only-table", help="Train nothing.")] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Train nothing: play the policies of all scenarios, or of those named, and their "
            "rivals again, and say what is not as on the cards.",
        ),
    ] = False,
) -> None:
    """Train the shipped policies, compare them on held-out tapes, write folders and model cards.

    Of each configuration the seed that is best on the validation split is shipped; the card shows
    all of them beside the rivals on the held-out split, which decides nothing.

    What is finished is not repeated: after a kill the same command goes on.
    """
    from ...eval.options import jobs_or_default, split_specs
    from ..cli import require_libraries

    require_libraries()
    if check:
        if table is not None or only_table:
            raise ConfigError("--check must come without --table and --only-table")
        _check(out, configs or [], jobs_or_default(jobs))
        return
    out = out or Path("configs/zoo")
    if only_table and table is None:
        raise ConfigError("--only-table must come with --table FILE, which it renews")
    if table is not None:
        _renew(table, out)  # which refuses a document without a place for it
    if only_table:
        return
    from .plan import CAUSAL, SLOW, Options, plan

    named = split_specs(rivals) if rivals else list(CAUSAL)
    asked = Options(seeds, tuple([*named, SLOW] if mpc else named), not no_bound, out, runs)
    given = configs or []
    entries = plan(
        [text for text in given if "=" not in text], [text for text in given if "=" in text], asked
    )
    try:
        _make(entries, jobs_or_default(jobs), table)
    except KeyboardInterrupt:
        go_on = f"what is finished stays in {runs}, and the same command goes on"
        typer.echo(f"{PROGRAM}: interrupted; {go_on}", err=True)
        raise SystemExit(130) from None


def _make(entries: list[Entry], jobs: int, document: Path | None) -> None:
    """Train everything first, so that no core waits for the last run of each scenario."""
    from ..seeds import train_all
    from .build import build

    trained = train_all([run for entry in entries for run in entry.runs()], jobs)
    seeds: dict[str, list[Seed]] = {}
    for entry in entries:
        for _ in entry.runs():
            seed = next(trained)
            seeds.setdefault(entry.scenario, []).append(seed)
            typer.echo(f"{seed.folder}: validation reward {seed.reward:.4f}")
    for _ in trained:
        pass  # the processes end
    for entry in entries:
        build(entry, seeds[entry.scenario], jobs)
        typer.echo(f"{entry.folder}: written")
        if document is not None:
            _renew(document, entry.options.out)


def _check(zoo: Path | None, scenarios: list[str], jobs: int) -> None:
    """Say of each policy whether it plays as its card says; fail where one does not."""
    from ...baselines.zoo import zoo_folder
    from ...eval.engines import Workers
    from .check import chosen, replay
    from .words import number

    folders, as_judged = chosen(zoo or Path(str(zoo_folder())), scenarios), 0
    with Workers(jobs) as workers:
        for folder in folders:
            try:
                found = replay(folder, workers)
            except (ConfigError, TraceError) as error:
                typer.echo(f"{folder.name}: not played: {error}")
                continue
            as_judged += not found.changed
            changes = [
                f"{name} {number(before, 6)} on the card, {number(now, 6)} now"
                for name, (before, now) in found.changed.items()
            ]
            what = "; ".join(changes) or f"as on its card, {len(found.rewards)} allocators"
            typer.echo(f"{folder.name}: {what} ({found.episodes} episodes)")
    typer.echo(f"{as_judged} of {len(folders)} policies play as their cards say")
    if as_judged < len(folders):
        raise SystemExit(1)


def _renew(document: Path, zoo: Path) -> None:
    from .summary import renew, summary_table

    renew(document, summary_table(zoo, document.parent))
