"""Textbook rules on instances worked by hand, and against what theory says is best."""

import numpy as np
import pytest

from slicegym.baselines import make_allocator
from slicegym.envs import Agent, Scenario, Tape, Weights, simulate
from slicegym.envs.errors import ConfigError

from .observations import seen

TINY = 1e-9  # quantum: what holds a place does not show in the expected shares


def world(throughput, priority=None, minimum=None, **changes):
    n = len(throughput)
    agents = tuple(
        Agent(f"a{i}", throughput=t, priority=p, min_share=r)
        for i, (t, p, r) in enumerate(
            zip(throughput, priority or [1] * n, minimum or [0] * n, strict=True)
        )
    )
    return Scenario(agents, **{"gpus": 2.0, "share_quantum": TINY, **changes})


def allocate(spec, scenario, **columns):
    columns = {"warm": 1, "idle_s": 1e6, **columns}
    return make_allocator(spec).allocate(seen(scenario, **columns))


class TestSquareRoot:
    def test_load_and_the_square_root_part_of_the_slack(self):
        # ρ = 1/4, 2/2 = 0.25, 1; slack = 2 − 1.25 = 0.75; roots 0.5, 1 of 1.5.
        shares = allocate("square_root", world([4, 2]), queue=0, rate_short=[1, 2], idle_s=0)
        np.testing.assert_allclose(shares, [0.25 + 0.25, 1 + 0.5])

    def test_the_weight_is_under_the_root(self):
        # ω = 1, 1/4: roots 0.5, 0.5 of 1, half of the slack each.
        scenario = world([4, 2], priority=[1, 4])
        shares = allocate("square_root", scenario, rate_short=[1, 2], idle_s=0)
        np.testing.assert_allclose(shares, [0.25 + 0.375, 1 + 0.375])

    def test_the_backlog_counts_as_arrivals(self):
        # λ = 4/8 = 0.5, 8/8 = 1: ρ = 0.125, 0.5; slack 1.375; roots √0.125 to √0.5 are 1 to 2.
        shares = allocate("square_root:drain_s=8", world([4, 2]), queue=[4, 6], in_service=[0, 2])
        np.testing.assert_allclose(shares, [0.125 + 1.375 / 3, 0.5 + 2.75 / 3])

    def test_a_pool_too_small_is_split_by_load(self):
        scenario = world([4, 2], gpus=1.0)
        shares = allocate("square_root", scenario, rate_short=[1, 2], idle_s=0)
        np.testing.assert_allclose(shares, [0.2, 0.8])

    def test_no_split_of_the_pool_has_less_delay(self):
        rng = np.random.default_rng(0)
        throughput, priority, rate = [4.0, 2.0, 7.0, 1.0], [1, 2, 3, 1], [1.0, 0.8, 0.1, 0.3]
        scenario = world(throughput, priority)
        best = allocate("square_root", scenario, rate_short=rate, idle_s=0)

        def calls_in_system(shares):  # of M/M/1 queues, weighted; none is stable below its load
            speed = np.array(throughput) * shares
            stable = (speed > rate).all(axis=-1)
            n = np.sum(scenario.weight * rate / (speed - rate), axis=-1)
            return np.where(stable, n, np.inf)

        splits = 2.0 * rng.dirichlet(np.ones(4), 1000)
        near = best + 0.05 * rng.normal(size=(1000, 4))
        splits = np.concatenate([splits, 2.0 * near / near.sum(axis=1, keepdims=True)])
        assert np.isfinite(calls_in_system(splits)).sum() > 500
        assert calls_in_system(best) < calls_in_system(splits).min()

    def test_at_a_price_only_what_is_worth_it_is_bought(self):
        # κ = 1·3/((1 + 1)·6·1) = 0.25, √κ = 0.5: of roots 0.5 and 1; 2 of 3 GPUs are asked for.
        scenario = world([4, 2], gpus=3.0, reference_rate=6.0)
        shares = allocate("square_root:priced=true", scenario, rate_short=[1, 2], idle_s=0)
        np.testing.assert_allclose(shares, [0.25 + 0.25, 1 + 0.5])

    def test_at_a_price_the_footprint_is_the_least(self):
        # As above 0.5 for the first, where 0.6 is billed for the model anyway.
        agents = (Agent("a", throughput=4, footprint=0.6), Agent("b", throughput=2))
        scenario = Scenario(agents, gpus=3.0, reference_rate=6.0, share_quantum=TINY)
        shares = allocate("square_root:priced=true", scenario, rate_short=[1, 2], idle_s=0)
        np.testing.assert_allclose(shares, [0.6, 1 + 0.5])

    def test_no_other_shares_make_the_priced_sum_smaller(self):
        rng = np.random.default_rng(0)
        rate = np.array([1.0, 2.0])
        changes = {"gpus": 3.0, "reference_rate": 6.0, "weights": Weights(2.0, 1.0, 0.5)}
        scenario = world([4, 2], [1, 3], **changes)
        best = allocate("square_root:priced=true", scenario, rate_short=rate, idle_s=0)

        def terms(shares):
            n = scenario.weight * rate / (scenario.throughput * shares - rate)
            return 2.0 * n.sum(axis=-1) / 6.0 + 1.5 * shares.sum(axis=-1) / 3.0

        others = rate / scenario.throughput + rng.exponential(0.5, (1000, 2))
        assert terms(best) < terms(others).min()

    def test_where_capacity_is_free_all_of_it_is_used(self):
        scenario = world([4, 2], weights=Weights(1.0, 0.0, 0.0))
        shares = allocate("square_root:priced=true", scenario, rate_short=[1, 2], idle_s=0)
        assert shares.sum() == pytest.approx(2.0)

    def test_who_cannot_serve_soon_holds_its_place(self):
        columns = {"rate_short": [1, 2], "queue": 3, "ready_in_s": [4, 0]}
        scenario = world([4, 2], share_quantum=0.01)
        shares = allocate("square_root", scenario, **columns)
        np.testing.assert_allclose(shares, [0.01, 1.99])


