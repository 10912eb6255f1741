"""Product autoscalers walked by hand, decision by decision, and what all with memory promise."""

import numpy as np
import pytest

from slicegym.baselines import allocator_class, make_allocator, names
from slicegym.baselines.compiled import Remembering
from slicegym.envs import Agent, Observation, Scenario
from slicegym.envs.errors import ConfigError
from slicegym.envs.kernel.observe import RAW_COLUMNS

from . import observations
from .observations import COLUMN

REMEMBERING = [
    spec
    for name in names()
    for spec in allocator_class(name).examples()
    if issubclass(allocator_class(name), Remembering)
]


def one_agent(**changes):
    """One agent on a hundred GPUs: with replicas of one GPU, shares are replicas."""
    agent = Agent("a", **{"throughput": 1.0, **changes})
    return Scenario((agent,), gpus=100.0, share_quantum=1e-6)


def seen(scenario, decision, **columns):
    return observations.seen(scenario, decision, **{"warm": 1, **columns})


def walk(spec, scenario, **columns):
    """Return the first agent's share at decisions 0, 1, …, given a column's values over them."""
    allocator = make_allocator(spec)
    shares = []
    for k, values in enumerate(zip(*columns.values(), strict=True)):
        observation = seen(scenario, k, **dict(zip(columns, values, strict=True)))
        shares.append(float(allocator.allocate(observation)[0]))
    return shares


