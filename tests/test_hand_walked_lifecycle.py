"""Small instances walked by hand: loading, keep-alive and the pool's memory.

Every one is played by the plain reference and by both paths of the package, so that a mistake
in the walking shows as well. All numbers are dyadic: times are compared to the last bit.
"""

from __future__ import annotations

from .reference.case import Call
from .reference.judges import Player, agent, case, judged, same, singles

pytestmark = judged

COLD, WAITING, LOADING, WARM = 0, 1, 2, 3


# ---- loading -----------------------------------------------------------------------------------


def test_agents_start_cold_with_no_share(play: Player) -> None:
    run = play(case([agent("a"), agent("b")], [], [(1, 0)]))
    assert same(run.seen["status"], [[COLD, COLD]])


def test_load_takes_its_time_whatever_the_share(play: Player) -> None:
    # Shares of 1/8 and 1/2 both load in 1.5 s. Then work 0.25 takes 2 s and 0.5 s.
    calls = [Call(0, 0.25, 0, 0.0), Call(1, 0.25, 1, 0.0)]
    agents = [agent("a", cold_start_s=1.5), agent("b", cold_start_s=1.5)]
    run = play(case(agents, calls, [(0.125, 0.5)] * 4))
    assert same(run.started_at, [1.5, 1.5])
    assert same(run.completed_at, [3.5, 2.0])
    assert same(run.seen["status"], [[COLD, COLD], [LOADING, LOADING], [WARM, WARM], [WARM, WARM]])
    assert same(run.seen["ready_in_s"], [[1.5, 1.5], [0.5, 0.5], [0, 0], [0, 0]])
    assert run.cold_starts.sum() == 2


def test_change_of_share_does_not_alter_a_load(play: Player) -> None:
    run = play(case(agent(cold_start_s=2.5), singles(0.0, work=0.25), [0.125, 1, 0.5]))
    assert same(run.started_at, [2.5])
    assert same(run.completed_at, [3.0])
    assert run.cold_starts.sum() == 1


def test_zero_share_abandons_a_load(play: Player) -> None:
    # 1 s of 1.5 s is lost: the load that begins at 2 ends at 3.5.
    run = play(case(agent(cold_start_s=1.5), singles(0.0, work=0.25), [1, 0, 1, 1]))
    assert same(run.seen["status"], [[COLD], [LOADING], [COLD], [LOADING]])
    assert same(run.started_at, [3.5])
    assert same(run.billed, [[1], [0], [1], [1]])
    assert run.cold_starts.sum() == 2


def test_load_that_ends_at_a_decision_is_warm_before_a_zero_share(play: Player) -> None:
    # Warm at 1, where the zero share starts the keep-alive clock instead of abandoning a load:
    # at 2 the agent is warm still, and serves at once.
    run = play(case(agent(cold_start_s=1.0, keep_alive_s=1.5), singles(0.0), [1, 0, 1]))
    assert same(run.seen["status"], [[COLD], [WARM], [WARM]])
    assert same(run.started_at, [2.0])
    assert run.cold_starts.sum() == 1


def test_load_that_ends_at_a_decision_starts_no_call_before_the_shares(play: Player) -> None:
    run = play(case(agent(cold_start_s=1.0), singles(0.0, work=0.25), [1, 0.5]))
    assert same(run.started_at, [1.0])
    assert same(run.completed_at, [1.5])  # at the new share


def test_agent_without_cold_start_serves_at_once_and_counts_none(play: Player) -> None:
    run = play(case(agent(), singles(0.0), [1, 0, 1]))
    assert same(run.started_at, [0.0])
    assert run.cold_starts.sum() == 0


# ---- keep-alive --------------------------------------------------------------------------------


def test_keep_alive_ends_in_cold(play: Player) -> None:
    # Zero share at 1, cold at 2.5; the share at 3 loads again for 0.5 s.
    run = play(
        case(agent(cold_start_s=0.5, keep_alive_s=1.5), singles(2.0, work=0.25), [1, 0, 0, 1])
    )
    assert same(run.seen["status"], [[COLD], [WARM], [WARM], [COLD]])
    assert same(run.started_at, [3.5])
    assert run.cold_starts.sum() == 2


