"""Small instances walked by hand: faults as they are written on a tape, in docs/platform.md.

Every one is played by the plain reference and by both paths of the package, so that a mistake
in the walking shows as well. All numbers are dyadic.
"""

from __future__ import annotations

from slicegym.envs.kernel.layout import EVICTION, HEALTH, LOAD_FACTOR, LOST
from slicegym.envs.platform import Elastic, Node

from .reference.case import Call, Change
from .reference.judges import Player, agent, case, judged, near, same, singles

pytestmark = judged

COLD, WAITING, LOADING, WARM = 0, 1, 2, 3
STAY = -1


# ---- losses ------------------------------------------------------------------------------------


def test_loss_of_a_gpu_in_the_middle_of_a_run(play: Player) -> None:
    # Two GPUs with 2 MB each; one is gone from 2 to 4. Both agents load to 0.5 and work at 1/s.
    # a: 1.5 of 3 done at 2, 1 more at half a GPU until 4, the rest at 4.5.
    # b leaves memory at 2 with half of a unit left, waits for memory until 4, loads to 4.5, and
    # is done at 5.
    made = case(
        [agent(name, memory_mb=2, cold_start_s=0.5) for name in "ab"],
        [Call(0, 3.0, 0, 0.0), Call(1, 2.0, 1, 0.0)],
        [(1, 1)] * 6,
        changes=[Change(2, LOST, 0, 1.0), Change(4, LOST, 0, 0.0)],
        gpus=2.0,
        pool_memory_mb=4,
    )
    run = play(made)
    assert same(run.seen["status"][1:4], [[WARM, WARM], [WARM, COLD], [WARM, WAITING]])
    assert same(run.seen["in_service"][2:5, 1], [1, 1, 1])
    assert same(run.shares, [[1, 1]] * 2 + [[0.5, 0.5]] * 2 + [[1, 1]] * 2)
    assert same(run.completed_at, [4.5, 5.0])
    assert same(run.billed[:, 0], [1, 1, 0.5, 0.5, 1, 1])
    assert same(run.billed[:, 1], [1, 1, 0, 0, 1, 1])
    assert same(run.busy[:, 1], [0.5, 1, 0, 0, 0.5, 0])
    assert same(run.cost_term, [1, 1, 0.25, 0.25, 1, 1])  # of the whole pool, lost or not
    assert list(run.cold_starts) == [1, 2]


def test_pool_is_never_less_than_nothing(play: Player) -> None:
    # More is lost than there is: the share is 0, the call stands still, the model stays.
    made = case(
        agent(keep_alive_s=9.0, footprint=0.25),
        singles(0.0, work=2.0),
        [1, 1, 1],
        changes=[Change(1, LOST, 0, 3.0), Change(2, LOST, 0, 0.0)],
    )
    run = play(made)
    assert same(run.shares, [[1], [0], [1]])
    assert same(run.billed, [[1], [0.25], [1]])
    assert same(run.completed_at, [3.0])


def test_last_agents_leave_until_the_rest_fits(play: Player) -> None:
    # 8 MB, halved at 1: c goes (5 left), then b (2 left). c, but not b, fits in again beside a.
    made = case(
        [agent("a", memory_mb=2), agent("b", memory_mb=3), agent("c", memory_mb=2)],
        [],
        [(0.25, 0.25, 0.25)] * 2,
        changes=[Change(1, LOST, 0, 1.0)],
        gpus=2.0,
        pool_memory_mb=8,
    )
    run = play(made)
    assert same(run.seen["status"], [[COLD] * 3, [WARM, COLD, COLD]])
    assert same(run.ends["status"][-1], [WARM, WAITING, WARM])


def test_loss_of_one_node_leaves_the_other(play: Player) -> None:
    # Node b loses one of its two GPUs and half of its memory: c goes.
    nodes = (Node("a", gpus=2, memory_mb=2), Node("b", gpus=2, memory_mb=4))
    agents = [agent(n, memory_mb=2, node=at) for n, at in (("a", "a"), ("b", "b"), ("c", "b"))]
    changes = [Change(1, LOST, 1, 1.0), Change(2, LOST, 1, 0.0)]
    run = play(case(agents, [], [(2, 1, 1)] * 4, changes=changes, nodes=nodes))
    assert same(run.shares, [[2, 1, 1], [2, 0.5, 0.5], [2, 1, 1], [2, 1, 1]])
    assert same(run.seen["status"][1:3], [[WARM, WARM, COLD], [WARM, WARM, WAITING]])
    assert same(run.seen["status"][3], [WARM, WARM, WARM])


def test_loss_takes_from_the_units_that_are_ready(play: Player) -> None:
    # Two of three rented units are ready at 1, one of these is lost: one is left, three are paid.
    made = case(
        agent(),
        [],
        [(4, 2), (4, 3), (4, 3)],
        changes=[Change(1, LOST, 0, 1.0), Change(2, LOST, 0, 0.0)],
        gpus=4.0,
        elastic=Elastic(min_gpus=2, provision_s=1.0),
    )
    run = play(made)
    assert same(run.seen["available"], [[2], [1], [3]])
    assert same(run.shares, [[2], [1], [3]])
    assert same(run.rented, [2, 3, 3])