class TestCMu:
    scenario = world([2, 4], priority=[1, 4], gpus=1.0)  # ω·T = 2, 1

    def test_the_first_in_the_order_has_what_it_needs(self):
        # needs 1/2 and 4/4 in a second: half of the pool is left for the second
        shares = allocate("cmu:drain_s=1", self.scenario, queue=[1, 4])
        np.testing.assert_allclose(shares, [0.5, 0.5])

    def test_where_there_is_enough_nobody_waits_for_the_order(self):
        # needs 1/(2·4) and (1 + 4/4)/4
        shares = allocate("cmu:drain_s=4", self.scenario, queue=[1, 4], rate_short=[0, 1])
        np.testing.assert_allclose(shares, [0.125, 0.5])

    def test_who_comes_too_late_is_not_abandoned(self):
        shares = allocate("cmu:drain_s=1", self.scenario, queue=[9, 4])
        assert shares[0] == pytest.approx(1.0)
        assert shares[1] == TINY

    def test_a_lone_call_has_its_servers_busy_in_time(self):
        # of 4 servers one is used: 4/(2·8), not 1/(2·8)
        agents = (Agent("a", throughput=2, concurrency=4),)
        shares = allocate("cmu:drain_s=8", Scenario(agents), in_service=1)
        assert shares[0] == pytest.approx(0.25)

    @pytest.mark.parametrize("part", [1e-4, 0.3, 0.999])
    def test_thousands_are_served_in_order(self, part):
        rng = np.random.default_rng(0)
        throughput, queue = rng.uniform(1, 9, 3000), rng.integers(1, 50, 3000)
        needs = queue / throughput
        pool = float(part * needs.sum())
        shares = allocate("cmu:drain_s=1", world(throughput.tolist(), gpus=pool), queue=queue)
        first = np.argsort(-throughput)
        served = np.minimum(needs[first].cumsum(), pool)  # by those before and oneself
        np.testing.assert_allclose(shares[first], np.diff(served, prepend=0.0), atol=1e-5)

    def test_no_order_of_two_classes_costs_less(self):
        # Eight calls each at 0. In the order of ω·T: the first class is done at 0.5, 1 … 4, the
        # second at 4.25 … 6: Σ ω·t = 18 + (8·4 + 0.25·36)/4 = 28.25. The quantum that the second
        # class holds lets the first end just after the decision at 4: 0.25 s more for 8/4.
        agents = (Agent("a", throughput=2), Agent("b", throughput=4, priority=4))
        scenario = Scenario(agents, gpus=1.0, interval_s=0.25, horizon_s=8.0, share_quantum=TINY)
        tape = Tape.from_calls([0] * 8 + [1] * 8, [1] * 16, [0.0] * 16, horizon_s=8.0)

        def cost(shares):
            return simulate(scenario, tape, shares).latency_term.sum() * 0.25

        best = cost(make_allocator("cmu:drain_s=0.25,keep_warm_s=0"))
        assert best == pytest.approx(28.25 + 0.5, rel=1e-6)
        rng = np.random.default_rng(0)
        others = [cost(rng.dirichlet([0.3, 0.3], 32)) for _ in range(200)]
        others += [cost(np.tile([x, 1 - x], (32, 1))) for x in (0.0, 0.5, 1.0)]
        assert best < min(others)


