"""Small instances walked by hand: decisions, the order at one instant, and feasible shares.

Every one is played by the plain reference and by both paths of the package, so that a mistake
in the walking shows as well. All numbers are dyadic: times are compared to the last bit.
"""

from __future__ import annotations

from .reference.case import Call
from .reference.judges import NAN, Player, agent, case, judged, same, singles

pytestmark = judged


# ---- decisions ---------------------------------------------------------------------------------


def test_events_inside_an_interval_are_exact(play: Player) -> None:
    # Released at 0.125, served at 2 work/s: done at 0.625. The second starts then, done at 1.125,
    # inside the second interval; nothing is rounded to the interval.
    run = play(case(agent(throughput=2), singles(0.125, 0.25), [1, 1]))
    assert same(run.started_at, [0.125, 0.625])
    assert same(run.completed_at, [0.625, 1.125])


def test_decision_sees_calls_released_at_that_instant(play: Player) -> None:
    run = play(case(agent(), singles(0.0, 1.0, 1.0), [0, 0, 0]))
    assert same(run.seen["queue"], [[1], [3], [3]])


def test_arrivals_of_the_last_interval_include_its_end_and_not_its_start(play: Player) -> None:
    # (0, 1] holds 0.5 and 1.0; (1, 2] holds 1.5 and 2.0; at the start only what came at 0.
    run = play(case(agent(), singles(0.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5), [0, 0, 0]))
    assert same(run.seen["arrivals"], [[2], [2], [2]])


def test_completions_of_the_last_interval_include_its_end(play: Player) -> None:
    # Done at 1.0 (on the decision), 2.0 and 2.5.
    run = play(case(agent(), [*singles(0.0, 1.0), Call(0, 0.5, 2, 2.0)], [1, 1, 1]))
    assert same(run.completed_at, [1.0, 2.0, 2.5])
    assert same(run.seen["completions"], [[0], [1], [1]])


def test_share_holds_from_its_decision_to_the_next(play: Player) -> None:
    # 0.25 work in [0, 1), 0.5 in [1, 2), 1.0 in [2, 3): work 1.25 is done at 2.5.
    run = play(case(agent(), singles(0.0, work=1.25), [0.25, 0.5, 1.0]))
    assert same(run.completed_at, [2.5])


def test_last_interval_may_be_shorter_and_divides_by_its_own_length(play: Player) -> None:
    # Intervals [0, 1) and [1, 1.5). One open task throughout, and 1 GPU of 1 is billed: both
    # terms are 1 in both intervals, whatever the interval's length.
    run = play(case(agent(), singles(0.0, work=8.0), [1, 1], horizon_s=1.5), horizon_charge=False)
    assert same(run.latency_term, [1, 1])
    assert same(run.cost_term, [1, 1])
    assert same(run.idle_term, [0, 0])
    assert same(run.billed, [[1], [0.5]])


def test_horizon_shorter_than_the_interval_is_one_interval(play: Player) -> None:
    run = play(case(agent(), singles(0.0, 0.5, work=0.25), [1], horizon_s=0.75))
    assert same(run.completed_at, [0.25, 0.75])
    assert run.rewards.shape == (1,)


def test_completion_at_the_horizon_counts_and_release_at_the_horizon_does_not(
    play: Player,
) -> None:
    # Call 0 is done at H = 2. Call 1 would be released there and never is. Call 2 waits, and
    # nothing starts at the horizon.
    calls = singles(1.0, 2.0, 1.0)
    run = play(case(agent(), calls, [1, 1]))
    assert same(run.released_at, [1.0, NAN, 1.0])
    assert same(run.started_at, [1.0, NAN, NAN])
    assert same(run.completed_at, [2.0, NAN, NAN])


def test_successor_released_at_the_horizon_or_beyond_is_not_released(play: Player) -> None:
    calls = [
        Call(0, 1.0, 0, 0.0),
        Call(0, 1.0, 0, delay=1.0, predecessors=(0,)),  # due at 2 = H
        Call(0, 1.0, 0, delay=0.875, predecessors=(0,)),  # due at 1.875
        Call(0, 1.0, 0, delay=5.0, predecessors=(0,)),
    ]
    run = play(case(agent(), calls, [1, 1]))
    assert same(run.released_at, [0.0, NAN, 1.875, NAN])


# ---- order at one instant ----------------------------------------------------------------------


def test_completion_precedes_release_at_the_same_instant(play: Player) -> None:
    # At 0.5 the server is freed before the second call comes: with no place to wait it starts.
    calls = [Call(0, 0.25, 0, 0.25), Call(0, 0.25, 1, 0.5)]
    run = play(case(agent(queue_limit=0), calls, [1]))
    assert same(run.started_at, [0.25, 0.5])
    assert not run.rejected.any()


