"""The table of TensorBoard's HParams page: who played with what parameters, and how well."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .tags import tag

FIGURES = {
    "reward": "reward",
    "score": "score",
    "little_latency_s": "Little's mean latency [s]",
    "latency_p50_s": "median latency [s]",
    "latency_p95_s": "95 % latency [s]",
    "cost_usd": "cost [$]",
    "utilization": "utilization",
}

Line = dict[str, Any]


def played(family: str, spec: str, parameters: Mapping[str, Any]) -> Line:
    """Return one line of the table: allocator, family and `parameters.NAME.PARAMETER`.

    Parameters of two allocators may be called alike and mean something else. Columns are shown in
    the order of the alphabet, so that whose line it is comes first.
    """
    at = f"parameters.{spec.partition(':')[0]}"
    own = {f"{at}.{key}": value for key, value in parameters.items() if value is not None}
    return {"allocator": spec, "family": family, **own}


def aligned(lines: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Return the lines with one type a column: where not all are numbers, or truths, all is text.

    The table knows nothing else, and of numbers none that is infinite.
    """
    kinds = {column: _kind([li[column] for li in lines if column in li]) for column in _all(lines)}
    return [{column: kinds[column](value) for column, value in line.items()} for line in lines]


def _kind(values: Sequence[Any]) -> type:
    if all(isinstance(value, bool) for value in values):
        return bool
    if all(_is_number(value) for value in values):
        return float
    return str


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def table_of(lines: Sequence[Mapping[str, Any]], splits: Iterable[str], time_s: float) -> Any:
    """Return the summary that says which columns there are, of lines that are aligned."""
    from tensorboard.plugins.hparams import summary_v2 as api

    columns = [
        api.HParam(column, _domain([line[column] for line in lines if column in line]))
        for column in _all(lines)
    ]
    metrics = [
        api.Metric(tag(split, figure), display_name=f"{split}: {title}")
        for split in splits
        for figure, title in FIGURES.items()
    ]
    return api.hparams_config_pb(columns, metrics, time_created_secs=time_s)


def _domain(values: Sequence[Any]) -> Any:
    from tensorboard.plugins.hparams import summary_v2 as api

    if isinstance(values[0], float):
        return api.RealInterval(min(values), max(values))
    return api.Discrete(sorted(set(values)))


def line_of(line: Mapping[str, Any], time_s: float) -> Any:
    """Return the summary that makes a run a line of the table."""
    from tensorboard.plugins.hparams import summary_v2 as api

    return api.hparams_pb(dict(line), start_time_secs=time_s)


def _all(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(column for line in lines for column in line))
