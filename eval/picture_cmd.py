"""The command `slicegym-eval picture`: one episode of a scenario as a PNG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..envs.errors import ConfigError

# The rest is imported where it is used: every command starts by importing this file.
if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..envs.run import Run

EXAMPLES = (
    "slicegym-eval picture bursty --out bursty.png",
    "slicegym-eval picture azure --allocator adaptive --out azure.png",
    "slicegym-eval picture mine.yaml --split train --episode 2 --out mine.png",
)


def picture(
    scenario: Annotated[
        str, typer.Argument(metavar="SCENARIO", help="A shipped one's name, or a YAML file.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="Where to write the picture.")],
    allocator: Annotated[
        str, typer.Option(metavar="A", help="Name, with parameters after a colon, or learned:DIR.")
    ] = "demand",
    split: Annotated[
        str, typer.Option(metavar="S", help="train, validation or heldout.")
    ] = "validation",
    episode: Annotated[
        int, typer.Option(min=0, metavar="K", help="Which episode of the suite, from 0 on.")
    ] = 0,
) -> None:
    """Draw an episode: shares, queues, longest waits and lifecycles over time.

    An allocator plays one episode of the scenario's suite, with the parameters that were tuned for
    it on the scenario's training split, where there are any. A file that is there already is
    written anew.
    """
    from ..envs.render import plot_run
    from .output import check_target, write_atomically

    if out.suffix != ".png":
        raise ConfigError(f"--out must end in .png, got {str(out)!r}")
    check_target(out)
    run = play_episode(scenario, split, episode, allocator)
    write_atomically(out, png(plot_run(run, note=f"{allocator}, {split} episode {episode}")))
    typer.echo(
        f"{out}\nreward {run.rewards.mean():.3f} in the mean of {len(run.rewards):,} intervals"
    )


def play_episode(scenario: str, split: str, episode: int, allocator: str) -> Run:
    """Play one episode of the suite `scenario-split`.

    Raises:
        ConfigError: Something unknown, or an episode that the suite has not.
        TraceError: The workload's trace is missing or damaged.
    """
    from ..baselines import make_allocator
    from ..envs import checks
    from ..envs.loading import load_scenario
    from ..envs.workloads.base import SPLITS
    from .rollout import play
    from .suite import load_suite

    checks.one_of("--split", split, SPLITS)
    decides = make_allocator(allocator)
    load_scenario(scenario)  # speaks of scenarios where there is none, `load_suite` of suites
    suite = load_suite(f"{scenario}-{split}")
    if episode >= len(suite.episodes):
        raise ConfigError(
            f"--episode must be at most {len(suite.episodes) - 1}, the last of {suite.name}, "
            f"got {episode}"
        )
    return play(suite.scenario, suite.scenario.tape(suite.episodes[episode]), decides)


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG of 256 colours: it needs no more, and is a third as large."""
    from PIL import Image  # matplotlib brings it along

    from ..envs.picture import pixels

    content = io.BytesIO()
    image = Image.fromarray(pixels(figure)).quantize(256, dither=Image.Dither.NONE)
    image.save(content, format="png", optimize=True)
    return content.getvalue()