# ---- storms ------------------------------------------------------------------------------------


def test_cold_start_storm(play: Player) -> None:
    # Both loaded in 1 s. At 2 every model leaves, and loads begun before 4 take three times as
    # long: a is back at 5, half of its call done before. b, kept alive since 1, is asked for
    # again at 4 and loads in 1 s.
    storm = [Change(2, EVICTION, i) for i in (0, 1)] + [
        Change(2, LOAD_FACTOR, i, 3.0) for i in (0, 1)
    ]
    over = [Change(4, LOAD_FACTOR, i, 1.0) for i in (0, 1)]
    made = case(
        [agent("a", cold_start_s=1.0), agent("b", cold_start_s=1.0, keep_alive_s=9.0)],
        [Call(0, 1.0, 0, 0.0), Call(1, 0.25, 1, 3.0)],
        [(0.5, 0.5), *[(0.5, 0.0)] * 3, *[(0.5, 0.5)] * 3],
        changes=storm + over,
    )
    run = play(made)
    assert same(run.seen["status"][:, 0], [COLD, WARM, COLD, LOADING, LOADING, WARM, WARM])
    assert same(run.seen["status"][:, 1], [COLD, WARM, COLD, COLD, COLD, WARM, WARM])
    assert same(run.seen["ready_in_s"][3:5, 0], [2.0, 1.0])
    assert same(run.seen["in_service"][:, 0], [0, 0, 1, 1, 1, 1, 0])
    assert same(run.started_at, [1.0, 5.0])
    assert same(run.completed_at, [6.0, 5.5])
    assert list(run.cold_starts) == [2, 2]
    assert same(run.billed[:, 0], [0.5] * 7)
    assert same(run.billed[1:4, 1], [1 / 64, 0, 0])  # nothing is kept alive after the storm


def test_load_in_a_storm_is_lost_and_begun_anew(play: Player) -> None:
    # 1 s of 1.5 s is gone; the load begun at 1 takes 3 s.
    made = case(
        agent(cold_start_s=1.5),
        singles(0.0),
        [1] * 5,
        changes=[Change(1, EVICTION, 0), Change(1, LOAD_FACTOR, 0, 2.0)],
    )
    run = play(made)
    assert same(run.started_at, [4.0])
    assert run.cold_starts == [2]


def test_first_share_after_an_eviction_causes_no_pause(play: Player) -> None:
    # Cold at 1, so the new share finds a cold agent.
    made = case(
        agent(cold_start_s=0.5),
        singles(0.0),
        [0.5, 1, 1],
        changes=[Change(1, EVICTION, 0)],
        reconfigure_s=1.0,
    )
    assert same(play(made).completed_at, [2.25])  # a quarter done at 1, the rest from 1.5 on


# ---- stuck agents ------------------------------------------------------------------------------


def test_stuck_agent_stands_still_and_is_billed(play: Player) -> None:
    # Half done at 1, stuck to 3, at half the rate to 4, then well: 1 + 0.5 done at 4, the last
    # 0.5 at 4.5, where the next call starts, although it came while nothing was in its way.
    made = case(
        agent(),
        [Call(0, 2.0, 0, 0.0), Call(0, 0.25, 1, 1.5)],
        [1] * 5,
        changes=[Change(k, HEALTH, 0, factor) for k, factor in ((1, 0.0), (3, 0.5), (4, 1.0))],
    )
    run = play(made)
    assert same(run.started_at, [0.0, 4.5])
    assert same(run.completed_at, [4.5, 4.75])
    assert same(run.billed, [[1]] * 5)
    assert same(run.busy[:3], [[1], [0], [0]])
    assert same(run.seen["in_service"][1:], [[1]] * 4)


def test_nothing_starts_at_a_stuck_agent(play: Player) -> None:
    # Nobody may wait: the call at 1.5 finds an idle server that cannot start it.
    made = case(
        agent(queue_limit=0),
        singles(0.5, 1.5, 2.5, work=0.25),
        [1, 1, 1],
        changes=[Change(1, HEALTH, 0, 0.0), Change(2, HEALTH, 0, 1.0)],
    )
    assert list(play(made).rejected) == [False, True, False]


def test_stuck_batch_admits_nobody(play: Player) -> None:
    # 1/2 work/s each: half done at 1, nothing to 2, where a third joins, which came meanwhile.
    made = case(
        agent(service="batched", concurrency=4),
        singles(0.0, 0.0, 1.5),
        [1] * 5,
        changes=[Change(1, HEALTH, 0, 0.0), Change(2, HEALTH, 0, 1.0)],
    )
    run = play(made)
    # From 2 on three share: 1/2 each takes 1.5 s, to 3.5, and the third's other half 0.5 s.
    assert same(run.started_at, [0.0, 0.0, 2.0])
    assert near(run.completed_at, [3.5, 3.5, 4.0])
    assert near(run.busy, [[1], [0], [1], [1], [0]])
