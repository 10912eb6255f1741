"""The split of the distance to the bound: cuts of tapes, the search, and what must add up."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from slicegym.baselines.hindsight import best_schedule
from slicegym.envs import Agent, ConfigError, Scenario, Tape, simulate
from slicegym.envs.faults.capacity import GpuLoss
from slicegym.envs.kernel.layout import CHANGE, EVICTION, HEALTH, LOST
from slicegym.envs.platform import Elastic, Node
from slicegym.eval.loss_split import PARTS, Effort, as_table, split, split_losses
from slicegym.eval.losses_cmd import losses
from slicegym.eval.report import console
from slicegym.eval.tape_cut import cut

from .bounded import tape_of
from .builders import chains, pair, rich

QUICK = Effort(cuts=2, intervals=6, plays=50, time_limit_s=20.0)


def test_cut_holds_what_opens_in_it_at_its_times() -> None:
    scenario = pair(horizon_s=10.0)
    tape = Tape.from_calls([0, 1, 0, 1], [1, 2, 3, 4], [1.5, 3.0, 5.25, 6.0], horizon_s=10.0)
    shorter, found = cut(scenario, tape, 3, 3)
    assert (shorter.horizon_s, found.horizon_s) == (3.0, 3.0)
    assert found.work.tolist() == [2, 3]
    assert found.agent.tolist() == [1, 0]
    assert found.release.tolist() == [0.0, 2.25]


def test_cut_takes_whole_tasks() -> None:
    scenario = pair(horizon_s=10.0)
    release, before = [1.0, 0.5, 4.0, 0.25, 0.75], [[], [0], [], [2], [2, 3]]
    tape = Tape.from_calls(
        [0, 1, 0, 1, 0], [1, 2, 3, 4, 5], release, [0, 0, 1, 1, 1], before, horizon_s=10.0
    )
    _, found = cut(scenario, tape, 4, 2)
    assert found.graph is not None
    assert found.work.tolist() == [3, 4, 5]
    assert found.delay.tolist() == [0, 0.25, 0.75]
    assert found.n_predecessors.tolist() == [0, 1, 2]
    assert found.graph.successors.tolist() == [1, 2, 2]


def test_cut_begins_with_what_was_wrong_by_then() -> None:
    rows = [
        (1, LOST, 0, 0.5),
        (1, EVICTION, 0, 0.0),
        (2, LOST, 0, 0.25),
        (4, HEALTH, 1, 0.5),
        (5, EVICTION, 1, 0.0),
        (7, LOST, 0, 0.0),
    ]
    tape = replace(tape_of(rich()), changes=np.array(rows, CHANGE))
    _, found = cut(rich(), tape, 3, 4)
    expected = [(0, LOST, 0, 0.25), (1, HEALTH, 1, 0.5), (2, EVICTION, 1, 0.0)]
    assert found.changes.tolist() == expected


def test_cut_ends_before_a_fault_at_a_fixed_time() -> None:
    scenario = pair(horizon_s=10.0, faults=(GpuLoss(at_s=8.0, duration_s=1.0, gpus=0.5),))
    tape = Tape.from_calls([0], [1.0], [1.0], horizon_s=10.0)
    shorter, found = cut(scenario, tape, 0, 4)
    assert (shorter.horizon_s, len(found.changes)) == (4.0, 0)


def test_whole_tape_is_its_own_cut() -> None:
    scenario = rich(horizon_s=20.0)
    tape = chains(scenario, np.random.default_rng(0))
    _, found = cut(scenario, tape, 0, 20)
    assert found.digest == tape.digest


def test_search_finds_the_pause_that_waiting_pays_for() -> None:
    # Nothing to do for 3 s, then a call of a second: the best is to hold nothing until then.
    scenario = Scenario((Agent("a", throughput=1.0, footprint=0.5),), horizon_s=4.0)
    tape = Tape.from_calls([0], [1.0], [3.0], horizon_s=4.0)
    rng = np.random.default_rng(0)
    reward, schedule = best_schedule(scenario, tape, [np.full((4, 1), 0.5)], 500, rng)
    assert reward == pytest.approx(-(1 + 1 + 0) / 4)  # open and paid for a second, never idle
    assert simulate(scenario, tape, schedule).rewards.mean() == reward


@pytest.mark.parametrize(
    "changes",
    [
        {"elastic": Elastic(min_gpus=0.5, unit_gpus=0.5), "gpus": 2.0},
        {"nodes": (Node("x", 1.0), Node("y", 1.0, speed=2.0))},
    ],
)
def test_search_plays_whole_requests(changes: dict[str, Any]) -> None:
    scenario = pair(horizon_s=4.0, **changes)
    tape = Tape.from_calls([0, 1], [1.0, 1.0], [0.0, 1.0], horizon_s=4.0)
    start = np.full((4, 2), 0.5)
    reward, schedule = best_schedule(scenario, tape, [start], 100, np.random.default_rng(0))
    assert schedule.shape == (4, scenario.n_requests)
    assert reward == simulate(scenario, tape, schedule).rewards.mean()
    assert reward >= simulate(scenario, tape, start).rewards.mean()


@pytest.mark.parametrize("has_graph", [False, True])
def test_parts_add_up_to_the_distance(has_graph: bool) -> None:
    scenario = rich(horizon_s=8.0)
    rng = np.random.default_rng(0)
    whole = chains(scenario, rng, 8) if has_graph else tape_of(scenario)
    row = split(*cut(scenario, whole, 0, 8), QUICK, rng)
    total = sum(row[part] for part in PARTS)
    assert total == pytest.approx(row["bound"] - row["reward"], abs=1e-12)
    assert min(row[part] for part in PARTS) >= -1e-9
    assert row["unfinished"] == 0.0


def test_table_and_figures_of_a_suite() -> None:
    content = split_losses(["bursty-train"], QUICK)
    row = content["suites"]["bursty-train"]
    assert row["cuts"] == 2
    assert sum(row[f"{part}_part"] for part in PARTS) == pytest.approx(1.0)
    screen = console()
    with screen.capture() as shown:
        screen.print(as_table(content))
    assert "cuts of 6 intervals" in shown.get()


def test_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    losses(
        "bursty-train",
        "demand",
        cuts=1,
        intervals=4,
        plays=10,
        time_limit_s=20.0,
        jobs=1,
        json_target="-",
    )
    content = json.loads(capsys.readouterr().out)
    assert content["effort"]["intervals"] == 4
    assert set(content["suites"]) == {"bursty-train"}


def test_refuses_cuts_that_are_too_large() -> None:
    with pytest.raises(ConfigError, match="take fewer intervals"):
        split_losses(["bursty-train"], replace(QUICK, intervals=200))


def test_refuses_held_out_tapes() -> None:
    with pytest.raises(ConfigError, match="must look at a training or validation suite"):
        split_losses(["bursty-heldout"], QUICK)
