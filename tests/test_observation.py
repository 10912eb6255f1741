"""What allocators see: what each column means, nothing of the future, and its flat twin."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from slicegym.envs import Agent, Observation, Scenario, Simulator, Tape, load_scenario, simulate
from slicegym.envs.env import SliceEnv
from slicegym.envs.faults.models import StuckAgent
from slicegym.envs.kernel.observe import RAW_COLUMNS
from slicegym.envs.observation import CONSTANT_COLUMNS, FEATURES, N_FEATURES, Encoding, raw_columns
from slicegym.envs.vector_env import SliceVectorEnv
from slicegym.envs.workloads.base import Episode

from .builders import SCENARIOS, Recorder, actions, chains, every_id, graphs, pair, rich

ZERO, LOAD, WARM = 0, 2, 3


def squash(x: Any) -> Any:
    return x / (1 + x)


def seen(scenario: Scenario, tape: Tape, shares: Any, decisions: int) -> Observation:
    """The observation after some decisions of the same shares."""
    simulator = Simulator(scenario, graph=not tape.is_independent)
    simulator.load(0, tape)
    for _ in range(decisions):
        simulator.step(shares)
    batch = simulator.observe()
    return Observation(scenario, batch.decision[0], batch.raw[0])


def test_columns_in_physical_units() -> None:
    """One server at rate 1/s; calls of work 1.5 at 0, 0, 1, 1.75 and 3.5; decisions every 2 s."""
    agents = (Agent("a", 2.0, cold_start_s=1.0, keep_alive_s=5.0), Agent("b", 1.0, cold_start_s=4))
    scenario = Scenario(agents, gpus=2, interval_s=2.0, horizon_s=20.0)
    tape = Tape.from_calls([0] * 5, [1.5] * 5, [0, 0, 1, 1.75, 3.5], horizon_s=20.0)
    shares = [0.5, 0.0]

    start = seen(scenario, tape, shares, 0)
    assert (start.decision, start.time_s) == (0, 0.0)
    assert start.queue.tolist() == start.arrivals.tolist() == [2, 0]
    assert start.share.tolist() == start.completions.tolist() == [0, 0]
    assert start.status.tolist() == [ZERO, ZERO]
    assert start.ready_in_s.tolist() == [1, 4]
    assert start.keep_alive_left_s.tolist() == [0, 0]

    # Loaded at 1; calls run in [1, 2.5], [2.5, 4], [4, 5.5] …
    now = seen(scenario, tape, shares, 1)
    assert (now.decision, now.time_s) == (1, 2.0)
    assert now.queue.tolist() == [3, 0]
    assert now.in_service.tolist() == [1, 0]
    assert now.oldest_wait_s.tolist() == [2, 0]
    assert now.arrivals.tolist() == [2, 0]
    assert now.arrival_rate.tolist() == [1, 0]
    assert now.share.tolist() == [0.5, 0]
    assert now.status.tolist() == [WARM, ZERO]
    assert (now.warm.tolist(), now.loading.tolist()) == ([1, 0], [0, 0])
    assert now.ready_in_s.tolist() == [0, 4]
    assert now.keep_alive_left_s.tolist() == [5, 0]
    assert now.idle_s.tolist() == [0, 2]

    now = seen(scenario, tape, shares, 2)  # at 4, the instant of a completion
    assert now.completions.tolist() == [2, 0]
    assert (now.queue[0], now.in_service[0], now.oldest_wait_s[0]) == (3, 0, 3)

    now = seen(scenario, tape, shares, 7)  # the last call completed at 8.5
    assert now.idle_s.tolist() == [5.5, 14]
    assert now.upstream.tolist() == now.rejected.tolist() == now.pause_left_s.tolist() == [0, 0]


def test_arrival_rates_are_exponential_windows() -> None:
    scenario = pair(horizon_s=100.0)
    tape = Tape.from_calls([0] * 8, [1] * 8, [0.5] * 4 + [1.5, 7.5, 7.5, 7.5], horizon_s=100.0)
    counts = [0, 4, 1, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0]
    rates = {10.0: 0.0, 60.0: 0.0}
    for k, count in enumerate(counts):
        for window in rates:  # a plain mean until the window has filled
            gain = max(1 - np.exp(-1 / window), 1 / (k + 1))
            rates[window] += gain * (count - rates[window])
        now = seen(scenario, tape, [1, 0], k)
        assert now.rate_short.tolist() == pytest.approx([rates[10.0], 0])
        assert now.rate_long.tolist() == pytest.approx([rates[60.0], 0])


def test_keep_alive_and_pause() -> None:
    agents = (Agent("a", 2.0, keep_alive_s=5.0), Agent("b", 1.0))
    scenario = Scenario(agents, horizon_s=20.0, reconfigure_s=1.5)
    simulator = Simulator(scenario)
    simulator.load(0, Tape.from_calls([], [], [], horizon_s=20.0))
    left, pauses = [], []
    for shares in [(0.5, 0), (0.5, 0), (0.2, 0), (0, 0), (0, 0), (0, 0), (0.1, 0), (0, 0)]:
        simulator.step(shares)
        left.append(simulator.observe().keep_alive_left_s[0, 0])
        pauses.append(simulator.observe().pause_left_s[0, 0])
    assert left == [5, 5, 5, 4, 3, 2, 5, 4]
    assert pauses[:3] == [0, 0, 0.5]


def test_upstream_knows_delays_that_run_and_otherwise_only_probabilities() -> None:
    """Call 0 of a runs in [0, 1]; its successor at b follows 2.5 s later, the last much later."""
    scenario = pair(horizon_s=10.0)
    routing = [[0.0, 0.75], [0.0, 0.0]]
    tape = Tape.from_calls(
        [0, 1, 1],
        [10, 1, 1],
        [0, 2.5, 9],
        [0, 0, 0],
        [[], [0], [1]],
        horizon_s=10.0,
        routing=routing,
    )
    upstream = [seen(scenario, tape, [1, 0], k).upstream.tolist() for k in range(5)]
    assert upstream == [[0, 0.75], [0, 1], [0, 1], [0, 1], [0, 0]]


@pytest.mark.parametrize("make", [rich, graphs])
@pytest.mark.parametrize("k", [0, 3, 8, 15])
def test_nothing_of_the_future(make: Any, k: int) -> None:
    """Two tapes that could not be told apart by time t give the same observations up to t."""
    scenario = make()
    rng = np.random.default_rng(k)
    workload = scenario.workload
    tape = workload.tape(scenario, workload.sample(scenario, "train", rng))
    first = Recorder()
    run = simulate(scenario, tape, first)
    t = scenario.decision_times[k]

    def after(times: Any) -> Any:
        return np.isnan(times) | (times > t)

    # Work is not known before it is done, the rest not before a call's release.
    work = np.where(
        after(run.completed_at), tape.work + rng.exponential(3, tape.n_calls), tape.work
    )
    before = [[] for _ in range(tape.n_calls)]
    for call, pointer in enumerate(tape.graph.successor_ptr[:-1] if tape.graph else ()):
        for successor in tape.graph.successors[pointer : tape.graph.successor_ptr[call + 1]]:
            before[successor].append(call)
    parent_open = [not b or after(run.completed_at)[b].any() for b in before]
    unknown = after(run.released_at) & np.array(parent_open)
    drawn = rng.uniform(t, scenario.horizon_s, tape.n_calls) + 1e-9
    delays = rng.uniform(0, 3, tape.n_calls)
    given = np.where(tape.n_predecessors > 0, tape.delay, tape.release)
    release = np.where(unknown, np.where(tape.n_predecessors > 0, delays, drawn), given)
    agent = np.where(unknown, rng.integers(0, 3, tape.n_calls), tape.agent)
    roots = tape.n_predecessors == 0
    agent[roots & ~unknown] = tape.agent[roots & ~unknown]
    assert unknown.sum() > 5
    other = Tape.from_calls(
        agent,
        work,
        release,
        tape.task,
        before,
        horizon_s=scenario.horizon_s,
        routing=tape.routing,
    )
    second = Recorder()
    simulate(scenario, other, second)
    for one, two in zip(first.seen[: k + 1], second.seen[: k + 1], strict=True):
        np.testing.assert_array_equal(one.raw, two.raw, err_msg=f"decision {one.decision}")
    later = zip(first.seen[k + 1 :], second.seen[k + 1 :], strict=True)
    assert any(not np.array_equal(one.raw, two.raw) for one, two in later)


def test_the_flat_form_column_by_column() -> None:
    """As the table of `SliceEnv` has it, for a scenario whose constants all differ."""
    agents = (
        Agent("a", 4.0, 0.3, 2.0, 0, 0.4, 3.0, 6.0, 5),
        Agent("b", 3.0, 0.1, 0.5, 0, 0.7, 1.0, 2.0, 2),
    )
    scenario = Scenario(
        agents, gpus=2.0, interval_s=0.5, horizon_s=9, reconfigure_s=0.8, reference_latency_s=7
    )
    raw = np.random.default_rng(0).uniform(0.1, 0.5, (3, 2, len(RAW_COLUMNS)))
    before = raw.copy()
    flat = Encoding.of(scenario).flat(Observation(scenario, np.zeros(3, np.int64), raw))
    assert (flat.shape, flat.dtype) == ((3, 2 * N_FEATURES), np.float32)
    assert np.array_equal(raw, before)

    n, column = {"a": 0, "b": 1}, dict(zip(RAW_COLUMNS, np.moveaxis(raw, -1, 0), strict=True))
    t = np.array([4.0, 3.0])
    x = {
        "queue": squash(column["queue"] / (t * 2.0 * 0.5)),
        "oldest_wait_s": squash(column["oldest_wait_s"] / 7),
        "arrivals": squash(column["arrivals"] / (t * 2.0 * 0.5)),
        "rate_short": squash(column["rate_short"] / (t * 2.0)),
        "rate_long": squash(column["rate_long"] / (t * 2.0)),
        "completions": squash(column["completions"] / (t * 2.0 * 0.5)),
        "rejected": squash(column["rejected"] / (t * 2.0 * 0.5)),
        "ready_in_s": squash(column["ready_in_s"] / 7),
        "idle_s": squash(column["idle_s"] / 7),
        "upstream": squash(column["upstream"] / (t * 2.0 * 0.5)),
        "in_service": column["in_service"] / [5, 2],
        "share": column["share"] / 2.0,
        "awaiting_memory": column["awaiting_memory"],
        "loading": column["loading"],
        "warm": column["warm"],
        "keep_alive_left_s": column["keep_alive_left_s"] / [6.0, 2.0],
        "pause_left_s": column["pause_left_s"] / 0.8,
        "weight": np.array([0.25, 1.0]),
        "min_share": squash(np.array([0.15, 0.05])),
        "footprint": squash(np.array([0.2, 0.35])),
        "service_time": squash(np.array([5 / 8, 2 / 6]) / 7),
        "cold_start": squash(np.array([3, 1]) / 7),
        "keep_alive": squash(np.array([6, 2]) / 7),
    }
    assert tuple(x) == FEATURES == (*RAW_COLUMNS, *CONSTANT_COLUMNS)
    features = flat.reshape(3, len(n), N_FEATURES)
    for place, name in enumerate(FEATURES):
        assert features[..., place] == pytest.approx(np.broadcast_to(x[name], (3, 2))), name
        assert f"| {place} | {name} |" in (SliceEnv.__doc__ or ""), name


def may_move(scenario: Scenario, name: str) -> Any:
    """Which agents' column can change: these need something of the scenario, the others nothing."""
    assert scenario.workload is not None
    rules = {
        "rejected": scenario.queue_limit >= 0,
        "upstream": scenario.workload.has_graphs,
        "awaiting_memory": scenario.memory_mb.sum() > least_memory(scenario),
        "health": [
            any(isinstance(f, StuckAgent) and f.agent == name for f in scenario.faults)
            for name in scenario.agent_names
        ],
        "loading": scenario.cold_start_s > scenario.interval_s,
        "ready_in_s": scenario.cold_start_s > 0,
        "keep_alive_left_s": scenario.keep_alive_s > 0,
        "pause_left_s": scenario.reconfigure_s > scenario.interval_s,
    }
    return np.broadcast_to(rules.get(name, True), scenario.n_agents)


