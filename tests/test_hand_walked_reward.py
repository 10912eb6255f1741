"""Small instances walked by hand: the bill, utilization, and the three terms of the reward.

Every one is played by the plain reference and by both paths of the package, so that a mistake
in the walking shows as well. All numbers are dyadic.
"""

from __future__ import annotations

from slicegym.envs import Weights

from .reference.case import Call
from .reference.judges import Player, agent, case, judged, same, singles

pytestmark = judged


# ---- billing -----------------------------------------------------------------------------------


def test_bill_is_the_share_or_the_footprint_whichever_is_more(play: Player) -> None:
    # Shares 0.25 and 0.75 over a footprint of 0.5; loading counts; the footprint is not taken
    # from the pool, so b has its share beside it.
    agents = [agent("a", footprint=0.5, cold_start_s=0.5), agent("b", footprint=0.0)]
    run = play(case(agents, [], [(0.25, 0.75), (0.75, 0.25)]))
    assert same(run.billed, [[0.5, 0.75], [0.75, 0.25]])
    assert same(run.cost_term, [1.25, 1.0])


def test_keep_alive_costs_the_footprint_until_it_ends(play: Player) -> None:
    # Zero share at 1, cold at 2.5: 1 s and 0.5 s at 0.25 GPU.
    run = play(case(agent(footprint=0.25, keep_alive_s=1.5), [], [1, 0, 0, 0]))
    assert same(run.billed, [[1], [0.25], [0.125], [0]])


def test_default_footprint_is_the_share_quantum(play: Player) -> None:
    run = play(case(agent(keep_alive_s=9.0), [], [1, 0], share_quantum=0.125))
    assert same(run.billed, [[1], [0.125]])


def test_cold_agents_cost_nothing(play: Player) -> None:
    run = play(case(agent(footprint=0.5), singles(0.0), [0, 0]))
    assert same(run.billed, [[0], [0]])


def test_busy_is_the_used_part_of_the_servers(play: Player) -> None:
    # Two servers at 0.5 work/s each: from 0.25 one is at work (half of 1 GPU), from 0.5 to 0.75
    # both, then one until 1.
    calls = [Call(0, 0.25, 0, 0.25), Call(0, 0.25, 1, 0.5)]
    run = play(case(agent(concurrency=2), calls, [1]))
    assert same(run.completed_at, [0.75, 1.0])
    assert same(run.busy, [[0.125 + 0.25 + 0.125]])
    assert same(run.idle_term, [0.5])


def test_loading_is_billed_and_not_busy(play: Player) -> None:
    run = play(case(agent(cold_start_s=0.75), singles(0.0, work=4.0), [1, 1]))
    assert same(run.billed, [[1], [1]])
    assert same(run.busy, [[0.25], [1]])


def test_frozen_call_is_not_busy_while_its_agent_loads_again(play: Player) -> None:
    # In service since 0.5, frozen at 1; loading again from 2 to 2.5.
    run = play(case(agent(cold_start_s=0.5), singles(0.0, work=4.0), [1, 0, 1]))
    assert same(run.busy, [[0.5], [0], [0.5]])
    assert same(run.billed, [[1], [0], [1]])


# ---- the three terms ---------------------------------------------------------------------------


def test_latency_term_is_the_weighted_number_of_open_tasks(play: Player) -> None:
    # a (priority 2): open 0 to 0.5. b (priority 4): open 0.5 to 1.5.
    # Interval 0: 0.5·0.5 + 0.25·0.5 = 0.375; interval 1: 0.25·0.5 = 0.125.
    # λ_ref·L_ref = 2·4 = 8.
    made = case(
        [agent("a", priority=2), agent("b", priority=4)],
        [Call(0, 0.25, 0, 0.0), Call(1, 0.5, 1, 0.5)],
        [(0.5, 0.5), (0.5, 0.5)],
        reference_rate=2.0,
        reference_latency_s=4.0,
    )
    run = play(made)
    assert same(run.latency_term, [0.375 / 8, 0.125 / 8])


def test_task_is_open_from_its_first_release_to_its_last_completion(play: Player) -> None:
    # Call 0 is done at 0.25, its successor is released at 1.25 (think time) and done at 1.5:
    # the task is open throughout [0, 1.5], thinking included.
    calls = [Call(0, 0.25, 0, 0.0), Call(0, 0.25, 0, delay=1.0, predecessors=(0,))]
    run = play(case(agent(), calls, [1, 1]))
    assert same(run.completed_at, [0.25, 1.5])
    assert same(run.latency_term, [1.0, 0.5])


def test_weight_of_a_task_is_that_of_its_earliest_call(play: Player) -> None:
    # Call 0 is released later than call 1: the task weighs 1/4, as b does, from 0 on.
    calls = [Call(0, 0.25, 0, 0.5), Call(1, 0.25, 0, 0.0)]
    agents = [agent("a", priority=1), agent("b", priority=4)]
    run = play(case(agents, calls, [(0.5, 0.5)]))
    assert same(run.completed_at, [1.0, 0.5])
    assert same(run.latency_term, [0.25])


def test_weight_of_a_task_goes_by_index_among_its_earliest_calls(play: Player) -> None:
    calls = [Call(1, 0.25, 0, 0.0), Call(0, 0.5, 0, 0.0)]
    agents = [agent("a", priority=1), agent("b", priority=4)]
    run = play(case(agents, calls, [(0.5, 0.5)]))
    assert same(run.latency_term, [0.25])


def test_task_that_has_not_opened_weighs_nothing(play: Player) -> None:
    # Released at the horizon: never opened, never charged.
    run = play(case(agent(), singles(1.0), [1]))
    assert same(run.latency_term, [0])
    assert same(run.cost_term, [1])


