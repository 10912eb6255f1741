"""Tapes: what `from_calls` makes of calls, and every input that it refuses."""

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest

from slicegym.envs import ConfigError, Tape

NAN, INF = math.nan, math.inf


def tape(**changes: Any) -> Tape:
    """Three calls: 0 and 1 of task 0, 2 of task 1."""
    values: dict[str, Any] = {
        "agent": [0, 1, 1],
        "work": [1, 1, 2],
        "release": [0.0, 0.25, 0.5],
        "task": [0, 0, 1],
        "predecessors": [[], [0], []],
        "horizon_s": 10.0,
    }
    return Tape.from_calls(**{**values, **changes})


def test_a_call_graph() -> None:
    made = tape()
    assert not made.is_independent
    assert (made.n_calls, made.n_tasks, made.horizon_s) == (3, 2, 10.0)
    assert made.agent.tolist() == [0, 1, 1]
    assert made.agent.dtype == np.int32
    assert made.work.tolist() == [1, 1, 2]
    assert made.task.tolist() == [0, 0, 1]
    assert made.n_predecessors.tolist() == [0, 1, 0]
    np.testing.assert_array_equal(made.release, [0, NAN, 0.5])
    assert made.delay.tolist() == [0, 0.25, 0]
    assert made.graph is not None
    assert made.graph.successor_ptr.tolist() == [0, 1, 1, 1]
    assert made.graph.successors.tolist() == [1]
    assert made.first_call.tolist() == [0, 2]
    assert made.opened_at.tolist() == [0, 0.5]
    assert made.root_order.tolist() == [0, 2]


def test_a_fan_out_and_a_join_across_shuffled_calls() -> None:
    made = tape(
        agent=[3, 1, 2, 0],
        work=[1, 1, 1, 1],
        release=[0, 0, 0, 1],
        task=[0, 0, 0, 0],
        predecessors=[[1, 2], [3], (3,), []],  # call 3 fans out to 1 and 2, which join in 0
    )
    assert made.n_predecessors.tolist() == [2, 1, 1, 0]
    assert made.graph is not None
    assert made.graph.successor_ptr.tolist() == [0, 0, 1, 2, 4]
    assert made.graph.successors.tolist() == [0, 0, 1, 2]
    assert made.first_call.tolist() == [3]


@pytest.mark.parametrize("task", [None, [0, 1, 2]])
@pytest.mark.parametrize("predecessors", [None, [[], [], []], [(), np.array([], int), []]])
def test_calls_without_predecessors_are_independent(task: Any, predecessors: Any) -> None:
    made = tape(task=task, predecessors=predecessors)
    assert made.is_independent
    assert made.graph is None
    assert made.task.tolist() == [0, 1, 2]
    assert made.n_tasks == 3
    assert made.n_predecessors.tolist() == [0, 0, 0]
    assert made.delay.tolist() == [0, 0, 0]
    assert made.release.tolist() == [0, 0.25, 0.5]


def test_tasks_need_neither_edges_nor_an_order() -> None:
    made = tape(task=[1, 0, 1], predecessors=None)
    assert not made.is_independent
    assert made.n_tasks == 2
    assert made.first_call.tolist() == [1, 0]


def test_unsorted_releases_are_fine_and_ties_go_by_index() -> None:
    made = tape(agent=[0, 0, 0], release=[2.0, 1.0, 1.0], task=None, predecessors=None)
    assert made.root_order.tolist() == [1, 2, 0]
    assert made.by_agent is not None
    assert made.by_agent.tolist() == [1, 2, 0]
    assert tape(release=[0, 1, 1], task=None, predecessors=None).by_agent is None
    assert tape(release=[1, 0, 0], task=[0, 0, 0], predecessors=None).first_call.tolist() == [1]


def test_an_empty_tape() -> None:
    for made in (
        Tape.from_calls([], [], [], horizon_s=5),
        Tape.from_calls([], [], [], [], [], horizon_s=5, routing=[[0.0]]),
    ):
        assert made.is_independent
        assert made.n_calls == made.n_tasks == 0
        assert made.first_call.size == made.root_order.size == 0