class TestMaxWeight:
    scenario = world([2, 4], priority=[1, 4], gpus=0.55)  # ω·T = 2, 1

    def test_the_longer_weighted_queue_goes_first(self):
        # ω·T·n = 2 and 8; needs in 4 s: 1/(2·4) = 0.125 and 8/(4·4) = 0.5, of 0.55
        shares = allocate("maxweight:drain_s=4", self.scenario, queue=[1, 8])
        np.testing.assert_allclose(shares, [0.05, 0.5], rtol=1e-6)

    def test_without_the_queue_it_is_the_cmu_rule(self):
        shares = allocate("maxweight:power=0,drain_s=4", self.scenario, queue=[1, 8])
        np.testing.assert_allclose(shares, [0.125, 0.425], rtol=1e-6)
        same = allocate("cmu:drain_s=4", self.scenario, queue=[1, 8])
        np.testing.assert_array_equal(shares, same)

    def test_a_higher_power_looks_at_the_queue_more(self):
        # ω·T·n: 2·5 > 1·8; squared: 2·25 < 1·64; needs 0.625 and 0.5
        first = allocate("maxweight:drain_s=4", self.scenario, queue=[5, 8])
        np.testing.assert_allclose(first, [0.55, 0.0], atol=1e-6)
        second = allocate("maxweight:power=2,drain_s=4", self.scenario, queue=[5, 8])
        np.testing.assert_allclose(second, [0.05, 0.5], rtol=1e-6)


class TestFair:
    def test_the_level_by_hand(self):
        # Needs in 1 s: 0.25, 2, 2; guaranteed 0.8 of the last. Of 1.2 GPUs the first takes 0.25,
        # 0.95 is left for weights 1 and 1/2: θ = 0.95/1.5.
        scenario = world([4, 2, 1], priority=[1, 1, 2], minimum=[0, 0, 0.8])
        shares = allocate("fair:drain_s=1", scenario, queue=[1, 4, 2])
        level = 0.95 / 1.5
        np.testing.assert_allclose(shares, [0.25, level, 0.8 + level / 2], rtol=1e-6)

    def test_an_agent_without_calls_has_no_claim(self):
        scenario = world([4, 2], minimum=[1, 1])
        shares = allocate("fair:drain_s=1", scenario, queue=[0, 40])
        np.testing.assert_allclose(shares, [0.0, 2.0])

    def test_minima_are_kept_against_any_crowd(self):
        # Needs 0.9 and 500 in 1 s
        scenario = world([1, 2], minimum=[0.9, 0.3], priority=[100, 1])
        shares = allocate(
            "fair:drain_s=1", scenario, queue=[0, 1000], rate_short=[0.9, 0], idle_s=0
        )
        np.testing.assert_allclose(shares, [0.9, 1.1])

    def test_it_agrees_with_bisection(self):
        rng = np.random.default_rng(1)
        scenario = world([1.0] * 8, priority=list(range(1, 9)), minimum=[0.1] * 8, gpus=5.0)
        for _ in range(100):
            queue = rng.geometric(0.2, 8)
            shares = allocate("fair:drain_s=4", scenario, queue=queue)
            needs = queue / 4.0
            if needs.sum() <= 5.0:
                np.testing.assert_allclose(shares, needs)
                continue
            low, high = 0.0, 1000.0
            for _ in range(100):
                level = (low + high) / 2
                given = 0.1 + np.minimum(needs - 0.1, level * scenario.weight)
                low, high = (level, high) if given.sum() < 5.0 else (low, level)
            np.testing.assert_allclose(shares, given, rtol=1e-6)

    def test_minima_over_the_pool_are_refused(self):
        scenario = world([1, 1], minimum=[1.5, 1.0])
        with pytest.raises(ConfigError, match=r"at most gpus = 2 where fair guarantees .* got 2.5"):
            make_allocator("fair").reset(scenario)