def test_keep_alive_clock_runs_on_through_later_zeros(play: Player) -> None:
    # The zeros at 1, 2 and 3 start one clock, at 1: cold at 3.5.
    run = play(case(agent(keep_alive_s=2.5), [], [1, 0, 0, 0, 0]))
    assert same(run.seen["keep_alive_left_s"], [[0], [2.5], [1.5], [0.5], [0]])
    assert same(run.seen["status"], [[COLD], [WARM], [WARM], [WARM], [COLD]])


def test_model_that_is_loading_would_not_stay_without_a_share(play: Player) -> None:
    # A zero share abandons a load at once; keep-alive is for what is warm, from 1.5 on.
    run = play(case(agent(cold_start_s=1.5, keep_alive_s=4.0), [], [1, 1, 1]))
    assert same(run.seen["status"], [[COLD], [LOADING], [WARM]])
    assert same(run.seen["keep_alive_left_s"], [[0], [0], [4]])


def test_keep_alive_clock_starts_anew_after_a_positive_share(play: Player) -> None:
    # Clocks from 1 (stopped at 2) and from 3: cold at 4.5, not at 2.5.
    run = play(case(agent(keep_alive_s=1.5), [], [1, 0, 1, 0, 0, 0]))
    assert same(run.seen["keep_alive_left_s"], [[0], [1.5], [0.5], [1.5], [0.5], [0]])
    assert same(run.seen["status"], [[COLD], [WARM], [WARM], [WARM], [WARM], [COLD]])


def test_keep_alive_that_ends_at_a_decision_is_cold_before_a_positive_share(play: Player) -> None:
    # Zero at 1, keep-alive of 1 s: cold at 2 before the share of 2, which has to load.
    run = play(case(agent(cold_start_s=0.5, keep_alive_s=1.0), singles(1.0), [1, 0, 1, 1]))
    assert same(run.seen["status"], [[COLD], [WARM], [COLD], [WARM]])
    assert same(run.started_at, [2.5])
    assert run.cold_starts.sum() == 2


def test_without_keep_alive_a_zero_share_is_cold_at_once(play: Player) -> None:
    run = play(case(agent(cold_start_s=0.5, footprint=0.5), singles(1.0), [1, 0, 1]))
    assert same(run.seen["status"], [[COLD], [WARM], [COLD]])
    assert same(run.billed, [[1], [0], [1]])
    assert same(run.started_at, [2.5])


def test_no_call_starts_with_a_zero_share(play: Player) -> None:
    run = play(case(agent(keep_alive_s=9.0), singles(1.25), [1, 0, 0.5]))
    assert same(run.started_at, [2.0])


def test_calls_in_service_freeze_with_a_zero_share_and_go_on_where_they_were(
    play: Player,
) -> None:
    # Half done at 1, frozen for 1 s, the other half at twice the rate.
    run = play(case(agent(keep_alive_s=9.0), singles(0.0), [0.5, 0, 1]))
    assert same(run.seen["in_service"], [[0], [1], [1]])
    assert same(run.completed_at, [2.5])
    assert same(run.busy, [[0.5], [0], [0.5]])


def test_calls_in_service_freeze_also_through_cold(play: Player) -> None:
    # Loading from 0 to 0.75; 0.125 of 0.625 is done at 1, where it freezes. Cold from 1.5,
    # loading again from 3 to 3.75, the other 0.5 done at 4.25. The frozen call holds its server
    # all along: call 1 starts after it.
    made = case(
        agent(cold_start_s=0.75, keep_alive_s=0.5),
        [Call(0, 0.625, 0, 0.0), Call(0, 0.25, 1, 1.25)],
        [0.5, 0, 0, 1, 1],
    )
    run = play(made)
    assert same(run.seen["status"], [[COLD], [WARM], [COLD], [COLD], [WARM]])
    assert same(run.seen["in_service"], [[0], [1], [1], [1], [1]])
    assert same(run.started_at, [0.75, 4.25])
    assert same(run.completed_at, [4.25, 4.5])
    # Billed while loading and warm; busy only while the call makes progress: 0.25 s at 0.5 GPU,
    # 0.25 s and then 0.5 s at 1 GPU.
    assert same(run.billed, [[0.5], [0.5 / 64], [0], [1], [1]])
    assert same(run.busy, [[0.125], [0], [0], [0.25], [0.5]])


# ---- the pool's memory -------------------------------------------------------------------------


