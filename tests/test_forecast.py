"""Forecasts on rates worked by hand, and the allocator that sizes shares by them."""

import numpy as np
import pytest

from slicegym.baselines import make_allocator
from slicegym.baselines.forecast import Ewma, HoltWinters, SeasonalNaive, WindowQuantile
from slicegym.envs import Agent, Scenario

from .observations import seen

MADE = (
    lambda: Ewma(0.25),
    lambda: HoltWinters(0.5, 0.5, 0.5, 0.5, 3),
    lambda: SeasonalNaive(3),
    lambda: WindowQuantile(0.5, 3),
)


def after(forecast, rates, steps=1):
    """Return the forecast for one agent that many intervals after the rates."""
    forecast.start(1, 1)
    for rate in rates:
        forecast.update(np.array([0]), np.array([[float(rate)]]))
    return float(forecast.ahead(np.array([[steps]]))[0, 0])


class TestByHand:
    def test_ewma_is_a_mean_first_and_forgets_later(self):
        # k = 1, 2: the mean 6; then 1/4 is less than 1/3: 6 + (12 − 6)/3; then 8 + (0 − 8)/4.
        assert after(Ewma(0.25), [4, 8]) == 6.0
        assert after(Ewma(0.25), [4, 8, 12, 0]) == pytest.approx(6.0)
        # the fifth weighs 1/4 where 1/5 would be the mean
        assert after(Ewma(0.25), [4, 8, 12, 0, 10]) == pytest.approx(7.0)

    def test_holt_winters_level_and_damped_trend(self):
        # Without season, α = β = φ = 1/2. Rates 4, 8: l = 4 + 4/2 = 6, b = 2/2 = 1. Ahead by one
        # 6 + 1/2, by two 6 + 1/2 + 1/4. Then 8: l = (8 + 6.5)/2 = 7.25, b = (1.25 + 0.5)/2.
        def made():
            return HoltWinters(0.5, 0.5, 0.0, 0.5, 3)

        assert after(made(), [4, 8]) == pytest.approx(6.5)
        assert after(made(), [4, 8], 2) == pytest.approx(6.75)
        assert after(made(), [4, 8, 8]) == pytest.approx(7.25 + 0.5 * 0.875)

    def test_holt_winters_season(self):
        # α = β = 0 keeps level 4 and no trend; γ = 1/2: deviations 0, 2, −4 of places 0, 1, 2 leave
        # 0, 1, −2. One to three ahead of three rates are places 0, 1, 2.
        def made():
            return HoltWinters(0.0, 0.0, 0.5, 0.5, 3)

        assert [after(made(), [4, 6, 0], h) for h in (1, 2, 3, 4)] == [4.0, 5.0, 2.0, 4.0]

    def test_holt_winters_learns_a_season_that_repeats(self):
        rates = [2, 10, 6, 2] * 200
        made = [after(HoltWinters(0.1, 0.01, 0.2, 0.9, 4), rates, h) for h in (1, 2, 3, 4)]
        np.testing.assert_allclose(made, [2, 10, 6, 2], atol=0.05)

    def test_no_forecast_falls_below_zero(self):
        assert after(HoltWinters(1.0, 1.0, 0.0, 0.9, 3), [9, 3, 0], 5) == 0.0

    def test_seasonal_naive_repeats_the_last_season(self):
        # Seen 1 2 3 4 5: the next are those of places 2, 0, 1 of the season: 3, 4, 5, 3 …
        assert [after(SeasonalNaive(3), [1, 2, 3, 4, 5], h) for h in (1, 2, 3, 4)] == [3, 4, 5, 3]

    def test_seasonal_naive_without_a_season_repeats_the_last_rate(self):
        assert [after(SeasonalNaive(3), [1, 7], h) for h in (1, 2, 3)] == [7, 7, 7]

    @pytest.mark.parametrize("quantile", [0.0, 0.3, 0.5, 0.95, 1.0])
    @pytest.mark.parametrize("n", [1, 2, 5, 9])
    def test_the_quantile_is_numpys_over_the_window(self, quantile, n):
        rates = np.array([5.0, 1.0, 4.0, 0.0, 2.0, 9.0, 2.0, 3.0, 7.0])[:n]
        expected = np.quantile(rates[-5:], quantile)
        assert after(WindowQuantile(quantile, 5), rates) == pytest.approx(expected)


