"""Small instances walked by hand: elastic pools, in docs/platform.md.

Every one is played by the plain reference and by both paths of the package, so that a mistake
in the walking shows as well. All numbers are dyadic, and feasible shares are asked for in
multiples of the pool, so that scaling rounds nothing. A GPU-second costs a dollar.
"""

from __future__ import annotations

import pytest

from slicegym.envs.platform import Elastic

from .reference.case import Call, Case
from .reference.judges import Player, agent, case, judged, same, singles

pytestmark = judged

COLD, WAITING, LOADING, WARM = 0, 1, 2, 3


def elastic(*rows: tuple[float, ...], min_gpus: float = 1, **others: float) -> Case:
    """One agent with one call of work 3.5 on a pool of up to four GPUs."""
    pool = Elastic(min_gpus=min_gpus, **others)
    calls = singles(0.0, work=3.5)
    return case(agent(), calls, rows, gpus=4.0, elastic=pool, price_per_gpu_hour=3600.0)


# ---- orders ------------------------------------------------------------------------------------


def test_bill_of_an_elastic_pool(play: Player) -> None:
    # Three units are rented from 0 on, two of them ready at 1.5 and used from 2 on. One is given
    # back at 3, another at 4.
    run = play(elastic((4, 3), (4, 3), (4, 3), (4, 2), (0, 0), provision_s=1.5))
    assert same(run.rented, [3, 3, 3, 2, 1])
    assert same(run.seen["available"], [[1], [1], [3], [3], [2]])
    assert same(run.seen["ordered"], [[0], [2], [0], [0], [0]])
    assert same(run.shares, [[1], [1], [3], [2], [0]])
    # 2 of 3.5 done at 2, the rest at 3 GPUs in 0.5 s.
    assert same(run.completed_at, [2.5])
    assert same(run.busy, [[1], [1], [1.5], [0], [0]])
    assert same(run.billed, [[1], [1], [3], [2], [0]])  # the agent's own part
    assert same(run.cost_term, [3 / 4, 3 / 4, 3 / 4, 2 / 4, 1 / 4])
    assert same(run.idle_term, [2 / 4, 2 / 4, 1.5 / 4, 2 / 4, 1 / 4])
    assert run.dollars == pytest.approx(3 + 3 + 3 + 2 + 1)


def test_order_given_back_before_it_is_ready(play: Player) -> None:
    # Two are ordered at 0 for 2.5; the one ordered last goes at 1 and costs nothing more.
    run = play(elastic((4, 3), (4, 2), (4, 2), (4, 2), provision_s=2.5))
    assert same(run.rented, [3, 2, 2, 2])
    assert same(run.seen["ordered"], [[0], [2], [1], [0]])
    assert same(run.shares, [[1], [1], [1], [2]])


def test_order_given_back_begins_anew_when_it_is_wanted_again(play: Player) -> None:
    # Given back at 1; ordered again at 2 and ready at 3.5, not at 1.5.
    run = play(elastic((4, 3), (4, 1), (4, 3), (4, 3), (4, 3), provision_s=1.5))
    assert same(run.rented, [3, 1, 3, 3, 3])
    assert same(run.seen["ordered"], [[0], [2], [0], [2], [0]])
    assert same(run.shares, [[1], [1], [1], [1], [3]])


def test_what_is_on_order_is_given_back_before_what_is_ready(play: Player) -> None:
    # At 2 one is on order and two are ready: the one on order goes.
    run = play(elastic((4, 2), (4, 3), (4, 2), (4, 2), provision_s=1.0))
    assert same(run.rented, [2, 3, 2, 2])
    assert same(run.seen["available"], [[1], [2], [3], [2]])
    run = play(elastic((4, 2), (4, 3), (4, 2), (4, 2), provision_s=1.25))
    assert same(run.seen["available"], [[1], [1], [2], [2]])
    assert same(run.shares, [[1], [1], [2], [2]])


def test_order_is_seen_and_used_at_the_decision_at_which_it_is_ready(play: Player) -> None:
    run = play(elastic((4, 4), (4, 4), (4, 4), provision_s=2.0))
    assert same(run.seen["available"], [[1], [1], [4]])
    assert same(run.seen["ordered"], [[0], [3], [0]])
    assert same(run.shares, [[1], [1], [4]])


def test_orders_that_take_no_time_are_used_at_once(play: Player) -> None:
    run = play(elastic((4, 4), (4, 2), (4, 4), min_gpus=0))
    assert same(run.seen["available"], [[0], [4], [2]])
    assert same(run.shares, [[4], [2], [4]])


