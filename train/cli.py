"""The command line `slicegym-train`: a configuration goes in, a folder with a policy comes out."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..envs.errors import ConfigError
from ..envs.loading import shipped
from ..eval.cli import examples, run_app
from ..eval.engines import LOCAL
from ..eval.options import EngineOption, JobsOption, RayAddressOption

# Nothing here may need torch: without it the command still has to say what to install.
if TYPE_CHECKING:
    from .config import TrainConfig
    from .ppo import Trained

PROGRAM = "slicegym-train"
LIBRARIES = ("torch", "stable_baselines3", "tensorboard")
app = typer.Typer(
    name=PROGRAM,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command(
    epilog=examples(
        "slicegym-train azure",
        "slicegym-train bursty seed=1 total_timesteps=3e6 --out runs/bursty-1",
        "slicegym-train my/run.yaml net_arch=[128,128] learning_rate=1e-3",
        "slicegym-train bursty seed=1 total_timesteps=5e6 --out runs/bursty-1 --resume",
        "slicegym-train bursty --seeds 0:10 --jobs 4 --out runs/bursty-seeds",
        "slicegym-train bursty --seeds 0:10 --engine ray --ray-address auto",
        "slicegym-train tune azure --trials 40 --out azure-tuned.yaml",
        "slicegym-train zoo azure --seeds 5 --jobs 2",
        "slicegym-train experiment ablations --seeds 3",
    ),
)
def train(
    config: Annotated[
        str,
        typer.Argument(help=f"One of {', '.join(shipped('train'))}, or the path of a YAML file."),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Values that go before the file's."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="New folder of the run, or of those of --seeds; default runs/CONFIG."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the folder's last checkpoint.")
    ] = False,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="FIRST:END", help="Train each of these seeds, END left out."),
    ] = None,
    jobs: JobsOption = None,
    engine: EngineOption = LOCAL,
    ray_address: RayAddressOption = None,
) -> None:
    """Train an allocator with PPO on a scenario's training split.

    The folder receives the policy that was best on the validation split (policy.safetensors and
    policy.json, which the allocator learned:DIR runs), manifest.json, the last checkpoint, and
    TensorBoard curves, in which every baseline lies beside the policy. Held-out data is not
    touched: `slicegym-eval run` is for that.

    With --seeds there is a run for each seed, in a folder of its own below --out, as many at the
    same time as --jobs says. With --resume what is finished there stays, and the others go on.

    `slicegym-train tune CONFIG` searches for better hyperparameters, `slicegym-train zoo` makes the
    shipped policies, which the allocator ppo runs, and `slicegym-train experiment NAME` compares
    ways to train; see their own --help.
    """
    require_libraries()
    from .config import config_name, load_config

    asked = load_config(config, overrides or ())
    folder = out if out is not None else Path("runs") / config_name(config)
    try:
        if seeds is None:
            _refuse_without_seeds(jobs, engine, ray_address)
            _train_one(asked, folder, resume)
        else:
            from .seeds_cmd import parse_seeds, train_seeds

            _refuse_seed_twice(overrides or ())
            train_seeds(asked, parse_seeds(seeds), folder, resume, (engine, jobs, ray_address))
    except KeyboardInterrupt:
        if not folder.exists():  # nothing to go on from
            raise
        go_on = f"the same command with --out {folder} --resume goes on"
        typer.echo(f"{PROGRAM}: interrupted; {go_on}", err=True)
        raise SystemExit(130) from None


def _train_one(config: TrainConfig, folder: Path, resume: bool) -> None:
    from . import ppo

    typer.echo(describe(ppo.train(config, folder, resume=resume), config.scenario))


def _refuse_without_seeds(jobs: int | None, engine: str, address: str | None) -> None:
    given = {"--jobs": jobs, "--engine": engine != LOCAL or None, "--ray-address": address}
    for option, value in given.items():
        if value is not None:
            raise ConfigError(
                f"{option} must come with --seeds, since one run has one process; "
                "--seeds 0:10 trains ten"
            )


def _refuse_seed_twice(overrides: Sequence[str]) -> None:
    for text in overrides:
        if text.startswith("seed="):
            raise ConfigError(f"{text} must be left out, since --seeds names the seeds of the runs")


def require_libraries() -> None:
    """Refuse to go on without what training alone needs.

    Raises:
        ConfigError: It is not installed.
    """
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"training needs {', '.join(missing)}, not installed here: "
            "pip install 'slicegym[train]'"
        )


def describe(result: Trained, scenario: str) -> str:
    """Return what came of a run, and what to do with it, in lines of text."""
    folder, best = result.folder, result.best
    others = ", ".join(f"{name} {reward:.3f}" for name, reward in result.baselines.items())
    return "\n".join(
        [
            f"{result.timesteps:,} timesteps in {result.wall_s:.0f} s. Best policy: validation "
            f"reward {best['reward']:.3f}, after {best['timesteps']:,.0f}.",
            *([f"On the same tapes: {others}."] if others else []),
            f"Policy and manifest: {folder}",
            f"Curves:   tensorboard --logdir {folder / 'tensorboard'}",
            f"Evaluate: slicegym-eval run --suite {scenario}-heldout "
            f"--allocators static,adaptive,demand,learned:{folder}",
        ]
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit with 2 and one line on a refusal, with 130 on Ctrl-C."""
    asked = sys.argv[1:] if arguments is None else arguments
    if asked[:1] == ["tune"]:
        from . import tune_cmd

        sys.exit(run_app(tune_cmd.app, tune_cmd.PROGRAM, asked[1:]))
    if asked[:1] == ["zoo"]:
        from .zoo import cmd

        named = asked[1:] or ["--"]  # nothing named is everything, and no call for help
        sys.exit(run_app(cmd.app, cmd.PROGRAM, named))
    if asked[:1] == ["experiment"]:
        from .experiments import cmd as experiment_cmd

        sys.exit(run_app(experiment_cmd.app, experiment_cmd.PROGRAM, asked[1:]))
    sys.exit(run_app(app, PROGRAM, asked))
