"""The clairvoyant bound: values walked by hand, bad input, and its cache."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import OptimizeResult, linprog

from slicegym.baselines import bound as bound_module
from slicegym.baselines import clairvoyant_bound
from slicegym.baselines.bound_cache import scenario_digest
from slicegym.baselines.program.build import build
from slicegym.baselines.program.limits import limits
from slicegym.baselines.program.rows import Program
from slicegym.baselines.program.service import Detail
from slicegym.baselines.program.solve import SolverError, solve, solve_whole
from slicegym.envs import Agent, ConfigError, Scenario, Tape, Weights, simulate
from slicegym.envs.kernel.layout import CHANGE, HEALTH
from slicegym.envs.platform import Node

from .bounded import LATENCY_ALONE, bound, calls, one_agent, tape_of
from .builders import drawn_pair, pair, rich

NO_CALLS = Tape.from_calls([], [], [], horizon_s=8.0)


# ---- walked by hand ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "work", "release", "seconds"),
    [
        ({}, 1.0, 1.25, 0.5),  # half a second at two calls per second
        ({"concurrency": 2}, 1.0, 1.25, 1.0),  # one of two servers has half of the rate
        ({}, 1.0, 1.75, 0.5),  # over two intervals
        ({}, 5.0, 0.3, 2.5),  # over four
        ({}, 5.0, 3.0, 2.5),
        ({"cold_start_s": 1.5}, 1.0, 0.25, 1.75),  # loading until 1.5, done at 2
        ({"cold_start_s": 1.5}, 5.0, 0.25, 3.75),
        ({"queue_limit": 0}, 1.0, 1.0, 7.0 + 1.0),  # rejected whatever comes: open, and charged
    ],
)
def test_lone_call_attains_the_bound_where_only_latency_counts(
    values: dict[str, Any], work: float, release: float, seconds: float
) -> None:
    scenario = one_agent(LATENCY_ALONE, **values)
    tape = calls([work], [release])
    played = simulate(scenario, tape, np.ones((8, 1))).rewards.mean()
    assert played == pytest.approx(-seconds / 8, abs=1e-12)
    if values.get("queue_limit") != 0:
        assert bound(scenario, tape) == pytest.approx(played, abs=1e-9)
    assert bound(scenario, tape) >= played - 1e-12


def test_two_calls_on_one_server_wait_for_each_other() -> None:
    scenario = one_agent(LATENCY_ALONE, throughput=1.0, horizon_s=4.0)
    assert bound(scenario, calls([1, 1], [0, 0], 4.0)) == pytest.approx(-(1 + 2) / 4, abs=1e-9)


@pytest.mark.parametrize(
    ("latency", "expected"),
    [
        # A second's load at the footprint of 0.5, then a second of the GPU: cost 1.5, idle 0.5.
        (1.0, -(2 + 1.5 + 0.5) / 4),
        # Left to the horizon: open for 4 s and charged 1 s more, its GPU-second billed.
        (0.1, -(0.1 * (4 + 1) + 1) / 4),
    ],
)
@pytest.mark.parametrize("exact", [False, True])
def test_cold_start_is_made_where_it_pays(latency: float, expected: float, exact: bool) -> None:
    weights = Weights(latency=latency)
    scenario = one_agent(weights, 4.0, throughput=1.0, footprint=0.5, cold_start_s=1.0)
    assert bound(scenario, calls([1], [0], 4.0), exact=exact) == pytest.approx(expected, abs=1e-6)


def test_horizon_charges_what_cannot_be_done() -> None:
    # Released half a second before the horizon, a second long: open for 0.5 s, charged L_ref = 3 s
    # in units of it, and one GPU-second. To begin it would waste half of the last interval.
    scenario = one_agent(Weights(), throughput=1.0, reference_latency_s=3.0)
    expected = -((0.5 + 3.0) / 3.0 + 1.0) / 8
    assert bound(scenario, calls([1], [7.5])) == pytest.approx(expected, abs=1e-6)


def test_chain_is_open_along_its_critical_path() -> None:
    # 0.5 s of service, 0.75 s of delay, 1 s of service, and another second beside the last.
    scenario = replace(
        one_agent(LATENCY_ALONE), agents=(Agent("a", throughput=2), Agent("b", throughput=1))
    )
    tape = Tape.from_calls(
        [0, 1, 0], [1, 1, 1], [1.0, 0.75, 0.25], [0, 0, 0], [[], [0], [0]], horizon_s=8.0
    )
    scenario = replace(scenario, gpus=1.0)
    assert bound(scenario, tape) == pytest.approx(-2.25 / 8, abs=1e-9)


def test_nothing_to_do_costs_nothing() -> None:
    result = clairvoyant_bound(pair(horizon_s=8.0), NO_CALLS, use_cache=False)
    assert result.reward == 0.0
    assert (result.latency_term, result.cost_term, result.idle_term) == (0.0, 0.0, 0.0)


def test_terms_add_up_to_the_reward() -> None:
    scenario = replace(rich(), weights=Weights(1.0, 0.5, 0.25))
    result = clairvoyant_bound(scenario, tape_of(rich()), use_cache=False)
    total = result.latency_term + 0.5 * result.cost_term + 0.25 * result.idle_term
    assert result.reward == pytest.approx(-total, rel=1e-9)


# ---- limits of platforms -----------------------------------------------------------------------


def test_limits_of_instances_go_by_multiprocessors() -> None:
    found = limits(pair(partition="mig", horizon_s=8.0), NO_CALLS)
    assert found.rate[0, 0] == pytest.approx(
        10 * 60 / 132 * 7 / 3
    )  # 3g is the fastest for its size
    assert found.fastest.tolist() == pytest.approx([1 / 10, 1 / 5])  # the whole GPU


def test_batched_call_is_fastest_alone() -> None:
    decodes = Agent("a", 2.0, service="batched", concurrency=4, half_batch=2)
    prefills = replace(decodes, name="b", prefill=0.5)
    found = limits(Scenario((decodes, prefills), horizon_s=8.0), NO_CALLS)
    # φ(1) = 1/3 · 6/4 = 1/2.
    assert found.fastest.tolist() == pytest.approx([1.0, 0.5])


def test_fast_machine_is_as_dear_as_it_is() -> None:
    # Two units of work in a second of the machine that is twice as fast: open for 1 s, and its
    # GPU-second is two thirds of what a second of both costs.
    nodes = Node("x", 1.0, price=1.0), Node("y", 1.0, speed=2.0, price=2.0)
    agent = Agent("a", throughput=1.0, node="y", footprint=0.0)
    scenario = Scenario((agent,), nodes=nodes, horizon_s=4.0)
    tape = calls([2.0], [1.0], 4.0)
    assert bound(scenario, tape) == pytest.approx(-(1 + 2 / 3) / 4, abs=1e-9)
    played = simulate(scenario, tape, [[0.0], [1.0], [0.0], [0.0]]).rewards.mean()
    assert played == pytest.approx(-(1 + 2 / 3) / 4)


def test_footprint_is_that_of_the_largest_memory() -> None:
    # On y a footprint of 0.9 counts 0.9 · 20/30 = 0.6 GPU: open for 1 s, 0.6 of two GPUs, no idle.
    nodes = Node("x", 1.0, memory_mb=10.0), Node("y", 1.0, memory_mb=30.0)
    agent = Agent("a", throughput=1.0, node="y", footprint=0.9, memory_mb=5.0)
    scenario = Scenario((agent,), nodes=nodes, horizon_s=4.0, weights=Weights(latency=0.05))
    tape = calls([0.6], [1.0], 4.0)
    played = simulate(scenario, tape, [[0.0], [0.6], [0.0], [0.0]]).rewards.mean()
    assert played == pytest.approx(-(0.05 + 0.3) / 4)
    assert bound(scenario, tape) >= played


def test_agent_that_is_stuck_throughout_leaves_its_calls_open() -> None:
    # Open for 7 s and charged 1 s; its half GPU-second is billed.
    scenario = one_agent(Weights())
    stuck = np.array([(0, HEALTH, 0, 0.0)], CHANGE)
    tape = replace(calls([1.0], [1.0]), changes=stuck)
    assert bound(scenario, tape) == pytest.approx(-(7 + 1 + 0.5) / 8, abs=1e-9)


# ---- bad input ---------------------------------------------------------------------------------


def test_refuses_other_things() -> None:
    with pytest.raises(TypeError, match="scenario must be a Scenario"):
        clairvoyant_bound("paper", NO_CALLS)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="tape must be a Tape"):
        clairvoyant_bound(pair(), None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="horizon_s must be the scenario's"):
        bound(pair(), NO_CALLS)


def test_refuses_whole_loads_on_long_tapes() -> None:
    scenario = pair(horizon_s=1000.0)
    with pytest.raises(ConfigError, match="exact takes at most 2000 whole numbers"):
        bound(scenario, Tape.from_calls([], [], [], horizon_s=1000.0), exact=True)


@pytest.mark.parametrize("exact", [False, True])
def test_no_time_no_number(exact: bool) -> None:
    scenario = replace(rich(), horizon_s=20.5)
    with pytest.raises(SolverError, match=r"no optimum in the .* s that were left"):
        bound(scenario, tape_of(rich()), exact=exact, time_limit_s=1e-6)


def test_where_interior_point_does_not_end_dual_simplex_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program, weights = build(rich(), tape_of(rich()), Detail()), np.ones(3)
    asked = []

    def never_ends(*given: Any, method: str, **more: Any) -> Any:
        asked.append(method)
        if method == "highs-ipm":
            return OptimizeResult(status=1, message="time limit reached")
        return linprog(*given, method=method, **more)

    right = solve(program, weights, 100.0, method="highs-ds").value
    monkeypatch.setattr("slicegym.baselines.program.solve.linprog", never_ends)
    assert solve(program, weights, 100.0, method="highs-ipm").value == right
    assert asked == ["highs-ipm", "highs-ds"]
    with pytest.raises(SolverError, match="no optimum in the"):  # no time for two
        solve(program, weights, 50.0, method="highs-ipm")


@pytest.mark.parametrize("solver", [solve, solve_whole])
@pytest.mark.parametrize("right", [-1.0, 1.0], ids=["infeasible", "unbounded"])
def test_program_without_an_optimum_is_an_error(right: float, solver: Any) -> None:
    program = Program()
    column = program.columns(1, np.inf, cost=-1.0, whole=True)
    program.at_most.add(right, (column, 1.0 if right < 0 else -1.0), at=np.zeros(1))
    with pytest.raises(SolverError, match="no optimum, so there is no bound"):
        solver(program, np.ones(3), 10.0)


def test_out_of_time_only_what_is_proven_counts() -> None:
    # In no time nothing is proven of 60 whole numbers, so there is no number even where an
    # unfinished search would do.
    program = build(rich(), tape_of(rich()), Detail())
    with pytest.raises(SolverError, match="no optimum in the"):
        solve_whole(program, np.ones(3), 1e-9, unfinished=True)


# ---- the cache ---------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLICEGYM_CACHE", str(tmp_path))
    return tmp_path / "bounds"


def test_bound_is_recalled(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario, tape = one_agent(Weights()), calls([1.0], [0.5])
    first = clairvoyant_bound(scenario, tape)
    monkeypatch.setattr(bound_module, "solve", None)
    assert clairvoyant_bound(replace(scenario, name="other"), tape) == first
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize(
    "content", ["", "{}", "[1]", '{"values": {"reward": 1}, "sum": "x"}', "cut"]
)
def test_damaged_file_is_computed_again(folder: Path, content: str) -> None:
    scenario, tape = one_agent(Weights()), calls([1.0], [0.5])
    first = clairvoyant_bound(scenario, tape)
    (file,) = folder.iterdir()
    whole = file.read_text()
    file.write_text(whole[: len(whole) // 2] if content == "cut" else content)
    again = clairvoyant_bound(scenario, tape)
    assert again.reward == first.reward
    assert clairvoyant_bound(scenario, tape) == again


def test_bounds_without_a_folder_are_computed(folder: Path) -> None:
    folder.write_text("a file where the folder should be")
    clairvoyant_bound(one_agent(Weights()), calls([1.0], [0.5]))
    assert folder.is_file()


def test_digest_is_of_what_the_reward_depends_on() -> None:
    scenario = drawn_pair()
    assert scenario_digest(replace(scenario, name="other", workload=None)) == scenario_digest(
        scenario
    )
    for change in ({"gpus": 2.0}, {"weights": Weights(idle=0.5)}, {"reference_latency_s": 2.0}):
        assert scenario_digest(replace(scenario, **change)) != scenario_digest(scenario)  # type: ignore[arg-type]


TINY = """
agents:
  - {name: a, throughput: 4, cold_start_s: 1}
  - {name: b, throughput: 2, priority: 2}
gpus: 1
horizon_s: 10
workload:
  kind: streams
  streams:
    a: {kind: poisson, rate: 1.5}
    b: {kind: poisson, rate: 0.5}
"""


def test_command_scores_between_static_and_the_bound(
    cli: Any, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    options = ("--suite", f"{file}-validation", "--episodes", 2, "--allocators", "whole_pool")
    status, out, err = cli("bound", *options, "--json", "-")
    assert status == 0, err
    content = json.loads(out)
    bound, found = content["bound"]["reward"], content["allocators"]
    assert set(found) == {"static", "whole_pool"}
    assert found["static"]["score"] == 0.0
    assert found["static"]["reward"] < bound
    room = bound - found["static"]["reward"]
    score = (found["whole_pool"]["reward"] - found["static"]["reward"]) / room
    assert found["whole_pool"]["score"] == pytest.approx(score)
    status, out, err = cli("bound", *options)
    assert "clairvoyant bound" in out
