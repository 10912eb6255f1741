"""What a suite is, to the last bit: scenarios, windows and seeds of episodes, sums of traces.

Two suites with the same sum are the same tapes. No folder of this machine stands in it: of a trace
that is somebody's own, the file's name and its sum.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ...envs.errors import ConfigError
from ...envs.loading import TRACE_FILES
from ...envs.traces import load_spec
from ..manifests import describe, trace_sum, traces_in
from ..suite import Suite

if TYPE_CHECKING:
    from ...envs.spec import Scenario


def identify(parts: Sequence[Suite]) -> dict[str, Any]:
    """Return `{"suite_sha256", "parts", "traces"}`.

    Raises:
        ConfigError: Two traces in different folders have the same file name.
        TraceError: A trace is absent or damaged.
    """
    described = [describe_part(part) for part in parts]
    traces = trace_sums(parts)
    text = json.dumps({"parts": described, "traces": traces}, sort_keys=True)
    return {"suite_sha256": sha256(text), "parts": described, "traces": traces}


def describe_part(suite: Suite) -> dict[str, Any]:
    """Return one family's scenario, the windows of its traces [s] and its episodes."""
    whole = describe(suite.scenario)
    scenario = _without_folders(whole)
    return {
        "family": suite.family,
        "split": suite.split,
        "scenario": scenario,
        "scenario_sha256": sha256(json.dumps(scenario, sort_keys=True)),
        "windows_s": {
            PurePath(trace).name: list(load_spec(trace).window(suite.split))
            for trace in sorted(set(traces_in(whole)))
        },
        "episodes": [dataclasses.asdict(episode) for episode in suite.episodes],
    }


def trace_sums(parts: Sequence[Suite]) -> dict[str, str]:
    """Return the sha256 of every trace's unpacked file, by name.

    Raises:
        ConfigError: Two files of different content have one name.
        TraceError: A trace is absent or damaged.
    """
    sums: dict[str, str] = {}
    for trace, found in sums_where_they_lie(part.scenario for part in parts).items():
        name = PurePath(trace).name
        if sums.setdefault(name, found) != found:
            raise ConfigError(f"traces must differ in their file names, got {name!r} twice; rename")
    return sums


def sums_where_they_lie(scenarios: Iterable[Scenario]) -> dict[str, str]:
    """Return the sha256 of every trace's unpacked file, by name or, for one's own, by path.

    Raises:
        TraceError: A trace is absent or damaged.
    """
    found = {trace for one in scenarios for trace in traces_in(describe(one))}
    return {trace: trace_sum(trace) for trace in sorted(found)}


def sha256(text: str) -> str:
    """Return the sha256 of a text, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def _without_folders(value: Any) -> Any:
    """Return a described configuration with the paths of traces cut to their file names."""
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: PurePath(item).name
        if key == "trace" and isinstance(item, str) and item.endswith(TRACE_FILES)
        else _without_folders(item)
        for key, item in value.items()
    }
