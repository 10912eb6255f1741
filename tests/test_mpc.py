"""The program of `mpc` against schedules walked by hand and tried one by one, and its failures."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from slicegym.baselines import make_allocator
from slicegym.baselines.bound import SolverError
from slicegym.baselines.control.constants import Constants
from slicegym.baselines.control.numbers import fill, worth_of_loading, worth_of_warmth
from slicegym.baselines.control.program import Grid, Pace
from slicegym.baselines.control.solver import solve
from slicegym.baselines.mpc import MPC
from slicegym.envs import Agent, Elastic, Node, Observation, Scenario, Tape, simulate
from slicegym.envs.errors import ConfigError
from slicegym.envs.loading import load_scenario

from .observations import seen

HALF = 1 / math.log(2)  # a mean time for which half of the calls are served in an interval


def world(*agents, **changes):
    return Scenario(agents, **{"gpus": 4.0, "share_quantum": 1e-3, **changes})


def shares(scenario, text="horizon=60", decision=0, **columns):
    return make_allocator(f"mpc:tuned=false,{text}").allocate(seen(scenario, decision, **columns))


def with_columns(scenario, *extra, **columns):
    """An observation with the columns that only some scenarios have, in their order."""
    plain = seen(scenario, **columns)
    more = np.broadcast_to(extra, (scenario.n_agents, len(extra)))
    return Observation(scenario, plain.decision, np.concatenate([plain.raw, more], axis=1))


class TestSharesByHand:
    def test_a_backlog_is_served_at_the_pace(self):
        # Half of ten calls in an interval, at four a GPU.
        given = shares(world(Agent("a", 4.0)), f"drain_s={HALF}", queue=10, warm=1)
        np.testing.assert_allclose(given, [1.25])

    def test_half_of_what_is_there_and_less_of_what_comes(self):
        # Of calls that come evenly over the interval 1 − ½/ln 2 are served in it.
        given = shares(world(Agent("a", 4.0)), f"drain_s={HALF}", queue=10, warm=1, arrivals=2)
        np.testing.assert_allclose(given, [(5 + 2 * (1 - 0.5 / math.log(2))) / 4])

    def test_a_pool_that_is_short_goes_in_the_order_of_weight_times_rate(self):
        # ω·T = 4, 3 and 2: the first wants 4 calls, a GPU; the second 1.5 of what is left.
        agents = Agent("a", 4.0), Agent("b", 6.0, priority=2.0), Agent("c", 2.0)
        given = shares(world(*agents, gpus=1.5), f"drain_s={HALF}", queue=[8, 8, 8], warm=1)
        np.testing.assert_allclose(given, [1.0, 0.5, 0.0], atol=1e-9)

    def test_up_to_the_footprint_a_share_costs_nothing_on_top(self):
        agent = Agent("a", 4.0, footprint=2.0)
        given = shares(world(agent), f"drain_s={HALF}", queue=10, warm=1)
        assert given.tolist() == [2.0]

    def test_the_work_of_one_gpu_is_given_so_many(self):
        given = shares(world(Agent("a", 4.0)), f"drain_s={HALF},headroom=1.2", queue=10, warm=1)
        np.testing.assert_allclose(given, [1.5])

    def test_nothing_to_do_is_nothing_given(self):
        assert shares(world(Agent("a", 4.0)), warm=1).tolist() == [0.0]

    def test_gpus_that_are_lost_are_not_given_out(self):
        scenario = load_scenario("faults")  # available and health are seen in it
        observation = with_columns(scenario, 1.0, 1.0, queue=50, warm=1)
        assert make_allocator("mpc:tuned=false").allocate(observation).sum() == pytest.approx(1.0)

    def test_a_loss_of_all_gpus_gives_nothing(self):
        scenario = load_scenario("faults")
        observation = with_columns(scenario, 0.0, 1.0, queue=50, ready_in_s=scenario.cold_start_s)
        assert make_allocator("mpc:tuned=false").allocate(observation).sum() == 0.0


class TestMemory:
    agent = Agent("a", 4.0, cold_start_s=5.0, footprint=0.5)

    def test_a_horizon_shorter_than_a_load_begins_it_for_the_terminal_value_alone(self):
        columns = {"queue": 20, "ready_in_s": 5.0}
        assert shares(world(self.agent), "horizon=3,terminal=0", **columns).tolist() == [0.0]
        assert shares(world(self.agent), "horizon=3", **columns).tolist() == [1e-3]

    def test_a_load_in_progress_holds_its_place(self):
        columns = {"queue": 20, "loading": 1, "ready_in_s": 2.5, "share": 1e-3}
        assert shares(world(self.agent), **columns).tolist() == [1e-3]

    def test_an_agent_that_is_ready_within_the_interval_serves_in_the_rest_of_it(self):
        # Three quarters are left of the interval: they are the most of the calls that can be done.
        columns = {"queue": 400, "loading": 1, "ready_in_s": 0.25, "share": 1e-3}
        np.testing.assert_allclose(shares(world(self.agent), **columns), [4.0])

    def test_a_slow_load_is_not_given_up_for_one_that_would_be_as_slow(self):
        # Loads take twice as long, as the other agent shows: 9 s are left, and a new one is 10.
        agents = self.agent, replace(self.agent, name="b")
        columns = {"queue": [40, 0], "loading": [1, 0], "ready_in_s": [9.0, 10.0]}
        assert shares(world(*agents), **columns).tolist() == [1e-3, 0.0]

    def test_no_load_for_nobody(self):
        assert shares(world(self.agent), ready_in_s=5.0).tolist() == [0.0]

    def test_an_idle_agent_is_kept_for_calls_that_are_forecast_and_else_let_go(self):
        # Its call a second waits for 5 s where it was let go, and costs 25/2 of waiting.
        idle = {"warm": 1, "queue": 0}
        kept = make_allocator("mpc:tuned=false,window_s=100")
        for k in range(20):
            given = kept.allocate(seen(world(self.agent), k, arrivals=1, **idle))
        assert given[0] > 0
        assert shares(world(self.agent), **idle).tolist() == [0.0]

    def test_models_that_do_not_fit_into_memory_do_not_load_together(self):
        agents = [replace(self.agent, name=name, memory_mb=6) for name in "ab"]
        for room, expected in ((10, 1), (12, 2)):
            scenario = world(*agents, pool_memory_mb=room)
            given = shares(scenario, queue=[30, 20], ready_in_s=5.0)
            assert np.count_nonzero(given) == expected

    def test_what_a_warm_agent_is_worth(self):
        # A GPU costs 1 + 1 an interval, the footprint half of it; a load 5. At half a call an
        # interval ½·5 + ½·5²/2 of waiting are saved, and 1/½ paid for until a call comes.
        constants = Constants.of(world(self.agent, gpus=1.0), np.zeros(1, dtype=np.int64))
        assert worth_of_warmth(constants, np.array([0.5])) == pytest.approx([5 + 2.5 + 6.25 - 2])
        assert worth_of_warmth(constants, np.zeros(1)).tolist() == [0.0]

    def test_what_a_load_in_progress_is_worth(self):
        # Three of five intervals are done, and three calls need not wait for them.
        constants = Constants.of(world(self.agent, gpus=1.0), np.zeros(1, dtype=np.int64))
        worth = worth_of_loading(constants, np.array([3.0]), np.array([2.0]))
        assert worth == pytest.approx([3 * 1 + 3 * 3])


class TestColdStarts:
    """Of calls that take `drain_s` in the mean a plan serves few at first, and loads as little."""

    cold = Agent("a", 2.0, cold_start_s=2.0)

    def play(self, text, cold=cold, **changes):
        tape = Tape.from_calls([0, 1] * 6, [1.0] * 12, np.arange(12) / 2, horizon_s=30.0)
        scenario = world(cold, Agent("b", 2.0), horizon_s=30.0, **changes)
        return simulate(scenario, tape, make_allocator(f"mpc:tuned=false,{text}"))

    @pytest.mark.parametrize("drain_s", [0.5, 2.0, 20.0])
    @pytest.mark.parametrize(
        ("agent", "changes"),
        [
            ({"cold_start_s": 1.0}, {}),
            ({"cold_start_s": 1.1}, {}),
            ({"cold_start_s": 6.0}, {}),
            ({"keep_alive_s": 2.0}, {}),
            ({}, {"nodes": (Node("m", 4.0),)}),
            ({}, {"elastic": Elastic(min_gpus=1.0, provision_s=2.0)}),
        ],
    )
    def test_who_has_calls_and_room_is_loaded(self, drain_s, agent, changes):
        cold = replace(self.cold, **agent)
        run = self.play(f"drain_s={drain_s}", cold, **changes)
        # Its first call comes at 0. A load that begins within three decisions, and goes on:
        assert (run.shares[:3, 0] > 0).any()
        assert np.nanmin(run.started_at[::2]) <= 3.0 + cold.cold_start_s + 1.0

    def test_a_load_of_which_little_is_of_use_yet_is_not_given_up(self):
        # Of the ten calls 1 − e^(−1/20), a twentieth, go in the interval after the load.
        columns = {"queue": 10, "loading": 1, "ready_in_s": 1.0, "share": 1e-3}
        assert shares(world(self.cold), "drain_s=20", **columns).tolist() == [1e-3]


def best_schedule(scenario, calls, horizon):
    """Try every load and release of one cold agent; service at the pace, which costs the least."""
    (agent,) = scenario.agents
    best = math.inf
    for begin, end in itertools.combinations(range(horizon + 1), 2):
        best = min(best, cost_of(scenario, agent, calls, horizon, begin, end))
    return min(best, cost_of(scenario, agent, calls, horizon, horizon, horizon))


def cost_of(scenario, agent, calls, horizon, begin, end):
    """The reward's terms of a fluid that is served at half of what is left, from a load on."""
    cost, left = 0.0, calls
    for k in range(horizon):
        before = left
        served = left / 2 if begin + agent.cold_start_s <= k < end else 0.0
        left -= served
        share = served / agent.throughput
        in_memory = begin <= k < end
        billed = max(share, agent.footprint) if in_memory else 0.0
        latency = (before + left) / 2 / (scenario.reference_rate * scenario.reference_latency_s)
        cost += latency + (2 * billed - share) / scenario.gpus
    # The horizon charge of tasks that are left: ω·L_ref, and their work.
    return cost + left * (1 / scenario.reference_rate + 1 / agent.throughput / scenario.gpus)


