"""Faults: tables of changes walked by hand, draws that depend on nothing else, known rates."""

import math
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from slicegym.envs import Agent, Scenario, Tape
from slicegym.envs.episodes import EpisodeSource
from slicegym.envs.faults import FAULTS, build_faults, with_faults
from slicegym.envs.faults.changes import Effect, Strike, change_table
from slicegym.envs.kernel.layout import BLOCKED, CHANGE, EVICTION, HEALTH, LOAD_FACTOR, LOST
from slicegym.envs.loading import load_scenario
from slicegym.envs.platform import Node
from slicegym.envs.workloads import Episode, build_workload
from slicegym.eval.rollout import play_suite
from slicegym.eval.suite import Suite

SIGMAS = 4.0
AGENTS = (Agent("a", 10), Agent("b", 5))
Change = tuple[int, int, int, float]

LOSS = {"kind": "gpu-loss", "gpus": 1, "duration_s": 4}
STORM = {"kind": "cold-start-storm", "factor": 2, "duration_s": 4}
STUCK = {"kind": "stuck-agent", "agent": "b", "duration_s": 4}
SLICE = {"kind": "slice-loss", "slice": 0, "duration_s": 4}
CROWD = {"kind": "flash-crowd", "factor": 3, "duration_s": 4}
NODES = {"nodes": (Node("x", 3), Node("y", 1)), "gpus": 1.0}


def world(*faults: dict[str, Any], **changes: Any) -> Scenario:
    """Ten decisions, two seconds apart."""
    values = {"agents": AGENTS, "gpus": 4.0, "interval_s": 2.0, "horizon_s": 20.0, **changes}
    return Scenario(**values, faults=build_faults(list(faults)))


def table(scenario: Scenario, seed: int = 0) -> list[Change]:
    """What goes wrong in an episode without calls, as (decision, what, target, value)."""
    empty = Tape.from_calls([], [], [], horizon_s=scenario.horizon_s)
    changes = with_faults(scenario, Episode("train", seed), empty).changes
    assert changes.dtype == CHANGE
    rows: list[Change] = changes.tolist()
    return rows


def of(what: int, rows: list[Change]) -> list[Change]:
    return [row for row in rows if row[1] == what]


def test_losses_add_up_and_end_exactly() -> None:
    # On decisions [2, 5), [4, 6) and [4, 5), at 4, 8, 10 and 12 s.
    losses = [
        {**LOSS, "at_s": 3, "duration_s": 6},
        {**LOSS, "at_s": 8, "gpus": 2.5},
        {**LOSS, "at_s": 7.5, "duration_s": 1, "gpus": 0.1},
    ]
    assert table(world(*losses)) == [
        (2, LOST, 0, 1.0),
        (4, LOST, 0, 3.6),
        (5, LOST, 0, 2.5),
        (6, LOST, 0, 0.0),
    ]


def test_each_node_loses_its_own() -> None:
    losses = [
        {**LOSS, "at_s": 0, "node": "y"},
        {**LOSS, "at_s": 2, "node": "x", "gpus": 3},
        {**LOSS, "at_s": 0, "node": "x", "gpus": 0.5, "duration_s": 6},
    ]
    assert table(world(*losses, **NODES)) == [
        (0, LOST, 0, 0.5),
        (0, LOST, 1, 1.0),
        (1, LOST, 0, 3.5),
        (2, LOST, 1, 0.0),
        (3, LOST, 0, 0.0),
    ]


def test_only_real_changes_are_written() -> None:
    relay = [{**LOSS, "at_s": 2}, {**LOSS, "at_s": 6}]  # [1, 3) and [3, 5)
    assert table(world(*relay)) == [(1, LOST, 0, 1.0), (5, LOST, 0, 0.0)]
    assert table(world({**STUCK, "at_s": 2, "factor": 1})) == []
    assert table(world({**STORM, "at_s": 16, "factor": 1})) == [
        (8, EVICTION, 0, 0.0),
        (8, EVICTION, 1, 0.0),
    ]


def test_lost_slices_are_a_mask() -> None:
    losses = [
        {**SLICE, "at_s": 0, "duration_s": 8},  # [0, 4)
        {**SLICE, "at_s": 2, "slice": 7},  # [1, 3)
        {**SLICE, "at_s": 4},  # [2, 4), the first one again
    ]
    gpu = {"partition": "mig", "gpus": 1.0}
    assert table(world(*losses, **gpu)) == [
        (0, BLOCKED, 0, 1.0),
        (1, BLOCKED, 0, 129.0),
        (3, BLOCKED, 0, 1.0),
        (4, BLOCKED, 0, 0.0),
    ]


