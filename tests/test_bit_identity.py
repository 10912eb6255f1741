"""The same tape and the same shares give the same results to the last bit, wherever they run.

Held side by side: `simulate` under a schedule and under an allocator, the path for independent
calls and the general one, batches of any size, `SliceEnv`, `SliceVectorEnv`, repeated runs, and
processes with other hash seeds and thread counts.

The file stands alone, because it is also run as a script in those other processes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from slicegym.envs import (
    Agent,
    Observation,
    Run,
    Scenario,
    Simulator,
    Tape,
    load_scenario,
    simulate,
)
from slicegym.envs.env import SliceEnv
from slicegym.envs.vector_env import SliceVectorEnv
from slicegym.envs.workloads.base import Episode, Workload

SCENARIO = Scenario(
    agents=(
        Agent("plan", throughput=9.0, cold_start_s=1.3, keep_alive_s=2.0, priority=2.0),
        Agent("act", throughput=7.0, cold_start_s=0.4, keep_alive_s=0.0, concurrency=3),
        Agent("join", throughput=11.0, keep_alive_s=1.0, queue_limit=6, memory_mb=2.0),
        Agent("spare", throughput=5.0, memory_mb=3.0, concurrency=2),
    ),
    gpus=2.0,
    interval_s=0.7,
    horizon_s=30.0,
    reconfigure_s=0.1,
    pool_memory_mb=4.0,
)


def independent_tape(seed: int) -> Tape:
    """Poisson calls to all agents, every tenth on a decision."""
    rng = np.random.default_rng(seed)
    n = 400
    release = rng.uniform(0.0, SCENARIO.horizon_s, n)
    release[::10] = rng.choice(SCENARIO.decision_times, len(release[::10]))
    agent, work = rng.integers(SCENARIO.n_agents, size=n), rng.exponential(1.0, n) + 1e-3
    return Tape.from_calls(agent, work, release, horizon_s=SCENARIO.horizon_s)


def graph_tape(seed: int) -> Tape:
    """Tasks that fan out and join, with think times."""
    rng = np.random.default_rng(seed)
    agent: list[int] = []
    release: list[float] = []
    task: list[int] = []
    predecessors: list[list[int]] = []
    for t in range(120):
        first = len(agent)
        agent += [0, 1, 1, int(rng.integers(1, 4)), 2]
        release += [rng.uniform(0.0, SCENARIO.horizon_s), 0.0, rng.exponential(0.5), 0.0, 0.0]
        task += [t] * 5
        leaves = [first + 1, first + 2, first + 3]
        predecessors += [[], [first], [first], [first], leaves]
    work = rng.exponential(1.0, len(agent)) + 1e-3
    return Tape.from_calls(agent, work, release, task, predecessors, horizon_s=SCENARIO.horizon_s)


def schedule(seed: int, scenario: Scenario = SCENARIO) -> np.ndarray:
    """Fractions of the pool, (K, N) float32 as an action is: zeros among them, and too much."""
    rng = np.random.default_rng(seed)
    shape = (scenario.n_intervals, scenario.n_agents)
    fractions = rng.uniform(0.0, 0.7, shape) * (rng.random(shape) < 0.8)
    return fractions.astype(np.float32)


def in_gpus(fractions: np.ndarray, scenario: Scenario = SCENARIO) -> np.ndarray:
    """Requested shares of an action [GPU]."""
    return fractions.astype(np.float64) * scenario.gpus


@dataclass
class Playback:
    """An allocator that follows a schedule and keeps what it was shown."""

    shares: np.ndarray

    def reset(self, scenario: Scenario) -> None:
        self.seen: list[np.ndarray] = []

    def allocate(self, observation: Observation) -> np.ndarray:
        self.seen.append(observation.raw.copy())
        row: np.ndarray = self.shares[len(self.seen) - 1]
        return row


TAPES = {"independent": independent_tape, "graph": graph_tape}
both_kinds = pytest.mark.parametrize("make", TAPES.values(), ids=TAPES)


def bits(run: Run) -> dict[str, bytes]:
    """Everything that a run shows, as bytes: nan equals nan, and 0.0 is not -0.0."""
    arrays = {
        "released": run.released_at,
        "started": run.started_at,
        "completed": run.completed_at,
        "rejected": run.rejected,
        "rewards": run.rewards,
        "latency": run.latency_term,
        "cost": run.cost_term,
        "idle": run.idle_term,
        "records": run.records,
        "cold starts": run.cold_starts,
    }
    return {name: np.ascontiguousarray(values).tobytes() for name, values in arrays.items()}


def digest() -> str:
    """SHA-256 over runs of both kinds; what another process must reproduce."""
    total = hashlib.sha256()
    for make in TAPES.values():
        run = simulate(SCENARIO, make(3), in_gpus(schedule(4)))
        for value in bits(run).values():
            total.update(value)
    return total.hexdigest()


# ---- simulate ----------------------------------------------------------------------------------


def test_instances_are_rich_enough_to_differ() -> None:
    for make in TAPES.values():
        run = simulate(SCENARIO, make(3), in_gpus(schedule(4)))
        assert run.rejected.any()
        assert run.cold_starts.sum() > 5
        assert 30 < np.count_nonzero(~np.isnan(run.completed_at)) < make(3).n_calls
        assert bits(run) != bits(simulate(SCENARIO, make(4), in_gpus(schedule(4))))


@both_kinds
def test_repeated_runs_are_identical(make: Any) -> None:
    runs = [bits(simulate(SCENARIO, make(3), in_gpus(schedule(4)))) for _ in range(3)]
    assert runs[0] == runs[1] == runs[2]


@both_kinds
def test_schedule_and_allocator_are_identical(make: Any) -> None:
    shares = in_gpus(schedule(4))
    scheduled, allocated = (simulate(SCENARIO, make(3), s) for s in (shares, Playback(shares)))
    assert bits(scheduled) == bits(allocated)


def test_independent_path_is_identical_to_the_general_one() -> None:
    for seed in range(20):
        tape, shares = independent_tape(seed), in_gpus(schedule(seed))
        own = simulate(SCENARIO, tape, shares)
        general = simulate(SCENARIO, tape, shares, force_graph=True)
        assert bits(own) == bits(general)


def test_independent_path_shows_the_same_observations_as_the_general_one() -> None:
    tape, shares = independent_tape(3), in_gpus(schedule(4))
    own, general = Playback(shares), Playback(shares)
    simulate(SCENARIO, tape, own)
    simulate(SCENARIO, tape, general, force_graph=True)
    assert np.stack(own.seen).tobytes() == np.stack(general.seen).tobytes()


def test_independent_path_is_identical_on_the_paper_s_load() -> None:
    scenario = load_scenario("paper")
    assert scenario.workload is not None
    tape = scenario.workload.tape(scenario, scenario.workload.suite(scenario, "heldout")[0])
    shares = np.full((scenario.n_intervals, scenario.n_agents), 0.25)
    own, general = (simulate(scenario, tape, shares, force_graph=f) for f in (False, True))
    assert bits(own) == bits(general)


# ---- batches -----------------------------------------------------------------------------------


def play_batch(simulator: Simulator, tapes: list[Tape], shares: np.ndarray) -> np.ndarray:
    """Plays tapes under schedules (K, B, N); rewards (K, B)."""
    for b, tape in enumerate(tapes):
        simulator.load(b, tape)
    rewards = []
    for row in shares:
        simulator.step(row)
        rewards.append(simulator.rewards.copy())
    return np.stack(rewards)


@both_kinds
@pytest.mark.parametrize("batch", [1, 2, 7, 64])
def test_batch_is_identical_to_one_run_each(make: Any, batch: int) -> None:
    tapes = [make(seed) for seed in range(batch)]
    shares = np.stack([in_gpus(schedule(100 + b)) for b in range(batch)], axis=1)
    simulator = Simulator(SCENARIO, batch, graph=make is graph_tape)
    rewards = play_batch(simulator, tapes, shares)
    for b in range(batch):
        alone = simulate(SCENARIO, tapes[b], shares[:, b])
        assert rewards[:, b].tobytes() == alone.rewards.tobytes()
        for ours, theirs in zip(
            simulator.call_times(b),
            (alone.released_at, alone.started_at, alone.completed_at, alone.rejected),
            strict=True,
        ):
            assert ours.tobytes() == theirs.tobytes()


@both_kinds
def test_environment_that_was_used_before_is_identical_to_a_new_one(make: Any) -> None:
    # Other tapes first, longer and shorter, stopped half-way or played out.
    shares = np.stack([in_gpus(schedule(100 + b)) for b in range(3)], axis=1)
    simulator = Simulator(SCENARIO, 3, graph=make is graph_tape)
    play_batch(simulator, [make(7), make(8), make(9)], shares[:11])
    play_batch(simulator, [make(9), make(7), make(8)], shares)
    again = play_batch(simulator, [make(0), make(1), make(2)], shares)
    new = Simulator(SCENARIO, 3, graph=make is graph_tape)
    assert again.tobytes() == play_batch(new, [make(0), make(1), make(2)], shares).tobytes()


def test_reloading_one_environment_leaves_the_others_alone() -> None:
    shares = np.stack([in_gpus(schedule(100 + b)) for b in range(2)], axis=1)
    simulator = Simulator(SCENARIO, 2, graph=True)
    play_batch(simulator, [graph_tape(0), graph_tape(1)], shares[:20])
    simulator.load(0, graph_tape(5))
    rewards = []
    for row in shares[20:]:
        simulator.step(row)
        rewards.append(simulator.rewards[1])
    alone = simulate(SCENARIO, graph_tape(1), shares[:, 1])
    assert np.array(rewards).tobytes() == alone.rewards[20:].tobytes()


# ---- environments ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Independent(Workload):
    """Tapes of independent calls, by the episode's seed."""

    def tape(self, scenario: Scenario, episode: Episode) -> Tape:
        return independent_tape(episode.seed)

    def check(self, scenario: Scenario) -> None:
        pass