@pytest.mark.parametrize("make", MADE)
class TestBatches:
    rates = np.random.default_rng(0).poisson(3.0, (20, 4, 2)).astype(float)
    steps = np.array([[1, 5]] * 4)

    def test_environments_are_apart_and_can_begin_anew(self, make):
        everyone = np.arange(4)
        batch, fresh = make(), make()
        batch.start(4, 2)
        fresh.start(1, 2)
        for k, rate in enumerate(self.rates):
            if k == 12:
                batch.forget(np.array([1]))
            if k % 3:  # environment 3 is not always asked
                batch.update(everyone[:3], rate[:3])
            else:
                batch.update(everyone, rate)
            if k >= 12:
                fresh.update(np.array([0]), rate[1:2])
        np.testing.assert_array_equal(batch.ahead(self.steps)[1], fresh.ahead(self.steps[:1])[0])
        alone = make()
        alone.start(1, 2)
        for rate in self.rates[::3]:
            alone.update(np.array([0]), rate[3:])
        np.testing.assert_array_equal(batch.ahead(self.steps)[3], alone.ahead(self.steps[:1])[0])

    def test_the_sum_within_a_lead_is_that_of_its_intervals(self, make):
        forecast = make()
        forecast.start(4, 2)
        for rate in self.rates:
            forecast.update(np.arange(4), rate)
        one_by_one = [forecast.ahead(np.full((4, 2), h)) for h in range(1, 6)]
        total = np.stack([one_by_one[0][:, 0], np.sum(one_by_one, axis=0)[:, 1]], axis=1)
        np.testing.assert_allclose(forecast.within(self.steps), total)

    def test_nothing_seen_is_nothing_expected(self, make):
        forecast = make()
        forecast.start(4, 2)
        assert not forecast.ahead(self.steps).any()


def share(spec, **columns):
    """Share after one observation of an agent with T = 2, c = 4, a load of 3 s, f = 0.25."""
    agent = Agent("a", throughput=2, concurrency=4, cold_start_s=3, footprint=0.25)
    scenario = Scenario((agent,), gpus=4.0, share_quantum=0.01)
    return float(make_allocator(spec).allocate(seen(scenario, **columns))[0])


class TestPredictive:
    def test_the_share_is_rate_and_backlog_over_throughput(self):
        # (3 + 10/5)/2; one call of four servers' worth: (3 + 4/5)/2
        assert share("predictive:drain_s=5", arrivals=3, queue=10, warm=1) == pytest.approx(2.5)
        assert share("predictive:drain_s=5", arrivals=3, queue=1, warm=1) == pytest.approx(1.9)

    def test_a_model_is_kept_for_what_would_come_during_a_load(self):
        # 1 call a second, 3 + 1 s: 4 calls
        assert share("predictive:wake=4", arrivals=1, warm=1) == pytest.approx(0.5)
        assert share("predictive:wake=4.1", arrivals=1, warm=1) == 0.0

    def test_who_loads_holds_its_place(self):
        assert share("predictive", queue=9, ready_in_s=3) == 0.01

    def test_the_footprint_is_the_least(self):
        assert share("predictive:wake=0.1", arrivals=0.1, warm=1) == 0.25

    def test_each_agent_is_loaded_at_its_own_lead(self):
        # Eight calls in the interval that ends at 0, 5, 10 …, known as a season from 5 on. Within
        # 4 s of 6 to 9, and of 11, a sees the next eight, within 2 s of 8 and 9 does b.
        agents = (Agent("a", 2, cold_start_s=3), Agent("b", 2, cold_start_s=1))
        scenario = Scenario(agents, gpus=9.0, share_quantum=0.01)
        allocator = make_allocator("predictive:forecast=seasonal,season_s=5,wake=8")
        loads = []
        for k in range(12):
            arrivals = 8 * (k % 5 == 0)  # of the interval that ends at k
            cold = seen(scenario, k, arrivals=arrivals, ready_in_s=scenario.cold_start_s)
            loads.append(allocator.allocate(cold) > 0)
        assert np.flatnonzero(np.array(loads)[5:, 0]).tolist() == [1, 2, 3, 4, 6]
        assert np.flatnonzero(np.array(loads)[5:, 1]).tolist() == [3, 4]
