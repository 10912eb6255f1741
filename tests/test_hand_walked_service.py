"""Small instances walked by hand: pauses, service and queue limits.

Every one is played by the plain reference and by both paths of the package, so that a mistake
in the walking shows as well. All numbers are dyadic: times are compared to the last bit.
"""

from __future__ import annotations

from .reference.case import Call
from .reference.judges import NAN, Player, agent, case, judged, same, singles

pytestmark = judged


# ---- pauses ------------------------------------------------------------------------------------


def test_change_of_share_pauses_service(play: Player) -> None:
    # 0.25 done at 1; paused to 1.5; 0.75 left at rate 1. Nothing starts in the pause; all is
    # billed and none of the pause is busy.
    calls = [Call(0, 0.5, 0, 0.0), Call(0, 0.25, 1, 1.25)]
    run = play(case(agent(), calls, [0.25, 1, 1], reconfigure_s=0.5))
    assert same(run.started_at, [0.0, 1.75])
    assert same(run.completed_at, [1.75, 2.0])
    assert same(run.seen["pause_left_s"], [[0], [0], [0]])
    assert same(run.billed, [[0.25], [1], [1]])
    assert same(run.busy, [[0.25], [0.5], [0]])


def test_first_share_from_cold_causes_no_pause(play: Player) -> None:
    run = play(case(agent(), singles(0.0, work=0.25), [1], reconfigure_s=0.5))
    assert same(run.started_at, [0.0])


def test_change_of_no_more_than_the_quantum_causes_no_pause(play: Player) -> None:
    # 0.25 -> 0.5 is the quantum itself: no pause, and the new rate holds. 0.5 -> 1 is more.
    made = case(
        agent(), singles(0.0, work=1.0), [0.25, 0.5, 1], reconfigure_s=0.25, share_quantum=0.25
    )
    # 0.25 done at 1, 0.75 done at 2, paused to 2.25, done at 2.5.
    assert same(play(made).completed_at, [2.5])


def test_new_change_restarts_the_pause(play: Player) -> None:
    # Paused from 1 for 1.5 s, and again from 2: to 3.5.
    run = play(case(agent(), singles(1.0, work=0.25), [1, 0.5, 1, 1], reconfigure_s=1.5))
    assert same(run.started_at, [3.5])
    assert same(run.seen["pause_left_s"], [[0], [0], [0.5], [0.5]])


def test_unchanged_share_lets_the_pause_run_out(play: Player) -> None:
    run = play(case(agent(), singles(1.0, work=0.25), [1, 0.5, 0.5, 0.5], reconfigure_s=1.5))
    assert same(run.started_at, [2.5])


def test_pause_that_ends_at_a_decision_is_over_before_a_new_change(play: Player) -> None:
    # Paused from 1 to 2; the change at 2 pauses anew to 3, and call 0 starts only then.
    run = play(case(agent(), singles(0.5, 1.0, work=0.25), [1, 0.5, 1, 1], reconfigure_s=1.0))
    assert same(run.started_at, [0.5, 3.0])


def test_pause_runs_alongside_loading(play: Player) -> None:
    # Loading from 0 to 2.5; the change at 1 pauses to 1.75 and at 2 to 2.75.
    made = case(
        agent(cold_start_s=2.5), singles(0.0, work=0.125), [1, 0.5, 1, 1], reconfigure_s=0.75
    )
    assert same(play(made).started_at, [2.75])


def test_pause_shorter_than_the_load_costs_nothing(play: Player) -> None:
    made = case(agent(cold_start_s=2.5), singles(0.0, work=0.125), [1, 0.5, 0.5], reconfigure_s=1)
    assert same(play(made).started_at, [2.5])


def test_pause_goes_on_through_cold(play: Player) -> None:
    # The zero at 1 pauses to 3.5 and, without keep-alive, makes cold. The share at 2 is the
    # first from cold and pauses nothing; the pause of 1 still holds.
    run = play(case(agent(), singles(1.5, work=0.25), [1, 0, 1, 1], reconfigure_s=2.5))
    assert same(run.started_at, [3.5])


def test_change_while_waiting_for_memory_pauses_as_well(play: Player) -> None:
    # b waits for memory at 0 and changes at 1, which pauses it to 2.25; a frees its memory at 2.
    made = case(
        [agent("a", memory_mb=3), agent("b", memory_mb=2)],
        [Call(1, 0.125, 0, 0.0)],
        [(0.5, 0.5), (0.5, 0.25), (0, 0.25)],
        pool_memory_mb=4,
        reconfigure_s=1.25,
    )
    assert same(play(made).started_at, [2.25])


def test_changes_of_others_pause_nobody_else(play: Player) -> None:
    made = case(
        [agent("a"), agent("b")],
        [Call(0, 0.5, 0, 0.0), Call(1, 0.5, 1, 0.0)],
        [(0.25, 0.25), (0.25, 0.5)],
        reconfigure_s=0.5,
    )
    assert same(play(made).completed_at, [2.0, 2.0])


# ---- service -----------------------------------------------------------------------------------


def test_calls_are_served_in_order_of_release(play: Player) -> None:
    # Index order is not release order.
    run = play(case(agent(throughput=4), singles(0.375, 0.125, 0.25), [1]))
    assert same(run.started_at, [0.625, 0.125, 0.375])