@pytest.mark.parametrize("calls", [1.0, 4.0, 16.0])
@pytest.mark.parametrize("footprint", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("cold_start_s", [0.0, 1.0, 2.0])
def test_whole_loads_cost_what_the_best_of_all_schedules_does(calls, footprint, cold_start_s):
    agent = Agent("a", 4.0, cold_start_s=cold_start_s, footprint=footprint)
    scenario = world(agent, reference_rate=2.0, reference_latency_s=4.0)
    text = f"horizon=5,growth=1,drain_s={HALF},terminal=0"
    observation = seen(scenario, queue=calls, ready_in_s=cold_start_s)
    costs = [
        make_allocator(f"mpc:tuned=false,{text},binaries={whole}").plan(observation)[2]
        for whole in ("true", "false")
    ]
    # What is there in the first interval waits for half of it, whatever is decided.
    costs = [cost + calls / 2 / 8 for cost in costs]
    expected = best_schedule(scenario, calls, 5)
    assert costs[0] == pytest.approx(expected, rel=1e-6)
    assert costs[1] <= expected * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_whole_numbers_never_cost_less(seed):
    rng = np.random.default_rng(seed)
    scenario = load_scenario("bursty")
    status = rng.integers(0, 3, 4)
    columns = {
        "queue": rng.integers(0, 30, 4),
        "arrivals": rng.integers(0, 5, 4),
        "warm": status == 2,
        "loading": status == 1,
        "ready_in_s": np.where(status == 2, 0.0, scenario.cold_start_s / (1 + (status == 1))),
        "keep_alive_left_s": np.where(status == 2, scenario.keep_alive_s, 0.0),
    }
    relaxed, whole = (
        make_allocator(f"mpc:tuned=false,horizon=10,binaries={text}").plan(
            seen(scenario, **columns)
        )[2]
        for text in ("false", "true")
    )
    assert whole >= relaxed - 1e-6 * abs(relaxed)


class TestElasticPool:
    scenario = world(Agent("a", 4.0), elastic=Elastic(min_gpus=1.0, provision_s=10.0))

    def request(self, **columns):
        return make_allocator("mpc:tuned=false").allocate(
            with_columns(self.scenario, 1.0, 0.0, **columns)
        )

    def test_no_calls_rent_the_least_and_a_model_is_kept_for_nothing(self):
        assert self.request(warm=1).tolist() == [1e-3, 1.0]

    def test_a_backlog_is_worth_ordering_for(self):
        # 400 calls take 100 s on the GPU that is ready: each waits, and costs 1 a second.
        given = self.request(queue=400, warm=1)
        np.testing.assert_allclose(given, [1.0, 4.0])

    def test_calls_that_meet_no_gpu_are_worth_ordering_for(self):
        # Forty of them cost 40 a second; the whole pool costs 1.
        scenario = world(Agent("a", 4.0), elastic=Elastic(min_gpus=0.0, provision_s=1.0))
        observation = with_columns(scenario, 0.0, 0.0, queue=40)
        assert make_allocator("mpc:tuned=false").allocate(observation)[1] >= 1.0

    @pytest.mark.parametrize("cold_start_s", [0.0, 5.0])
    def test_an_empty_pool_is_left_where_calls_wait(self, cold_start_s):
        agent = Agent("a", 4.0, footprint=0.5, cold_start_s=cold_start_s)
        scenario = world(agent, elastic=Elastic(min_gpus=0.0, provision_s=1.0), horizon_s=30.0)
        tape = Tape.from_calls([0] * 12, [1.0] * 12, np.arange(12) / 2, horizon_s=30.0)
        run = simulate(scenario, tape, make_allocator("mpc:tuned=false"))
        # A second for the unit, the load, 12 calls at a quarter of a second each, and some slack.
        assert np.nanmax(run.completed_at) <= 6.0 + cold_start_s + 6.0
        assert not np.isnan(run.completed_at).any()


def test_it_moves_nobody_and_shares_each_node():
    scenario = load_scenario("hierarchy")
    tape = Tape.from_calls([0] * 40, [1.0] * 40, [0.0] * 40, horizon_s=30.0)
    scenario = replace(scenario, horizon_s=30.0, workload=None)
    run = simulate(scenario, tape, make_allocator("mpc:tuned=false"))
    assert len(set(run.records["node"][:, 0])) == 1
    assert (run.completed_at < 30).any()


class TestFailures:
    scenario = world(Agent("a", 4.0))

    def test_a_program_that_presolving_gives_up_is_solved_without(self):
        # HiGHS ends such a program with "Not Set". Two calls a second need half a GPU.
        scenario = world(Agent("a", 4.0, cold_start_s=2.0), horizon_s=30.0)
        tape = Tape.from_calls([0] * 40, [1.0] * 40, np.arange(40) / 2, horizon_s=30.0)
        run = simulate(scenario, tape, make_allocator("mpc:tuned=false,growth=1,horizon=300"))
        assert (run.completed_at < 30).all()

    def test_out_of_time(self):
        with pytest.raises(SolverError, match=r"no optimum in 1e-09 s .* raise mpc.time_limit_s"):
            shares(load_scenario("bursty"), "time_limit_s=1e-9", queue=10)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda n: replace(n, least=n.least + 1, most=np.full(len(n.most), 1e-3)), "nfeasible"),
            (lambda n: replace(n, cost=n.cost - 1e3, high=n.high + np.inf), "nbounded"),
        ],
    )
    def test_a_program_without_an_optimum(self, change, message):
        allocator = MPC(horizon=3)
        layout, _, _ = allocator.plan(seen(self.scenario, queue=10, warm=1))
        home = np.zeros(1, dtype=np.int64)
        observed = allocator._see(seen(self.scenario, queue=10), np.zeros((1, 3)), home, layout)
        numbers = fill(layout, observed, 1.0, Pace.of(layout.grid, 1.0), 1.0)
        with pytest.raises(SolverError, match=f"so there are no shares.*{message}"):
            solve(layout, change(numbers), 10.0)

    def test_too_many_agents_are_refused(self):
        agents = tuple(Agent(f"a{i}", 1.0) for i in range(501))
        with pytest.raises(ConfigError, match=r"at most 2000 .* 501 times 4; lower mpc.horizon"):
            make_allocator("mpc:tuned=false,horizon=4").reset(Scenario(agents))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("horizon=0", r"mpc.horizon must lie in \[1"),
            ("growth=0.9", "mpc.growth must be at least 1"),
            ("forecast=ewna", "mpc.forecast must be one of ewma"),
            ("headroom=0.5", "mpc.headroom must be at least 1"),
            ("drain_s=0", "mpc.drain_s must be greater than 0"),
            ("terminal=-1", "mpc.terminal must be at least 0"),
            ("foresight=2", "mpc.foresight must be at most 1"),
            ("threshold=0", "mpc.threshold must be greater than 0"),
            ("time_limit_s=0", "mpc.time_limit_s must be greater than 0"),
        ],
    )
    def test_bad_parameters_say_what_is_wrong(self, text, message):
        with pytest.raises(ConfigError, match=message):
            make_allocator(f"mpc:tuned=false,{text}")