def least_memory(scenario: Scenario) -> float:
    """What all models may have to fit into at once: the least pool, or the smallest node."""
    limits = [scenario.pool_memory_mb, *(node.memory_mb for node in scenario.nodes)]
    least = min((m for m in limits if m is not None), default=np.inf)
    if scenario.elastic is None:
        return least
    return least * scenario.elastic.min_gpus / scenario.gpus


def rush(scenario: Scenario, seed: int) -> Tape:
    """Twice what the pool can carry, for every agent, in the first fifth of the episode.

    What goes wrong is what the scenario draws.
    """
    rng, n = np.random.default_rng(seed), scenario.n_agents
    span = scenario.horizon_s / 5
    counts = np.ceil(2 * scenario.throughput * scenario.gpus / n * span).astype(int) + 5
    total, agent = counts.sum(), np.repeat(np.arange(n), counts)
    work, release = rng.exponential(1, total), rng.uniform(0, span, total)
    tape = Tape.from_calls(agent, work, release, horizon_s=scenario.horizon_s)
    if not scenario.faults:
        return tape
    return replace(tape, changes=scenario.tape(Episode("train", seed)).changes)


@pytest.mark.parametrize("name", [*every_id(), "rich", "graphs"])
def test_flat_observations(name: str) -> None:
    """Inside the space, equal to the encoded Observation to the last bit, and never constant."""
    made = {"rich": lambda: rich(reconfigure_s=1.2), "graphs": graphs}
    scenario = made[name]() if name in made else load_scenario(SCENARIOS.get(name, "paper"))
    n = scenario.n_agents
    envs, encoding = SliceVectorEnv(n + 4, scenario), Encoding.of(scenario)
    # Some recordings hold hardly a call for an agent: most environments play a rush instead.
    tapes = [rush(scenario, seed) for seed in range(n + 2)] + [None, None]
    flat, _ = envs.reset(seed=0, options={"tapes": tapes})
    rounds = max(300, scenario.n_intervals) // 5
    drawn = np.repeat(actions(envs.action_space, rounds), 5, axis=0)
    drawn[:, range(n)] = np.eye(n, scenario.n_requests)  # environment i gives all to agent i
    low = high = flat
    for action in drawn:
        observation = envs.observation()
        assert np.array_equal(encoding.flat(observation), flat)
        assert flat in envs.observation_space
        low, high = np.minimum(low, flat), np.maximum(high, flat)
        flat, *_ = envs.step(action)
    features = (*raw_columns(scenario), *CONSTANT_COLUMNS)
    lowest = low.min(axis=0).reshape(n, len(features))
    highest = high.max(axis=0).reshape(n, len(features))
    for place, feature in enumerate(features):
        moved = lowest[:, place] < highest[:, place]
        if feature in CONSTANT_COLUMNS:
            assert not moved.any(), feature
        elif feature in ("upstream", "awaiting_memory"):  # some agents are first, or always fit
            assert moved.any() == may_move(scenario, feature).any(), feature
        else:
            assert np.array_equal(moved, may_move(scenario, feature)), (feature, moved)


def test_a_batch_is_its_environments_side_by_side() -> None:
    scenario = graphs()
    batch, rng = Simulator(scenario, 3, graph=True), np.random.default_rng(0)
    tapes = [chains(scenario, rng) for _ in range(3)]
    for b, tape in enumerate(tapes):
        batch.load(b, tape)
    for _ in range(6):
        batch.step(np.full((3, 3), 0.6))
    together = batch.observe()
    assert together.queue.shape == together.status.shape == (3, 3)
    assert together.decision.tolist() == [6, 6, 6]
    assert together.time_s.tolist() == [6.0, 6.0, 6.0]
    for b, tape in enumerate(tapes):
        alone = seen(scenario, tape, np.full(3, 0.6), 6)
        assert np.array_equal(alone.raw, together.raw[b])
        assert np.array_equal(alone.status, together.status[b])
    before = together.raw.copy()
    together.raw[:] = -1
    assert np.array_equal(batch.observe().raw, before)
