"""Small instances walked by hand: batched service, in docs/platform.md.

Every one is played by the plain reference and by both paths of the package, so that a mistake
in the walking shows as well. Thirds are compared but for rounding, all else to the last bit.

With c = 2 and h = 1: φ(1) = 1/2 · 3/2 = 3/4, φ(2) = 2/3 · 3/2 = 1.
"""

from __future__ import annotations

from typing import Any

from slicegym.envs import Agent

from .reference.case import Call, Case
from .reference.judges import NAN, Player, agent, case, judged, near, same, singles

pytestmark = judged

COLD, WAITING, LOADING, WARM = 0, 1, 2, 3


def batched(concurrency: int = 2, **others: Any) -> Agent:
    return agent(service="batched", concurrency=concurrency, **others)


def one_interval(deployment: Agent, calls: list[Call], horizon_s: float = 4.0) -> Case:
    """One GPU from 0 to the horizon."""
    return case(deployment, calls, [1.0], interval_s=horizon_s, horizon_s=horizon_s)


# ---- shared without a gain ---------------------------------------------------------------------


def test_two_calls_share_the_rate(play: Player) -> None:
    # Alone until 0.5 at 1 work/s; then each at 0.5: call 0 has 0.5 left, done at 1.5, where
    # call 1 has done 0.5; the rest takes it 0.5 s alone.
    run = play(one_interval(batched(), singles(0.0, 0.5)))
    assert same(run.started_at, [0.0, 0.5])
    assert same(run.completed_at, [1.5, 2.0])
    assert same(run.busy, [[2.0]])
    assert same(run.idle_term, [0.5])


def test_prefill_alone_or_with_decoding_is_the_same_without_a_gain(play: Player) -> None:
    # φ = 1 for every batch: phases change nothing.
    run = play(one_interval(batched(prefill=0.5), singles(0.0, 0.5)))
    assert same(run.completed_at, [1.5, 2.0])
    assert same(run.busy, [[2.0]])


def test_batch_of_one_is_the_model_s_queue(play: Player) -> None:
    # c = 1: φ(1) = 1 whatever h; 1 work/s each, one after the other.
    run = play(one_interval(batched(1, half_batch=3.0, prefill=0.5), singles(0.0, 0.5)))
    assert same(run.started_at, [0.0, 1.0])
    assert same(run.completed_at, [1.0, 2.0])


def test_no_more_than_c_calls_are_in_the_batch(play: Player) -> None:
    # Two at 0.5 work/s: call 0 is done at 1, where call 2 joins. Call 1 has 0.5 left, call 2 is
    # done at 1.5, and call 1's last 0.25 takes 0.25 s.
    calls = [Call(0, 0.5, 0, 0.0), Call(0, 1.0, 1, 0.0), Call(0, 0.25, 2, 0.0)]
    run = play(one_interval(batched(), calls))
    assert same(run.started_at, [0.0, 0.0, 1.0])
    assert same(run.completed_at, [1.0, 1.75, 1.5])
    assert same(run.busy, [[1.75]])


def test_queue_limit_counts_those_outside_the_batch(play: Player) -> None:
    # Two are admitted, one waits, the fourth is refused.
    run = play(one_interval(batched(queue_limit=1), singles(0.125, 0.25, 0.375, 0.5)))
    assert list(run.rejected) == [False, False, False, True]
    # Call 0: 0.125 alone, then at half the rate 0.875 in 1.75 s: done at 2. Call 1 has 0.125
    # left then, done at 2.25; call 2 joined at 2 and has done 0.125; 0.875 more alone.
    assert same(run.started_at, [0.125, 0.25, 2.0, NAN])
    assert same(run.completed_at, [2.0, 2.25, 3.125, NAN])


# ---- with a gain -------------------------------------------------------------------------------


def test_a_fuller_batch_decodes_faster(play: Player) -> None:
    # Call 0 alone at 3/4 work/s: 3/4 of 3/2 done at 1. Then 1/2 each: call 0 done at 2.5, where
    # call 1 has 1/4 left, alone at 3/4: 1/3 s.
    calls = [Call(0, 1.5, 0, 0.0), Call(0, 1.0, 1, 1.0)]
    run = play(one_interval(batched(half_batch=1.0), calls))
    assert near(run.completed_at, [2.5, 2.5 + 1 / 3])
    # Busy 3/4 of 1 s, all of 1.5 s, 3/4 of 1/3 s: the work done over T.
    assert near(run.busy, [[2.5]])
    assert near(run.billed, [[4.0]])


def test_full_batch_has_the_agent_s_throughput(play: Player) -> None:
    # Four calls of work 1 at 1/4 work/s each, whatever h.
    run = play(one_interval(batched(4, half_batch=6.0), singles(0.0, 0.0, 0.0, 0.0)))
    assert near(run.completed_at, [4.0] * 4)
    assert near(run.busy, [[4.0]])


def test_prefill_then_decoding(play: Player) -> None:
    # Call 0: prefill of 1/2 at 1 work/s to 0.5; decoding at 3/4, 3/16 of it done at 0.75.
    # Call 1 comes to its prefill: it at 1/2 work/s, call 0 at φ(1)/2 = 3/8, whose last 5/16 take
    # 5/6 s: done at 1.58333. Call 1 has 1/2 - 5/12 = 1/12 of prefill left, alone 1/12 s: at
    # 1.66667 it decodes, 1/2 at 3/4 in 2/3 s.
    run = play(one_interval(batched(half_batch=1.0, prefill=0.5), singles(0.0, 0.75)))
    assert same(run.started_at, [0.0, 0.75])
    assert near(run.completed_at, [0.75 + 5 / 6, 7 / 3])
    # 1/2 s · 1 + 1/4 s · 3/4 + 5/6 s · (1 + 3/4)/2 + 1/12 s · 1 + 2/3 s · 3/4 = 2.
    assert near(run.busy, [[2.0]])


