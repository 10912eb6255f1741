"""The command `slicegym-train experiment`: ablations, transfer, and questions of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...envs.loading import shipped
from ...eval.cli import examples

# Nothing here may need torch: without it the command still has to say what to install.
PROGRAM = "slicegym-train experiment"
app = typer.Typer(
    name=PROGRAM,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command(
    epilog=examples(
        "slicegym-train experiment ablations --seeds 3 --jobs 2",
        "slicegym-train experiment transfer --table docs/experiments.md",
        "slicegym-train experiment my/question.yaml total_timesteps=2e5 --seeds 1",
    ),
)
def experiment(
    name: Annotated[
        str,
        typer.Argument(help=f"One of {', '.join(shipped('experiments'))}, or a YAML file."),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Values that go before all others."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Training runs of each variant.")] = 3,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Processes at the same time; by default one a core, at most 8."),
    ] = None,
    runs: Annotated[
        Path, typer.Option(help="Folder of the training runs, each at NAME/VARIANT/SEED.")
    ] = Path("runs/experiments"),
    rivals: Annotated[
        str | None, typer.Option(help="Allocators by comma in place of the usual ones.")
    ] = None,
    no_bound: Annotated[
        bool, typer.Option("--no-bound", help="Leave out the clairvoyant bound.")
    ] = False,
    table: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Document whose table of this experiment is renewed."),
    ] = None,
) -> None:
    """Train variants of a configuration with several seeds each, and judge them on one suite.

    An experiment is a YAML file: the configuration, the variants by name, each a list of
    KEY=VALUE, of which the first is what the others are compared to, and the suites that all play
    beside the rivals, on the same tapes. Every variant trains on training data alone.

    What is finished is not repeated: after a kill the same command goes on.
    """
    from ..cli import require_libraries

    require_libraries()
    from ...eval.options import jobs_or_default, split_specs
    from ...eval.output import to_json, write_atomically
    from ..seeds import Seed, train_all
    from ..zoo.plan import CAUSAL
    from ..zoo.summary import renew
    from .judge import judge
    from .plan import load_experiment
    from .report import to_markdown

    named = tuple(split_specs(rivals)) if rivals else CAUSAL
    asked = load_experiment(name, named, tuple(overrides or ()))
    folder = runs / asked.name
    if table is not None:
        renew(table, None, asked.name)  # which refuses a document without a place for it
    try:
        each = [(variant, variant.runs(folder, seeds)) for variant in asked.variants]
        trained = train_all([run for _, own in each for run in own], jobs_or_default(jobs))
        done: dict[str, list[Seed]] = {v.name: [next(trained) for _ in own] for v, own in each}
        for _ in trained:
            pass  # the processes end
        found = judge(asked, done, jobs_or_default(jobs), bound=not no_bound)
    except KeyboardInterrupt:
        go_on = f"what is finished stays in {runs}, and the same command goes on"
        typer.echo(f"{PROGRAM}: interrupted; {go_on}", err=True)
        raise SystemExit(130) from None
    text = to_markdown(asked, found)
    write_atomically(folder / "results.json", to_json(found))
    write_atomically(folder / "results.md", text + "\n")
    if table is not None:
        renew(table, text, asked.name)
    typer.echo(text)
