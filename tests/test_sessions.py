"""Recorded sessions: what is recovered from their times, and the tapes that they become."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicegym.envs.errors import ConfigError, TraceError
from slicegym.envs.loading import load_scenario
from slicegym.envs.run import simulate
from slicegym.envs.spec import Agent, Scenario
from slicegym.envs.tape import Tape
from slicegym.envs.traces.agent_sessions import AgentSessions
from slicegym.envs.traces.sessions import Session, Sessions, session_hash
from slicegym.envs.traces.trace import load_content
from slicegym.envs.workloads import SPLITS, Episode, build_workload
from slicegym.envs.workloads.sessions import SessionReplay

from .miniatures import agent_sessions, coding_sessions, write_trace

HASH_SPLITS = {"train": [0.0, 0.6], "validation": [0.6, 0.8], "heldout": [0.8, 1.0]}

# Two sub-agents side by side while main call 1 waits for them, a third beside main calls 2 and 3.
BY_HAND = [
    ("s", "main", 0, "claude-opus-4", 1000, 100, 4, "tool_use"),
    ("s", "main", 30, "claude-opus-4", 1500, 100, 5, "tool_use"),
    ("s", "main", 50, "claude-opus-4", 1600, 100, 5, "end_turn"),
    ("s", "main", 60, "claude-opus-4", 200, 100, 5, "end_turn"),
    ("s", "main", 90, "claude-opus-4", 300, 100, 5, "end_turn"),
    ("s", "main", 700, "claude-opus-4", 300, 100, 5, ""),
    ("s", "sub0:Explore", 6, "claude-haiku-4", 100, 50, 2, "tool_use"),
    ("s", "sub0:Explore", 10, "claude-haiku-4", 150, 50, 3, "end_turn"),
    ("s", "sub1:Plan", 6.5, "claude-opus-4", 100, 50, 23, "end_turn"),
    ("s", "sub2:Explore", 41, "claude-haiku-4", 100, 50, 28, "end_turn"),
]


def read(rows: Any) -> Sessions:
    data = rows if isinstance(rows, bytes) else agent_sessions(rows)
    return AgentSessions().read(data, "x.csv")


def test_the_structure_of_a_session_by_hand() -> None:
    (session,) = read(BY_HAND).sessions
    # Turns, then times: main 0, sub0, sub1, sub0, main 1, sub2, main 2, 3, 4 and main 5.
    assert session.recorded_s.tolist() == [0, 6, 6.5, 10, 30, 41, 50, 60, 90, 700]
    assert session.is_sub.nonzero()[0].tolist() == [1, 2, 3, 5]
    assert session.edges.tolist() == [
        *([0, 1], [0, 2], [0, 4], [1, 3]),
        *([2, 4], [3, 4]),  # main call 1 waits for both
        *([4, 5], [4, 6], [5, 8]),  # sub2 is done at 69 s: main calls 2 and 3 did not wait
        *([6, 7], [7, 8], [8, 9]),
    ]
    # The person's word at 50 and 60 s leaves sub2 at work for call 4: one turn, up to there.
    assert session.turn.tolist() == [0] * 9 + [1]
    expected = [0, 2, 2.5, 2, 0.5, 6, 15, 5, 21, 605]
    assert session.delay_s == pytest.approx(expected)
    assert session.starts_s() == pytest.approx(session.recorded_s)
    assert session.starts_s(10.0)[[6, 8, 9]] == pytest.approx([45, 41 + 28 + 10, 79 + 5 + 10])


def test_work_counts_what_the_prefix_cache_does_not_hold() -> None:
    (session,) = read(BY_HAND).sessions
    main = session.gpu_s[~session.is_sub]
    new = np.array([1000, 500, 100, 200, 100, 1])  # shorter than before: compacted, so all of it
    assert main == pytest.approx(new / 4000 + 0.1)
    assert session.unit.tolist() == [
        "opus",
        "haiku",
        "opus",
        "haiku",
        "opus",
        "haiku",
        *["opus"] * 4,
    ]


def test_a_blank_service_time_is_imputed_from_tokens() -> None:
    rows = [("s", "main", 0, "claude-sonnet", 75_000, 140, "", ""), (*BY_HAND[1][:6], 5, "")]
    (session,) = read(rows).sessions
    assert session.imputed.tolist() == [True, False]
    assert session.service_s[0] == pytest.approx(1.92 + 1 + 2)
    assert session.delay_s[1] == pytest.approx(30 - 4.92)


def test_overlaps_by_rounding_do_not_add_up() -> None:
    rows = [("s", "main", t, "claude-opus", 10, 10, 1.4, "") for t in (0, 1, 3, 4, 6)]
    (session,) = read(rows).sessions
    assert session.delay_s == pytest.approx([0, 0, 0.2, 0, 0.2])
    assert session.starts_s()[-1] == 6


def test_a_long_pause_ends_a_turn() -> None:
    rows = [("s", "main", t, "claude-opus", 10, 10, 1, "tool_use") for t in (0, 601, 1203)]
    assert read(rows).sessions[0].turn.tolist() == [0, 0, 1]


def test_a_sub_agent_after_a_long_pause_starts_a_turn() -> None:
    main = [("s", "main", t, "claude-opus", 10, 10, 1, "tool_use") for t in (0, 700)]
    subs = [(f"sub{i}:A", t) for i, t in enumerate((650, 2000))]
    rows = main + [("s", name, t, "claude-opus", 10, 10, 9, "") for name, t in subs]
    (session,) = read(rows).sessions
    assert session.recorded_s.tolist() == [0, 650, 700, 2000]
    assert session.edges.tolist() == [[0, 1], [0, 2], [1, 2], [2, 3]]
    assert session.turn.tolist() == [0, 1, 1, 2]  # the recording ends before anybody joins the last


def replay(tmp_path: Path, data: bytes | None = None, **changes: Any) -> Scenario:
    data = coding_sessions() if data is None else data
    trace = write_trace(
        tmp_path, "mini", data, format={"kind": "agent_sessions"}, splits=HASH_SPLITS
    )
    content = {"kind": "sessions", "trace": str(trace), "rate": 0.2, **changes}
    agents = tuple(Agent(name, 1e6, concurrency=500) for name in ("opus", "haiku-sub"))
    workload = build_workload(content)
    return Scenario(agents, gpus=1000.0, horizon_s=300.0, workload=workload)


def tape_of(scenario: Scenario, seed: int = 0) -> Tape:
    assert scenario.workload is not None
    return scenario.workload.tape(scenario, Episode("train", seed))


@pytest.mark.parametrize("tasks", ["turn", "session"])
@pytest.mark.parametrize("in_progress", [True, False])
def test_the_fast_builder_agrees_with_the_checked_one(
    tmp_path: Path, tasks: str, in_progress: bool
) -> None:
    tape = tape_of(replay(tmp_path, tasks=tasks, in_progress=in_progress))
    assert tape.graph is not None
    assert tape.n_calls > 100
    predecessors: list[list[int]] = [[] for _ in range(tape.n_calls)]
    for call in range(tape.n_calls):
        for after in tape.graph.successors[slice(*tape.graph.successor_ptr[call : call + 2])]:
            predecessors[int(after)].append(call)
    released = np.where(np.isnan(tape.release), tape.graph.delay, tape.release)
    checked = Tape.from_calls(
        tape.agent, tape.work, released, tape.graph.task, predecessors, horizon_s=tape.horizon_s
    )
    assert checked.digest == tape.digest
    assert np.max(tape.n_predecessors) == 2


def test_tapes_hold_their_splits_sessions_alone(tmp_path: Path) -> None:
    scenario = replay(tmp_path)
    assert isinstance(scenario.workload, SessionReplay)
    sizes = [scenario.workload.library(scenario, split).n_sessions for split in SPLITS]
    hashes = [session_hash(f"s{i}") for i in range(40)]
    assert sizes == np.histogram(hashes, (0, 0.6, 0.8, 1))[0].tolist()
    assert len(set(hashes)) == 40


def test_sessions_in_progress_make_every_moment_alike(tmp_path: Path) -> None:
    scenario = replay(tmp_path)
    assert isinstance(scenario.workload, SessionReplay)
    tapes = [tape_of(scenario, seed) for seed in range(300)]
    counts = np.array([np.bincount(tape.agent, minlength=2) for tape in tapes])
    error = counts.std(axis=0) / np.sqrt(len(tapes))
    expected = 300.0 * scenario.workload.mean_rates(scenario)
    assert np.all(np.abs(counts.mean(axis=0) - expected) < 4 * error)
    opened = np.concatenate([tape.opened_at for tape in tapes])
    first = np.sum((opened > 0) & (opened < 100)) / 300
    last = np.sum(opened > 200) / 300
    assert first > last  # those in progress open again, in the middle of their turns
    alone = [tape_of(replay(tmp_path, in_progress=False), seed) for seed in range(100)]
    late = np.concatenate([tape.opened_at for tape in alone])
    assert np.sum(late > 250) / 100 == pytest.approx(np.sum(opened > 250) / 300, rel=0.15)


def test_without_queues_calls_start_as_fast_as_their_delays_allow(tmp_path: Path) -> None:
    scenario = replay(tmp_path, in_progress=False, tasks="session")
    run = simulate(scenario, tape_of(scenario), np.full((300, 2), 500.0))
    tape = run.tape
    assert tape.graph is not None
    done = run.completed_at
    for call in np.flatnonzero(tape.n_predecessors > 0):
        ptr, successors = tape.graph.successor_ptr, tape.graph.successors
        before = np.searchsorted(ptr, np.flatnonzero(successors == call), "right") - 1
        assert run.released_at[call] == pytest.approx(done[before].max() + tape.delay[call])


def test_roles_join_agents_and_strangers_are_refused(tmp_path: Path) -> None:
    scenario = replay(tmp_path, roles={"haiku-sub": "opus"})
    assert set(tape_of(scenario).agent) == {0}
    data = coding_sessions().replace(b"claude-haiku", b"claude-sonnet")
    with pytest.raises(TraceError, match="calls of 'sonnet-sub' in session s11 must have an agent"):
        tape_of(replay(tmp_path, data))


def test_an_episode_is_one_tape(tmp_path: Path) -> None:
    scenario = replay(tmp_path)
    assert tape_of(scenario, 3).digest == tape_of(scenario, 3).digest
    assert tape_of(scenario, 3).digest != tape_of(scenario, 4).digest
    assert tape_of(replay(tmp_path, rate=0.0)).n_calls == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": -1}, "workload.rate must be at least 0"),
        ({"rate": 1e9}, "must start at most 1e.06 sessions an episode, got 3e.11"),
        ({"tasks": "turns"}, "workload.tasks must be one of turn, session.*did you mean 'turn'"),
        ({"longest_delay_s": -1}, "workload.longest_delay_s must be at least 0"),
        ({"roles": {"haiku-sub": "opux"}}, r"must name agents .* got 'opux'.*did you mean 'opus'"),
        ({"trace": "agent_session"}, "unknown trace 'agent_session' .*mean 'agent_sessions'"),
    ],
)
def test_bad_values_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replay(tmp_path, **changes)


def test_a_trace_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = str(
        write_trace(tmp_path, "calls", b"release_s,agent,work\n0,a,1\n", format={"kind": "table"})
    )
    with pytest.raises(TraceError, match="must hold Sessions, got TraceCalls"):
        load_content(path, Sessions)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_split_without_sessions_is_refused(tmp_path: Path, split: str) -> None:
    # The hash of s0 lies in the held-out part.
    one = agent_sessions([("s0", *row[1:]) for row in BY_HAND])
    scenario = replay(tmp_path, one)
    assert isinstance(scenario.workload, SessionReplay)
    with pytest.raises(TraceError, match="of the names' hashes must hold sessions, got none of 1"):
        scenario.workload.library(scenario, split)


def unlimited(session: Session) -> Tape:
    """The session as one task whose work is its recorded service time."""
    before: list[list[int]] = [[] for _ in range(session.n_calls)]
    for predecessor, call in session.edges.tolist():
        before[call].append(predecessor)
    return Tape.from_calls(
        np.zeros(session.n_calls, dtype=np.int64),
        session.service_s,
        session.delay_s,
        np.zeros(session.n_calls, dtype=np.int64),
        before,
        horizon_s=float((session.recorded_s + session.service_s).max() + 60.0),
    )


@pytest.mark.traces("agent_sessions")
def test_recorded_sessions_end_when_the_recordings_end() -> None:
    sessions = load_content("agent_sessions", Sessions).sessions
    assert (len(sessions), sum(s.n_calls for s in sessions)) == (560, 38_510)
    assert sum(s.is_sub.any() for s in sessions) == 11
    for session in sessions[::7] + tuple(s for s in sessions if s.is_sub.any()):
        tape = unlimited(session)
        agents = (Agent("all", throughput=64.0, concurrency=64),)  # 64 calls at once, 1 work/s each
        scenario = Scenario(agents, horizon_s=tape.horizon_s, interval_s=tape.horizon_s)
        run = simulate(scenario, tape, np.ones((1, 1)))
        ends = session.recorded_s + session.service_s
        assert run.completed_at.max() == pytest.approx(ends.max(), abs=1.0)
        if not session.imputed.any():
            assert run.completed_at == pytest.approx(ends, abs=4.5)  # one recorded overlap of 4.3 s


@pytest.mark.traces("agent_sessions")
def test_the_shipped_scenarios_constants_come_from_the_training_sessions() -> None:
    scenario = load_scenario("agentic")
    assert isinstance(scenario.workload, SessionReplay)
    library = scenario.workload.library(scenario, "train")
    sizes = [scenario.workload.library(scenario, split).n_sessions for split in SPLITS]
    assert sizes == [402, 79, 79]
    assert library.n_tasks == 2098
    assert scenario.reference_rate == pytest.approx(scenario.workload.task_rate(scenario), rel=1e-5)
    price = {"opus": 5, "sonnet": 3, "haiku": 1}
    for agent in scenario.agents:
        tier = agent.name.removesuffix("-sub")
        expected = 6 / (price[tier] * library.mean_gpu_s[tier])
        assert agent.throughput == pytest.approx(expected, rel=1e-3)
    load = np.sum(scenario.workload.mean_rates(scenario) / scenario.throughput) / scenario.gpus
    assert load == pytest.approx(0.6, abs=0.001)
    assert np.all(scenario.concurrency == scenario.gpus)
