"""Contracts that every registered allocator keeps, and what each one promises on top."""

import math

import numpy as np
import pytest

from slicegym.baselines import Allocator, allocator_class, make_allocator, names, register
from slicegym.envs.errors import ConfigError, UnknownNameError
from slicegym.envs.kernel.observe import RAW_COLUMNS
from slicegym.envs.observation import Observation, raw_columns
from slicegym.envs.spec import Agent, Scenario

SPECS = [spec for name in names() for spec in allocator_class(name).examples()]
COLUMN = {name: place for place, name in enumerate(RAW_COLUMNS)}


def scenario(n_agents=4, **changes):
    agents = tuple(
        Agent(
            f"agent{i}",
            throughput=1.0 + i,
            min_share=0.5 / n_agents,
            priority=1.0 + i % 2,
            footprint=0.5,
            cold_start_s=2.0 * (i % 3),
            keep_alive_s=5.0,
            concurrency=1 + 2 * i,
        )
        for i in range(n_agents)
    )
    return Scenario(agents, **{"gpus": 4.0, "horizon_s": 100.0, **changes})


def observe(world, seed=0, batch=None):
    """Draw a plausible observation: some agents empty, some cold, some crowded."""
    rng = np.random.default_rng(seed)
    leading = () if batch is None else (batch,)
    shape = (*leading, world.n_agents)
    raw = np.zeros((*shape, len(raw_columns(world))))  # what the world alone has stays 0

    def put(name, values):
        raw[..., COLUMN[name]] = values

    present = rng.random(shape) < 0.6
    put("queue", present * rng.geometric(0.05, shape))
    put("in_service", present * np.minimum(world.concurrency, rng.integers(0, 9, shape)))
    put("arrivals", present * rng.integers(0, 6, shape))
    put("rate_short", rng.exponential(2.0, shape))
    put("rate_long", rng.exponential(2.0, shape))
    put("upstream", rng.exponential(0.5, shape))
    put("idle_s", ~present * rng.exponential(60.0, shape))
    warm = rng.random(shape) < 0.5
    loading = ~warm & (rng.random(shape) < 0.5)
    put("warm", warm)
    put("loading", loading)
    put("ready_in_s", ~warm * world.cold_start_s * np.where(loading, rng.random(shape), 1.0))
    put("share", warm * rng.random(shape))
    decision = rng.integers(0, 100, leading)
    return Observation(world, np.asarray(decision, dtype=np.int64), raw)


def row(observation, b):
    return Observation(observation.scenario, observation.decision[b], observation.raw[b])


def nothing(world):
    return Observation(
        world, np.array(0, dtype=np.int64), np.zeros((world.n_agents, len(RAW_COLUMNS)))
    )


@pytest.mark.parametrize("spec", SPECS)
class TestEveryAllocator:
    @pytest.mark.parametrize("batch", [None, 1, 7])
    @pytest.mark.parametrize("n_agents", [1, 2, 4, 33])
    def test_shares_are_finite_and_positive_and_of_the_right_shape(self, spec, n_agents, batch):
        observation = observe(scenario(n_agents), batch=batch)
        shares = make_allocator(spec).allocate(observation)
        assert shares.shape == observation.queue.shape
        assert shares.dtype == np.float64
        assert np.isfinite(shares).all()
        assert (shares >= 0).all()

    @pytest.mark.parametrize("n_agents", [1, 4, 33])
    def test_shares_fit_into_the_pool(self, spec, n_agents):
        world = scenario(n_agents)
        shares = make_allocator(spec).allocate(observe(world, batch=50))
        assert (shares.sum(axis=-1) <= world.gpus * (1 + 1e-12)).all()

    @pytest.mark.parametrize("n_agents", [1, 4, 33])
    def test_a_row_of_a_batch_is_the_single_result_bit_for_bit(self, spec, n_agents):
        observation = observe(scenario(n_agents), batch=40)
        shares = make_allocator(spec).allocate(observation)
        for b in range(40):
            alone = make_allocator(spec).allocate(row(observation, b))
            np.testing.assert_array_equal(shares[b], alone, strict=True)

    def test_the_observation_is_not_touched(self, spec):
        observation = observe(scenario(), batch=3)
        before = observation.raw.copy()
        observation.raw.setflags(write=False)
        make_allocator(spec).allocate(observation)
        np.testing.assert_array_equal(observation.raw, before)

    def test_the_same_observation_gives_the_same_shares(self, spec):
        allocator = make_allocator(spec)
        first = allocator.allocate(observe(scenario(), seed=1))
        allocator.allocate(observe(scenario(), seed=2))
        allocator.reset(scenario())
        np.testing.assert_array_equal(allocator.allocate(observe(scenario(), seed=1)), first)

    def test_the_answer_is_a_new_array(self, spec):
        allocator, observation = make_allocator(spec), observe(scenario(), batch=2)
        first = allocator.allocate(observation)
        expected = first.copy()
        first[...] = -1.0
        np.testing.assert_array_equal(allocator.allocate(observation), expected)

    def test_an_empty_system_is_no_trouble(self, spec):
        shares = make_allocator(spec).allocate(nothing(scenario()))
        assert np.isfinite(shares).all()

    def test_one_allocator_serves_scenarios_in_turn(self, spec):
        allocator = make_allocator(spec)
        for n_agents in (2, 5, 2):
            world = scenario(n_agents)
            allocator.reset(world)
            assert allocator.allocate(observe(world)).shape == (n_agents,)


