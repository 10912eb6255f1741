"""`simulate` and `Run`: the public example, what comes back, and what is refused."""

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest

from slicegym.baselines import make_allocator
from slicegym.envs import Agent, ConfigError, Run, Scenario, Simulator, Tape, simulate

from .builders import Recorder, chains, pair, rich, same

SHARES = np.full((10, 2), 0.5)


def example() -> Tape:
    return Tape.from_calls(
        agent=[0, 1, 1],
        work=[1, 1, 1],
        release=[0.0, 0.0, 0.5],
        task=[0, 0, 1],
        predecessors=[[], [0], []],
        horizon_s=10.0,
    )


def calls(**changes: Any) -> Tape:
    """Two single calls, one an agent."""
    values: dict[str, Any] = {"agent": [0, 1], "work": [1, 1], "release": [0, 1], "horizon_s": 10}
    return Tape.from_calls(**{**values, **changes})


def play(shares: Any, tape: Tape | None = None, **options: Any) -> Run:
    return simulate(pair(), calls() if tape is None else tape, shares, **options)


EXAMPLE = """
import numpy as np, gymnasium as gym, slicegym
from slicegym.envs import Agent, Scenario, Tape, simulate, load_scenario

tape = Tape.from_calls(agent=[0, 1, 1], work=[1, 1, 1], release=[0.0, 0.0, 0.5],     # release of calls without predecessors,
                       task=[0, 0, 1], predecessors=[[], [0], []], horizon_s=10.0)   # delay after the last predecessor otherwise
scenario = Scenario(agents=(Agent("a", throughput=10), Agent("b", throughput=5)), gpus=1.0, interval_s=1.0, horizon_s=10.0)
run = simulate(scenario, tape, np.full((10, 2), 0.5))     # shares (intervals, agents) in GPUs, or an allocator
run.released_at, run.started_at, run.completed_at         # (calls,) s, nan where it did not happen
run.rewards, run.metrics                                  # (intervals,), a mapping
"""  # noqa: E501
ENVIRONMENTS = """
env = gym.make("slicegym/Azure-v0", split="train")
envs = gym.make_vec("slicegym/Azure-v0", num_envs=256, vectorization_mode="vector_entry_point", split="train")
"""  # noqa: E501