def test_calls_that_are_all_prefill_share_at_full_efficiency(play: Player) -> None:
    run = play(one_interval(batched(half_batch=1.0, prefill=1.0), singles(0.0, 0.5)))
    assert same(run.completed_at, [1.5, 2.0])
    assert same(run.busy, [[2.0]])


def test_prefill_that_ends_at_a_decision_decodes_from_there(play: Player) -> None:
    # Prefill of 1/2 at half a GPU ends at 1; decoding at 3/4 of 1/2, then of 1 from 2 on:
    # 3/8 done at 2, 1/8 left, 1/6 s.
    made = case(batched(half_batch=1.0, prefill=0.5), singles(0.0), [0.5, 0.5, 1.0])
    run = play(made)
    assert near(run.completed_at, [2 + 1 / 6])
    assert near(run.busy, [[0.5], [0.375], [0.125]])


# ---- decisions ---------------------------------------------------------------------------------


def test_change_of_share_in_flight(play: Player) -> None:
    # 1/4 work/s each until 1, then 1/2 each: 3/4 left takes 1.5 s.
    run = play(case(batched(), singles(0.0, 0.0), [0.5, 1.0, 1.0]))
    assert same(run.completed_at, [2.5, 2.5])
    assert same(run.busy, [[0.5], [1.0], [0.5]])


def test_batch_freezes_with_a_zero_share(play: Player) -> None:
    # Half of each is done at 1; frozen to 2; done at 3. Call 2 has to wait for a place.
    made = case(batched(keep_alive_s=9.0), singles(0.0, 0.0, 1.5), [1, 0, 1, 1])
    run = play(made)
    assert same(run.seen["in_service"], [[0], [2], [2], [0]])
    assert same(run.started_at, [0.0, 0.0, 3.0])
    assert same(run.completed_at, [3.0, 3.0, 4.0])
    assert same(run.busy, [[1], [0], [1], [1]])


def test_batch_freezes_through_cold_in_the_middle_of_prefill(play: Player) -> None:
    # Loaded at 0.5; 1/4 of the prefill of 1/2 is done at 1. Loading again from 2 to 2.5, the other
    # 1/4 done at 2.75, then decoding 1/2 at 3/4 work/s: 2/3 s.
    deployment = batched(cold_start_s=0.5, half_batch=1.0, prefill=0.5)
    run = play(case(deployment, singles(0.0), [0.5, 0, 1, 1]))
    assert near(run.started_at, [0.5])
    assert near(run.completed_at, [2.75 + 2 / 3])
    # From 2.75 at 3/4: 3/16 to 3, and 5/16 after.
    assert near(run.busy, [[0.25], [0], [0.25 + 3 / 16], [5 / 16]])


def test_batch_stands_still_in_a_pause(play: Player) -> None:
    # 1/4 of each is done at 1; the share doubles, pause to 1.5; 3/4 left at 1/2 work/s.
    made = case(batched(), singles(0.0, 0.0), [0.5, 1, 1, 1], reconfigure_s=0.5)
    run = play(made)
    assert same(run.completed_at, [3.0, 3.0])
    assert same(run.busy, [[0.5], [0.5], [1], [0]])


def test_call_released_at_a_decision_joins_there(play: Player) -> None:
    # Call 0 alone to 1, 1/2 left; call 1 joins at 1: each 1/2 work/s. Done at 2 and 2.5.
    run = play(case(batched(), [Call(0, 1.5, 0, 0.0), Call(0, 1.0, 1, 1.0)], [1, 1, 1]))
    assert same(run.seen["queue"], [[1], [1], [0]])
    assert same(run.completed_at, [2.0, 2.5])


def test_successor_joins_the_batch_at_its_release(play: Player) -> None:
    # Task 0: call 0 shares with call 2 (1/2 work/s each), done at 1; call 1 follows at 1.25.
    # Call 2 has 1.5 left at 1, 1.25 at 1.25; call 1's 1/2 takes 1 s; then 0.75 alone.
    calls = [
        Call(0, 0.5, 0, 0.0),
        Call(0, 0.5, 0, delay=0.25, predecessors=(0,)),
        Call(0, 2.0, 1, 0.0),
    ]
    run = play(one_interval(batched(), calls))
    assert same(run.released_at, [0.0, 1.25, 0.0])
    assert same(run.completed_at, [1.0, 2.25, 3.0])


def test_horizon_charge_is_what_is_left_of_both_phases(play: Player) -> None:
    # 1 work/s for 1/4 s: 1/4 of the prefill of 1/2 is done. 3/4 left over T = 2 is 3/8 GPU-second,
    # over G·Δ = 1/4.
    made = case(batched(throughput=2.0, prefill=0.5), singles(0.0), [0.5], horizon_s=0.25)
    bare, charged = play(made, horizon_charge=False), play(made)
    assert same(bare.cost_term, [0.5])
    assert same(charged.cost_term, [0.5 + 1.5])
    assert same(charged.idle_term, [0.0])