class TestRegistry:
    def test_it_knows_the_shipped_ones(self):
        known = {"static", "round_robin", "adaptive", "demand", "whole_pool", "always_warm"}
        assert known | {"never_warm"} <= set(names())

    def test_an_unknown_name_suggests_a_known_one(self):
        with pytest.raises(UnknownNameError, match=r"unknown allocator 'adaptiv'.*'adaptive'"):
            make_allocator("adaptiv")

    def test_a_second_one_of_a_name_is_refused(self):
        with pytest.raises(ConfigError, match="'static' must be unique"):
            register("static")(allocator_class("demand"))

    def test_names_are_those_of_the_classes(self):
        assert all(allocator_class(name).name == name for name in names())

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ("round_robin:quantum=0", "round_robin.quantum must lie in"),
            ("round_robin:quantum=x", "round_robin.quantum must be a whole number, got 'x'"),
            ("round_robin:quantum=1.5", "round_robin.quantum must be a whole number, got '1.5'"),
            ("round_robin:quantom=2", r"no parameter 'quantom' \(did you mean 'quantum'\?\)"),
            ("round_robin:quantum", "takes parameters as field=value, got 'quantum'"),
            ("round_robin:quantum=1,quantum=2", "'quantum' twice"),
            ("round_robin:", "nothing behind the colon"),
            ("static:x=1", "'static' has no parameter 'x' .it takes none"),
            ("demand:drain_s=0", "demand.drain_s must be greater than 0"),
            ("demand:drain_s=nan", "demand.drain_s must be a finite number"),
            ("demand:keep_warm_s=-1", "demand.keep_warm_s must be at least 0"),
            ("demand:short=2", "demand.short must be at most 1"),
            ("demand:wake=0", "demand.wake must be greater than 0"),
            ("demand:guarantee=maybe", "demand.guarantee must be true or false, got 'maybe'"),
            ("always_warm:keep_warm_s=1", "'always_warm' has no parameter 'keep_warm_s'"),
            ("whole_pool:equal=1.1", "whole_pool.equal must be at most 1"),
        ],
    )
    def test_bad_parameters_say_what_is_wrong(self, spec, message):
        with pytest.raises(ConfigError, match=message):
            make_allocator(spec)

    def test_a_class_of_ones_own_needs_no_parameters(self):
        class Half(Allocator):
            def allocate(self, observation):
                return np.full(observation.queue.shape, observation.scenario.gpus / 2)

        assert Half.from_text("").allocate(observe(scenario(2))).tolist() == [2.0, 2.0]


class TestStaticAndRoundRobin:
    def test_static_splits_equally(self):
        np.testing.assert_array_equal(
            make_allocator("static").allocate(observe(scenario(4))), [1.0] * 4
        )

    def test_the_turn_passes_every_quantum_decisions(self):
        world = scenario(3)
        allocator = make_allocator("round_robin:quantum=2")
        raw = np.zeros((8, 3, len(RAW_COLUMNS)))
        shares = allocator.allocate(Observation(world, np.arange(8), raw))
        assert shares.argmax(axis=1).tolist() == [0, 0, 1, 1, 2, 2, 0, 0]
        np.testing.assert_array_equal(shares.sum(axis=1), np.full(8, world.gpus))


