"""The command `slicegym-train tune`: PPO's hyperparameters, chosen on the validation split."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..envs.errors import ConfigError
from ..envs.loading import read_yaml, shipped
from ..eval.cli import examples
from ..eval.engines import LOCAL, make_engine
from ..eval.options import EngineOption, RayAddressOption

# Nothing here may need torch: without it the command still has to say what to install.
if TYPE_CHECKING:
    from .trial import Watch
    from .tune import Found, Task

PROGRAM = "slicegym-train tune"
HEADER = """\
# Found by `{program}`: `slicegym-train {file}` trains with it. The reward under `tuned` is
# the best of all trials on the validation split, so expect a little less of another seed.
"""
app = typer.Typer(
    name=PROGRAM,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command(
    epilog=examples(
        "slicegym-train tune azure --trials 40 --out azure-tuned.yaml",
        "slicegym-train tune bursty total_timesteps=1e6 --seeds 2 --out b.yaml",
        "slicegym-train tune my/run.yaml --study shared/run.log --trials 100",
        "slicegym-train tune azure --trials 100 --engine ray --ray-address auto",
    ),
)
def tune(
    config: Annotated[
        str,
        typer.Argument(help=f"One of {', '.join(shipped('train'))}, or the path of a YAML file."),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Values that go before the file's."),
    ] = None,
    trials: Annotated[
        int, typer.Option(min=1, help="Training runs in all, CONFIG as given the first.")
    ] = 32,
    seeds: Annotated[
        int, typer.Option(min=1, help="Seeds of each trial, whose rewards are averaged.")
    ] = 1,
    study: Annotated[
        Path | None,
        typer.Option(help="File that keeps the trials; by default runs/CONFIG-tune/study.log."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="YAML file for the best configuration; else printed.")
    ] = None,
    engine: EngineOption = LOCAL,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Trials at the same time, on Ray; by default one a core."),
    ] = None,
    ray_address: RayAddressOption = None,
) -> None:
    """Tune PPO's hyperparameters for a scenario, by the reward on its validation split.

    Optuna draws learning rates, batches, discounts, exploration and network sizes around those of
    CONFIG. A trial counts with the best validation reward of its run, and is stopped when it falls
    below the median of the others. Held-out data is not touched.

    Each trial goes into the study file as it runs. After a kill the same command goes on, and runs
    again what was cut; more --trials add to those that are there. Several processes may work on one
    study at the same time, each started by the same command. With --engine ray, Ray Tune runs as
    many trials at once as --jobs says or the cluster has cores, on the same study file.

    The result is a configuration that slicegym-train takes, with its history under `tuned`.
    """
    from .cli import require_libraries

    require_libraries()
    from ..eval.output import check_target
    from .config import config_name, load_config
    from .tune import Task

    asked = load_config(config, overrides or ())
    name = config_name(config)
    file = study if study is not None else Path("runs") / f"{name}-tune" / "study.log"
    if out is not None:
        check_target(out)
        _check_ours(out)
    task = Task(asked, file, trials, seeds, _command(config, overrides or (), trials, seeds))
    try:
        with _bar(f"tuning {name}", task) as watch:
            found = _search(task, watch, engine, jobs, ray_address)
    except KeyboardInterrupt:
        if not file.exists():  # nothing to go on from
            raise
        go_on = f"the trials so far are in {file}, and the same command goes on"
        typer.echo(f"{PROGRAM}: interrupted; {go_on}", err=True)
        raise SystemExit(130) from None
    _deliver(found, out)


def _search(task: Task, watch: Watch, engine: str, jobs: int | None, address: str | None) -> Found:
    from .tune import tune as search_here

    if engine == LOCAL and jobs is not None:
        raise ConfigError(
            "--jobs goes with --engine ray here: of the local engine, start the command several "
            "times on one --study"
        )
    make_engine(engine, jobs, address)  # which refuses an unknown one, or what is not installed
    if engine == LOCAL:
        return search_here(task, watch)
    from ..eval.engines.on_ray import connected

    task.check()
    with connected(jobs, address) as n_workers:
        from .tune_on_ray import tune_on_ray

        return tune_on_ray(task, n_workers, watch)


def _check_ours(out: Path) -> None:
    if out.exists() and "tuned" not in read_yaml(out):
        raise ConfigError(
            f"--out must be a new file or one that `{PROGRAM}` wrote, and {out} is neither; "
            "name another one"
        )


def _command(config: str, overrides: Sequence[str], trials: int, seeds: int) -> str:
    return f"{PROGRAM} {shlex.join([config, *overrides])} --trials {trials} --seeds {seeds}"


@contextmanager
def _bar(what: str, task: Task) -> Iterator[Watch]:
    """Show a bar on stderr while it is a terminal, and yield what moves it."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from ..eval.report import console

    screen = console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(20),
        TextColumn("{task.completed:.1f}/{task.total}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    ) as progress:
        shown = progress.add_task(what, total=task.trials, note="")

        def watch(done: float, best: float) -> None:
            note = "" if math.isnan(best) else f"best {best:.3f}"
            progress.update(shown, completed=done, note=note)

        yield watch


def _deliver(found: Found, out: Path | None) -> None:
    from ..eval.output import write_atomically
    from ..eval.tune_many import to_yaml

    typer.echo(describe(found))
    text = to_yaml(found.content())
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_atomically(out, HEADER.format(program=PROGRAM, file=out.name) + text)
        typer.echo(f"# Train with it: slicegym-train {out}")


def describe(found: Found) -> str:
    """Return what came of a study, in lines that YAML takes for comments."""
    given = "not trainable" if math.isnan(found.given_reward) else f"{found.given_reward:.4f}"
    lines = [
        f"# {found.config.scenario}: validation reward {found.reward:.4f}, {given} as given; "
        f"{found.trials} trials, {found.pruned} of them stopped early"
    ]
    if found.running:
        lines.append(f"# {found.running} more in other processes: the last one has the final word")
    return "\n".join(lines)
