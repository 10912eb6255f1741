"""Playing policies and rivals over the same tapes, an episode at a time on each core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...eval.engines import Workers
from ...eval.rollout import Row, play_suite
from ...eval.session import progress
from ...eval.suite import Suite


def play_together(
    suite: Suite,
    specs: Mapping[str, str],
    workers: Workers,
    *,
    bound: bool = False,
    quiet: bool = False,
) -> list[Row]:
    """Return a row for each episode and allocator, under the allocator's label.

    Args:
        suite: What to play.
        specs: Allocators as `make_allocator` takes them, by label.
        workers: What plays.
        bound: Whether each tape's clairvoyant bound is computed, too.
        quiet: Show no progress.
    """
    labels = {spec: label for label, spec in specs.items()}
    tasks = [(replace(suite, episodes=(e,)), list(labels), bound) for e in suite.episodes]
    rows: list[Row] = []
    with progress(suite.name, len(tasks), quiet) as advance:
        for played in workers.map(_play, tasks):
            rows += [row | {"allocator": labels[row["allocator"]]} for row in played]
            advance()
    return rows


def _play(suite: Suite, specs: Sequence[str], bound: bool) -> list[Row]:
    return list(play_suite(suite, specs, bound=bound))
