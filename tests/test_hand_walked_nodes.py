"""Small instances walked by hand: nodes, in docs/platform.md.

Every one is played by the plain reference and by both paths of the package, so that a mistake
in the walking shows as well. All numbers are dyadic.
"""

from __future__ import annotations

import pytest

from slicegym.envs.platform import Node

from .reference.case import Call
from .reference.judges import Player, agent, case, judged, same, singles

pytestmark = judged

COLD, WAITING, LOADING, WARM = 0, 1, 2, 3
STAY = -1


def test_move_is_a_cold_start_on_another_node(play: Player) -> None:
    # Node a at half the mean price, node b twice as fast and at 3/2 of it. Loading to 0.5, half
    # of a unit of work done at 1, where the agent moves and loads again to 1.5. 3/2 left at
    # 2 work/s: done at 2.25. At 2 it is asked to where it is.
    nodes = (Node("a", gpus=1, price=1), Node("b", gpus=1, speed=2, price=3))
    made = case(
        agent(cold_start_s=0.5),
        singles(0.0, work=2.0),
        [(1, STAY), (1, 1), (1, 1)],
        nodes=nodes,
    )
    run = play(made)
    assert same(run.nodes, [[0], [1], [1]])
    assert same(run.seen["node"], [[0], [0], [1]])
    assert same(run.seen["status"], [[COLD], [WARM], [WARM]])
    assert same(run.seen["in_service"], [[0], [1], [1]])
    assert same(run.started_at, [0.5])
    assert same(run.completed_at, [2.25])
    assert run.cold_starts == [2]
    # GPU-seconds count half on a and 3/2 on b; cost is of the whole pool's two.
    assert same(run.billed, [[0.5], [1.5], [1.5]])
    assert same(run.busy, [[0.25], [0.75], [0.375]])
    assert same(run.cost_term, [0.25, 0.75, 0.75])
    assert same(run.idle_term, [0.125, 0.375, 0.5625])
    # $1/h for 1 s, then $3/h for 2 s.
    assert run.dollars == pytest.approx((1 + 3 + 3) / 3600, rel=1e-12)


def test_shares_alone_move_nobody(play: Player) -> None:
    nodes = (Node("a", gpus=1), Node("b", gpus=1))
    run = play(case([agent("a"), agent("b"), agent("c")], [], [(0.25,) * 3] * 2, nodes=nodes))
    assert same(run.nodes, [[0, 1, 0]] * 2)  # agent i at node i mod M


def test_agent_begins_at_its_own_node(play: Player) -> None:
    nodes = (Node("a", gpus=1), Node("b", gpus=1))
    run = play(case([agent("a", node="b"), agent("b")], [], [(0.25, 0.25)], nodes=nodes))
    assert same(run.nodes, [[1, 1]])


def test_move_without_a_share_loads_only_with_one(play: Player) -> None:
    nodes = (Node("a", gpus=1), Node("b", gpus=1))
    made = case(
        agent(cold_start_s=0.5, keep_alive_s=9.0),
        singles(0.0),
        [(1, STAY), (0, 1), (1, STAY)],
        nodes=nodes,
    )
    run = play(made)
    assert same(run.ends["status"], [[WARM], [COLD], [WARM]])
    assert same(run.billed, [[1], [0], [1]])
    assert same(run.completed_at, [3.0])  # 1/2 done, loading from 2 to 2.5


def test_move_with_another_share_causes_no_pause(play: Player) -> None:
    # The agent that moves is cold, and its first share from cold causes none: a quarter is left
    # at 1, loaded at 1.5, done at 2.
    nodes = (Node("a", gpus=1), Node("b", gpus=1))
    made = case(
        agent(cold_start_s=0.5),
        singles(0.0, work=0.75),
        [(1, STAY), (0.5, 1)],
        nodes=nodes,
        reconfigure_s=5.0,
    )
    assert same(play(made).completed_at, [2.0])


def test_shares_are_feasible_on_each_node_by_itself(play: Player) -> None:
    # 2 on a node of 1 are halved, 4 on a node of 2 likewise; c's are untouched on b alone.
    nodes = (Node("a", gpus=1), Node("b", gpus=2))
    agents = [agent("a", node="a"), agent("b", node="a"), agent("c", node="b")]
    run = play(case(agents, [], [(1, 1, 1), (0.5, 1.5, 4)], nodes=nodes))
    assert same(run.shares, [[0.5, 0.5, 1], [0.25, 0.75, 2]])
    assert same(run.seen["available"], [[1, 1, 2], [1, 1, 2]])
    assert same(run.cost_term, [2 / 3, 1])