def test_factors_multiply_and_each_storm_evicts_once() -> None:
    faults = [
        {**STUCK, "at_s": 0, "factor": 0.3, "duration_s": 8},  # [0, 4)
        {**STUCK, "at_s": 2, "factor": 0.7},  # [1, 3)
        {**STUCK, "at_s": 4, "duration_s": 2, "agent": "a"},  # [2, 3), to a standstill
        {**STORM, "at_s": 2},  # [1, 3)
        {**STORM, "at_s": 4, "factor": 3, "duration_s": 99},  # [2, the end)
        {**STORM, "at_s": 4, "duration_s": 1, "factor": 1},
    ]
    rows = table(world(*faults))
    assert of(HEALTH, rows) == [
        (0, HEALTH, 1, 0.3),
        (1, HEALTH, 1, 0.3 * 0.7),
        (2, HEALTH, 0, 0.0),
        (3, HEALTH, 0, 1.0),
        (3, HEALTH, 1, 0.3),
        (4, HEALTH, 1, 1.0),
    ]
    load = [(1, 2.0), (2, 6.0), (3, 3.0)]
    assert of(LOAD_FACTOR, rows) == [(k, LOAD_FACTOR, i, v) for k, v in load for i in (0, 1)]
    assert of(EVICTION, rows) == [(k, EVICTION, i, 0.0) for k in (1, 2) for i in (0, 1)]


def test_effects_on_one_and_on_all_agents_meet() -> None:
    everyone = Effect(HEALTH, range(3), 0.5), [Strike(1, 4)]
    second = Effect(HEALTH, range(1, 2), 0.25), [Strike(2, 3)]
    assert change_table([everyone, second], 9).tolist() == [
        *((1, HEALTH, agent, 0.5) for agent in range(3)),
        (2, HEALTH, 1, 0.125),
        (3, HEALTH, 1, 0.5),
        *((4, HEALTH, agent, 1.0) for agent in range(3)),
    ]


def test_order_at_one_decision() -> None:
    same = {"at_s": 2, "duration_s": 99}
    rows = table(world({**STUCK, **same}, {**STORM, **same}, {**LOSS, **same}))
    assert [row[1:3] for row in rows] == [
        (LOST, 0),
        (LOAD_FACTOR, 0),
        (LOAD_FACTOR, 1),
        (HEALTH, 1),
        (EVICTION, 0),
        (EVICTION, 1),
    ]
    gpu = {"partition": "mig", "gpus": 1.0}
    rows = table(world({**STORM, **same}, {**SLICE, **same}, **gpu))
    assert [row[1] for row in rows[:2]] == [BLOCKED, LOAD_FACTOR]


@pytest.mark.parametrize(
    ("clock", "strike", "decisions"),
    [
        ((2, 20), (4, 2), [2, 3]),
        ((2, 20), (4, 0.01), [2, 3]),  # at least one decision long
        ((2, 20), (4.01, 0.01), [3, 4]),
        ((2, 20), (4.01, 2), [3, 4]),
        ((2, 20), (16, 2), [8, 9]),
        ((2, 20), (17, 9), [9]),  # over after the last decision
        ((2, 19.5), (18, 1e300), [9]),  # a short last interval
        ((0.7, 7), (2.1, 0.7), [3, 4]),  # 3·0.7 is 2.0999999999999996
        ((20, 20), (0, 5), [0]),
    ],
)
def test_strikes_move_to_the_next_decision(
    clock: tuple[float, float], strike: tuple[float, float], decisions: list[int]
) -> None:
    fault = {**LOSS, "at_s": strike[0], "duration_s": strike[1]}
    rows = table(world(fault, interval_s=clock[0], horizon_s=clock[1]))
    assert [row[0] for row in rows] == decisions


def often(every_s: float, duration_s: float, **changes: Any) -> dict[str, Any]:
    return {**LOSS, "every_s": every_s, "duration_s": duration_s, **changes}


def test_a_fault_never_overlaps_itself() -> None:
    # Far more often than decisions come: with gaps under an interval it is lost every second time.
    rows = table(world(often(1e-3, 1e-3)))
    assert rows == [(k, LOST, 0, float(k % 2)) for k in range(1, 10)]


def strikes(fault: dict[str, Any], n: int, **changes: Any) -> Iterator[list[Change]]:
    scenario = world(fault, **changes)
    return (table(scenario, seed) for seed in range(n))


def assert_mean(values: list[float], expected: float, precision: float) -> None:
    """The mean lies within four standard errors, which are at most `precision` of it."""
    error = np.std(values) / math.sqrt(len(values))
    assert error < precision * expected
    assert np.mean(values) == pytest.approx(expected, abs=SIGMAS * error)


def test_the_number_of_strikes_and_the_capacity_lost_are_those_of_theory() -> None:
    """An alternating renewal process with rates a and b that begins whole.

    It is down with the probability p(t) = a/(a + b)·(1 − exp(−(a + b)t)), and its strikes number
    ∫ a·(1 − p) dt (Cox 1962, Renewal Theory, chapter 7). Decisions are close, to move little.
    """
    a, b, horizon = 1 / 12, 1 / 3, 300.0
    clock = {"interval_s": 0.01, "horizon_s": horizon}
    episodes = list(strikes(often(1 / a, 1 / b, gpus=2), 1000, **clock))
    settling = (1 - math.exp(-(a + b) * horizon)) / ((a + b) * horizon)
    down = a / (a + b) * (1 - settling)
    assert_mean(
        [sum(row[3] > 0 for row in rows) for rows in episodes], a * horizon * (1 - down), 0.01
    )
    assert_mean([mean_lost(rows, 30_000) for rows in episodes], 2 * down, 0.02)


