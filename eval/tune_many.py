"""Tuning many allocators for many scenarios: a task each, on any engine, none lost.

Workers hand what they found to their parent, which alone writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..baselines import allocator_class, names
from ..envs.errors import ConfigError, TraceError
from ..envs.loading import load_scenario, read_yaml, scenario_names
from .engines import Engine
from .options import split_names
from .output import check_target, write_atomically
from .runs.identity import sums_where_they_lie
from .tune import Found, Refused, Task, tunable, tune

ALL = "all"
HEADER = """\
# Parameters of `{name}` by scenario, tuned on training splits alone; what each means
# stands in its docstring. Written by the commands given; run one again to renew its entry.
"""


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes:
        task: The task.
        found: What it found; None where it was skipped or has failed.
        skipped: Why the allocator refuses the scenario, if it does.
        failed: What went wrong, if something did.
    """

    task: Task
    found: Found | None = None
    skipped: str = ""
    failed: str = ""


def allocators_named(text: str) -> list[str]:
    """Return the tunable allocators of `a,b` or of `all`.

    Raises:
        ConfigError: An unknown name, or an allocator without parameters.
    """
    if text == ALL:
        return [name for name in names() if allocator_class(name).search_space]
    return [tunable(name).name for name in split_names("--allocator", text)]


def scenarios_named(text: str) -> list[str]:
    """Return the scenarios of `a,b` or of `all`, those that take longest first.

    Raises:
        ConfigError: One that cannot be loaded.
    """
    pieces = list(scenario_names()) if text == ALL else split_names("--scenario", text)
    loaded = {name: load_scenario(name) for name in pieces}
    return sorted(pieces, key=lambda name: -loaded[name].n_agents * loaded[name].n_intervals)


def outcomes(tasks: Sequence[Task], engine: Engine) -> Iterator[Outcome]:
    """Yield what becomes of each task, in the order in which they end.

    Args:
        tasks: Those expected to take longest first.
        engine: What runs them.

    Raises:
        ConfigError: A worker has other code than this process, or other traces.
    """
    traces: dict[str, str] = {}
    for name in {task.scenario for task in tasks}:
        with suppress(TraceError):  # what is absent fails in its task, and by itself
            traces |= sums_where_they_lie([load_scenario(name)])
    with engine:
        for answer in engine.as_completed(attempt, [(task,) for task in tasks], traces=traces):
            if answer.error is None:
                yield answer.value
            else:
                yield Outcome(tasks[answer.place], failed=str(answer.error))


def attempt(task: Task) -> Outcome:
    """Tune, and make an outcome of every error."""
    try:
        return Outcome(task, tune(task, quiet=True))
    except Refused as refusal:
        return Outcome(task, skipped=str(refusal))
    except Exception as error:
        return Outcome(task, failed=f"{type(error).__name__}: {error}")


def files(out: Path, allocators: Iterable[str]) -> dict[str, Path]:
    """Return the file of each allocator: `out` itself, or NAME.yaml in the folder `out`.

    Raises:
        ConfigError: One file for several allocators, or one that cannot be read or written.
    """
    chosen = tuple(allocators)
    if out.is_dir():
        paths = {name: out / f"{name}.yaml" for name in chosen}
    elif len(chosen) > 1:
        raise ConfigError(f"--out must be a folder for several allocators, got {str(out)!r}")
    else:
        paths = dict.fromkeys(chosen, out)
    for path in paths.values():
        check_target(path)
        if path.exists():
            read_yaml(path)
    return paths


def save(path: Path, found: Found) -> None:
    """Put the scenario's entry into a file, leaving those of others."""
    entries = dict(read_yaml(path)) if path.exists() else {}
    entries[found.scenario] = found.entry()
    text = HEADER.format(name=found.task.allocator) + to_yaml(dict(sorted(entries.items())))
    write_atomically(path, text)


def to_yaml(entries: Mapping[str, Any]) -> str:
    """Return entries as YAML, in the order given."""
    text: str = yaml.safe_dump(dict(entries), sort_keys=False, allow_unicode=True, width=100)
    return text