def test_load_that_does_not_fit_waits_unbilled_until_memory_is_freed(play: Player) -> None:
    # a is warm from 0 and kept alive to 1.5; b asks at 1, waits, loads from 1.5 to 2.
    made = case(
        [agent("a", memory_mb=3, keep_alive_s=0.5), agent("b", memory_mb=2, cold_start_s=0.5)],
        [Call(1, 0.25, 0, 0.0)],
        [(1, 0), (0, 0.5), (0, 0.5), (0, 0.5)],
        pool_memory_mb=4,
    )
    run = play(made)
    assert same(run.seen["status"], [[COLD, COLD], [WARM, COLD], [COLD, WARM], [COLD, WARM]])
    assert same(run.started_at, [2.0])
    assert same(run.billed, [[1, 0], [0.5 / 64, 0.25], [0, 0.5], [0, 0.5]])
    assert run.cold_starts.sum() == 1


def test_waiting_for_memory_is_a_state_of_its_own(play: Player) -> None:
    made = case(
        [agent("a", memory_mb=3), agent("b", memory_mb=2)],
        [Call(1, 0.25, 0, 0.0)],
        [(0.5, 0.5), (0.5, 0.5), (0, 0.5)],
        pool_memory_mb=4,
    )
    run = play(made)
    assert same(run.seen["status"], [[COLD, COLD], [WARM, WAITING], [WARM, WAITING]])
    assert same(run.started_at, [2.0])  # a's memory is free with its zero share at 2
    assert same(run.billed, [[0.5, 0], [0.5, 0], [0, 0.5]])


def test_waiting_loads_go_in_agent_order(play: Player) -> None:
    # c holds the memory until 1; then a and b want 2 each, and 3 are there: a goes first,
    # although b waited as long.
    made = case(
        [agent("a", memory_mb=2), agent("b", memory_mb=2), agent("c", memory_mb=3)],
        [],
        [(0, 0, 1), (0.5, 0.5, 0), (0.5, 0.5, 0), (0, 0.5, 0), (0, 0.5, 0)],
        pool_memory_mb=3,
    )
    run = play(made)
    assert same(
        run.seen["status"],
        [
            [COLD, COLD, COLD],
            [COLD, COLD, WARM],
            [WARM, WAITING, COLD],
            [WARM, WAITING, COLD],
            [COLD, WARM, COLD],
        ],
    )


def test_a_small_load_passes_a_large_one_that_does_not_fit(play: Player) -> None:
    made = case(
        [agent("a", memory_mb=2), agent("b", memory_mb=3), agent("c", memory_mb=2)],
        [],
        [(0.25, 0.25, 0.25)] * 2,
        pool_memory_mb=4,
    )
    run = play(made)
    assert same(run.seen["status"][1], [WARM, WAITING, WARM])


def test_zero_share_takes_a_waiting_load_out_of_the_line(play: Player) -> None:
    made = case(
        [agent("a", memory_mb=3), agent("b", memory_mb=2)],
        [],
        [(0.5, 0.5), (0.5, 0), (0, 0)],
        pool_memory_mb=4,
    )
    run = play(made)
    assert same(run.seen["status"], [[COLD, COLD], [WARM, WAITING], [WARM, COLD]])


def test_memory_of_an_abandoned_load_is_free_at_that_decision(play: Player) -> None:
    # b asks at 1, where a abandons its load: b loads from 1, not from 2.
    made = case(
        [agent("a", memory_mb=3, cold_start_s=5), agent("b", memory_mb=3, cold_start_s=0.5)],
        [Call(1, 0.25, 0, 0.0)],
        [(1, 0), (0, 1)],
        pool_memory_mb=4,
    )
    assert same(play(made).started_at, [1.5])


def test_memory_freed_at_a_decision_goes_by_the_new_shares(play: Player) -> None:
    # a's keep-alive ends at 2, where b, waiting since 1, gives up and c asks: c loads.
    made = case(
        [agent(n, memory_mb=3, keep_alive_s=1.0, cold_start_s=0.25) for n in "abc"],
        [],
        [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 1)],
        pool_memory_mb=4,
    )
    run = play(made)
    assert same(run.seen["status"][2:], [[COLD, WAITING, COLD], [COLD, COLD, WARM]])
    assert same(run.billed[1:], [[1 / 64, 0, 0], [0, 0, 1], [0, 0, 1]])
    assert run.cold_starts.sum() == 2
