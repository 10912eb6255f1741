"""Flash crowds: how many copies come, when, and that copied graphs are whole."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from slicegym.envs import ConfigError, Tape, simulate
from slicegym.envs.faults import build_faults, flash_crowd, with_faults
from slicegym.envs.spec import Agent, Scenario
from slicegym.envs.workloads import Episode

from .builders import Recorder, chains, rich

SIGMAS = 4.0
HORIZON = 20.0


def world(*crowds: dict[str, Any], **changes: Any) -> Scenario:
    """Two agents without limit, so that every call runs at once, in a microsecond."""
    faults = build_faults([{"kind": "flash-crowd", **crowd} for crowd in crowds])
    agents = tuple(Agent(name, 1e6, concurrency=1000) for name in "ab")
    values = {"agents": agents, "gpus": 2000.0, "horizon_s": HORIZON, **changes}
    return Scenario(**values, faults=faults)


def calls(n: int = 1000, seed: int = 0) -> Tape:
    """Single calls in any order; no two have the same work."""
    rng = np.random.default_rng(seed)
    release = rng.uniform(0, HORIZON, n)
    return Tape.from_calls(rng.integers(0, 2, n), rng.random(n), release, horizon_s=HORIZON)


def crowded(scenario: Scenario, tape: Tape, seed: int = 0) -> Tape:
    """The tape with its copies, which stand after all of its own calls."""
    tape = with_faults(scenario, Episode("train", seed), tape)
    assert len(tape.changes) == 0
    return tape


def test_every_task_that_opens_in_the_crowd_comes_three_times() -> None:
    tape = calls()
    more = crowded(world({"factor": 3, "at_s": 4.5, "duration_s": 5.5}), tape)
    n = tape.n_calls
    for name in ("agent", "work", "release"):
        assert np.array_equal(getattr(more, name)[:n], getattr(tape, name))
        assert getattr(more, name).dtype == getattr(tape, name).dtype
    hit = np.flatnonzero((tape.release >= 5) & (tape.release < 10))
    assert more.work[n:].tolist() == np.repeat(tape.work[hit], 2).tolist()
    assert more.agent[n:].tolist() == np.repeat(tape.agent[hit], 2).tolist()
    assert np.all((more.release[n:] >= 5) & (more.release[n:] < 10))
    assert more.is_independent
    assert np.all(simulate(world(), more, np.ones((20, 2))).completed_at < HORIZON)


def test_what_opens_at_the_start_is_in_the_crowd_and_what_opens_at_the_end_is_not() -> None:
    tape = Tape.from_calls([0] * 4, [1, 2, 3, 4], [4.999, 5, 9.999, 10], horizon_s=HORIZON)
    more = crowded(world({"factor": 2, "at_s": 5, "duration_s": 5}), tape)
    assert more.work.tolist() == [1, 2, 3, 4, 2, 3]


def test_copies_open_uniformly() -> None:
    more = crowded(world({"factor": 101, "at_s": 4, "duration_s": 8}), calls(100))
    opens_at = more.release[100:]
    assert opens_at.size > 1000
    assert stats.kstest(opens_at, stats.uniform(4, 8).cdf).pvalue > 1e-4


def test_a_crowd_that_outlasts_the_episode_ends_with_it() -> None:
    tape = calls()
    for crowd in ({"at_s": 18, "duration_s": 1e9}, {"at_s": 18, "duration_s": 1.5}):
        more = crowded(world({"factor": 4, **crowd}, horizon_s=19.5), tape)
        hit = (tape.release >= 18) & (tape.release < 19.5)
        opens_at = more.release[tape.n_calls :]
        assert opens_at.size == 3 * hit.sum() > 100
        assert np.all((opens_at >= 18) & (opens_at < 19.5))


def test_a_fraction_is_a_probability() -> None:
    tape = calls(5000)
    copies = crowded(world({"factor": 2.3, "at_s": 0, "duration_s": 99}), tape).work[5000:]
    times = np.array([np.sum(copies == work) for work in tape.work])
    assert set(times) == {1, 2}
    error = math.sqrt(0.3 * 0.7 / 5000)
    assert np.mean(times - 1) == pytest.approx(0.3, abs=SIGMAS * error)


def test_only_tasks_that_open_at_the_agent() -> None:
    tape = calls()
    more = crowded(world({"factor": 2, "at_s": 5, "duration_s": 5, "agent": "b"}), tape)
    hit = (tape.release >= 5) & (tape.release < 10) & (tape.agent == 1)
    assert more.work[tape.n_calls :].tolist() == tape.work[hit].tolist()


def test_crowds_at_the_same_time_multiply() -> None:
    tape, during = calls(), {"at_s": 5, "duration_s": 5}
    more = crowded(world({"factor": 2, **during}, {"factor": 3, **during}), tape)
    hit = (tape.release >= 5) & (tape.release < 10)
    assert more.n_calls == tape.n_calls + 5 * hit.sum()


def test_another_crowd_leaves_the_copies_of_the_tapes_own_tasks_as_they_were() -> None:
    tape, crowd = calls(), {"factor": 1.5, "every_s": 3, "duration_s": 5}
    loss = build_faults([{"kind": "gpu-loss", "gpus": 1, "every_s": 2, "duration_s": 2}])
    alone = crowded(world(crowd), tape)
    assert alone.n_calls > tape.n_calls
    with_loss = Scenario(world().agents, horizon_s=HORIZON, faults=loss + world(crowd).faults)
    among = with_faults(with_loss, Episode("train", 0), tape)
    assert len(among.changes)
    assert np.array_equal(among.release, alone.release)
    twice = crowded(world(crowd, crowd), tape)
    assert np.array_equal(twice.release[: alone.n_calls], alone.release)


def test_the_copy_of_a_graph_by_hand() -> None:
    # Task 0: calls 0 and 3 are released, 2 follows 0, and 4 waits for both. Task 1: 5 follows 1.
    agent, work = [0, 1, 1, 0, 1, 0], [1, 2, 3, 4, 5, 6]
    release, task = [5.0, 4.0, 0.5, 6.5, 0.25, 1.0], [0, 1, 0, 0, 0, 1]
    before = [[], [], [0], [], [2, 3], [1]]
    tape = Tape.from_calls(agent, work, release, task, before, horizon_s=HORIZON)
    scenario = world({"factor": 2, "at_s": 5, "duration_s": 3})
    more = crowded(scenario, tape)
    opens_at = float(more.release[6])
    assert 5 <= opens_at < 8
    assert opens_at != 5
    expected = Tape.from_calls(
        [*agent, 0, 1, 0, 1],
        [*work, 1, 3, 4, 5],
        [*release, opens_at, 0.5, opens_at + 1.5, 0.25],
        [*task, 2, 2, 2, 2],
        [*before, [], [6], [], [7, 8]],
        horizon_s=HORIZON,
    )
    assert more.digest == expected.digest
    done = simulate(scenario, more, np.full((20, 2), 1000.0)).completed_at
    assert done[9] == pytest.approx(opens_at + 1.5 + 0.25, abs=0.02)
    assert done[4] == pytest.approx(6.5 + 0.25, abs=0.02)


def predecessors(tape: Tape) -> list[list[int]]:
    assert tape.graph is not None
    before: list[list[int]] = [[] for _ in range(tape.n_calls)]
    pointer, successors = tape.graph.successor_ptr.tolist(), tape.graph.successors.tolist()
    for call in range(tape.n_calls):
        for after in successors[pointer[call] : pointer[call + 1]]:
            before[after].append(call)
    return before


@pytest.mark.parametrize("seed", range(5))
def test_copied_graphs_are_whole(seed: int) -> None:
    scenario = rich(faults=world({"factor": 2.5, "every_s": 2, "duration_s": 4}).faults)
    tape = chains(scenario, np.random.default_rng(seed))
    more = crowded(scenario, tape, seed)
    assert more.n_tasks > tape.n_tasks
    times = np.where(more.n_predecessors > 0, more.delay, more.release)
    checked = Tape.from_calls(
        more.agent,
        more.work,
        times,
        more.task,
        predecessors(more),
        horizon_s=scenario.horizon_s,
    )
    assert checked.digest == more.digest
    assert more.routing is tape.routing
    sizes = np.bincount(more.task)
    works = {tuple(more.work[more.task == task]) for task in range(tape.n_tasks)}
    for task in range(tape.n_tasks, more.n_tasks):
        assert tuple(more.work[more.task == task]) in works
        assert sizes[task] <= 3
    run = simulate(scenario, more, Recorder(seed))
    opened = np.flatnonzero(more.opened_at <= scenario.decision_times[-1])
    assert np.all(np.isfinite(run.released_at[more.first_call[opened]]))


def test_too_many_calls_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash_crowd, "MAX_CALLS", 1999)
    scenario = world({"factor": 2, "at_s": 0, "duration_s": 99})
    assert crowded(scenario, calls(999)).n_calls == 1998
    with pytest.raises(ConfigError, match=r"factor of a flash-crowd must leave at most 1999 calls"):
        crowded(scenario, calls(1000))
