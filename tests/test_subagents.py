"""The fitted generator of sub-agents: graphs by hand, moments as asked for, and as recorded."""

from typing import Any

import numpy as np
import pytest

from slicegym.envs.errors import ConfigError
from slicegym.envs.loading import load_scenario
from slicegym.envs.spec import Agent, Scenario
from slicegym.envs.tape import Tape
from slicegym.envs.traces.sessions import Sessions
from slicegym.envs.traces.trace import load_content
from slicegym.envs.workloads import Episode, build_workload
from slicegym.envs.workloads.fitting import fit_subagents
from slicegym.envs.workloads.library import mean_work, within
from slicegym.envs.workloads.subagents import SubAgents, turns

CONTENT: dict[str, Any] = {
    "kind": "subagents",
    "tasks": {"kind": "poisson", "rate": 1.0},
    "main": "m",
    "sub": "s",
    "width": [0.5, 0.3, 0.2],
    "before": 2.5,
    "after": 4.0,
    "length": [6.0, 0.6],
    "main_delay_s": [20.0, 1.5],
    "sub_delay_s": [8.0, 1.2],
    "main_work": [1.5, 1.1],
    "sub_work": [0.8, 1.3],
}


def world(horizon_s: float = 100.0, **changes: Any) -> Scenario:
    agents = (Agent("m", 1.0), Agent("s", 2.0))
    workload = build_workload({**CONTENT, **changes})
    return Scenario(agents, horizon_s=horizon_s, workload=workload)


def draw(scenario: Scenario, seed: int = 0) -> Tape:
    assert scenario.workload is not None
    return scenario.workload.tape(scenario, Episode("train", seed))


def edges(tape: Tape) -> np.ndarray:
    assert tape.graph is not None
    before = np.repeat(np.arange(tape.n_calls), np.diff(tape.graph.successor_ptr))
    return np.stack((before, tape.graph.successors), axis=1)


def test_two_turns_by_hand() -> None:
    # Two main calls, sub-agents of one and three calls, one main call; then 1, 2 and 2 calls.
    graph, is_sub, is_root = turns(*map(np.array, ([2, 1], [2, 1], [1, 3, 2], [1, 2])))
    assert graph.task.tolist() == [0] * 7 + [1] * 5
    assert np.flatnonzero(is_sub).tolist() == [2, 3, 4, 5, 8, 9]
    assert np.flatnonzero(is_root).tolist() == [0, 7]
    found = [
        graph.successors[graph.successor_ptr[i] : graph.successor_ptr[i + 1]] for i in range(12)
    ]
    assert [sorted(f.tolist()) for f in found] == [
        *([1], [2, 3], [6], [4], [5], [6], []),
        *([8], [9], [10], [11], []),
    ]
    assert graph.n_predecessors.tolist() == [0, 1, 1, 1, 1, 1, 2, 0, 1, 1, 1, 1]


def test_the_fast_builder_agrees_with_the_checked_one() -> None:
    tape = draw(world())
    before: list[list[int]] = [[] for _ in range(tape.n_calls)]
    for predecessor, call in edges(tape).tolist():
        before[call].append(predecessor)
    release = np.where(np.isnan(tape.release), tape.delay, tape.release)
    checked = Tape.from_calls(
        tape.agent, tape.work, release, tape.task, before, horizon_s=tape.horizon_s
    )
    assert checked.digest == tape.digest
    assert draw(world()).digest == tape.digest != draw(world(), seed=1).digest


def test_moments_and_routing_are_those_asked_for() -> None:
    scenario = world(horizon_s=20_000.0)
    assert isinstance(scenario.workload, SubAgents)
    tape = draw(scenario)
    is_sub, waits = tape.agent == 1, tape.n_predecessors > 0
    counted = np.bincount(tape.agent) / 20_000.0
    assert counted == pytest.approx(scenario.workload.mean_rates(scenario), rel=0.03)
    for values, (mean, cv) in (
        (tape.delay[waits & is_sub], CONTENT["sub_delay_s"]),
        (tape.delay[waits & ~is_sub], CONTENT["main_delay_s"]),
        (tape.work[is_sub], CONTENT["sub_work"]),
        (tape.work[~is_sub], CONTENT["main_work"]),
    ):
        assert values.mean() == pytest.approx(mean, rel=0.03)
        assert values.std() / values.mean() == pytest.approx(cv, rel=0.1)
    pairs = edges(tape)
    routing = np.zeros((2, 2))
    np.add.at(routing, tuple(tape.agent[pairs].T), 1 / tape.n_predecessors[pairs[:, 1]])
    assert routing / np.bincount(tape.agent)[:, None] == pytest.approx(tape.routing, abs=0.01)
    joins = tape.n_predecessors[~is_sub & waits & np.isin(np.arange(tape.n_calls), _joins(tape))]
    assert np.bincount(joins)[1:] / joins.size == pytest.approx([0.5, 0.3, 0.2], abs=0.02)


def _joins(tape: Tape) -> np.ndarray:
    pairs = edges(tape)
    return pairs[(tape.agent[pairs[:, 0]] == 1) & (tape.agent[pairs[:, 1]] == 0), 1]


def test_no_turns_no_calls() -> None:
    assert draw(world(tasks={"kind": "poisson", "rate": 0.0})).n_calls == 0


@pytest.mark.traces("agent_sessions")
def test_the_shipped_numbers_are_the_fit_to_the_training_sessions() -> None:
    scenario = load_scenario("agentic-parallel")
    assert isinstance(scenario.workload, SubAgents)
    train = within(load_content("agent_sessions", Sessions).sessions, (0.0, 0.7))
    for name, expected in fit_subagents(train, mean_work(train)).items():
        assert getattr(scenario.workload, name) == pytest.approx(expected, rel=1e-4)


def test_the_shipped_load() -> None:
    scenario = load_scenario("agentic-parallel")
    workload = scenario.workload
    assert isinstance(workload, SubAgents)
    rates = workload.mean_rates(scenario)
    work = rates * [workload.main_work[0], workload.sub_work[0]]
    assert np.sum(work / scenario.throughput) / scenario.gpus == pytest.approx(0.6, abs=0.005)
    assert scenario.reference_rate == workload.tasks.mean_rate(1800.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sub": "x"}, "must name agents of scenario 'custom', got 'x'"),
        ({"width": [0.5, 0.4]}, "workload.width must add up to 1, got 0.9"),
        ({"width": [1.5, -0.5]}, r"workload.width\[0\] must be at most 1"),
        ({"before": 0.5}, "workload.before must be at least 1"),
        ({"length": [0.9, 1.0]}, "workload.length must have a mean above 1"),
        ({"length": [10.0, 0.1]}, "a variance above mean"),
        ({"sub_work": [1.0, 0.0]}, r"workload.sub_work\[1\] must be greater than 0"),
        ({"tasks": {"kind": "poisson", "rate": 1e8}}, "at most 5e.07 calls an episode"),
        ({"tasks": {"kind": "replay", "trace": "azure_conv"}}, "tasks must be a synthetic stream"),
    ],
)
def test_bad_values_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        world(**changes)


def test_a_pair_is_a_pair() -> None:
    with pytest.raises(TypeError, match=r"workload.length must be a pair \[mean, CV\], got 3"):
        world(length=3)
