"""The demonstration that `make demo` runs: train on a real trace, compare, draw, in a few minutes.

Nothing is chosen on held-out data: the policy kept is the best on the validation split, and the
held-out windows are played once, at the end.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..baselines import make_allocator
from ..envs.errors import TraceError
from ..envs.render import plot_runs
from ..envs.traces import load_trace, trace_status
from ..eval import report, session
from ..eval.bounds import bounds_beside
from ..eval.cli import run_app
from ..eval.rollout import play
from ..eval.suite import load_suite
from .cli import require_libraries

PROGRAM = "python -m slicegym.train.demo"
RUNS = Path("runs")
CONFIG = "demo"
TRACES = ("azure_conv", "azure_code")
BASELINES = ("static", "round_robin", "adaptive", "demand")
HELDOUT_EPISODES = 4  # at most: the bound of each takes some seconds
PAPER = "adaptive"  # Algorithm 1, drawn beside the learned one
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def demo(
    out: Annotated[
        Path | None, typer.Option(help="New folder; by default runs/demo, runs/demo-2 …")
    ] = None,
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...")] = None,
) -> None:
    """Train PPO, compare it with the baselines on held-out data, draw the picture."""
    require_libraries()
    from . import ppo
    from .config import load_config

    screen = report.console()
    scenario, why = choose_scenario()
    screen.print(why)
    config = load_config(CONFIG, [f"scenario={scenario}", *(overrides or ())])
    folder = out if out is not None else fresh_folder(RUNS, CONFIG)
    screen.print(
        f"Training PPO on {config.scenario}-train: {config.total_timesteps:,} decisions, "
        f"about a minute. Everything goes into {folder}."
    )
    suite, learned = f"{config.scenario}-heldout", f"learned:{folder}"
    with bounds_beside(load_suite(suite).first(HELDOUT_EPISODES)):  # tells the training nothing
        trained = ppo.train(config, folder)
    screen.print(
        f"Trained in {trained.wall_s:.0f} s. Validation reward {trained.best['reward']:.3f}; "
        + ", ".join(f"{name} {reward:.3f}" for name, reward in trained.baselines.items())
        + ".\n\nOn held-out data, which nothing above has learned from:"
    )
    result = session.evaluate(suite, [*BASELINES, learned], HELDOUT_EPISODES, folder / "heldout")
    screen.print(report.suite_report(suite, result["summary"]))
    picture = draw(suite, {PAPER: PAPER, "learned": learned}, folder / f"{suite}.png")
    screen.print(f"Picture: {picture}\nCurves:  tensorboard --logdir {folder / 'tensorboard'}")


def choose_scenario() -> tuple[str, str]:
    """Return the scenario to train on, and a sentence about it.

    Raises:
        TraceError: A trace's file is there and is damaged.
    """
    try:
        for name in TRACES:
            load_trace(name)
    except TraceError as error:
        if any(trace_status(name).path is not None for name in TRACES):
            raise
        return "bursty", (
            f"The Azure traces are not to be had ({error}), so this demo takes the synthetic "
            "scenario `bursty` instead."
        )
    return "azure", "The Azure traces are here: two LLM services as recorded on 2023-11-16."


def fresh_folder(parent: Path, name: str) -> Path:
    """Return the first of `name`, `name-2`, `name-3` … that does not exist."""
    folder, number = parent / name, 1
    while folder.exists():
        number += 1
        folder = parent / f"{name}-{number}"
    return folder


def draw(suite_name: str, specs: dict[str, str], path: Path) -> Path:
    """Draw allocators on the suite's first episode, side by side, and return the file."""
    suite = load_suite(suite_name)
    tape = suite.scenario.tape(suite.episodes[0])
    runs: dict[str, Any] = {
        name: play(suite.scenario, tape, make_allocator(spec)) for name, spec in specs.items()
    }
    plot_runs(runs, path)
    return path


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration and return its exit status."""
    asked = sys.argv[1:] if arguments is None else arguments
    return run_app(app, PROGRAM, asked or ["--"])  # of no arguments it would make a call for help


if __name__ == "__main__":
    sys.exit(main())
