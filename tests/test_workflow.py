"""The workflow family: graphs as drawn by hand, routing as counted, latency as in theory."""

import math
from typing import Any

import numpy as np
import pytest

from slicegym.envs.errors import ConfigError
from slicegym.envs.loading import load_scenario
from slicegym.envs.run import simulate
from slicegym.envs.spec import Agent, Scenario
from slicegym.envs.tape import Tape
from slicegym.envs.workloads import Episode, build_workload
from slicegym.envs.workloads.workflow import Workflow, expected_calls, fan_out

SIGMAS = 4.0
NAMES = ("boss", "a", "b", "c")
CONTENT: dict[str, Any] = {
    "kind": "workflow",
    "tasks": {"kind": "poisson", "rate": 4.0},
    "plan": "boss",
    "specialists": {"a": 0.6, "b": 0.3, "c": 0.5},
    "think_s": 2.0,
    "work": {"kind": "exponential"},
}


def world(horizon_s: float = 60.0, names: tuple[str, ...] = NAMES, **changes: Any) -> Scenario:
    """A scenario without any limit: every call runs at once, in a microsecond."""
    agents = tuple(Agent(name, throughput=1e6, concurrency=1000) for name in names)
    workload = build_workload({**CONTENT, **changes})
    return Scenario(agents, gpus=1000.0 * len(names), horizon_s=horizon_s, workload=workload)


def draw(scenario: Scenario, seed: int = 0) -> Tape:
    assert scenario.workload is not None
    return scenario.workload.tape(scenario, Episode("train", seed))


def test_the_graphs_of_four_tasks_by_hand() -> None:
    # Two specialists, none, one, three: calls 0–3, 4–5, 6–8, 9–13.
    graph = fan_out(np.array([2, 0, 1, 3], dtype=np.int32), 3)
    assert graph.task.tolist() == [0] * 4 + [1] * 2 + [2] * 3 + [3] * 5
    assert graph.n_predecessors.tolist() == [0, 1, 1, 2, 0, 1, 0, 1, 1, 0, 1, 1, 1, 3]
    edges = [
        graph.successors[graph.successor_ptr[i] : graph.successor_ptr[i + 1]].tolist()
        for i in range(14)
    ]
    assert edges == [
        *([1, 2], [3], [3], []),
        *([5], []),
        *([7], [8], []),
        *([10, 11, 12], [13], [13], [13], []),
    ]


@pytest.mark.parametrize("specialists", [{}, {"a": 0.0}, {"a": 1.0}, CONTENT["specialists"]])
def test_the_fast_builder_agrees_with_the_checked_one(specialists: dict[str, float]) -> None:
    tape = draw(world(specialists=specialists))
    assert tape.graph is not None
    predecessors: list[list[int]] = [[] for _ in range(tape.n_calls)]
    for call in range(tape.n_calls):
        for after in tape.graph.successors[slice(*tape.graph.successor_ptr[call : call + 2])]:
            predecessors[int(after)].append(call)
    released = np.where(np.isnan(tape.release), tape.graph.delay, tape.release)
    checked = Tape.from_calls(
        tape.agent, tape.work, released, tape.graph.task, predecessors, horizon_s=tape.horizon_s
    )
    assert checked.digest == tape.digest
    assert np.all(tape.graph.delay[tape.graph.n_predecessors == 0] == 0)


def test_each_specialist_is_asked_with_its_own_probability() -> None:
    scenario = world(horizon_s=5000.0)
    tape = draw(scenario)
    n = tape.n_tasks
    for i, probability in ((1, 0.6), (2, 0.3), (3, 0.5)):
        error = math.sqrt(n * probability * (1 - probability))
        assert abs(np.sum(tape.agent == i) - n * probability) < SIGMAS * error
    assert np.sum(tape.agent == 0) == 2 * n
    alone = np.sum(np.bincount(tape.task) == 2)
    nobody = 0.4 * 0.7 * 0.5
    assert abs(alone - n * nobody) < SIGMAS * math.sqrt(n * nobody * (1 - nobody))
    delays = tape.delay[tape.n_predecessors > 0]
    assert abs(delays.mean() - 2.0) < SIGMAS * 2.0 / math.sqrt(delays.size)
    assert isinstance(scenario.workload, Workflow)
    counted = np.bincount(tape.agent, minlength=4) / 5000.0
    assert counted == pytest.approx(scenario.workload.mean_rates(scenario), rel=0.05)


@pytest.mark.parametrize("aggregate", ["boss", "c"])
def test_routing_is_what_the_tapes_do(aggregate: str) -> None:
    tape = draw(world(horizon_s=20_000.0, aggregate=aggregate))
    assert tape.graph is not None
    assert tape.routing is not None
    parent = np.repeat(np.arange(tape.n_calls), np.diff(tape.graph.successor_ptr))
    child = tape.graph.successors
    share = 1 / tape.n_predecessors[child]  # a join counts once, whatever it waits for
    counted = np.zeros((4, 4))
    np.add.at(counted, (tape.agent[parent], tape.agent[child]), share)
    calls = np.bincount(tape.agent, minlength=4)
    assert counted / calls[:, None] == pytest.approx(tape.routing, abs=0.02)