# ---- sizes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rest", [(), (-1.0,)])
def test_pool_without_a_least_size_follows_the_sum_of_shares(
    play: Player, rest: tuple[float, ...]
) -> None:
    # 5/4 GPUs want two units, ready at 0.5 and used from 1 on: the first interval has nothing.
    # A share under the quantum is left out: 1, not 1.0078. Nothing is wanted in the end.
    agents = [agent("a", footprint=0.5, keep_alive_s=9.0), agent("b")]
    shares = [(0.75, 0.5), (0.75, 0.5), (1.0, 1 / 128), (0.0, 0.0)]
    made = case(
        agents,
        singles(0.0, work=1.0),
        [(*row, *rest) for row in shares],
        gpus=4.0,
        elastic=Elastic(provision_s=0.5),
    )
    run = play(made)
    assert same(run.rented, [2, 2, 1, 0])
    assert same(run.seen["available"], [[0, 0], [2, 2], [2, 2], [1, 1]])
    assert same(run.shares, [[0, 0], [0.75, 0.5], [1, 0], [0, 0]])
    assert same(run.started_at, [1.0])
    assert same(run.completed_at, [2.25])
    # a is kept alive in a pool that is not there: nobody pays.
    assert same(run.billed, [[0, 0], [0.75, 0.5], [1, 0], [0.5, 0]])
    assert same(run.cost_term, [2 / 4, 2 / 4, 1 / 4, 0])
    assert same(run.idle_term[:3], [2 / 4, 1.25 / 4, 0.75 / 4])


def test_sizes_come_in_whole_units_between_the_least_and_the_whole_pool(play: Player) -> None:
    # Units of 2: 1 at least is one unit, 2.5 are two, 9 are the whole pool.
    run = play(elastic((4, 0), (4, 2.5), (4, 9), (4, 2), unit_gpus=2.0))
    assert same(run.rented, [2, 4, 4, 2])
    assert same(run.shares, [[2], [4], [4], [2]])


def test_size_is_the_last_entry_and_not_the_sum_of_shares(play: Player) -> None:
    run = play(elastic((0.5, 3), (4, 1)))
    assert same(run.rented, [3, 1])
    assert same(run.shares, [[0.5], [1]])


def test_rounding_of_a_size_orders_no_unit(play: Player) -> None:
    run = play(elastic((4, 2 + 5e-10), (4, 2 + 1e-6)))
    assert same(run.rented, [2, 3])


# ---- the bill's end, and memory ----------------------------------------------------------------


def test_horizon_charge_comes_on_top_of_the_pool_s_bill(play: Player) -> None:
    # Two GPUs rented for 1 s and 0.5 s, one of them used. 1.5 of 3.5 work are done at the end: 2
    # are left, over G·Δ = 2 in the short interval.
    made = case(
        agent(),
        singles(0.0, work=3.5),
        [(1, 2), (1, 2)],
        gpus=4.0,
        horizon_s=1.5,
        elastic=Elastic(),
        price_per_gpu_hour=3600.0,
    )
    bare, charged = play(made, horizon_charge=False), play(made)
    assert same(bare.cost_term, [0.5, 0.5])
    assert same(bare.idle_term, [0.25, 0.25])
    assert same(charged.cost_term, [0.5, 0.5 + 1.0])
    assert same(charged.idle_term, [0.25, 0.25])
    assert bare.dollars == charged.dollars == pytest.approx(2 + 1)


def test_models_that_no_longer_fit_leave_with_the_gpus(play: Player) -> None:
    # 2 MB a GPU. With one GPU a fits and b waits; with two, from 1 on, both. The second is given
    # back at 2, where b leaves: half of its call is done, and freezes. Ordered again at 3, ready
    # at 3.5 and used at 4: b loads at once, and is done at 5.
    made = case(
        [agent("a", memory_mb=2), agent("b", memory_mb=2)],
        [Call(1, 1.0, 0, 0.0)],
        [(0.5, 0.5, size) for size in (2, 2, 1, 2, 2, 2)],
        gpus=4.0,
        pool_memory_mb=8,
        elastic=Elastic(min_gpus=1, provision_s=0.5),
    )
    run = play(made)
    assert same(
        run.ends["status"],
        [[WARM, WAITING], [WARM, WARM], [WARM, WAITING], [WARM, WAITING], [WARM, WARM], [WARM] * 2],
    )
    assert same(run.started_at, [1.0])
    assert same(run.completed_at, [5.0])
    assert same(run.billed[:, 1], [0, 0.5, 0, 0, 0.5, 0.5])
    assert same(run.rented, [2, 2, 1, 2, 2, 2])
