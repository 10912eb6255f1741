"""The clairvoyant bound: values walked by hand, brute force, and that nobody beats it."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicegym.baselines import bound as bound_module
from slicegym.baselines import clairvoyant_bound, make_allocator, names
from slicegym.baselines.bound_cache import scenario_digest
from slicegym.baselines.program.limits import limits
from slicegym.baselines.program.rows import Program
from slicegym.baselines.program.service import Detail
from slicegym.baselines.program.solve import SolverError, solve
from slicegym.envs import Agent, ConfigError, Scenario, Tape, Weights, simulate

from .builders import chains, drawn_pair, pair, rich
from .reference.strategies import Exact, Options, Rough
from .reference.strategies import build as draw

LATENCY_ALONE = Weights(latency=1, cost=0, idle=0)
NO_CALLS = Tape.from_calls([], [], [], horizon_s=8.0)


def bound(scenario: Scenario, tape: Tape, **options: Any) -> float:
    return clairvoyant_bound(scenario, tape, use_cache=False, **options).reward


def one_agent(weights: Weights, horizon_s: float = 8.0, **values: Any) -> Scenario:
    scale = values.pop("reference_latency_s", 1.0)
    agent = Agent("a", **{"throughput": 2.0, **values})
    return Scenario((agent,), horizon_s=horizon_s, weights=weights, reference_latency_s=scale)


def calls(work: list[float], release: list[float], horizon_s: float = 8.0) -> Tape:
    return Tape.from_calls(np.zeros(len(work), int), work, release, horizon_s=horizon_s)


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


# ---- nobody beats it ---------------------------------------------------------------------------


def tape_of(scenario: Scenario, seed: int = 0) -> Tape:
    workload = scenario.workload
    assert workload is not None
    return workload.tape(scenario, workload.suite(scenario, "train")[seed])


def schedules(scenario: Scenario, rng: np.random.Generator) -> list[np.ndarray]:
    """Random shares, some zero, then nothing, everything to everyone, and everything to one."""
    shape = (scenario.n_intervals, scenario.n_agents)
    drawn = [rng.random(shape) * (rng.random(shape) < p) * scenario.gpus for p in (0.3, 0.7, 1.0)]
    ends = [np.zeros(shape), np.full(shape, scenario.gpus)]
    to_one = [
        np.where(np.arange(shape[1]) == i, scenario.gpus, 0.0) for i in range(min(3, shape[1]))
    ]
    return [*drawn, *ends, *(np.tile(row, (shape[0], 1)) for row in to_one)]


def random_case(seed: int) -> tuple[Scenario, Tape, list[np.ndarray], Detail]:
    rng = random.Random(seed)
    case = draw((Exact if seed % 2 else Rough)(rng), Options(graphs=seed % 3 != 0))
    detail = Detail(
        ratio=rng.choice([1.0, 2.0, 100.0]),
        fine=rng.choice([1, 3, 100]),
        growth=rng.choice([1.0, 1.5, 3.0]),
        slopes=rng.choice([0, 1, 3]),
        loads=rng.random() < 0.8,
        core=rng.choice([0, 0, 2, 4]),
        look=rng.choice([0, 1, 3]),
    )
    shares = [case.requested(), *schedules(case.scenario, np.random.default_rng(seed))]
    return case.scenario, case.tape(), shares, detail


def assert_unbeaten(scenario: Scenario, tape: Tape, decisions: list[Any], most: float) -> None:
    for decision in decisions:
        reward = simulate(scenario, tape, decision).rewards.mean()
        assert reward <= most + 1e-9 * max(1.0, abs(reward)), decision


@pytest.mark.parametrize(
    "seeds",
    [range(100), pytest.param(range(1_000, 3_000), marks=pytest.mark.slow)],
    ids=["hundreds", "thousands"],
)
def test_no_schedule_beats_the_bound(seeds: range) -> None:
    for seed in seeds:
        scenario, tape, shares, detail = random_case(seed)
        assert_unbeaten(scenario, tape, shares, bound(scenario, tape, detail=detail))


@pytest.mark.parametrize("exact", [False, True])
def test_no_allocator_beats_the_bound(exact: bool) -> None:
    rng = np.random.default_rng(0)
    short = replace(rich(), horizon_s=10.5)
    cases = [
        (rich(), tape_of(rich())),
        (short, chains(short, rng, 12)),
        (drawn_pair(), tape_of(drawn_pair())),
    ]
    for scenario, tape in cases[1:] if exact else cases:
        allocators = [make_allocator(t) for t in examples(scenario)]
        assert_unbeaten(scenario, tape, allocators, bound(scenario, tape, exact=exact))


def examples(scenario: Scenario) -> list[str]:
    """Allocators that stand alone and take the scenario."""
    found = []
    for name in names():
        if name != "learned":
            try:
                make_allocator(name).reset(scenario)
            except ConfigError:
                continue
            found.append(name)
    return found


@pytest.mark.parametrize("memory_mb", [None, 30.0])
def test_no_schedule_beats_the_bound_on_instances_of_a_gpu(memory_mb: float | None) -> None:
    rng = np.random.default_rng(7)
    agents = tuple(
        Agent(n, throughput=t, memory_mb=10, cold_start_s=s, keep_alive_s=1, footprint=1 / 7)
        for n, t, s in (("a", 9.0, 0.0), ("b", 6.0, 0.5), ("c", 4.0, 1.0))
    )
    scenario = Scenario(
        agents, horizon_s=12.0, partition="mig", reconfigure_s=0.25, pool_memory_mb=memory_mb
    )
    for seed in range(10):
        n = 30
        drawn = np.random.default_rng(seed)
        tape = Tape.from_calls(
            drawn.integers(0, 3, n),
            drawn.exponential(1, n),
            drawn.uniform(0, 12, n),
            horizon_s=12.0,
        )
        assert_unbeaten(scenario, tape, schedules(scenario, rng), bound(scenario, tape))


# ---- how near it is ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(25))
def test_exact_program_equals_brute_force_on_tiny_tapes(seed: int) -> None:
    """One agent, calls of one second on whole seconds: the grid holds the best shares there are."""
    rng = np.random.default_rng(seed)
    scenario = Scenario(
        agents=(
            Agent(
                "a",
                throughput=1,
                footprint=float(rng.choice([0.25, 0.5])),
                cold_start_s=float(rng.choice([0, 1])),
            ),
        ),
        horizon_s=4.0,
        reference_latency_s=float(rng.choice([1, 4])),
        weights=Weights(float(rng.choice([0.2, 1])), 1, float(rng.choice([0, 0.5, 1]))),
    )
    n = int(rng.integers(1, 4))
    tape = calls([1.0] * n, rng.integers(0, 4, n).astype(float).tolist(), 4.0)
    grid = itertools.product((0.0, 0.25, 0.5, 1.0), repeat=4)
    best = max(simulate(scenario, tape, np.array(g)[:, None]).rewards.mean() for g in grid)
    assert bound(scenario, tape, exact=True) == pytest.approx(best, abs=1e-5)


def test_exact_is_tighter_than_linear() -> None:
    scenario = one_agent(Weights(), 8.0, footprint=0.4, cold_start_s=1.3, keep_alive_s=1.0)
    tape = calls([0.5, 0.7, 0.4], [0.0, 3.5, 6.0])
    assert bound(scenario, tape, exact=True) < bound(scenario, tape) - 1e-3


def climb(scenario: Scenario, tape: Tape, rng: np.random.Generator, steps: int = 500) -> float:
    """Improve a schedule by random changes of one share, or of a stretch of them."""
    shape = (scenario.n_intervals, scenario.n_agents)
    starts = [np.zeros(shape), np.full(shape, scenario.gpus / shape[1]), *schedules(scenario, rng)]
    best, shares = max(
        ((simulate(scenario, tape, s).rewards.mean(), s) for s in starts), key=lambda pair: pair[0]
    )
    for _ in range(steps):
        changed = shares.copy()
        first = int(rng.integers(shape[0]))
        until = first + 1 if rng.random() < 0.6 else int(rng.integers(first, shape[0])) + 1
        value = rng.choice([0.0, 0.002, rng.random() * scenario.gpus, scenario.gpus])
        changed[first:until, rng.integers(shape[1])] = value
        reward = simulate(scenario, tape, changed).rewards.mean()
        if reward >= best:
            best, shares = reward, changed
    return float(best)


def small_instance(rng: np.random.Generator) -> tuple[Scenario, Tape]:
    """8 intervals, 3 to 25 calls, unit weights and references."""
    n, n_calls = int(rng.integers(1, 4)), int(rng.integers(3, 26))
    agents = tuple(
        Agent(
            f"agent{i}",
            throughput=rng.uniform(1, 6),
            priority=float(rng.choice([1, 2])),
            footprint=rng.uniform(0, 0.4),
            cold_start_s=float(rng.choice([0, 0, 0.5, 1, 1.3, 2])),
            keep_alive_s=float(rng.choice([0, 1, 2])),
            concurrency=int(rng.choice([1, 1, 2, 4])),
        )
        for i in range(n)
    )
    scenario = Scenario(agents, gpus=float(rng.choice([1, 2])), horizon_s=8.0)
    work, release = rng.exponential(1, n_calls) + 1e-3, rng.uniform(0, 8, n_calls)
    return scenario, Tape.from_calls(rng.integers(0, n, n_calls), work, release, horizon_s=8.0)


def test_hill_climbed_schedules_come_near_the_bound() -> None:
    rng = np.random.default_rng(0)
    gaps = []
    for _ in range(12):
        scenario, tape = small_instance(rng)
        most, found = bound(scenario, tape), climb(scenario, tape, rng)
        assert found <= most + 1e-9
        gaps.append((most - found) / abs(most))
    assert np.mean(gaps) < 0.55


@pytest.mark.slow
def test_long_tape_is_bounded_in_time() -> None:
    """3,600 intervals and four agents: the bound is there within half a minute."""
    agents = tuple(
        Agent(f"agent{i}", t, footprint=0.75, cold_start_s=s, keep_alive_s=10, concurrency=4)
        for i, (t, s) in enumerate([(6, 5), (3, 10), (4, 8), (2, 15)])
    )
    scenario = Scenario(agents, gpus=4.0, horizon_s=3600.0, reference_latency_s=20.0)
    rng, n = np.random.default_rng(0), 20_000
    release = np.sort(rng.uniform(0, 3600, n))
    release = release[np.sin(release / 11) > 0]
    tape = Tape.from_calls(
        rng.integers(0, 4, len(release)),
        rng.exponential(1, len(release)),
        release,
        horizon_s=3600.0,
    )
    result = clairvoyant_bound(scenario, tape, use_cache=False)
    assert result.solve_s < 30
    assert simulate(scenario, tape, make_allocator("demand")).rewards.mean() <= result.reward


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


@pytest.mark.parametrize("right", [-1.0, 1.0], ids=["infeasible", "unbounded"])
def test_program_without_an_optimum_is_an_error(right: float) -> None:
    program = Program()
    column = program.columns(1, np.inf, cost=-1.0)
    program.at_most.add(right, (column, 1.0 if right < 0 else -1.0), at=np.zeros(1))
    with pytest.raises(SolverError, match="no optimum, so there is no bound"):
        solve(program, np.ones(3), 10.0)


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