def run_example(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def test_the_public_example() -> None:
    run = run_example(EXAMPLE)["run"]
    assert run.released_at.tolist() == pytest.approx([0.0, 0.2, 0.5], abs=1e-12)
    assert run.started_at.tolist() == pytest.approx([0.0, 0.2, 0.6], abs=1e-12)
    assert run.completed_at.tolist() == pytest.approx([0.2, 0.6, 1.0], abs=1e-12)
    # Task 0 is open for 0.6 s and task 1 for 0.5 s. The whole pool is paid for; half of it is busy
    # for 0.2 s at a and for 2 · 0.4 s at b.
    assert run.latency_term.tolist() == pytest.approx([1.1] + 9 * [0.0])
    assert run.cost_term.tolist() == pytest.approx(10 * [1.0])
    assert run.idle_term.tolist() == pytest.approx([0.5] + 9 * [1.0])
    assert run.rewards.tolist() == pytest.approx([-2.6] + 9 * [-2.0])
    assert run.metrics["latency_mean_s"] == pytest.approx(0.55)
    assert run.metrics["throughput"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    "name", [pytest.param("Azure", marks=pytest.mark.traces("azure_conv", "azure_code")), "Paper"]
)
def test_the_public_environments(name: str) -> None:
    names = run_example(EXAMPLE + ENVIRONMENTS.replace("Azure", name))
    one, _ = names["env"].reset(seed=3)
    batch, _ = names["envs"].reset(seed=3)
    assert batch.shape == (256, *one.shape)
    assert np.array_equal(batch[0], one)


def test_shapes_and_types() -> None:
    run = play(SHARES, example())
    for times in (run.released_at, run.started_at, run.completed_at):
        assert (times.shape, times.dtype) == ((3,), np.float64)
    assert (run.rejected.shape, run.rejected.dtype) == ((3,), np.bool_)
    assert run.shares.shape == run.records.shape == (10, 2)
    assert run.history.shape == run.decision_s.shape == (10,)
    assert run.cold_starts.tolist() == [0, 0]  # a load that takes no time is none
    assert np.isnan(run.decision_s).all()  # nobody decided
    assert set(run.records.dtype.names or ()) >= {"queue", "billed", "busy", "arrivals", "status"}
    assert isinstance(run.metrics["cold_starts"], int)
    assert run.metrics is run.metrics


def test_reward_is_the_weighted_sum_of_its_terms() -> None:
    scenario, rng = rich(), np.random.default_rng(0)
    shares = rng.uniform(0, 1, (scenario.n_intervals, 3))
    run = simulate(scenario, chains(scenario, rng), shares)
    w = scenario.weights
    total = w.latency * run.latency_term + w.cost * run.cost_term + w.idle * run.idle_term
    assert run.rewards == pytest.approx(-total, abs=1e-12)
    means = {name: run.metrics[name] for name in ("latency_term", "cost_term", "idle_term")}
    assert run.metrics["reward"] == pytest.approx(
        -sum(getattr(w, name[:-5]) * mean for name, mean in means.items()), abs=1e-12
    )


def test_arrays_of_a_run_are_its_own() -> None:
    tape, shares = example(), SHARES.copy()
    run = play(shares, tape)
    before = copy.deepcopy((run.rewards, run.shares, run.released_at, run.started_at))
    run.rewards[:] = run.latency_term[:] = run.cost_term[:] = run.idle_term[:] = 7
    run.shares[:] = 7
    shares[:] = 7
    again = play(SHARES, tape)
    assert same((run.rewards, run.shares, run.released_at, run.started_at), before)
    assert same((again.rewards, again.shares, again.released_at, again.started_at), before)
    assert tape.digest == example().digest


def test_shares_are_not_mutated_and_may_be_anything_like_an_array() -> None:
    shares = np.array([[3.0, -1.0], [1e-9, 0.25]] * 5)
    before = shares.copy()
    run = play(shares)
    assert np.array_equal(shares, before)
    assert run.shares.tolist() == [[1.0, 0.0], [0.0, 0.25]] * 5
    column_order = np.asfortranarray(shares)
    single = np.asarray([[1, 0]] * 10)
    for given in (shares.tolist(), column_order, shares[::-1][::-1], tuple(map(tuple, shares))):
        assert same(play(given).history, run.history)
    assert same(play(single).history, play(single.astype(np.float32)).history)


def test_an_allocator_and_the_schedule_of_its_shares_give_the_same_run() -> None:
    scenario = rich()
    for tape in (chains(scenario, np.random.default_rng(1)), calls(horizon_s=20.5)):
        recorder = Recorder()
        decided = simulate(scenario, tape, recorder)
        replay = Recorder()
        shares = [replay.allocate(seen) for seen in recorder.seen]
        given = simulate(scenario, tape, shares)
        assert same(decided.history, given.history)
        assert same(decided.records, given.records)
        assert np.array_equal(decided.completed_at, given.completed_at, equal_nan=True)
        assert np.all(decided.decision_s > 0)
        assert [int(seen.decision) for seen in recorder.seen] == list(range(21))


def test_allocators_are_told_when_an_episode_begins() -> None:
    class Counting(Recorder):
        started: list[Any]

        def reset(self, scenario: Any) -> None:
            self.started = [*getattr(self, "started", []), scenario]

    allocator = Counting()
    play(allocator)
    play(allocator)
    assert allocator.started == [pair(), pair()]


def test_an_empty_tape() -> None:
    empty = Tape.from_calls([], [], [], horizon_s=10)
    run = play(SHARES, empty)
    assert run.released_at.shape == (0,)
    assert run.rewards.tolist() == [-2.0] * 10
    assert math.isnan(run.metrics["latency_mean_s"])
    assert run.metrics["completed"] == 0


@pytest.mark.parametrize("horizon_s", [0.3, 2.1, 2.2])
def test_intervals_end_where_the_scenario_says(horizon_s: float) -> None:
    """The last one, 0.1 s long at 2.2 s, divides by its own length."""
    scenario = pair(horizon_s=horizon_s, interval_s=0.3)
    shares = np.full((scenario.n_intervals, 2), 0.5)
    run = simulate(scenario, Tape.from_calls([], [], [], horizon_s=horizon_s), shares)
    assert run.history["time"].tolist() == scenario.interval_ends.tolist()
    assert run.cost_term == pytest.approx(np.ones(scenario.n_intervals))


def test_runs_survive_pickling() -> None:
    run = play(make_allocator("static"), example())
    twin = pickle.loads(pickle.dumps(run))
    assert same(twin.history, run.history)
    assert twin.metrics["reward"] == run.metrics["reward"]


def test_horizon_charge() -> None:
    starved = np.zeros((10, 2))
    charged, free = play(starved), play(starved, horizon_charge=False)
    assert charged.rewards[-1] < free.rewards[-1]
    assert np.array_equal(charged.rewards[:-1], free.rewards[:-1])


NAN_LATE = np.where(np.arange(20).reshape(10, 2) == 15, math.nan, 0.5)
RULE = r"^shares must have the shape \(intervals, agents\) = \(10, 2\)"


@pytest.mark.parametrize(
    ("shares", "error", "message"),
    [
        (SHARES[:9], ValueError, RULE + r", got \(9, 2\)"),
        (SHARES[:, :1], ValueError, RULE + r", got \(10, 1\)"),
        (SHARES.T, ValueError, RULE + r", got \(2, 10\)"),
        (SHARES[0], ValueError, RULE + r", got \(2,\)"),
        (0.5, ValueError, RULE + r", got \(\)"),
        ([[0.5, 0.5], [0.5]], ValueError, RULE + r", got \[\[0.5, 0.5\], \[0.5\]\]"),
        (NAN_LATE, ValueError, r"shares must be finite numbers, got \[0.5 nan\] for interval 7"),
        (SHARES * math.inf, ValueError, "shares must be finite numbers, got .* for interval 0"),
        ("static", TypeError, RULE + ", or be an allocator .*got 'static'"),
        (None, TypeError, RULE + ", or be an allocator .*got None"),
        (SHARES.astype(str), TypeError, RULE),
        (SHARES * 1j, TypeError, RULE),
    ],
)
def test_refused_shares(shares: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        play(shares)


class Says:
    """An allocator that gives one answer at decision 3, and sound ones before."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def allocate(self, observation: Any) -> Any:
        return self.answer if observation.decision == 3 else np.full(2, 0.5)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.ones(3), r"shares must have the shape .*, got \(3,\)"),
        (np.ones((2, 2)), r"shares must have the shape .*, got \(2, 2\)"),
        (1.0, r"shares must have the shape .*, got \(\)"),
        (None, r"shares must have the shape .*, got \(\)"),
        (np.array([0.5, math.nan]), r"shares must be finite numbers, got \[0.5 nan\]"),
        ([-math.inf, 1], r"shares must be finite numbers, got \[-inf   1.\]"),
        ("half", "'half'"),
    ],
)
@pytest.mark.parametrize("make", [calls, example])
def test_refused_answers_of_allocators(make: Any, answer: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^Says.allocate\(\) at decision 3: .*{message}"):
        play(Says(answer), make())


@pytest.mark.parametrize(
    ("tape", "message"),
    [
        (calls(horizon_s=11), "the tape's horizon_s must be the scenario's 10.0, got 11.0"),
        (calls(agent=[0, 2]), "the tape's agents must be below 2, .*'custom', got 2"),
        (
            calls(routing=np.zeros((3, 3))),
            r"routing must have the shape \(N, N\) with N = 2, got \(3, 3\)",
        ),
    ],
)
def test_tapes_that_do_not_go_with_the_scenario(tape: Tape, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        play(SHARES, tape)


def test_other_things_than_scenarios_and_tapes() -> None:
    with pytest.raises(TypeError, match="scenario must be a Scenario, got 'paper'; load_scenario"):
        simulate("paper", calls(), SHARES)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="tape must be a Tape, got None"):
        simulate(pair(), None, SHARES)  # type: ignore[arg-type]


def _routed(probability):
    return Tape.from_calls(
        [0, 1],
        [1.0, 1.0],
        [0.0, 0.0],
        [0, 0],
        [[], [0]],
        horizon_s=10.0,
        routing=[[0.0, probability], [0.0, 0.0]],
    )


def test_each_environment_of_a_batch_keeps_its_own_routing():
    scenario = Scenario((Agent("a", 1.0), Agent("b", 1.0)), horizon_s=10.0)
    simulator = Simulator(scenario, 2, graph=True)
    simulator.load(0, _routed(0.25))
    simulator.load(1, _routed(0.75))
    assert simulator.observe().upstream.tolist() == [[0.0, 0.25], [0.0, 0.75]]
    simulator.load(0, Tape.from_calls([0], [1.0], [0.0], horizon_s=10.0))
    assert simulator.observe().upstream.tolist() == [[0.0, 0.0], [0.0, 0.75]]


def test_no_environment_moves_when_one_of_the_batch_is_refused():
    scenario = Scenario((Agent("a", 1.0),), horizon_s=10.0)
    simulator = Simulator(scenario, 2)
    for b in range(2):
        simulator.load(b, Tape.from_calls([0], [1.0], [0.0], horizon_s=10.0))
    with pytest.raises(ValueError, match=r"finite numbers, got .*nan.* for environment 1"):
        simulator.step([[0.5], [np.nan]])
    assert simulator.environments["decision"].tolist() == [0, 0]


def test_the_clock_stops_at_the_horizon():
    scenario = Scenario((Agent("a", 1.0),), horizon_s=2.5)
    simulator = Simulator(scenario)
    simulator.load(0, Tape.from_calls([0], [1.0], [0.0], horizon_s=2.5))
    for _ in range(3):
        simulator.step([0.5])
    assert simulator.observe().time_s.tolist() == [2.5]