class TestParts:
    def test_blocks_grow_and_cover_the_horizon(self):
        grid = Grid.of(10, 2.0)
        assert grid.length.tolist() == [1, 2, 4, 3]
        assert grid.start.tolist() == [0, 1, 3, 7]
        assert Grid.of(5, 1.0).length.tolist() == [1] * 5

    def test_a_load_is_over_for_a_part_of_a_block(self):
        # Begun at 0 it is over at 2, in the second block, from 1 to 3; begun at 1, at 3.
        part = Grid.of(7, 2.0).ended(np.array(2.0))
        assert part[:, 0].tolist() == [0.0, 0.5, 1.0]
        assert part[:, 1].tolist() == [0.0, 0.0, 1.0]

    def test_the_pace_is_that_of_a_first_order_lag(self):
        # dn/dt = λ − n/τ, stepped in small steps from n = 1 and λ = 0, and from n = 0 and λ = 1.
        pace, tau, step = Pace.of(Grid.of(1, 1.0), 2.0), 2.0, 1e-5
        waiting, fresh = 1.0, 0.0
        for _ in range(round(1 / step)):
            waiting -= step * waiting / tau
            fresh += step * (1.0 - fresh / tau)
        assert pace.waiting[0] == pytest.approx(1.0 - waiting, rel=1e-4)
        assert pace.fresh[0] == pytest.approx(1.0 - fresh, rel=1e-4)