def paper():
    rows = [(100, 0.10, 1, 80), (50, 0.30, 2, 40), (60, 0.25, 2, 45), (30, 0.35, 1, 25)]
    agents = tuple(
        Agent(f"a{i}", throughput=t, min_share=r, priority=p) for i, (t, r, p, _) in enumerate(rows)
    )
    world = Scenario(agents)
    raw = np.zeros((4, len(RAW_COLUMNS)))
    raw[:, COLUMN["arrivals"]] = [row[3] for row in rows]
    return Observation(world, np.array(0, dtype=np.int64), raw)


class TestAlgorithm1:
    def test_it_allocates_what_the_paper_does(self):
        shares = make_allocator("adaptive").allocate(paper())
        np.testing.assert_allclose(shares, [0.2385, 0.2538, 0.2115, 0.2961], atol=5e-5)

    def test_without_arrivals_it_allocates_nothing(self):
        assert make_allocator("adaptive").allocate(nothing(scenario())).tolist() == [0.0] * 4

    def test_unneeded_minima_are_given_all_the_same(self):
        observation = paper()
        observation.raw[1:, COLUMN["arrivals"]] = 0
        wanted = np.array([1.0, 0.30, 0.25, 0.35])
        shares = make_allocator("adaptive").allocate(observation)
        np.testing.assert_allclose(shares, wanted / wanted.sum())


class TestWholePool:
    def test_everything_is_given_out(self):
        shares = make_allocator("whole_pool").allocate(observe(scenario(), batch=20))
        np.testing.assert_allclose(shares.sum(axis=-1), 4.0)

    def test_without_work_it_is_static(self):
        shares = make_allocator("whole_pool").allocate(nothing(scenario()))
        np.testing.assert_allclose(shares, [1.0] * 4)


def with_calls(world, **columns):
    observation = nothing(world)
    for name, values in columns.items():
        observation.raw[:, COLUMN[name]] = values
    return observation


