"""Streams: every kind has the distribution that queueing theory gives it."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from slicegym.envs.workloads import STREAMS, WORK
from slicegym.envs.workloads.randomness import keyed
from slicegym.envs.workloads.renewal import weibull_shape

# Statistical bounds are this many standard errors wide; seeds are fixed.
SIGMAS = 4.0

EXAMPLES: dict[str, dict[str, Any]] = {
    "deterministic": {"rate": 3.7},
    "poisson": {"rate": 6.0},
    "renewal": {"rate": 6.0, "cv": 2.0},
    "on_off": {"rate_on": 20.0, "mean_on_s": 5.0, "mean_off_s": 10.0, "rate_off": 0.5},
    "diurnal": {"rate": 6.0, "amplitude": 0.8, "period_s": 90.0},
    "spike": {"rate": 3.0, "multiplier": 10.0, "begin_s": 20.0, "end_s": 25.0},
}


def stream(kind: str, **changes: Any) -> Any:
    return STREAMS.build({"kind": kind, **EXAMPLES[kind], **changes}, "stream")


def draws(source: Any, n: int, horizon_s: float) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [source.arrivals(rng, 0.0, horizon_s)[0] for _ in range(n)]


def counts(times: list[np.ndarray], start_s: float, end_s: float) -> np.ndarray:
    return np.array([np.searchsorted(t, end_s) - np.searchsorted(t, start_s) for t in times])


def assert_mean(values: np.ndarray, expected: float) -> None:
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    assert abs(np.mean(values) - expected) < SIGMAS * error + 1e-12


def assert_dispersion(values: np.ndarray, expected: float) -> None:
    """Variance over mean of counts, with the standard error of a sample variance."""
    got = np.var(values, ddof=1) / np.mean(values)
    kurtosis = stats.kurtosis(values) + 2
    error = got * math.sqrt(kurtosis / len(values))
    assert abs(got - expected) < SIGMAS * error


def test_every_synthetic_kind_has_an_example() -> None:
    assert set(EXAMPLES) == set(STREAMS.names()) - {"replay", "servegen"}


@pytest.mark.parametrize("kind", EXAMPLES)
@pytest.mark.parametrize("horizon_s", [0.5, 60.0, 333.3])
def test_releases_are_sorted_and_inside_the_episode(kind: str, horizon_s: float) -> None:
    source = stream(kind, work={"kind": "exponential"})
    for seed in range(20):
        release, work = source.arrivals(keyed(seed, 1), 0.0, horizon_s)
        assert release.shape == work.shape
        assert release.dtype == work.dtype == np.float64
        assert np.all(np.diff(release) >= 0)
        assert np.all((release >= 0) & (release < horizon_s))
        assert np.all(work > 0)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_mean_rate_is_what_the_stream_says(kind: str) -> None:
    source = stream(kind)
    number = counts(draws(source, 800, 60.0), 0.0, 60.0)
    if source.is_random:
        assert_mean(number, 60.0 * source.mean_rate(60.0))
    else:
        assert np.all(number == 222)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_no_rate_no_calls(kind: str) -> None:
    rates = {"rate_on": 0, "rate_off": 0} if kind == "on_off" else {"rate": 0}
    release, work = stream(kind, **rates).arrivals(keyed(1, 1), 0.0, 50.0)
    assert release.shape == work.shape == (0,)


def test_poisson_has_dispersion_1_and_uniform_times() -> None:
    times = draws(stream("poisson", rate=8.0), 600, 50.0)
    number = counts(times, 0.0, 50.0)
    assert_mean(number, 400.0)
    assert_dispersion(number, 1.0)
    assert_dispersion(counts(times, 10.0, 11.0), 1.0)
    assert stats.kstest(np.concatenate(times[:50]) / 50.0, "uniform").pvalue > 1e-3
    gaps = np.concatenate([np.diff(t) for t in times[:50]])
    assert stats.kstest(gaps * 8.0, "expon").pvalue > 1e-3


@pytest.mark.parametrize("family", ["gamma", "weibull"])
@pytest.mark.parametrize("cv", [0.4, 1.0, 2.5])
def test_renewal_gaps_have_the_cv_and_start_in_equilibrium(family: str, cv: float) -> None:
    source = stream("renewal", rate=5.0, cv=cv, family=family)
    gaps = np.diff(draws(source, 1, 20_000.0)[0])
    assert gaps.mean() == pytest.approx(0.2, rel=SIGMAS * cv / math.sqrt(len(gaps)))
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.05)
    # At any time the next call is (1 + cv²)/(2·rate) away, and [0, t) expects rate·t calls.
    times = draws(source, 3000, 30.0)
    first = np.array([t[0] if t.size else 30.0 for t in times])
    assert_mean(first, (1 + cv**2) / (2 * 5.0))
    assert_mean(counts(times, 0.0, 0.1), 0.5)
    assert_mean(counts(times, 29.0, 30.0), 5.0)


@pytest.mark.parametrize("cv", [0.02, 0.5, 1.0, 3.0, 50.0])
def test_weibull_shape_inverts_the_cv(cv: float) -> None:
    k = weibull_shape(cv)
    ratio = math.exp(math.lgamma(1 + 2 / k) - 2 * math.lgamma(1 + 1 / k))
    assert math.sqrt(ratio - 1) == pytest.approx(cv, rel=1e-6)


def test_on_off_starts_in_the_stationary_state() -> None:
    source = stream("on_off", rate_on=200.0, rate_off=0.0)  # on one third of the time
    times = draws(source, 3000, 30.0)
    on = np.array([np.any(t < 0.05) for t in times], dtype=float)  # misses e^-10
    # On at some time in [0, 0.05): on at 0, or switched on since.
    assert_mean(on, 1 / 3 + 2 / 3 * (1 - math.exp(-0.05 / 10.0)))
    for start in (0.0, 29.0):
        assert_mean(counts(times, start, start + 1.0), 200.0 / 3)


@pytest.mark.parametrize("rate_on", [20.0, [8.0, 32.0]])
@pytest.mark.parametrize("t", [1.0, 30.0])
def test_on_off_has_the_dispersion_of_its_markov_chain(rate_on: Any, t: float) -> None:
    a, b, off = 5.0, 10.0, 0.5
    source = stream("on_off", rate_on=rate_on)
    number = counts(draws(source, 4000, 30.0), 30.0 - t, 30.0)
    on, p = 20.0, a / (a + b)
    mean = (p * on + (1 - p) * off) * t
    assert_mean(number, mean)

    def double_integral(decay: float) -> float:
        """∫∫ exp(−decay·|u − v|) over [0, t]², the variance that a correlated rate adds."""
        return 2 * (decay * t - 1 + math.exp(-decay * t)) / decay**2

    # Rate autocovariance: the chain's, and within one burst that of the burst's own rate.
    chain = (on - off) ** 2 * p * (1 - p) * double_integral(1 / a + 1 / b)
    burst = 0.0 if rate_on == 20.0 else (32.0 - 8.0) ** 2 / 12 * p * double_integral(1 / a)
    assert_dispersion(number, 1 + (chain + burst) / mean)


def test_on_off_survives_running_out_of_periods() -> None:
    source = stream("on_off", mean_on_s=0.01, mean_off_s=0.01)
    for seed in range(50):
        assert source.arrivals(keyed(seed, 0), 0.0, 100.0)[0].size > 800


def test_diurnal_follows_the_sine() -> None:
    source = stream("diurnal", rate=6.0, amplitude=0.8, period_s=40.0, phase=0.0)
    times = draws(source, 1500, 40.0)
    # ∫ of the sine over the first half is period/π, over the second −period/π.
    assert_mean(counts(times, 0.0, 20.0), 6.0 * (20 + 0.8 * 40 / math.pi))
    assert_mean(counts(times, 20.0, 40.0), 6.0 * (20 - 0.8 * 40 / math.pi))
    assert source.mean_rate(20.0) == pytest.approx(6.0 * (1 + 0.8 * 2 / math.pi))


def test_diurnal_without_a_phase_starts_at_any_time_of_day() -> None:
    times = draws(stream("diurnal", period_s=1000.0), 1500, 20.0)
    assert_mean(counts(times, 0.0, 20.0), 120.0)
    # Each episode sees about one level: variance of the level, (0.8·120)²/2, on top of Poisson's.
    assert_dispersion(counts(times, 0.0, 20.0), 1 + (0.8 * 120) ** 2 / 2 / 120)


def test_spike_multiplies_inside_and_only_there() -> None:
    times = draws(stream("spike"), 1500, 60.0)
    assert_mean(counts(times, 0.0, 20.0), 60.0)
    assert_mean(counts(times, 20.0, 25.0), 150.0)
    assert_mean(counts(times, 25.0, 60.0), 105.0)
    assert_dispersion(counts(times, 20.0, 25.0), 1.0)


def test_spike_beyond_the_horizon_is_cut() -> None:
    source = stream("spike", begin_s=50.0, end_s=80.0)
    assert source.mean_rate(60.0) == pytest.approx(3.0 * (1 + 9 * 10 / 60))
    assert_mean(counts(draws(source, 1500, 60.0), 50.0, 60.0), 300.0)


def test_deterministic_spaced_and_batched() -> None:
    rng = np.random.default_rng(0)
    release, work = stream("deterministic", rate=4.0).arrivals(rng, 0.0, 1.0)
    assert release.tolist() == [0.0, 0.25, 0.5, 0.75]
    assert work.tolist() == [1.0] * 4
    release, _ = stream("deterministic", rate=1.5, batch_s=1.0).arrivals(rng, 0.0, 3.5)
    assert release.tolist() == [0.0, 1.0, 1.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize(
    ("content", "cv"),
    [
        ({"kind": "constant"}, 0.0),
        ({"kind": "exponential"}, 1.0),
        ({"kind": "lognormal", "cv": 1.5}, 1.5),
        ({"kind": "gamma", "cv": 0.3}, 0.3),
        ({"kind": "gamma", "cv": 2.0}, 2.0),
    ],
)
def test_work_has_mean_1_and_its_cv(content: dict[str, Any], cv: float) -> None:
    work = WORK.build(content, "work")
    drawn = work.draw(np.random.default_rng(3), 200_000)
    assert np.all(drawn > 0)
    assert abs(drawn.mean() - 1) <= SIGMAS * cv / math.sqrt(drawn.size)
    assert drawn.std() == pytest.approx(cv, rel=0.05)
    assert work.is_random == (cv > 0)


def test_gamma_work_never_underflows_to_nothing() -> None:
    assert np.all(WORK.build({"kind": "gamma", "cv": 100.0}, "w").draw(keyed(1, 2), 10_000) > 0)
