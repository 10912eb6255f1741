"""What is registered: allocators, scenarios, suites, traces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from ..baselines import allocator_class, names
from ..envs.loading import scenario_names
from ..envs.traces import trace_names
from .suite import suite_names


def catalogue() -> dict[str, Any]:
    """Return the names of everything that a command can be given.

    Those of `allocators` can be given as they stand; those of `allocators_of_files` want a folder
    behind a colon, as `learned:runs/demo`.
    """
    entries = [{"name": name, "causal": allocator_class(name).causal} for name in names()]
    by_name = [entry for entry in entries if not allocator_class(str(entry["name"])).needs_file]
    return {
        "allocators": by_name,
        "allocators_of_files": [entry for entry in entries if entry not in by_name],
        "scenarios": list(scenario_names()),
        "suites": list(suite_names()),
        "traces": list(trace_names()),
    }


def as_table(content: Mapping[str, Any]) -> Table:
    """Return the catalogue as a table of two columns."""
    table = Table(box=box.SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    allocators = (
        entry["name"] + ("" if entry["causal"] else " (sees the future: a bound)")
        for entry in content["allocators"]
    )
    of_files = (f"{entry['name']}:DIR" for entry in content["allocators_of_files"])
    table.add_row("allocators", Text(", ".join([*allocators, *of_files])))
    table.add_row("scenarios", Text(", ".join(content["scenarios"])))
    table.add_row("suites", Text("SCENARIO-train, SCENARIO-validation, SCENARIO-heldout"))
    table.add_row("traces", Text(", ".join(content["traces"])))
    return table