@dataclass(frozen=True)
class Graphs(Independent):
    """Tapes of call graphs, by the episode's seed."""

    has_graphs = True

    def tape(self, scenario: Scenario, episode: Episode) -> Tape:
        return graph_tape(episode.seed)


WORKLOADS = {"independent": Independent(), "graph": Graphs()}
both_workloads = pytest.mark.parametrize("kind", list(WORKLOADS))


def scenario_with(kind: str) -> Scenario:
    return replace(SCENARIO, workload=WORKLOADS[kind])


@both_workloads
def test_environment_is_identical_to_simulate(kind: str) -> None:
    scenario, tape, actions = scenario_with(kind), TAPES[kind](3), schedule(4)
    playback = Playback(in_gpus(actions))
    run = simulate(scenario, tape, playback)
    env = SliceEnv(scenario)
    env.reset(options={"tape": tape})
    rewards, seen = [], [env.observation().raw]
    for action in actions:
        _, reward, _, truncated, info = env.step(action)
        rewards.append([reward, info["latency_term"], info["cost_term"], info["idle_term"]])
        seen.append(env.observation().raw)
    assert truncated
    terms = np.stack([run.rewards, run.latency_term, run.cost_term, run.idle_term], axis=1)
    assert np.array(rewards).tobytes() == terms.tobytes()
    assert np.stack(seen[:-1]).tobytes() == np.stack(playback.seen).tobytes()


