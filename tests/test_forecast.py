"""Forecasts on rates worked by hand, and the allocator that sizes shares by them."""

import numpy as np
import pytest

from slicegym.baselines import make_allocator
from slicegym.baselines.compiled import ARRIVALS
from slicegym.baselines.forecast import FORECASTS, Forecast, path, within
from slicegym.envs import Agent, Scenario
from slicegym.envs.kernel.compile import compiled
from slicegym.envs.kernel.observe import RAW_COLUMNS

from .observations import seen


def ewma(alpha):
    return Forecast("ewma", alpha=alpha)


def holt_winters(alpha, beta, gamma, damping, season):
    return Forecast("holt_winters", alpha, beta, gamma, damping, window=season)


def seasonal(season):
    return Forecast("seasonal", window=season)


def quantile_of(quantile, window):
    return Forecast("quantile", quantile=quantile, window=window)


MADE = (ewma(0.25), holt_winters(0.5, 0.5, 0.5, 0.5, 3), seasonal(3), quantile_of(0.5, 3))


def follow(forecast, rates, decisions=None, horizon=6):
    """Return path (B, N, horizon) and memory after rates (K, B, N) at decisions (K, B)."""
    n_decisions, n_environments, n_agents = rates.shape
    if decisions is None:
        decisions = np.repeat(np.arange(n_decisions)[:, None], n_environments, axis=1)
    clock = np.full(n_environments, -1)
    memory = np.zeros((n_environments, *forecast.memory_shape(n_agents)))
    for decision, rate in zip(decisions, rates, strict=True):
        raw = np.zeros((n_environments, n_agents, len(RAW_COLUMNS)))
        raw[..., ARRIVALS] = 0.5 * rate  # in intervals of half a second
        expected = path(raw, decision, clock, memory, forecast.method(), horizon, 0.5)
    return expected, memory


def after(forecast, rates, steps=1):
    """Return the forecast for one agent that many intervals after the rates."""
    rates = np.array(rates, dtype=float)[:, None, None]
    return float(follow(forecast, rates)[0][0, 0, steps - 1])


@compiled
def total_within(memory, b, i, seen, h, method):
    return within(memory, b, i, seen, h, method)


class TestByHand:
    def test_ewma_is_a_mean_first_and_forgets_later(self):
        # k = 1, 2: the mean 6; then 1/4 is less than 1/3: 6 + (12 − 6)/3; then 8 + (0 − 8)/4.
        assert after(ewma(0.25), [4, 8]) == 6.0
        assert after(ewma(0.25), [4, 8, 12, 0]) == pytest.approx(6.0)
        # the fifth weighs 1/4 where 1/5 would be the mean
        assert after(ewma(0.25), [4, 8, 12, 0, 10]) == pytest.approx(7.0)

    def test_holt_winters_level_and_damped_trend(self):
        # Without season, α = β = φ = 1/2. Rates 4, 8: l = 4 + 4/2 = 6, b = 2/2 = 1. Ahead by one
        # 6 + 1/2, by two 6 + 1/2 + 1/4. Then 8: l = (8 + 6.5)/2 = 7.25, b = (1.25 + 0.5)/2.
        def made():
            return holt_winters(0.5, 0.5, 0.0, 0.5, 3)

        assert after(made(), [4, 8]) == pytest.approx(6.5)
        assert after(made(), [4, 8], 2) == pytest.approx(6.75)
        assert after(made(), [4, 8, 8]) == pytest.approx(7.25 + 0.5 * 0.875)

    def test_holt_winters_season(self):
        # α = β = 0 keeps level 4 and no trend; γ = 1/2: deviations 0, 2, −4 of places 0, 1, 2 leave
        # 0, 1, −2. One to three ahead of three rates are places 0, 1, 2.
        def made():
            return holt_winters(0.0, 0.0, 0.5, 0.5, 3)

        assert [after(made(), [4, 6, 0], h) for h in (1, 2, 3, 4)] == [4.0, 5.0, 2.0, 4.0]

    def test_holt_winters_learns_a_season_that_repeats(self):
        rates = [2, 10, 6, 2] * 200
        made = [after(holt_winters(0.1, 0.01, 0.2, 0.9, 4), rates, h) for h in (1, 2, 3, 4)]
        np.testing.assert_allclose(made, [2, 10, 6, 2], atol=0.05)

    def test_no_forecast_falls_below_zero(self):
        assert after(holt_winters(1.0, 1.0, 0.0, 0.9, 3), [9, 3, 0], 5) == 0.0

    def test_seasonal_naive_repeats_the_last_season(self):
        # Seen 1 2 3 4 5: the next are those of places 2, 0, 1 of the season: 3, 4, 5, 3 …
        assert [after(seasonal(3), [1, 2, 3, 4, 5], h) for h in (1, 2, 3, 4)] == [3, 4, 5, 3]

    def test_seasonal_naive_without_a_season_repeats_the_last_rate(self):
        assert [after(seasonal(3), [1, 7], h) for h in (1, 2, 3)] == [7, 7, 7]

    @pytest.mark.parametrize("quantile", [0.0, 0.3, 0.5, 0.95, 1.0])
    @pytest.mark.parametrize("n", [1, 2, 5, 9])
    def test_the_quantile_is_numpys_over_the_window(self, quantile, n):
        rates = np.array([5.0, 1.0, 4.0, 0.0, 2.0, 9.0, 2.0, 3.0, 7.0])[:n]
        expected = np.quantile(rates[-5:], quantile)
        assert after(quantile_of(quantile, 5), rates) == pytest.approx(expected)

    def test_the_quantile_follows_its_window_through_rates_that_repeat(self):
        rates = np.random.default_rng(1).poisson(1.5, 60)
        for n in range(1, 60):
            expected = np.quantile(rates[:n][-7:], 0.8)
            assert after(quantile_of(0.8, 7), rates[:n]) == pytest.approx(expected)


@pytest.mark.parametrize("forecast", MADE, ids=FORECASTS)
class TestBatches:
    rates = np.random.default_rng(0).poisson(3.0, (20, 4, 2)).astype(float)

    def test_environments_are_apart_and_can_begin_anew(self, forecast):
        k = np.arange(20)
        # Environment 1 begins anew at 12; environment 3 is at every decision thrice, and the second
        # and third time are not counted.
        decisions = np.stack([k, k % 12, k, k // 3], axis=1)
        batch, _ = follow(forecast, self.rates, decisions)
        fresh, _ = follow(forecast, self.rates[12:, 1:2])
        np.testing.assert_array_equal(batch[1], fresh[0])
        alone, _ = follow(forecast, self.rates[::3, 3:])
        np.testing.assert_array_equal(batch[3], alone[0])

    def test_the_sum_within_a_lead_is_that_of_its_intervals(self, forecast):
        expected, memory = follow(forecast, self.rates)
        for b, i, h in np.ndindex(4, 2, 6):
            total = total_within(memory, b, i, 20, h + 1, forecast.method())
            assert total == pytest.approx(expected[b, i, : h + 1].sum())

    def test_nothing_seen_is_nothing_expected(self, forecast):
        assert not follow(forecast, np.zeros((5, 4, 2)))[0].any()


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