def test_each_of_c_calls_gets_a_part_of_the_share(play: Player) -> None:
    # T g / c = 2 · 1 / 2 = 1 work/s each: one alone is no faster, three make one wait.
    calls = [Call(0, 0.5, 0, 0.125), Call(0, 0.25, 1, 0.25), Call(0, 0.125, 2, 0.25)]
    run = play(case(agent(throughput=2, concurrency=2), calls, [1]))
    assert same(run.started_at, [0.125, 0.25, 0.5])
    assert same(run.completed_at, [0.625, 0.5, 0.625])


def test_calls_overtake_between_servers_and_not_in_the_queue(play: Player) -> None:
    # The long call holds one server; the others go through the second one by one.
    calls = [Call(0, 2.0, 0, 0.0), *[Call(0, 0.25, t, 0.0) for t in (1, 2, 3)]]
    run = play(case(agent(throughput=2, concurrency=2), calls, [1, 1]))
    assert same(run.started_at, [0.0, 0.0, 0.25, 0.5])
    assert same(run.completed_at, [2.0, 0.25, 0.5, 0.75])


def test_several_servers_are_filled_at_a_decision(play: Player) -> None:
    calls = singles(0.0, 0.5, 1.0, work=0.25)
    run = play(case(agent(throughput=2, concurrency=4), calls, [0, 1]))
    assert same(run.started_at, [1.0, 1.0, 1.0])
    assert same(run.completed_at, [1.5, 1.5, 1.5])


# ---- queue limit -------------------------------------------------------------------------------


def test_call_is_rejected_when_it_cannot_start_and_the_queue_is_full(play: Player) -> None:
    # One in service from 0.125, one waits, the third is rejected; at 0.625 there is room again.
    calls = singles(0.125, 0.25, 0.375, 0.75, work=0.5)
    run = play(case(agent(queue_limit=1), calls, [1, 1]))
    assert list(run.rejected) == [False, False, True, False]
    assert same(run.released_at, [0.125, 0.25, 0.375, 0.75])
    assert same(run.started_at, [0.125, 0.625, NAN, 1.125])
    assert same(run.seen["rejected"], [[0], [1]])
    assert same(run.seen["arrivals"], [[0], [4]])


def test_calls_wait_for_a_cold_agent_up_to_the_limit(play: Player) -> None:
    run = play(case(agent(queue_limit=2), singles(0.25, 0.5, 0.75), [0, 1]))
    assert list(run.rejected) == [False, False, True]
    assert same(run.seen["queue"], [[0], [2]])


def test_idle_but_paused_server_cannot_start_a_call_at_once(play: Player) -> None:
    calls = singles(1.25, 1.625, work=0.125)
    run = play(case(agent(queue_limit=0), calls, [1, 0.5], reconfigure_s=0.5))
    assert list(run.rejected) == [True, False]


def test_rejection_takes_the_whole_task(play: Player) -> None:
    # Task 0: call 0 in service on a (from 0.125), call 1 waits on b, call 2 is refused
    # by c at 0.5 (call 6 waits there), call 3 would follow call 0, call 4 would come at 1.5.
    calls = [
        Call(0, 1.0, 0, 0.125),
        Call(1, 0.25, 0, 0.25),
        Call(2, 0.25, 0, 0.5),
        Call(0, 0.25, 0, predecessors=(0,)),
        Call(0, 0.25, 0, 1.5),
        Call(1, 0.25, 1, 0.125),
        Call(2, 0.25, 2, 0.25),
    ]
    agents = [agent("a", throughput=2), agent("b"), agent("c", queue_limit=1)]
    run = play(case(agents, calls, [(0.5, 0.25, 0), (0.5, 0.25, 0), (0.5, 0.25, 0.25)]))
    assert list(run.rejected) == [False, True, True, False, False, False, False]
    # Call 0 finishes; what it would have released is never released, nor is what was to come.
    assert same(run.released_at, [0.125, 0.25, 0.5, NAN, NAN, 0.125, 0.25])
    assert same(run.completed_at, [1.125, NAN, NAN, NAN, NAN, 1.125, 3.0])
    # Both are rejected in the first interval, each at its own agent, and b's queue is empty.
    assert same(run.seen["rejected"], [[0, 0, 0], [0, 1, 1], [0, 0, 0]])
    assert same(run.seen["queue"], [[0, 0, 0], [0, 0, 1], [0, 0, 1]])


def test_place_of_a_call_withdrawn_at_an_instant_is_free_for_the_next_release(
    play: Player,
) -> None:
    # At 0.5, in the tape's order: call 2 (task 0) is refused by b, so call 0 (task 0) leaves a's
    # one place; then call 3 finds it free. b holds call 1.
    calls = [
        Call(0, 0.25, 0, 0.25),
        Call(1, 0.25, 1, 0.25),
        Call(1, 0.25, 0, 0.5),
        Call(0, 0.25, 2, 0.5),
    ]
    agents = [agent("a", queue_limit=1), agent("b", queue_limit=1)]
    run = play(case(agents, calls, [(0, 0), (0.5, 0.5)]))
    assert list(run.rejected) == [True, False, True, False]
    assert same(run.started_at, [NAN, 1.0, NAN, 1.0])


def test_call_of_a_task_rejected_at_the_same_instant_is_never_released(play: Player) -> None:
    # Calls 0 and 1 are due at 0.5; call 0 is refused, so call 1 is never released.
    calls = [Call(0, 0.25, 0, 0.5), Call(1, 0.25, 0, 0.5)]
    agents = [agent("a", queue_limit=0), agent("b")]
    run = play(case(agents, calls, [(0, 1.0)]))
    assert same(run.released_at, [0.5, NAN])
    assert list(run.rejected) == [True, False]
    assert same(run.started_at, [NAN, NAN])