@both_workloads
def test_vector_environment_is_identical_to_simulate(kind: str) -> None:
    scenario, tapes = scenario_with(kind), [TAPES[kind](seed) for seed in range(5)]
    actions = np.stack([schedule(100 + b) for b in range(5)], axis=1)
    envs = SliceVectorEnv(5, scenario)
    envs.reset(options={"tapes": tapes})
    rewards = np.stack([envs.step(row)[1] for row in actions])
    for b, tape in enumerate(tapes):
        run = simulate(scenario, tape, in_gpus(actions[:, b]))
        assert rewards[:, b].tobytes() == run.rewards.tobytes()


@both_workloads
def test_vector_environment_is_identical_to_single_ones_through_resets(kind: str) -> None:
    scenario, n = scenario_with(kind), 3
    actions = np.stack([schedule(100 + b) for b in range(n)], axis=1)
    actions = np.concatenate([actions, actions[::-1], actions])
    envs = SliceVectorEnv(n, scenario)
    first, _ = envs.reset(seed=11)
    steps = [envs.step(row) for row in actions]
    for b in range(n):
        env = SliceEnv(scenario)
        flat, _ = env.reset(seed=11 + b)
        assert flat.tobytes() == first[b].tobytes()
        for k, action in enumerate(actions[:, b]):
            flat, reward, terminated, truncated, _ = env.step(action)
            flats, rewards, terminations, truncations, infos = steps[k]
            assert reward == rewards[b]
            assert (terminated, truncated) == (terminations[b], truncations[b])
            if truncated:
                assert flat.tobytes() == infos["final_obs"][b].tobytes()
                flat, _ = env.reset()
            assert flat.tobytes() == flats[b].tobytes()


# ---- processes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
def test_other_process_is_identical(threads: int) -> None:
    environment = {
        **os.environ,
        "PYTHONHASHSEED": str(100 + threads),
        "NUMBA_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
    }
    done = subprocess.run(
        [sys.executable, __file__], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == digest()


if __name__ == "__main__":
    print(digest())