def test_a_tape_keeps_no_array_of_the_caller() -> None:
    given = {
        "agent": np.zeros(3, np.int32),
        "work": np.ones(3),
        "release": np.zeros(3),
        "task": np.zeros(3, np.int32),
        "routing": np.zeros((1, 1)),
    }
    made = tape(**given, predecessors=None)
    for array in given.values():
        array += 7
    assert made.agent.max() == made.release.max() == made.task.max() == 0
    assert made.work.tolist() == [1, 1, 1]
    assert made.routing is not None
    assert made.routing[0, 0] == 0


def test_the_digest_tells_tapes_apart() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"agent": [0, 1, 0]},
        {"work": [1, 1, 2.5]},
        {"release": [0.0, 0.25, 0.75]},
        {"release": [0.0, 0.5, 0.5]},
        {"task": [1, 1, 0]},
        {"predecessors": [[], [], []]},
        {"task": None, "predecessors": None},
        {"horizon_s": 11.0},
    ]
    digests = [tape(**change).digest for change in changes]
    assert len(set(digests)) == len(changes)
    for again in (tape(), copy.deepcopy(tape()), pickle.loads(pickle.dumps(tape()))):
        assert again.digest == digests[0]


def with_second(name: str, value: Any) -> dict[str, Any]:
    return {name: [{"agent": 0, "work": 1.0, "release": 0.0}[name], value, 1]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (with_second("work", 0.0), r"work\[1\] must be greater than 0, got 0.0"),
        (with_second("work", -1.0), r"work\[1\] must be greater than 0, got -1.0"),
        (with_second("work", NAN), r"work\[1\] must be finite, got nan"),
        (with_second("work", INF), r"work\[1\] must be finite, got inf"),
        (with_second("release", -0.5), r"release\[1\] must be at least 0, got -0.5"),
        (with_second("release", NAN), r"release\[1\] must be finite, got nan"),
        (with_second("release", INF), r"release\[1\] must be finite, got inf"),
        (with_second("agent", -1), r"agent\[1\] must be a whole number from 0 to .*, got -1"),
        (with_second("agent", 2**31), r"agent\[1\] must be a whole number .*, got 2147483648"),
        ({"work": [1, 1]}, r"work must have one value a call \(3\), got 2"),
        ({"release": [0]}, r"release must have one value a call \(3\), got 1"),
        ({"task": [0, 0, 1, 1]}, r"task must have one value a call \(3\), got 4"),
        ({"predecessors": [[], [0]]}, r"predecessors must have one list a call \(3\), got 2"),
        ({"work": 1.0}, r"work must be a flat sequence, got the shape \(\)"),
        ({"release": None}, r"release must be a flat sequence, got the shape \(\)"),
        ({"agent": [[0, 1, 1]]}, r"agent must be a flat sequence, got the shape \(1, 3\)"),
        ({"agent": [[0], [1, 2], [0]]}, r"agent must be a flat sequence, got \[\[0\], \[1, 2\]"),
        ({"task": [0, 0, 2]}, "task ids must be 0..n-1 without a gap; no call has the task 1"),
        ({"task": [1, 1, 2]}, "no call has the task 0"),
        ({"task": [-1, 0, 1]}, r"task\[0\] must be a whole number from 0 to .*, got -1"),
        ({"predecessors": [[], [3], []]}, r"predecessors\[1\] must lie in \[0, 2\], got 3"),
        ({"predecessors": [[], [-1], []]}, r"predecessors\[1\] must lie in \[0, 2\], got -1"),
        (
            {"predecessors": [[], [0, 0], []]},
            r"predecessors\[1\] must name each call once, got \[0, 0\]",
        ),
        (
            {"predecessors": [[], [0], [1]]},
            r"predecessors\[2\] must be calls of the same task 1, got call 1 of task 0",
        ),
        ({"task": None}, r"predecessors\[1\] must be calls of the same task 1, got call 0"),
        ({"predecessors": [[], [1], []]}, "must not form a cycle; call 1 waits for itself"),
        ({"predecessors": [[1], [0], []]}, "must not form a cycle; call 0 waits for itself"),
        (
            {"task": [0, 0, 0], "predecessors": [[], [0, 2], [1]]},
            "must not form a cycle; call 1 waits for itself",
        ),
        ({"horizon_s": 0}, "horizon_s must be greater than 0, got 0.0"),
        ({"horizon_s": -1}, "horizon_s must be greater than 0, got -1.0"),
        ({"horizon_s": NAN}, "horizon_s must be a finite number, got nan"),
        ({"horizon_s": INF}, "horizon_s must be a finite number, got inf"),
        ({"routing": [[0.0, 1.0]]}, r"routing must be a square matrix .*got the shape \(1, 2\)"),
        ({"routing": [0.0]}, r"routing must be a square matrix \(N, N\), got the shape \(1,\)"),
        ({"routing": [[0.0], [1, 2]]}, r"routing must be a square matrix \(N, N\), got \[\[0.0\]"),
        ({"routing": [[-1.0]]}, r"routing.* must be finite and at least 0, got -1.0"),
        ({"routing": [[0, NAN], [0, 0]]}, r"routing.*\[1\] must be finite and at least 0, got nan"),
        ({"routing": [[INF]]}, r"routing.* must be finite and at least 0, got inf"),
    ],
)
def test_values_out_of_range(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tape(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agent": [0.0, 1.0, 1.0]}, "agent must hold whole numbers, got the dtype float64"),
        ({"agent": ["a", "b", "b"]}, "agent must hold numbers, got the dtype <U1"),
        ({"agent": [True, False, True]}, "agent must hold numbers, got the dtype bool"),
        ({"agent": [2**70, 0, 0]}, "agent must hold numbers, got the dtype object"),
        ({"task": [0.0, 0.0, 1.0]}, "task must hold whole numbers, got the dtype float64"),
        ({"task": [False, False, True]}, "task must hold numbers, got the dtype bool"),
        ({"work": ["1", "1", "1"]}, "work must hold numbers, got the dtype <U1"),
        ({"work": [True, True, True]}, "work must hold numbers, got the dtype bool"),
        ({"work": [1j, 1, 1]}, "work must hold numbers, got the dtype complex128"),
        ({"release": [0, None, 0]}, "release must hold numbers, got the dtype object"),
        ({"predecessors": 5}, r"predecessors must be a list, got 5 \(int\)"),
        ({"predecessors": "abc"}, r"predecessors must be a list, got 'abc' \(str\)"),
        ({"predecessors": [[], 0, []]}, r"predecessors\[1\] must be a list, got 0 \(int\)"),
        ({"predecessors": [None, [0], []]}, r"predecessors\[0\] must be a list, got None"),
        ({"predecessors": [[], "0", []]}, r"predecessors\[1\] must be a list, got '0' \(str\)"),
        ({"predecessors": [[], [0.0], []]}, r"predecessors\[1\] must be a whole number, got 0.0"),
        ({"predecessors": [[], [True], []]}, r"predecessors\[1\] must be a whole number, got True"),
        ({"predecessors": [[], ["0"], []]}, r"predecessors\[1\] must be a whole number, got '0'"),
        ({"horizon_s": "10"}, r"horizon_s must be a number, got '10' \(str\)"),
        ({"horizon_s": True}, r"horizon_s must be a number, got True \(bool\)"),
        ({"horizon_s": None}, r"horizon_s must be a number, got None"),
        ({"routing": [["a"]]}, "routing must hold numbers, got the dtype <U1"),
    ],
)
def test_values_of_the_wrong_type(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        tape(**changes)


def test_the_horizon_must_be_given() -> None:
    with pytest.raises(TypeError, match="horizon_s"):
        Tape.from_calls([0], [1], [0])  # type: ignore[call-arg]


def test_a_long_chain_is_no_recursion() -> None:
    n = 20_000
    before = [[i - 1] if i else [] for i in range(n)]
    made = tape(agent=[0] * n, work=[1] * n, release=[0.0] * n, task=[0] * n, predecessors=before)
    assert made.n_tasks == 1
    before[0] = [n - 1]
    with pytest.raises(ConfigError, match="cycle"):
        tape(agent=[0] * n, work=[1] * n, release=[0.0] * n, task=[0] * n, predecessors=before)
