"""The pages of the model and of platforms tell the truth: their code, tables and worked numbers."""

from __future__ import annotations

import re
from dataclasses import MISSING, Field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicegym.baselines import make_allocator
from slicegym.envs import Agent, Observation, Scenario, Weights, load_scenario, simulate
from slicegym.envs.kernel.observe import RAW_COLUMNS
from slicegym.envs.metrics import METRICS
from slicegym.eval.paper import PUBLISHED, PaperMetrics, paper_case, reproduce, spread

DOCS = Path(__file__).parents[1] / "docs"
PAGE, PLATFORM = ((DOCS / name).read_text(encoding="utf-8") for name in ("model.md", "platform.md"))
BLOCKS, MORE = (re.findall(r"^```python\n(.*?)^```", p, re.M | re.S) for p in (PAGE, PLATFORM))
# One line of the worked number: name = arithmetic = result, in the page's typography.
WORKED = re.findall(r"^(latency|cost|idle|reward)_([01]) +=([^=]+)= (−?[\d.]+)", PAGE, re.M)


def section(title: str) -> str:
    """Text of a section, up to the next heading of its rank or above."""
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#+ |\Z)", PAGE, re.M | re.S)
    assert found is not None, title
    return found[2]


def table(text: str, first: str) -> list[list[str]]:
    """Rows of the table whose header begins with `first`, without header and rule."""
    found = re.search(rf"^\| {first} ?\|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.M)
    assert found is not None, first
    return [[c.strip() for c in row.strip("|").split(" |")] for row in found[1].splitlines()]


def names(cells: list[str]) -> list[str]:
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def arithmetic(text: str) -> float:
    plain = text.replace("·", "*").replace("−", "-")
    assert re.fullmatch(r"[-+*/(). \d]+", plain), text
    return float(eval(plain))


# ---- code and worked numbers -------------------------------------------------------------------


@pytest.mark.parametrize("block", [*BLOCKS, *MORE], ids=lambda block: block.split("\n# ")[-1][:30])
def test_code_asserts_what_it_says(block: str) -> None:
    assert "\nassert " in block
    exec(block, {})


def test_worked_number_is_the_page_s_arithmetic_and_the_simulator_s() -> None:
    worked = next(block for block in BLOCKS if "latency_term" in block)
    space: dict[str, object] = {}
    exec(worked, space)
    run = space["run"]
    simulated = {
        "latency": run.latency_term,  # type: ignore[attr-defined]
        "cost": run.cost_term,  # type: ignore[attr-defined]
        "idle": run.idle_term,  # type: ignore[attr-defined]
        "reward": run.rewards,  # type: ignore[attr-defined]
    }
    assert len(WORKED) == 8
    for name, interval, formula, result in WORKED:
        assert arithmetic(formula) == arithmetic(result) == simulated[name][int(interval)]


# ---- tables ------------------------------------------------------------------------------------


def printed_default(field: Field[object]) -> str:
    if field.name == "footprint":
        return "`share_quantum`"
    if field.name == "share_quantum":
        return "min(0.001, G/(100·N))"
    if field.name == "weights":
        return ", ".join(f"{getattr(Weights(), w):g}" for w in ("latency", "cost", "idle"))
    if field.default is MISSING:
        return "required"
    if field.default in (None, ()):
        return "none"
    return field.default if isinstance(field.default, str) else f"{field.default:g}"


@pytest.mark.parametrize(("kind", "place"), [(Agent, 0), (Scenario, 1)])
def test_fields_and_defaults_are_those_of_the_code(kind: type, place: int) -> None:
    parts = section("Things").split("A **scenario**")
    rows = table(parts[place], "field")
    wanted = [[f"`{field.name}`", printed_default(field)] for field in fields(kind)]
    assert [row[:2] for row in rows] == wanted


def test_fields_of_batched_service_are_those_of_the_code() -> None:
    by_name = {field.name: field for field in fields(Agent)}
    rows = table(PLATFORM.split("## Batched service")[1], "field of the agent")
    assert names([row[0] for row in rows]) == ["service", "concurrency", "half_batch", "prefill"]
    for name, default, _ in rows:
        assert default.strip("`") == printed_default(by_name[name.strip("`")])


def test_derived_defaults_are_as_printed() -> None:
    agents = tuple(Agent(f"a{i}", throughput=1.0) for i in range(20))
    for gpus in (0.5, 4.0):
        scenario = Scenario(agents=agents, gpus=gpus)
        assert scenario.share_quantum == min(0.001, gpus / (100 * 20))
        assert np.all(scenario.footprint == scenario.share_quantum)


def test_metrics_are_those_of_the_code() -> None:
    rows = table(section("Metrics"), "metric")
    assert names([row[0] for row in rows]) == list(METRICS)


def test_observation_is_that_of_the_code() -> None:
    rows = table(section("What an allocator sees"), "field")
    kinds = (property, cached_property)
    properties = {name for name, value in vars(Observation).items() if isinstance(value, kinds)}
    found = names([row[0] for row in rows])
    assert sorted(found) == sorted(properties - {"time_s"})
    assert set(RAW_COLUMNS) <= {*found, "awaiting_memory"}  # which is one of the `status`


# ---- the paper's case --------------------------------------------------------------------------


def test_agents_of_the_paper_are_those_of_its_scenario() -> None:
    scenario = load_scenario("paper")
    _, tape = paper_case()
    rows = table(section("The paper's case"), "agent")
    for i, (row, agent) in enumerate(zip(rows, scenario.agents, strict=True)):
        assert row == [
            agent.name,
            f"{agent.memory_mb:g} MB",
            f"{agent.throughput:g}/s",
            f"{agent.min_share:.2f}",
            f"{agent.priority:g}",
            f"{np.sum(tape.agent == i) / scenario.horizon_s:g}/s",
        ]


def test_table_of_the_paper_is_what_is_reproduced() -> None:
    results = reproduce()
    rows = {row[0]: row[1:] for row in table(section("The paper's case"), "")}
    assert list(rows) == list(results)
    for name, cells in rows.items():
        for printed, value in zip(cells, paper_values(name, results[name]), strict=True):
            decimals = len(printed.partition(".")[2])
            assert abs(float(printed) - value) <= 0.5000001 * 10**-decimals, (name, printed)


def paper_values(name: str, ours: PaperMetrics) -> list[float]:
    paper = PUBLISHED[name]
    return [
        ours.queue_latency_s,
        paper.latency_s,
        *ours.per_agent_s,
        ours.little_latency_s,
        ours.throughput,
        paper.throughput,
        ours.cost_usd,
        paper.cost_usd,
        spread(ours),
        paper.std_s,
    ]


def test_weighted_tasks_in_the_system_are_as_printed() -> None:
    scenario, tape = paper_case()
    coordinator_first = np.tile([0.8, 0.0, 0.0, 0.2], (scenario.n_intervals, 1))
    played: list[Any] = [
        *map(make_allocator, ("static", "round_robin", "adaptive")),
        coordinator_first,
    ]
    means = [
        float((simulate(scenario, tape, by).records["area"] @ scenario.weight).sum())
        / scenario.horizon_s
        for by in played
    ]
    printed = re.search(r"(\d+), (\d+) and (\d+) on average.*brings it to (\d+)", PAGE)
    assert printed is not None
    assert [round(mean) for mean in means] == [int(number) for number in printed.groups()]
    assert np.argmax(scenario.weight * scenario.throughput) == 0