def test_completion_starts_the_next_waiting_call_before_releases(play: Player) -> None:
    # At 0.5 call 0 completes and call 1 takes its server, which leaves the one place to wait to
    # call 2. Were the release first, call 2 would find the place taken.
    calls = [Call(0, 0.25, 0, 0.25), Call(0, 0.25, 1, 0.375), Call(0, 0.125, 2, 0.5)]
    run = play(case(agent(queue_limit=1), calls, [1]))
    assert same(run.started_at, [0.25, 0.5, 0.75])
    assert not run.rejected.any()


def test_end_of_loading_precedes_release_at_the_same_instant(play: Player) -> None:
    # Loading takes 0.5 s; the call of 0.5 starts at once, though none may wait.
    run = play(case(agent(cold_start_s=0.5, queue_limit=0), singles(0.5, work=0.25), [1]))
    assert same(run.started_at, [0.5])
    assert not run.rejected.any()


def test_end_of_a_pause_precedes_release_at_the_same_instant(play: Player) -> None:
    # The change at 1 pauses until 1.5.
    made = case(agent(queue_limit=0), singles(1.5, work=0.25), [0.5, 1], reconfigure_s=0.5)
    assert same(play(made).started_at, [1.5])


def test_waiting_calls_start_at_the_end_of_loading_before_releases(play: Player) -> None:
    # At 0.5 the waiting call starts and frees the one place for the call of that instant.
    calls = singles(0.25, 0.5, work=0.25)
    run = play(case(agent(cold_start_s=0.5, queue_limit=1), calls, [1]))
    assert same(run.started_at, [0.5, 0.75])


def test_releases_of_one_instant_go_in_the_tape_s_order(play: Player) -> None:
    # Call 2 starts the task that calls 0 and 1 wait for: at 0.25 call 2 completes and releases
    # call 0 without delay, at the same instant as call 1 and call 3. In the tape's order: call 0
    # starts, call 1 takes the one place to wait, call 3 is rejected.
    calls = [
        Call(0, 0.25, 0, predecessors=(2,)),
        Call(0, 0.25, 1, 0.25),
        Call(0, 0.125, 0, 0.125),
        Call(0, 0.25, 2, 0.25),
    ]
    run = play(case(agent(queue_limit=1), calls, [1]))
    assert same(run.released_at, [0.25, 0.25, 0.125, 0.25])
    assert same(run.started_at, [0.25, 0.5, 0.125, NAN])
    assert list(run.rejected) == [False, False, False, True]


def test_a_later_index_waits_its_turn_among_zero_delay_successors(play: Player) -> None:
    # As before with the successor last: it is the one that is rejected.
    calls = [
        Call(0, 0.25, 1, 0.25),
        Call(0, 0.25, 2, 0.25),
        Call(0, 0.125, 0, 0.125),
        Call(0, 0.25, 0, predecessors=(2,)),
    ]
    run = play(case(agent(queue_limit=1), calls, [1]))
    assert same(run.started_at, [0.25, 0.5, 0.125, NAN])
    assert list(run.rejected) == [False, False, False, True]


def test_delayed_successor_ties_with_a_release_by_index(play: Player) -> None:
    # Call 1 is due at 0.125 + 0.375 = 0.5, as is call 0 by the tape; call 0 goes first.
    calls = [
        Call(0, 0.25, 1, 0.5),
        Call(0, 0.25, 0, delay=0.375, predecessors=(2,)),
        Call(0, 0.125, 0, 0.0),
    ]
    run = play(case(agent(), calls, [1]))
    assert same(run.started_at, [0.5, 0.75, 0.0])


def test_chain_through_agents_without_delay_loses_no_time(play: Player) -> None:
    # 0.125 s on each of three agents at 2 work/s.
    calls = [
        Call(0, 0.25, 0, 0.0),
        Call(1, 0.25, 0, predecessors=(0,)),
        Call(2, 0.25, 0, predecessors=(1,)),
    ]
    agents = [agent(name, throughput=8) for name in "abc"]
    run = play(case(agents, calls, [(0.25, 0.25, 0.25)]))
    assert same(run.completed_at, [0.125, 0.25, 0.375])


def test_one_instant_is_repeated_until_nothing_is_due(play: Player) -> None:
    # Work so small that the clock does not move: at 0.5 a chain of three calls runs through two
    # agents and back in one instant, and so it does at 1, once the decision has been taken.
    for at in (0.5, 1.0):
        tiny = 2.0**-60
        calls = [
            Call(0, tiny, 0, at),
            Call(1, tiny, 0, predecessors=(0,)),
            Call(0, tiny, 0, predecessors=(1,)),
        ]
        run = play(case([agent("a"), agent("b")], calls, [(0.5, 0.5), (0.5, 0.5)]))
        assert same(run.started_at, [at] * 3)
        assert same(run.completed_at, [at] * 3)
        assert same(run.seen["queue"], [[0, 0], [at == 1.0, 0]])


