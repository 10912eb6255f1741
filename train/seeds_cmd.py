"""What `slicegym-train CONFIG --seeds 0:10` does: runs that differ in their seeds, side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import typer
from rich.table import Table

from ..envs.errors import ConfigError
from ..eval.report import console, grid
from .config import TrainConfig
from .folder import MANIFEST_FILE
from .seeds import Seed, train_all

EXAMPLE = "--seeds 0:10"


def parse_seeds(text: str) -> range:
    """Read `0:10`, the seeds 0 to 9.

    Raises:
        ConfigError: It is no such range.
    """
    found = re.fullmatch(r"([0-9]{1,18}):([0-9]{1,18})", text)
    seeds = range(int(found[1]), int(found[2])) if found else range(0)
    if not seeds:
        raise ConfigError(
            f"--seeds must be FIRST:END, whole numbers with FIRST below END, which is left out, "
            f"got {text!r}; {EXAMPLE} trains ten"
        )
    return seeds


def train_seeds(
    config: TrainConfig,
    seeds: range,
    folder: Path,
    resume: bool,
    where: tuple[str, int | None, str | None],
) -> None:
    """Train a configuration with several seeds, each in a folder of its own, and say what came.

    Args:
        config: Whose seed is replaced.
        seeds: What by.
        folder: Receives SEED/ for each.
        resume: Keep what is finished in the folder, and go on with what was cut.
        where: Name of the engine, how many at the same time, address: as `make_engine` takes them.

    Raises:
        ConfigError: Anything that cannot be trained or written as asked.
        TraceError: A trace is absent or damaged.
        ChildProcessError: A process was ended from outside.
    """
    _check_folder(folder, resume)
    runs = [(replace(config, seed=seed), folder / str(seed)) for seed in seeds]
    engine, jobs, address = where
    trained = list(train_all(runs, jobs, engine=engine, address=address, option="--out"))
    console().print(_table(trained))
    typer.echo("\n".join(_lines(trained, config.scenario)))


def _check_folder(folder: Path, resume: bool) -> None:
    if (folder / MANIFEST_FILE).exists():
        raise ConfigError(
            f"--out must be a folder for runs of several seeds, and {folder} holds a run itself; "
            "name another one"
        )
    if folder.exists() and not resume:
        raise ConfigError(
            f"--out must be a new folder, and {folder} exists; name another one, or go on with "
            "what is in it by --resume"
        )


def _table(trained: Sequence[Seed]) -> Table:
    table = grid("")
    for name in ("seed", "validation reward", "after timesteps", "of"):
        table.add_column(name, justify="right")
    best = _best(trained)
    for seed in trained:
        cells = (
            str(seed.number),
            f"{seed.reward:.4f}",
            f"{seed.manifest['best']['timesteps']:,}",
            f"{seed.manifest['timesteps']:,}",
        )
        table.add_row(*cells, style="bold" if seed is best else "")
    return table


def _lines(trained: Sequence[Seed], scenario: str) -> list[str]:
    rewards, best = [seed.reward for seed in trained], _best(trained)
    learned = ",".join(f"learned:{seed.folder}" for seed in trained)
    return [
        f"Validation reward of {len(trained)} seeds: mean {np.mean(rewards):.4f}, from "
        f"{min(rewards):.4f} to {max(rewards):.4f}. Best: seed {best.number}, in {best.folder}",
        f"Evaluate: slicegym-eval run --suite {scenario}-heldout "
        f"--allocators static,adaptive,demand,{learned}",
    ]


def _best(trained: Sequence[Seed]) -> Seed:
    return max(trained, key=lambda seed: seed.reward)