def test_the_edges_into_an_agent_are_its_calls_that_follow_others() -> None:
    workflow = build_workload({**CONTENT, "aggregate": "c"})
    assert isinstance(workflow, Workflow)
    calls, edges = expected_calls(workflow, NAMES)
    assert calls == pytest.approx([1.0, 0.6, 0.3, 1.5])
    assert edges.sum(axis=0) == pytest.approx(calls - [1.0, 0.0, 0.0, 0.0])
    # Given a, none else with 0.7·0.5, b or c alone with 0.3·0.5 + 0.7·0.5, both with 0.3·0.5.
    assert edges[1, 3] == pytest.approx(0.6 * (0.35 + 0.5 / 2 + 0.15 / 3))


def test_latency_without_queues_is_that_of_a_fork_join() -> None:
    scenario = world(horizon_s=2000.0, specialists={"a": 1.0, "b": 1.0, "c": 1.0})
    run = simulate(scenario, draw(scenario), np.full((2000, 4), 1000.0))
    opened = run.tape.opened_at
    done = np.array([run.completed_at[run.tape.task == t].max() for t in range(0, 6000, 10)])
    latency = (done - opened[:6000:10])[opened[:6000:10] < 1900.0]
    # The longest of three exponential think times has the mean θ·(1 + 1/2 + 1/3), then one more.
    mean = 2.0 * (1 + 1 / 2 + 1 / 3 + 1)
    error = latency.std() / math.sqrt(latency.size)
    assert abs(latency.mean() - mean) < SIGMAS * error


def test_another_probability_moves_no_arrival() -> None:
    one, other = draw(world()), draw(world(specialists={"a": 0.1}))
    assert np.array_equal(one.opened_at, other.opened_at)
    assert draw(world()).digest == one.digest
    assert draw(world(), seed=1).digest != one.digest


def test_an_episode_without_tasks() -> None:
    scenario = world(tasks={"kind": "poisson", "rate": 0.0})
    tape = draw(scenario)
    assert (tape.n_calls, tape.n_tasks) == (0, 0)
    assert simulate(scenario, tape, np.zeros((60, 4))).metrics["reward"] == 0


def test_what_is_certain_has_one_episode() -> None:
    sure = {"specialists": {"a": 1.0}, "think_s": 0.0, "work": {"kind": "constant"}}
    scenario = world(tasks={"kind": "deterministic", "rate": 1.0}, **sure)
    assert scenario.workload is not None
    assert not scenario.workload.is_random
    assert len(scenario.workload.suite(scenario, "heldout")) == 1
    for change in ({"specialists": {"a": 0.5}}, {"think_s": 1.0}):
        assert build_workload({**CONTENT, **sure, **change}).is_random


def test_the_shipped_scenarios_constants() -> None:
    scenario = load_scenario("workflow")
    assert isinstance(scenario.workload, Workflow)
    assert scenario.reference_rate == scenario.workload.tasks.mean_rate(300.0)
    rates = scenario.workload.mean_rates(scenario)
    load = np.sum(rates / scenario.throughput) / scenario.gpus
    assert load == pytest.approx(0.215, abs=0.001)
    assert 6 * load * scenario.gpus == pytest.approx(5.15, abs=0.01)  # in the strongest burst
    assert np.all(scenario.concurrency == scenario.gpus)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"plan": "bos"}, r"must name agents of scenario 'custom', got 'bos'.*did you mean 'boss'"),
        ({"aggregate": "x"}, "must name agents of scenario 'custom', got 'x'"),
        ({"specialists": {"d": 0.5}}, "must name agents of scenario 'custom', got 'd'"),
        ({"specialists": {"a": 1.5}}, r"workload.specialists.a must be at most 1, got 1.5"),
        ({"specialists": {"a": math.nan}}, "workload.specialists.a must be a finite number"),
        ({"think_s": -1}, "workload.think_s must be at least 0"),
        ({"suite_episodes": 0}, r"workload.suite_episodes must lie in \[1"),
        ({"tasks": {"kind": "poison"}}, r"workload.tasks.kind .*did you mean 'poisson'"),
        (
            {"tasks": {"kind": "replay", "trace": "azure_conv"}},
            "workload.tasks must be a synthetic",
        ),
        (
            {"tasks": {"kind": "poisson", "rate": 1, "work": {"kind": "exponential"}}},
            "workload.tasks.work has no effect",
        ),
        ({"tasks": {"kind": "poisson", "rate": 1e8}}, "at most 5e.07 calls an episode, got 2.04e"),
        ({"thinks": 1}, "workload has an unknown key 'thinks'.*did you mean 'think_s'"),
    ],
)
def test_bad_values_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        world(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"specialists": ["a"]}, "workload.specialists must be a mapping"),
        ({"specialists": {"a": "x"}}, "workload.specialists.a must be a number"),
        ({"plan": 3}, "workload.plan must be a string"),
    ],
)
def test_bad_types_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        world(**changes)