def test_join_waits_for_the_last_predecessor(play: Player) -> None:
    # Done at 0.25 and 0.5; the join is released 0.125 s after the later one.
    calls = [
        Call(0, 0.25, 0, 0.0),
        Call(1, 0.5, 0, 0.0),
        Call(0, 0.25, 0, delay=0.125, predecessors=(0, 1)),
    ]
    agents = [agent("a", throughput=2), agent("b", throughput=2)]
    run = play(case(agents, calls, [(0.5, 0.5)]))
    assert same(run.released_at, [0.0, 0.0, 0.625])
    assert same(run.completed_at, [0.25, 0.5, 0.875])


# ---- at a decision nothing starts before the shares --------------------------------------------


def test_completion_at_a_decision_leaves_the_next_start_to_the_new_shares(play: Player) -> None:
    # Call 0 is done at 1, where the share becomes 0: call 1 does not start before 2.
    run = play(case(agent(), singles(0.0, 0.5), [1, 0, 1]))
    assert same(run.started_at, [0.0, 2.0])
    assert same(run.seen["queue"], [[1], [1], [1]])
    assert same(run.seen["in_service"], [[0], [0], [0]])


def test_release_at_a_decision_starts_with_the_new_share(play: Player) -> None:
    # Released at 1 and seen there as waiting; it starts at 1 and runs at 0.5, not at 1.
    run = play(case(agent(), singles(1.0, work=0.25), [1, 0.5]))
    assert same(run.seen["queue"], [[0], [1]])
    assert same(run.started_at, [1.0])
    assert same(run.completed_at, [1.5])


def test_zero_delay_successor_at_a_decision_is_seen_there(play: Player) -> None:
    # Call 0 is done at 1; its successor on b is released at 1, among what the decision sees.
    calls = [Call(0, 0.5, 0, 0.0), Call(1, 0.25, 0, predecessors=(0,))]
    run = play(case([agent("a"), agent("b")], calls, [(0.5, 0.5), (0.5, 0.5)]))
    assert same(run.released_at, [0.0, 1.0])
    assert same(run.seen["queue"], [[1, 0], [0, 1]])
    assert same(run.seen["arrivals"], [[1, 0], [0, 1]])
    assert same(run.completed_at, [1.0, 1.5])


def test_release_at_a_decision_cannot_start_at_once(play: Player) -> None:
    # With no place to wait, a call of the instant 1 finds an idle server that may not start it;
    # the same call an eighth of a second later starts.
    calls = singles(1.0, 1.125, work=0.125)
    run = play(case(agent(queue_limit=0), calls, [1, 1]))
    assert list(run.rejected) == [True, False]
    assert same(run.started_at, [NAN, 1.125])


def test_places_freed_at_a_decision_are_not_there_for_its_releases(play: Player) -> None:
    # Call 0 completes at 1, but call 1 still waits when call 2 comes, and the one place is taken.
    calls = singles(0.0, 0.5, 1.0)
    run = play(case(agent(queue_limit=1), calls, [1, 1, 1]))
    assert list(run.rejected) == [False, False, True]
    assert same(run.started_at, [0.0, 1.0, NAN])


# ---- feasible shares ---------------------------------------------------------------------------


def test_negative_shares_count_as_zero(play: Player) -> None:
    # -1 and 1 do not add up to less than the pool: b keeps its 1.
    run = play(case([agent("a"), agent("b")], [], [(-1.0, 1.0)]))
    assert same(run.shares, [[0, 1]])


def test_share_under_the_quantum_counts_as_zero_and_the_quantum_itself_does_not(
    play: Player,
) -> None:
    run = play(case([agent("a"), agent("b")], [], [(0.03125, 0.0625)], share_quantum=0.0625))
    assert same(run.shares, [[0, 0.0625]])


def test_shares_over_the_pool_are_scaled_together(play: Player) -> None:
    run = play(case([agent("a"), agent("b")], [], [(3.0, 1.0)], gpus=2.0))
    assert same(run.shares, [[1.5, 0.5]])


def test_shares_within_the_pool_are_left_alone(play: Player) -> None:
    run = play(case([agent("a"), agent("b")], [], [(0.25, 0.5)], gpus=2.0))
    assert same(run.shares, [[0.25, 0.5]])


def test_what_is_clipped_is_clipped_before_scaling(play: Player) -> None:
    # -2 becomes 0 and 0.0625 is under the quantum: only 1 and 3 share the pool.
    shares = [(-2.0, 0.0625, 1.0, 3.0)]
    run = play(case([agent(n) for n in "abcd"], [], shares, share_quantum=0.125))
    assert same(run.shares, [[0, 0, 0.25, 0.75]])


def test_quantum_is_not_applied_again_after_scaling(play: Player) -> None:
    # 0.125 is the quantum; scaled by 1/4 it is 0.03125 and stays.
    shares = [(0.125, 3.875)]
    run = play(case([agent("a"), agent("b")], [], shares, share_quantum=0.125))
    assert same(run.shares, [[0.03125, 0.96875]])