class TestKnative:
    spec = "knative:target=1,replica=1,stable_s=6,panic=0.3333,threshold=2,grace_s=2"

    def test_a_burst_a_panic_and_the_way_back_to_zero(self):
        # Windows of 6 and 2 decisions. At 2: stable 7/3, panic (1 + 5)/2 = 3 = 3 times one replica:
        # panic. At 3: panic (5 + 9)/2 = 7 over 3 is 2.3: the mode lasts on to 3 + 6. At 4 panic is
        # 5 of 7: no new panic, and nothing shrinks until 9 is over, though the stable mean is 4, 3,
        # 3, 3, 2, 0. From 10 on at most by half a decision: 3, 1; then none is wanted, from 12 on,
        # and the last replica stays for 2 s after 11.
        calls = [1, 1, 5, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        replicas = [1, 1, 3, 7, 7, 7, 7, 7, 7, 7, 3, 1, 1, 0]
        assert walk(self.spec, one_agent(), in_service=calls) == replicas

    def test_calm_growth_is_no_panic(self):
        # Panic means 2, 2, 2.5, 3: never ten times what is ready. Stable means 2, 2, 2.33, 2.5.
        spec = "knative:target=1,replica=1,stable_s=6,panic=0.3333,threshold=10"
        assert walk(spec, one_agent(), queue=[2, 2, 3, 3]) == [2, 2, 3, 3]

    def test_an_agent_that_loads_has_no_replica_ready_and_holds_its_place(self):
        scenario = one_agent(cold_start_s=9)
        allocator = make_allocator(self.spec)
        for k in range(3):
            share = allocator.allocate(seen(scenario, k, warm=0, ready_in_s=9 - k, queue=10))
            assert share.tolist() == [1e-6]
        assert allocator.allocate(seen(scenario, 3, queue=10)).tolist() == [10.0]

    def test_one_call_is_enough_to_leave_zero(self):
        # 1/60 of a call on average, a target of 2: a fraction of a replica is one.
        spec = "knative:stable_s=60,replica=1,target=2"
        assert walk(spec, one_agent(), queue=[0] * 59 + [1]) == [0] * 59 + [1]


class TestHPA:
    spec = "hpa:target=0.5,replica=1,sync_s=2,window_s=4"

    def test_growth_and_the_window_against_shrinking(self):
        # c = 4. Looks at 0, 2, 4 …: utilization 1 doubles, 0.5 keeps, 0.25 halves; but 4 was still
        # recommended within the 4 s before 6 and 8, and no more before 10.
        scenario = one_agent(concurrency=4)
        used = [4, 4, 4, 4, 2, 2, 1, 1, 1, 1, 1]
        assert walk(self.spec, scenario, in_service=used) == [2, 2, 4, 4, 4, 4, 4, 4, 4, 4, 2]

    def test_a_tenth_off_is_left_alone(self):
        # ratio 21/20 within the tolerance, 23/20 not: ceil(2·1.15) = 3
        scenario = one_agent(concurrency=40)
        used = [40, 40, 21, 21, 23]
        assert walk(self.spec, scenario, in_service=used) == [2, 2, 2, 2, 3]

    def test_a_step_doubles_or_adds_four(self):
        # ratio 10: 10 is wanted of 1, then 50 of 5, then 100 of 10
        spec = "hpa:target=0.1,replica=1,sync_s=1"
        assert walk(spec, one_agent(), in_service=[1, 1, 1]) == [5, 10, 20]

    def test_there_are_never_more_than_the_pool_has(self):
        spec = "hpa:target=0.1,replica=30,sync_s=1,window_s=0"
        shares = walk(spec, one_agent(), in_service=[1, 1, 0])
        np.testing.assert_allclose(shares, [100, 100, 30])

    def test_without_a_measurement_nothing_changes(self):
        scenario = one_agent(concurrency=4)
        columns = {"in_service": [4, 4, 4], "warm": [1, 0, 0]}
        assert walk("hpa:target=0.5,replica=1,sync_s=1", scenario, **columns) == [2, 2, 2]

    def test_it_never_leaves_one_replica(self):
        assert walk("hpa:replica=1,sync_s=1,window_s=0", one_agent(), queue=[0] * 4) == [1] * 4


class TestKEDA:
    spec = "keda:target=2,replica=1,polling_s=2,cooldown_s=3"

    def test_looks_replicas_and_the_cooldown(self):
        # Looks at 0, 2, 4 …: ceil(5/2) = 3, ceil(9/2) = 5; at 4 nothing is there, and 2 s ago there
        # was; at 6 that is 4 s ago. A call at 7 is seen at 8.
        calls = [5, 9, 9, 0, 0, 0, 0, 1, 1]
        assert walk(self.spec, one_agent(), queue=calls) == [3, 3, 5, 5, 1, 1, 0, 0, 1]

    def test_zero_is_where_it_begins(self):
        assert walk(self.spec, one_agent(), queue=[0, 0]) == [0, 0]


class TestHistogram:
    spec = "histogram:bin_s=1,bins=20,standard_s=6"

    def allocator(self, scenario, idle_times):
        """One that has seen a call, and then a call after each of these idle times."""
        allocator = make_allocator(self.spec)
        allocator.allocate(seen(scenario, 0, arrivals=1))
        for k, idle_s in enumerate(idle_times):
            allocator.allocate(seen(scenario, 2 * k + 1, idle_s=idle_s))
            allocator.allocate(seen(scenario, 2 * k + 2, arrivals=1, queue=1))
        self.decision = 2 * len(idle_times) + 1
        return allocator

    def held(self, scenario, idle_times, idle_s):
        allocator = self.allocator(scenario, idle_times)
        observation = seen(scenario, self.decision, idle_s=idle_s)
        return bool(allocator.allocate(observation)[0])

    @pytest.mark.parametrize(("idle_s", "is_held"), [(5.9, True), (6.0, False)])
    def test_without_a_histogram_there_is_a_standard_time(self, idle_s, is_held):
        assert self.held(one_agent(), [], idle_s) is is_held

    @pytest.mark.parametrize(
        ("idle_s", "is_held"),
        [(0.5, False), (5.9, False), (6.1, True), (12.0, True), (12.2, False)],
    )
    def test_it_lets_go_and_warms_up_in_time(self, idle_s, is_held):
        # Three idle times in [10, 11): a load of 3 s begins at 0.9·10 − 3, and 1.1·11 is the end.
        scenario = one_agent(cold_start_s=3)
        assert self.held(scenario, [10.5, 10.2, 10.9], idle_s) is is_held

    def test_one_short_idle_time_in_ten_is_in_the_head(self):
        # 5 % of ten idle times are reached in the bin of 0: nothing is let go before the end.
        assert self.held(one_agent(), [0.5] + [10.5] * 9, 3.0)
        # Of a hundred idle times the five first are short ones where 5 are, not where 4 are.
        assert self.held(one_agent(), [0.5] * 5 + [10.5] * 95, 3.0)
        assert not self.held(one_agent(), [0.5] * 4 + [10.5] * 96, 3.0)

    def test_counts_spread_evenly_say_nothing(self):
        # One idle time in each of the 20 bins: standard deviation 0, so the standard time it is.
        idle_times = [k + 0.5 for k in range(20)]
        assert self.held(one_agent(), idle_times, 5.9)
        assert not self.held(one_agent(), idle_times, 6.1)

    def test_idle_times_beyond_the_histogram_say_nothing(self):
        # Two of four lie beyond: 10.5 s would keep it to 12.1 s.
        assert self.held(one_agent(), [10.5, 10.5, 10.5, 30.0], 12.0)
        assert not self.held(one_agent(), [10.5, 10.5, 30.0, 30.0], 12.0)

    def test_an_agent_without_a_call_yet_stays_cold(self):
        shares = make_allocator(self.spec).allocate(seen(one_agent(), 3, idle_s=3, warm=0))
        assert shares.tolist() == [0.0]

    def test_shares_are_by_need(self):
        # 20/5 calls a second of one a second and GPU
        shares = make_allocator(self.spec).allocate(seen(one_agent(), 0, queue=20, arrivals=20))
        assert shares.tolist() == [4.0]


def worlds():
    agents = tuple(
        Agent(
            f"a{i}",
            throughput=1.0 + i,
            priority=1.0 + i % 2,
            footprint=0.1,
            cold_start_s=3.0 * (i % 2),
            concurrency=1 + i,
        )
        for i in range(3)
    )
    return Scenario(agents, gpus=4.0)


def episodes(scenario, n_environments=4, n_decisions=60):
    """Plausible observations (decisions, environments, agents, columns), bursts and silences."""
    rng = np.random.default_rng(5)
    raw = np.zeros((n_decisions, n_environments, scenario.n_agents, len(RAW_COLUMNS)))
    shape = raw.shape[1:3]
    busy = np.zeros(shape, dtype=bool)
    idle = np.zeros(shape)
    for k in range(n_decisions):
        busy ^= rng.random(shape) < 0.15
        arrivals = busy * rng.poisson(3, shape)
        idle = np.where(arrivals > 0, 0.0, idle + 1.0)
        raw[k, ..., COLUMN["arrivals"]] = arrivals
        raw[k, ..., COLUMN["rate_short"]] = arrivals
        raw[k, ..., COLUMN["queue"]] = arrivals * rng.integers(0, 3, shape)
        raw[k, ..., COLUMN["in_service"]] = arrivals > 0
        raw[k, ..., COLUMN["idle_s"]] = idle
        raw[k, ..., COLUMN["warm"]] = rng.random(shape) < 0.8
    return raw


@pytest.mark.parametrize("spec", REMEMBERING)
class TestMemory:
    scenario = worlds()
    raw = episodes(scenario)

    def play(self, allocator, raw, decisions):
        return [
            allocator.allocate(Observation(self.scenario, np.asarray(k), raw[i]))
            for i, k in enumerate(decisions)
        ]

    def test_environments_of_a_batch_remember_apart(self, spec):
        n = self.raw.shape[1]
        batch = self.play(make_allocator(spec), self.raw, [np.full(n, k) for k in range(60)])
        for b in range(n):
            alone = self.play(make_allocator(spec), self.raw[:, b], range(60))
            np.testing.assert_array_equal(np.array(batch)[:, b], alone)

    def test_the_past_matters(self, spec):
        shares = self.play(make_allocator(spec), self.raw[:, 0], range(60))
        afresh = [
            make_allocator(spec).allocate(Observation(self.scenario, np.asarray(k), raw))
            for k, raw in enumerate(self.raw[:, 0])
        ]
        assert not np.array_equal(shares, afresh)

    def test_a_decision_before_the_last_is_a_new_episode(self, spec):
        decisions = np.array([[k, k % 25, max(0, k - 7), k] for k in range(60)])
        batch = np.array(self.play(make_allocator(spec), self.raw, decisions))
        for start in (0, 25, 50):
            stop = min(start + 25, 60)
            alone = self.play(make_allocator(spec), self.raw[start:stop, 1], range(stop - start))
            np.testing.assert_array_equal(batch[start:stop, 1], alone)

    def test_a_decision_seen_again_is_remembered_once(self, spec):
        twice = np.repeat(self.raw[:, 0], 2, axis=0)
        shares = self.play(make_allocator(spec), twice, np.repeat(np.arange(60), 2))
        once = self.play(make_allocator(spec), self.raw[:, 0], range(60))
        np.testing.assert_array_equal(shares[::2], once)
        np.testing.assert_array_equal(shares[1::2], once)

    def test_reset_forgets(self, spec):
        allocator = make_allocator(spec)
        first = self.play(allocator, self.raw[:, 0], range(60))
        allocator.reset(self.scenario)
        np.testing.assert_array_equal(self.play(allocator, self.raw[:, 0], range(60)), first)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("square_root:drain_s=0", "square_root.drain_s must be greater than 0"),
        ("cmu:keep_warm_s=-1", "cmu.keep_warm_s must be at least 0"),
        ("maxweight:power=-1", "maxweight.power must be at least 0"),
        ("processor_sharing:per_call=0", "processor_sharing.per_call must be greater than 0"),
        ("lookahead:wake=2", "lookahead.wake must be at most 1"),
        ("knative:panic=2", "knative.panic must be at most 1"),
        ("knative:threshold=0.5", "knative.threshold must be at least 1"),
        ("hpa:target=0", "hpa.target must be greater than 0"),
        ("keda:polling_s=0", "keda.polling_s must be greater than 0"),
        ("histogram:tail=1.5", "histogram.tail must be at most 1"),
        ("histogram:bins=0", r"histogram.bins must lie in \[1, 100000\]"),
        ("predictive:forecast=ewna", "predictive.forecast must be one of ewma, .* 'ewma'"),
        ("predictive:damping=1", "predictive.damping must be at most 0.999"),
    ],
)
def test_bad_parameters_say_what_is_wrong(spec, message):
    with pytest.raises(ConfigError, match=message):
        make_allocator(spec)