def test_cost_and_idle_are_fractions_of_the_pool(play: Player) -> None:
    # 2 of 4 GPUs are billed, 0.5 s of 1 s busy.
    made = case(agent(throughput=1), singles(0.0, work=1.0), [2, 2], gpus=4.0)
    run = play(made)
    assert same(run.cost_term, [0.5, 0.5])
    assert same(run.idle_term, [0.25, 0.5])


def test_reward_is_minus_the_weighted_sum_of_the_terms(play: Player) -> None:
    made = case(
        agent(),
        singles(0.0, work=0.5),
        [1],
        weights=Weights(latency=2.0, cost=0.5, idle=0.25),
    )
    # latency 0.5, cost 1, idle 0.5.
    assert same(play(made).rewards, [-(2.0 * 0.5 + 0.5 * 1.0 + 0.25 * 0.5)])


def test_rejected_task_stays_open_until_the_horizon(play: Player) -> None:
    # The second call is refused at 0.5 and counts from 0.5 to 2, the first from 0.25 to 0.75.
    calls = singles(0.25, 0.5, work=0.5)
    run = play(case(agent(queue_limit=0), calls, [1, 1]), horizon_charge=False)
    assert list(run.rejected) == [False, True]
    assert same(run.latency_term, [0.5 + 0.5, 1.0])


def test_rejected_task_stays_open_after_its_last_call_in_service_is_done(play: Player) -> None:
    # Call 0 runs from 0.25 to 0.5; call 1 of the same task is refused at 0.375.
    calls = [Call(0, 0.25, 0, 0.25), Call(0, 0.25, 0, 0.375)]
    run = play(case(agent(queue_limit=0), calls, [1, 1]), horizon_charge=False)
    assert same(run.completed_at, [0.5, float("nan")])
    assert same(run.latency_term, [0.75, 1.0])


# ---- the horizon charge ------------------------------------------------------------------------


def test_horizon_charge_bills_every_open_task_and_its_remaining_work(play: Player) -> None:
    # Two agents at half a GPU and T = 2, that is 1 work/s; L_ref = 4, H = 2.
    # Task 0 (priority 1): call 0 has 2 of 4 work left; call 1, never released, all of 1.
    # Task 1 (priority 2): waits behind call 0 with 0.5. Task 2 is done. Task 3 never opens.
    agents = [agent("a", throughput=2, priority=1), agent("b", throughput=2, priority=2)]
    calls = [
        Call(0, 4.0, 0, 0.0),
        Call(1, 1.0, 0, predecessors=(0,)),
        Call(1, 8.0, 1, 1.0),
        Call(0, 0.5, 1, 1.0),
        Call(1, 0.5, 2, 0.0),
        Call(1, 0.5, 3, 2.0),
    ]
    made = case(agents, calls, [(0.5, 0.5), (0.5, 0.5)], reference_latency_s=4.0)
    bare, charged = play(made, horizon_charge=False), play(made)
    assert same(bare.completed_at, [float("nan")] * 4 + [0.5, float("nan")])
    # Without it: n_ω = 1 + 0.5 for 0.5 s, then 1; then 1.5. Everything billed; b idle from 0.5.
    assert same(bare.latency_term, [1.25 / 4, 1.5 / 4])
    assert same(bare.idle_term, [0.25, 0.0])
    # The charge: (1 + 0.5)·4 to the integral. Work left 2 + 1 + 7 + 0.5 = 10.5, over T = 2:
    # 5.25 GPU-seconds, of the pool's 1. All of it busy: the idle term stays.
    assert same(charged.latency_term, [1.25 / 4, (1.5 + 6.0) / 4])
    assert same(charged.cost_term, [1.0, 1.0 + 5.25])
    assert same(charged.idle_term, [0.25, 0.0])
    # It enters the reward only: the books and the bill are the same.
    assert same(charged.billed, bare.billed)
    assert same(charged.busy, bare.busy)


def test_horizon_charge_includes_rejected_tasks(play: Player) -> None:
    # Task 0 is served from 0.25 to 0.75. Task 1 has a call refused at 0.5; its second call
    # would follow. Both calls are charged, 0.5 + 0.25 of work at T = 1.
    calls = [
        Call(0, 0.5, 0, 0.25),
        Call(0, 0.5, 1, 0.5),
        Call(0, 0.25, 1, delay=0.125, predecessors=(1,)),
    ]
    run = play(case(agent(queue_limit=0), calls, [1]))
    assert same(run.latency_term, [0.5 + 0.5 + 1.0])
    assert same(run.cost_term, [1.0 + 0.75])
    assert same(run.idle_term, [0.5])


def test_horizon_charge_of_a_short_last_interval_divides_by_its_length(play: Player) -> None:
    # H = 1.25: work 0.25 left at the end, of an interval of 0.25 s and a pool of 1 GPU.
    run = play(case(agent(), singles(0.0, work=1.5), [1, 1], horizon_s=1.25))
    assert same(run.latency_term, [1.0, 1.0 + 1.0 / 0.25])
    assert same(run.cost_term, [1.0, 1.0 + 0.25 / 0.25])


def test_horizon_charge_counts_what_a_frozen_call_has_left(play: Player) -> None:
    # 0.5 of 0.75 done at 1, then frozen and cold.
    run = play(case(agent(), singles(0.5, work=0.75), [1, 0]))
    assert same(run.cost_term, [1.0, 0.25])
    assert same(run.latency_term, [0.5, 2.0])


def test_task_done_at_the_horizon_is_not_charged(play: Player) -> None:
    run = play(case(agent(), singles(0.0), [1]))
    assert same(run.latency_term, [1])
    assert same(run.cost_term, [1])
    assert same(run.idle_term, [0])
