"""The command `slicegym-eval compare`: which of two allocators is better, in ten lines."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..envs.errors import ConfigError

# The rest is imported where it is used: every command starts by importing this file.
from .options import JobsOption, JsonOption, NoBoundOption, check_json, deliver, jobs_or_default

if TYPE_CHECKING:
    from .results import Results

EXAMPLES = (
    "slicegym-eval compare demand static --results results",
    "slicegym-eval compare ppo:runs/mine demand --suite bursty-heldout",
)


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="An allocator, as in run.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    results: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A finished run with both in it.")
    ] = None,
    suite: Annotated[str | None, typer.Option(help="What to play now, as in run.")] = None,
    episodes: Annotated[
        int | None, typer.Option(min=1, help="Play only each family's first episodes.")
    ] = None,
    json_target: JsonOption = None,
    no_bound: NoBoundOption = False,
    jobs: JobsOption = None,
) -> None:
    """Say which of two allocators is better: by how much, how sure, where, and by which term.

    Rewards are compared on the same tapes and averaged over independent blocks; every family
    counts the same. Where nothing is shown, how many more tapes would show it.
    """
    from rich.text import Text

    from .compare import compare as found_by
    from .compare_report import to_lines

    check_json(json_target)
    if (results is None) == (suite is None):
        raise ConfigError("compare needs either --results, a finished run, or --suite, to play now")
    if results is not None:
        from .results import load_results

        if episodes is not None or no_bound:
            raise ConfigError("--episodes and --no-bound go with --suite: a run has what it has")
        played = load_results(results)
    else:
        played = _play(str(suite), [a, b], episodes, not no_bound, jobs, json_target == "-")
    found = found_by(played, a, b)
    deliver(found.as_dict(), json_target, Text("\n".join(to_lines(found)), no_wrap=True))


def _play(
    suite: str, specs: list[str], episodes: int | None, bound: bool, jobs: int | None, quiet: bool
) -> Results:
    """Play the two into a folder that is gone afterwards."""
    from .engines import Workers
    from .results import load_results
    from .session import evaluate

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        evaluate(
            suite,
            specs,
            episodes,
            out,
            bound=bound,
            engine=Workers(jobs_or_default(jobs)),
            quiet=quiet,
            series="none",
        )
        return load_results(out)
