"""Folders of runs that nobody played: every number in them is known beforehand."""

import csv
import io
import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from slicegym.envs.metrics import METRICS

K, AGENTS = 6, ("coordinator", "nlp")
WEIGHTS = {"latency": 1.0, "cost": 1.0, "idle": 0.5}
LATENCY_S = np.linspace(1.0, 5.0, 101)  # uniform between 1 and 5 s


def scenario(name="small", gpus=2.0, weights=WEIGHTS):
    return {
        "type": "Scenario",
        "name": name,
        "agents": [{"name": agent, "throughput": 4.0, "min_share": 0.1} for agent in AGENTS],
        "gpus": gpus,
        "interval_s": 10.0,
        "horizon_s": 60.0,
        "reference_latency_s": 3.0,
        "weights": {"type": "Weights", **weights},
        "workload": {"type": "Streams"},
    }


def part(described, n_episodes=2):
    episodes = [
        {"split": "heldout", "seed": i, "offset_s": 0.0, "block": f"seed {i}"}
        for i in range(n_episodes)
    ]
    family = described["name"]
    return {"family": family, "split": "heldout", "scenario": described, "windows_s": {},
            "scenario_sha256": "0" * 64, "episodes": episodes}  # fmt: skip


def row(part, index, allocator, reward, bound=None, static=None, **metrics):
    """One row: reward −r is lost on latency alone; four tasks are opened, three completed."""
    described = {**dict.fromkeys(METRICS, 1.0), "completed": 3, "open": 1, "rejected": 0}
    terms = {"reward": reward, "latency_term": -reward, "cost_term": 0.0, "idle_term": 0.0}
    found = {
        "family": part["family"],
        "allocator": allocator,
        "scenario": part["scenario"]["name"],
        "tape": f"tape{index}",
        "seed": part["episodes"][index]["seed"],
        "block": part["episodes"][index]["block"],
        **terms,
        **{f"weights.{name}": part["scenario"]["weights"][name] for name in WEIGHTS},
        **described,
        **metrics,
    }
    if bound is not None:
        found |= {"static.reward": static, "bound.reward": bound}
        found |= {f"bound.{name}": 0.0 for name in ("latency_term", "cost_term", "idle_term")}
        found |= {"bound.relaxation": "windows", "bound.solve_s": 0.0}
    return found


def write(folder, parts, allocators, cells, is_finished=True, n_rows=None):
    """Write a folder.

    Args:
        folder: Where.
        parts: As in a manifest.
        allocators: Specs.
        cells: From (family, index, allocator) to a row.
        is_finished: Whether the summary is there, and the mark is not.
        n_rows: Cut after so many rows.
    """
    folder = Path(folder)
    (folder / "episodes").mkdir(parents=True)
    manifest = {
        "suite": "known-heldout",
        "suite_sha256": "a" * 64,
        "parts": parts,
        "traces": {},
        "allocators": list(allocators),
        "parameters": {p["family"]: {spec: {} for spec in allocators} for p in parts},
        "skipped": {},
        "bound": "bound.reward" in next(iter(cells.values())),
        "series": "first",
        "versions": {"python": "3.11"},
        "commit": "c0ffee",
        "command": ["slicegym-eval", "run"],
        "started": "2026-01-01T00:00:00+00:00",
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    keys = [
        (p["family"], index, spec)
        for p in parts
        for index in range(len(p["episodes"]))
        for spec in allocators
    ][:n_rows]
    rows = [cells[key] for key in keys]
    write_csv(folder / "rows.csv", rows)
    agents_of = {p["family"]: [a["name"] for a in p["scenario"]["agents"]] for p in parts}
    agents = [
        {"family": r["family"], "tape": r["tape"], "allocator": r["allocator"], "agent": agent,
         "completed": 60 if r["allocator"] != "static" else 30, "latency_mean_s": 1.0}
        for r in rows
        for agent in agents_of[r["family"]]
    ]  # fmt: skip
    write_csv(folder / "agents.csv", agents)
    for family, index, spec in keys:
        series = {} if index else made_up_series(agents_of[family])
        name = f"{family}-{index:03d}-{allocators.index(spec):03d}.npz"
        np.savez(folder / "episodes" / name, latency_s=LATENCY_S, n_completed=3, **series)
    if is_finished:
        (folder / "summary.json").write_text(json.dumps({"families": {}, "skipped": {}}))
    else:
        (folder / "UNFINISHED").write_text("not done")
    return folder


def made_up_series(agents):
    decisions = {n: np.zeros(K, "f4") for n in ("reward", "latency_term", "cost_term", "idle_term")}
    of_agents = {n: np.ones((K, 2), "f4") for n in ("share", "in_service", "warm")}
    queue = np.arange(2 * K, dtype="f4").reshape(K, 2)
    return {**decisions, **of_agents, "queue": queue, "agents": np.array(agents)}


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


REWARDS = {"static": (-2.0, -4.0), "demand": (-1.0, -2.0), "fair": (-1.5, -1.9)}
COST_USD = {"static": 4.0, "demand": 2.0, "fair": 3.0}
LITTLE_S = {"static": 4.0, "demand": 2.0, "fair": 1.0}
UTILIZATION = {"static": 0.4, "demand": 0.8, "fair": 0.5}
SLO = {"static": 0.2, "demand": 0.6, "fair": 0.4}


def known(folder, names=("static", "demand", "fair"), families=None, bound=-0.5, **more):
    """Write a folder of one family, or more, whose figures can be worked out by hand."""
    parts = families or [part(scenario())]
    cells = {}
    for p in parts:
        for index in range(2):
            for name, spec in zip(("static", "demand", "fair"), names, strict=True):
                cells[p["family"], index, spec] = row(
                    p, index, spec, REWARDS[name][index],
                    bound=bound, static=REWARDS["static"][index], cost_usd=COST_USD[name],
                    little_latency_s=LITTLE_S[name], utilization=UTILIZATION[name], slo=SLO[name],
                )  # fmt: skip
    return write(folder, parts, names, cells, **more)


class Reader(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.figures, self.links = [], "", [], {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag == "figure":
            self.figures.append(found["id"])
        if tag == "a" and "download" in found:
            self.links[found["download"]] = found["href"]

    def handle_data(self, data):
        self.text += data


def read(folder):
    return Reader((folder / "report.html").read_text())


def numbers(folder, name):
    return list(csv.DictReader(io.StringIO((folder / "figures" / f"{name}.csv").read_text())))