def mean_lost(rows: list[Change], n_intervals: int) -> float:
    """GPUs lost on average, of a table of losses alone."""
    spans = np.diff([row[0] for row in rows] + [n_intervals])
    return float(np.sum(spans * [row[3] for row in rows]) / n_intervals)


def test_the_first_strike_on_a_coarse_grid_is_geometric() -> None:
    first = [rows[0][0] for rows in strikes(often(4, 8), 2000, horizon_s=200.0)]
    assert_mean([float(k) for k in first], 1 / (1 - math.exp(-2 / 4)), 0.02)
    assert min(first) == 1  # a random fault has no chance to strike at time 0


def test_the_same_episode_is_the_same_tape() -> None:
    faults = [{**f, "every_s": 5} for f in (LOSS, STORM, STUCK, CROWD)]
    streams = {name: {"kind": "poisson", "rate": 3} for name in "ab"}
    scenario = world(*faults, workload=build_workload({"kind": "streams", "streams": streams}))
    digest = scenario.tape(Episode("train", 3)).digest
    other = scenario.tape(Episode("train", 4)).digest
    assert other != digest
    assert pickle.loads(pickle.dumps(scenario)).tape(Episode("train", 3)).digest == digest
    assert scenario.tape(Episode("train", 3)).digest == digest
    _, drawn = EpisodeSource(scenario, "train").draw(
        np.random.default_rng(0), {"episode": Episode("train", 3)}
    )
    assert drawn.digest == digest
    suite = Suite("s", scenario, "train", (Episode("train", 3),))
    assert next(play_suite(suite, ["static"]))["tape"] == digest[:16]


def test_faults_leave_each_others_draws_as_they_were() -> None:
    stuck, storm, loss = ({**f, "every_s": 5} for f in (STUCK, STORM, LOSS))
    long = {"horizon_s": 100.0}
    alone = of(HEALTH, table(world(stuck, **long)))
    assert len(alone) > 10
    among = world(loss, storm, stuck, {**stuck, "agent": "a"}, **long)
    assert [row for row in of(HEALTH, table(among)) if row[2] == 1] == alone
    twins = table(world(stuck, {**stuck, "agent": "a"}, **long))
    one, other = ([(k, value) for k, _, i, value in twins if i == agent] for agent in (0, 1))
    assert one != other


@pytest.mark.parametrize(
    ("fault", "is_random"),
    [
        ({**LOSS, "at_s": 2}, False),
        ({**LOSS, "every_s": 2}, True),
        ({**CROWD, "at_s": 2, "factor": 1}, False),
        ({**CROWD, "at_s": 2, "factor": 2}, True),
    ],
)
def test_random_faults_make_a_suite_of_many_episodes(
    fault: dict[str, Any], is_random: bool
) -> None:
    streams = {name: {"kind": "deterministic", "rate": 3} for name in "ab"}
    workload = build_workload({"kind": "streams", "streams": streams})
    scenario = world(fault, workload=workload)
    episodes = workload.suite(scenario, "train")
    assert len(episodes) == (16 if is_random else 1)
    digests = {scenario.tape(Episode("train", seed)).digest for seed in range(16)}
    assert len(digests) == len(episodes)


def test_without_strikes_the_tape_is_the_workloads() -> None:
    tape = Tape.from_calls([0], [1], [5], horizon_s=20)
    for scenario in (world(), world(often(1e9, 1)), world({**CROWD, "at_s": 6})):
        assert with_faults(scenario, Episode("train", 0), tape) is tape


def test_the_shipped_scenario_says_what_it_counts_in_its_comments() -> None:
    scenario, bursty = load_scenario("faults"), load_scenario("bursty")
    assert scenario.agents == bursty.agents
    assert scenario.workload == bursty.workload
    q = 15 / 215 * (1 - 1 / 43)  # 43 = 600·(1/200 + 1/15), and exp(−43) is nothing
    assert scenario.reference_rate == pytest.approx(bursty.reference_rate * (1 + 2 * q), rel=1e-5)
    losses = [of(LOST, table(scenario, seed)) for seed in range(600)]
    lost = 2 * 20 / 170 * (1 - 1 / 34)  # as docs/families/faults.md has it
    assert lost == pytest.approx(0.228, abs=5e-4)
    assert_mean([mean_lost(rows, 600) for rows in losses], lost, 0.04)
    kinds = sorted(FAULTS.kind_of(fault) for fault in scenario.faults)
    assert kinds == ["cold-start-storm", "flash-crowd", "gpu-loss", "stuck-agent"]
