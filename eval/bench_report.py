"""The benchmark as tables: each figure beside what it should at least be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .report import grid

# Key, what it is, its target and whether more or less is better.
LINES = (
    ("calls_per_s", "calls/s, the paper's load", 10e6, "at least"),
    ("calls_completed_per_s", "of which completed: a third of the load", None, ""),
    ("graph_calls_per_s", "calls/s, call graphs", 2e6, "at least"),
    ("mm1_calls_per_s", "calls/s, M/M/1", None, ""),
    ("simpy_calls_per_s", "calls/s, the same in SimPy", None, ""),
    ("ciw_calls_per_s", "calls/s, the same in Ciw", None, ""),
    ("mm1_over_simpy", "times SimPy", 100.0, "at least"),
    ("mm1_over_ciw", "times Ciw", 200.0, "at least"),
    ("env_steps_per_s", "steps/s, one environment", 50e3, "at least"),
    ("env_steps_with_resets_per_s", "with a new tape every 300 steps", None, ""),
    ("vector_env_steps_per_s", "steps/s, 1,024 environments", 1.5e6, "at least"),
    ("vector_env_steps_with_resets_per_s", "with a new tape every 300 steps", None, ""),
    ("ppo_steps_per_s", "timesteps/s, PPO, plain network", 50e3, "at least"),
    ("ppo_equivariant_steps_per_s", "timesteps/s, PPO as in the zoo", 20e3, "at least"),
    ("paper_30_repetitions_s", "s, 30 repetitions of the paper", 1.0, "at most"),
    ("memory_1024_envs_mb", "MB, process with 1,024 environments", 2000.0, "at most"),
    ("compile_s", "s, first use ever: compiles", None, ""),
    ("compile_cached_s", "s, first use in a process", None, ""),
)
# Key of a table by scenario or allocator, what it is, and what each of its figures should be.
TABLES = (
    ("family_env_steps_per_s", "Steps/s of 256 environments", 100e3),
    ("family_env_steps_with_resets_per_s", "The same with new tapes and resets", None),
    ("family_calls_per_s", "Calls/s completed in the kernel, call graphs", 2e6),
    ("decisions_1024_per_s", "Decisions/s with 1,024 agents, simulation included", 2e3),
)


MOST_RAY = 1.2


def meets(value: float, target: float, sense: str) -> bool:
    """Whether a figure is what it should be."""
    return value >= target if sense == "at least" else value <= target


def as_table(figures: Mapping[str, Any]) -> RenderableType:
    """Return the figures with their targets, and what grows with agents and with queues."""
    table = grid("One core, best of repetitions, distinct tapes")
    table.add_column("figure", justify="right", no_wrap=True)
    for header in ("", "target", ""):
        table.add_column(header, no_wrap=True)
    for key, what, target, sense in LINES:
        value = figures[key]
        wanted = "" if target is None else f"{sense} {quantity(target)}"
        verdict = ""
        if target is not None and value is not None:
            verdict = "met" if meets(value, target, sense) else "missed"
        table.add_row(quantity(value), Text(what), wanted, verdict)
    notes = [Text(f"{key}: {reason}") for key, reason in figures["reasons"].items()]
    grown = (
        decision_table(figures),
        _growth("Kernel time per call [ns] by length of the queue", figures["call_ns_by_queue"]),
    )
    by_name = (_by_name(title, figures[key], target) for key, title, target in TABLES)
    return Group(table, *by_name, *notes, *grown)


def engines_table(figures: Mapping[str, Any]) -> RenderableType:
    """Show what engines cost, and what a cluster makes of more cells."""
    table = grid(f"{figures['cells']:,} cells in {figures['jobs']} jobs, one run on this machine")
    table.add_column("figure", justify="right", no_wrap=True)
    for header in ("", "target", ""):
        table.add_column(header, no_wrap=True)
    for name, one in figures["engines"].items():
        words = name.replace("_", ", workers: ")
        table.add_row(quantity(one["run_s"]), f"Seconds by {words}, once they run")
        table.add_row(quantity(one["start_s"]), "… until all have played an episode of each family")
        table.add_row(f"{1e3 * one['job_s']:.2f}", "… milliseconds to hand out an empty job")
        table.add_row(quantity(one["worker_mb"]), "… MB that a worker holds at most")
    for key, words in (("ray_over_local", ""), ("ray_over_local_with_start", ", starts included")):
        ratio = figures[key]
        verdict = "met" if meets(ratio, MOST_RAY, "at most") else "missed"
        table.add_row(quantity(ratio), f"Ray over local{words}", f"at most {MOST_RAY}", verdict)
    for name, value in figures["efficiency"].items():
        table.add_row(quantity(value), f"Efficiency of {name.replace('_', ', workers: ')}")
    table.add_row(f"{1e3 * figures['cell_s']:.1f}", "Milliseconds a cell takes, in one process")
    table.add_row(f"{1e3 * figures['driver_s']:.2f}", "… and its driver, on Ray")
    reckoned = grid("Reckoned from these: a run on a Ray cluster")
    for header in ("cells", "cores", "seconds", "core hours", "GB", "limited by"):
        reckoned.add_column(header, justify="right")
    for row in figures["clusters"]:
        cells = (quantity(row[key]) for key in ("wall_s", "core_hours", "memory_gb"))
        reckoned.add_row(f"{row['cells']:,}", f"{row['cores']:,}", *cells, row["limit"])
    return Group(table, reckoned)


def _by_name(title: str, figures: Mapping[str, float | None], target: float | None) -> Table:
    table = grid(title if target is None else f"{title}: at least {quantity(target)}")
    table.add_column("", no_wrap=True)
    for _ in range(2):
        table.add_column("", justify="right")
    for name, value in figures.items():
        verdict = ""
        if value is not None and target is not None:
            verdict = "met" if value >= target else "missed"
        table.add_row(name, quantity(value), verdict)
    return table


def quantity(value: float | None) -> str:
    """Return a figure for people: 12.3 M, 45,678 or 0.42."""
    if value is None:
        return "–"
    if value >= 1e6:
        return f"{value / 1e6:.1f} M"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def decision_table(figures: Mapping[str, Any]) -> Table:
    """Show times per decision, how they grow, and which targets are missed."""
    sizes = list(next(iter(figures["decision_us"].values())))
    table = grid("Time per decision [µs] by number of agents, and the power that it grows with")
    table.add_column("", no_wrap=True)
    for header in (*(f"{int(size):,}" for size in sizes), "power"):
        table.add_column(header, justify="right")
    table.add_column("", no_wrap=True)
    for name, row in figures["decision_us"].items():
        cells = [*(row[size] for size in sizes), figures["decision_growth"][name]]
        verdict = decision_verdict(row, figures["decision_targets_us"][name])
        table.add_row(
            name, *map(quantity, cells), verdict or figures["decision_reported"].get(name, "")
        )
    return table


def decision_verdict(times: Mapping[str, float | None], targets: Mapping[str, float]) -> str:
    """Return whether times are at most what they should be, or at which sizes they are not."""
    taken = {size: time for size, time in times.items() if size in targets and time is not None}
    missed = [f"{int(size):,}" for size, time in taken.items() if time > targets[size]]
    if missed:
        return f"missed at {', '.join(missed)}"
    return "met" if taken else ""


def _growth(title: str, rows: Mapping[str, Mapping[str, float]]) -> Table:
    table = grid(title)
    table.add_column("", no_wrap=True)
    for size in next(iter(rows.values())):
        table.add_column(f"{int(size):,}", justify="right")
    for name, row in rows.items():
        table.add_row(name, *(f"{value:.1f}" for value in row.values()))
    return table