class TestDemand:
    world = scenario(2)  # T = 1, 2; footprints 0.5; cold starts 0, 2 s; c = 1, 3

    def allocate(self, text, **columns):
        spec = f"demand:headroom=1,short=1,service_s=100,floor=1,wake=1,{text}"
        return make_allocator(spec).allocate(with_calls(self.world, **columns))

    def test_the_formula_by_hand(self):
        # agent 0: 1·0.2 + (1 + 0.5·2)/10 = 0.4 calls/s at T = 1, below its floor of 0.5;
        # agent 1: 1·1 + (10 + 0)/10 = 2 calls/s at T = 2
        shares = self.allocate(
            "drain_s=10,foresight=0.5",
            queue=[1, 10],
            rate_short=[0.2, 1],
            upstream=[2, 0],
            warm=1,
        )
        np.testing.assert_allclose(shares, [0.5, 1.0])

    def test_a_lone_call_is_not_served_at_a_crawl(self):
        # c/(T·service_s) = 3/(2·1)
        spec = "demand:headroom=0,service_s=1,drain_s=50,floor=0"
        observation = with_calls(self.world, in_service=[0, 1], warm=1)
        assert make_allocator(spec).allocate(observation)[1] == pytest.approx(1.5)

    def test_a_load_that_lasts_gets_its_floor_alone(self):
        columns = {"queue": [0, 50], "rate_short": [0, 9], "ready_in_s": [0, 2.0]}
        assert self.allocate("drain_s=1", **columns).tolist() == [0.0, 0.5]
        columns["ready_in_s"] = [0, 0.5]
        assert self.allocate("drain_s=1", **columns)[1] > 3

    def test_an_idle_agent_is_kept_for_its_time_and_then_let_go(self):
        kept = self.allocate("drain_s=1,keep_warm_s=30", warm=1, idle_s=[29, 31])
        assert kept.tolist() == [0.5, 0.0]

    def test_a_cold_agent_is_not_woken_by_its_timer(self):
        assert self.allocate("drain_s=1,keep_warm_s=30", idle_s=0).tolist() == [0.0, 0.0]

    def test_always_and_never_warm_are_its_ends(self):
        observation = with_calls(self.world, warm=1, idle_s=[1, 1000])
        always = make_allocator("always_warm:floor=1,headroom=0").allocate(observation)
        assert always.tolist() == [0.5, 0.5]
        assert make_allocator("never_warm").allocate(observation).tolist() == [0.0, 0.0]

    def test_foreseen_calls_wake_a_cold_agent(self):
        text = "drain_s=10,foresight=1,wake=0.5"
        text = f"demand:{text},floor=1,headroom=0"
        shares = make_allocator(text).allocate(
            with_calls(self.world, upstream=[0.4, 0.6], ready_in_s=[0, 2])
        )
        assert shares.tolist() == [0.0, 0.5]

    @pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 4.0])
    def test_a_short_pool_is_given_out_whole_and_nobody_gets_more_than_wanted(self, exponent):
        world = scenario(6, gpus=8.0)
        rng = np.random.default_rng(3)
        text = f"demand:exponent={exponent},drain_s=5,floor=0.1,headroom=1,short=1,service_s=100"
        for _ in range(200):
            queue = rng.geometric(0.03, 6)
            observation = with_calls(world, queue=queue, warm=1)
            shares = make_allocator(text).allocate(observation)
            wanted = np.maximum(queue / 5 / world.throughput, 0.05)
            wanted = np.maximum(wanted, world.concurrency / world.throughput / 100)
            assert shares.sum() == pytest.approx(min(8.0, wanted.sum()))
            assert (shares <= wanted * (1 + 1e-12)).all()

    def test_rationing_agrees_with_bisection(self):
        world = scenario(6, gpus=8.0)
        rank = (world.weight * world.throughput) / (world.weight * world.throughput).max()
        rng = np.random.default_rng(4)
        for _ in range(100):
            queue = rng.geometric(0.02, 6).astype(float)
            text = "demand:exponent=2,drain_s=5,floor=0,headroom=0,service_s=1e6"
            shares = make_allocator(text).allocate(with_calls(world, queue=queue, warm=1))
            floor = world.share_quantum
            extra = np.maximum(queue / 5 / world.throughput - floor, 0)
            room = 8.0 - 6 * floor
            if extra.sum() <= room:
                continue
            low, high = 0.0, 1e12
            for _ in range(200):
                level = math.sqrt(max(low, 1e-12) * high)
                given = extra * np.minimum(1, level * rank**2)
                low, high = (level, high) if given.sum() < room else (low, level)
            np.testing.assert_allclose(shares, floor + given, rtol=1e-9)

    def test_a_large_exponent_is_strict_priority(self):
        world = scenario(2)  # ω·T = 1, 1
        world = Scenario((Agent("slow", throughput=1.0), Agent("fast", throughput=2.0)), gpus=1.0)
        observation = with_calls(world, queue=[10, 1], warm=1)
        shares = make_allocator(
            "demand:exponent=50,drain_s=1,floor=0,headroom=0,service_s=1000"
        ).allocate(observation)
        np.testing.assert_allclose(shares, [0.5, 0.5], rtol=1e-6)  # fast has all that it wants

    def test_ranks_far_apart_take_nothing_from_each_other(self):
        # ω·T to the 60th spans 57 decimal places; those before are served to the last digit.
        agents = tuple(Agent(f"a{i}", throughput=t) for i, t in enumerate((1.0, 3.0, 9.0)))
        world = Scenario(agents, gpus=1.0, share_quantum=0.0)
        text = "demand:exponent=60,drain_s=1,floor=0,headroom=0,service_s=1e6"
        shares = make_allocator(text).allocate(with_calls(world, queue=[5, 1.5, 4.5], warm=1))
        np.testing.assert_allclose(shares, [0.0, 0.5, 0.5], atol=1e-15)

    def test_guaranteed_minima_hold_while_active(self):
        world = scenario(4)  # min_share 0.125 each
        observation = with_calls(world, queue=[100, 1, 1, 0], warm=1, idle_s=[0, 0, 0, 1e6])
        text = "demand:guarantee=true,floor=0,headroom=0,drain_s=100,keep_warm_s=1"
        shares = make_allocator(text).allocate(observation)
        assert (shares[:3] >= 0.125).all()
        assert shares[3] == 0.0

    def test_minima_over_the_pool_cannot_be_guaranteed(self):
        world = scenario(4, gpus=0.4)
        with pytest.raises(ConfigError, match=r"at most gpus = 0.4.*got 0.5; lower it, enlarge"):
            make_allocator("demand:guarantee=true").reset(world)
        make_allocator("demand").reset(world)

    def test_the_papers_minima_can_be_guaranteed(self):
        make_allocator("demand:guarantee=true").reset(paper().scenario)

    def test_floors_never_exceed_the_pool(self):
        world = scenario(40)  # footprints of 20 GPUs on a pool of 4
        shares = make_allocator("always_warm").allocate(nothing(world))
        assert shares.sum() == pytest.approx(4.0)