class TestProcessorSharing:
    def test_every_call_has_the_same_right(self):
        scenario = world([1, 5, 2], gpus=4.0)
        shares = allocate(
            "processor_sharing:per_call=inf", scenario, queue=[0, 2, 0], in_service=[1, 1, 0]
        )
        np.testing.assert_allclose(shares, [1.0, 3.0, 0.0])

    def test_weights_discriminate(self):
        # rights 1/3·1 and 1·3 of 10/3
        scenario = world([1, 5], priority=[3, 1], gpus=4.0)
        spec = "processor_sharing:weighted=true,per_call=inf"
        np.testing.assert_allclose(allocate(spec, scenario, queue=[1, 3]), [0.4, 3.6])

    def test_a_few_calls_do_not_get_the_whole_pool(self):
        scenario = world([1, 5], gpus=4.0)
        shares = allocate("processor_sharing:per_call=0.5", scenario, queue=[1, 3])
        np.testing.assert_allclose(shares, [0.5, 1.5])


class TestAdaptiveGuaranteed:
    spec = "adaptive_guaranteed:drain_s=inf"

    def test_the_level_by_hand(self):
        # d = 0.8, 0.2, 0.3. θ = 1/1.3 would leave the last two at 0.15 and 0.23, below their
        # minima: they have 0.2 and 0.3, and the first what is left.
        scenario = world([9, 9, 9], minimum=[0.1, 0.2, 0.3], gpus=1.0)
        shares = allocate(self.spec, scenario, arrivals=[8, 1, 1])
        np.testing.assert_allclose(shares, [0.5, 0.2, 0.3])
        broken = allocate("adaptive", scenario, arrivals=[8, 1, 1])
        assert (broken < [0.1, 0.2, 0.3]).any()

    def test_without_demand_there_is_no_minimum(self):
        scenario = world([9, 9, 9], minimum=[0.1, 0.2, 0.3], gpus=1.0)
        # d = 0.8, 0, 0.3: the last one's 0.3/1.1 would lie below its minimum
        shares = allocate(self.spec, scenario, arrivals=[8, 0, 1])
        np.testing.assert_allclose(shares, [0.7, 0.0, 0.3])

    def test_a_backlog_is_demand(self):
        # d = (2 + 10/5)·0.1 and 10/5·0.3
        scenario = world([9, 9], minimum=[0.1, 0.3], gpus=1.0)
        shares = allocate(
            "adaptive_guaranteed:drain_s=5", scenario, arrivals=[2, 0], queue=[10, 10]
        )
        np.testing.assert_allclose(shares, [0.4, 0.6])

    def test_the_papers_minima_are_the_shares(self):
        minimum = [0.10, 0.30, 0.25, 0.35]
        scenario = world([100, 50, 60, 30], [1, 2, 2, 1], minimum, gpus=1.0)
        shares = allocate(self.spec, scenario, arrivals=[80, 40, 45, 25])
        np.testing.assert_allclose(shares, minimum)

    def test_minima_hold_and_the_pool_is_full_on_any_load(self):
        rng = np.random.default_rng(2)
        minimum = np.array([0.3, 0.05, 0.4, 0.0, 0.1])
        scenario = world([1] * 5, [1, 2, 3, 1, 1], minimum.tolist(), gpus=1.0)
        for _ in range(300):
            arrivals = rng.integers(0, 3, 5) * rng.geometric(0.2, 5)
            shares = allocate(self.spec, scenario, arrivals=arrivals)
            assert (shares[arrivals > 0] >= minimum[arrivals > 0] * (1 - 1e-12)).all()
            assert not shares[arrivals == 0].any()
            assert shares.sum() == pytest.approx(float(arrivals.any()))


class TestHold:
    """What keeps a model loading is more than nothing in every kind of pool."""

    loading = ("square_root", "cmu", "maxweight", "fair", "processor_sharing", "lookahead")

    @pytest.mark.parametrize("spec", [*loading, "knative", "keda", "histogram", "predictive"])
    @pytest.mark.parametrize("pool", [{"partition": "mig"}, {"share_quantum": 0.0}, {}])
    def test_a_cold_agent_with_calls_gets_there(self, spec, pool):
        agents = tuple(Agent(name, throughput=2, cold_start_s=3) for name in "abc")
        scenario = Scenario(agents, horizon_s=60.0, **pool)
        tape = Tape.from_calls([0, 1, 2], [1, 1, 1], [0.0, 0.5, 1.0], horizon_s=60.0)
        run = simulate(scenario, tape, make_allocator(spec))
        assert np.isfinite(run.completed_at).all()
        assert run.cold_starts.tolist() == [1, 1, 1]