def test_moves_come_before_the_shares(play: Player) -> None:
    # Both on node a share it; b moves away and each has a node.
    nodes = (Node("a", gpus=1), Node("b", gpus=1))
    agents = [agent("a", node="a"), agent("b", node="a")]
    rows = [(1, 1, STAY, STAY), (1, 1, STAY, 1)]
    run = play(case(agents, [], rows, nodes=nodes))
    assert same(run.shares, [[0.5, 0.5], [1, 1]])


def test_memory_is_a_limit_of_each_node(play: Player) -> None:
    # a and b do not fit on node a together: b waits there, although node b is empty, until it
    # moves. c's node has no limit.
    nodes = (Node("a", gpus=1, memory_mb=3), Node("b", gpus=1, memory_mb=2), Node("c", gpus=1))
    agents = [
        agent("a", node="a", memory_mb=2),
        agent("b", node="a", memory_mb=2),
        agent("c", node="c", memory_mb=9),
    ]
    moves = [(STAY, STAY, STAY), (STAY, STAY, STAY), (STAY, 1, STAY)]
    run = play(case(agents, singles(0.0, agent=1), [(0.5,) * 3 + m for m in moves], nodes=nodes))
    assert same(run.ends["status"], [[WARM, WAITING, WARM]] * 2 + [[WARM, WARM, WARM]])
    assert same(run.started_at, [2.0])


def test_memory_of_the_agent_that_moves_is_free_at_that_decision(play: Player) -> None:
    nodes = (Node("a", gpus=1, memory_mb=3), Node("b", gpus=1))
    agents = [agent("a", node="a", memory_mb=2), agent("b", node="a", memory_mb=2)]
    rows = [(0.5, 0.5, STAY, STAY), (0.5, 0.5, 1, STAY)]
    run = play(case(agents, singles(0.0, agent=1), rows, nodes=nodes))
    assert same(run.ends["status"], [[WARM, WAITING], [WARM, WARM]])
    assert same(run.started_at, [1.0])


# ---- crossing ----------------------------------------------------------------------------------


def chain(task: int, first: int, release: float, work: float) -> list[Call]:
    """A call of agent 0, and a quarter of a second after it one of agent 1."""
    return [
        Call(0, work, task, release),
        Call(1, 0.25, task, delay=0.25, predecessors=(first,)),
    ]


def test_call_that_crosses_nodes_is_released_later(play: Player) -> None:
    # Task 0 is done with its first call at 0.5: 0.25 + 0.5 s later the second, on the other node.
    # At 2 agent 1 moves to node a: task 1's first call is done at 2.5, the second comes at 2.75.
    nodes = (Node("a", gpus=2), Node("b", gpus=2))
    calls = [*chain(0, 0, 0.0, 0.5), *chain(1, 2, 2.0, 0.5)]
    stay, move = (1, 1, STAY, STAY), (1, 1, STAY, 0)
    agents = [agent("a"), agent("b")]
    run = play(case(agents, calls, [stay, stay, move, stay], nodes=nodes, cross_node_s=0.5))
    assert same(run.released_at, [0.0, 1.25, 2.0, 2.75])
    assert same(run.completed_at, [0.5, 1.5, 2.5, 3.0])
    assert run.crossings == [1]


def test_completion_at_a_decision_finds_agents_where_they_were(play: Player) -> None:
    # Done at 1, where agent 1 moves to the same node only afterwards.
    nodes = (Node("a", gpus=2), Node("b", gpus=2))
    rows = [(1, 1, STAY, STAY), (1, 1, STAY, 0), (1, 1, STAY, STAY)]
    made = case(
        [agent("a"), agent("b")],
        chain(0, 0, 0.0, 1.0),
        rows,
        nodes=nodes,
        cross_node_s=0.5,
    )
    run = play(made)
    assert same(run.released_at, [0.0, 1.75])
    assert run.crossings == [1]


def test_only_the_predecessor_that_releases_it_counts(play: Player) -> None:
    # A call of agent 2 on node a joins one of agent 0, on node a too and done at 0.5, and one of
    # agent 1 on node b, done at 0.75: it crosses. In task 1 it is the other way round.
    nodes = (Node("a", gpus=3), Node("b", gpus=1))
    agents = [agent("a", node="a"), agent("b", node="b"), agent("c", node="a")]
    calls = [
        Call(0, 0.5, 0, 0.0),
        Call(1, 0.75, 0, 0.0),
        Call(2, 0.25, 0, delay=0.0, predecessors=(0, 1)),
        Call(0, 0.75, 1, 2.0),
        Call(1, 0.5, 1, 2.0),
        Call(2, 0.25, 1, delay=0.0, predecessors=(3, 4)),
    ]
    made = case(agents, calls, [(1, 1, 1)] * 4, nodes=nodes, cross_node_s=0.5)
    run = play(made)
    assert same(run.released_at, [0.0, 0.0, 1.25, 2.0, 2.0, 2.75])
    assert run.crossings == [1]
