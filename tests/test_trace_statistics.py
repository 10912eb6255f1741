"""Statistics of arrivals: by hand, by another route, and as published for the real traces."""

import math
from pathlib import Path

import numpy as np
import pytest

from slicegym.envs.traces import load_trace, trace_status
from slicegym.envs.traces.importing import Columns, import_calls
from slicegym.envs.traces.statistics import (
    arrivals,
    dispersion,
    gap_cv,
    histogram,
    peak_to_mean,
    work_statistics,
)


class TestByHand:
    """Calls at 0, 0.2, 0.4, 1.5 and 4 s: whole bins of 1 s with 3, 1, 0 and 0 calls."""

    times = np.array([0.0, 0.2, 0.4, 1.5, 4.0])

    def test_bins_leave_out_what_is_cut_short(self):
        assert peak_to_mean(self.times, 1.0) == pytest.approx(3 / (4 / 4))
        assert dispersion(self.times, 1.0) == pytest.approx(((9 + 1) / 4 - 1) / 1)

    def test_two_bins(self):
        assert peak_to_mean(self.times, 2.0) == 4 / 2
        assert dispersion(self.times, 2.0) == 4 / 2

    def test_too_short_to_tell(self):
        assert math.isnan(peak_to_mean(self.times, 3.0))
        assert math.isnan(dispersion(self.times, 60.0))
        assert math.isnan(gap_cv(self.times[:2]))
        assert math.isnan(gap_cv(np.zeros(5)))

    def test_gaps(self):
        gaps = [0.2, 0.2, 1.1, 2.5]
        variance = sum((gap - 1.0) ** 2 for gap in gaps) / 4
        assert gap_cv(self.times) == pytest.approx(math.sqrt(variance) / 1.0)

    def test_silence_counts_gaps_of_more_than_five_seconds(self):
        times = np.array([0.0, 5.0, 11.0, 12.0, 32.0])
        assert arrivals(times).silent_share == pytest.approx((6 + 20) / 32)
        assert arrivals(times).longest_gap_s == 20

    def test_a_span_counts_the_silence_around(self):
        found = arrivals(np.array([10.0, 11.0]), (0.0, 20.0))
        assert (found.span_s, found.rate) == (20.0, 0.1)
        assert found.silent_share == pytest.approx((10 + 9) / 20)

    def test_even_calls_do_not_disperse(self):
        times = np.arange(0.0, 601.0, 0.5)
        found = arrivals(times)
        assert found.dispersion == ((1.0, 0.0), (10.0, 0.0), (60.0, 0.0))
        assert found.peak_to_mean == ((1.0, 1.0), (60.0, 1.0))
        assert found.gap_cv == pytest.approx(0.0, abs=1e-12)

    def test_work(self):
        found = work_statistics(np.arange(1.0, 102.0))
        assert (found.mean, found.p50, found.p99) == (51.0, 51.0, 100.0)

    def test_the_end_belongs_to_the_last_bin(self):
        assert histogram(self.times, (0.0, 4.0), 4).tolist() == [3, 1, 0, 1]


def test_a_century_of_silence_takes_no_memory():
    found = arrivals(np.array([0.0, 1.0, 3e9]))
    assert found.peak_to_mean[0][1] == pytest.approx(1.5e9)
    assert found.silent_share == pytest.approx(1.0)


@pytest.mark.parametrize("seed", range(3))
def test_dense_counts_agree(seed):
    rng = np.random.default_rng(seed)
    times = np.sort(rng.choice(np.cumsum(rng.pareto(1.2, 4000)), 1000, replace=False))
    for width in (1.0, 10.0):
        dense = np.histogram(times, np.arange(times[0], times[-1], width))[0]
        assert dispersion(times, width) == pytest.approx(dense.var() / dense.mean(), rel=1e-2)
        assert peak_to_mean(times, width) == pytest.approx(dense.max() / dense.mean(), rel=1e-2)


def test_a_poisson_process_has_ones():
    times = np.cumsum(np.random.default_rng(1).exponential(0.1, 200_000))
    found = arrivals(times)
    assert found.gap_cv == pytest.approx(1.0, rel=0.02)
    for width, value in found.dispersion:  # standard error sqrt(2 / bins)
        assert value == pytest.approx(1.0, abs=4 * math.sqrt(2 * width / times[-1]))


# As published with the traces: calls, span, rate, peaks, dispersions, CV of gaps.
PUBLISHED = {
    "azure_conv": (19_366, 3502, 5.53, (2.9, 1.5), (1.4, 3.9, 16), 1.09),
    "azure_code": (8_819, 3436, 2.57, (26, 4.2), (13, 72, 164), 13.2),
}
# Column: mean, p50, p99.
TOKENS = {
    "azure_conv": {"ContextTokens": (1155, 1020, 4142), "GeneratedTokens": (211, 129, 601)},
    "azure_code": {"ContextTokens": (2048, 1469, 7436), "GeneratedTokens": (28, 13, 251)},
}


def as_printed(value, published):
    """Round a value to the digits of the published one."""
    text = str(published)
    return round(value, len(text.partition(".")[2]))


def file_of(name: str) -> Path:
    path = trace_status(name).path
    assert path is not None
    return path


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.traces(n)) for n in PUBLISHED])
def test_the_azure_traces_as_a_users_file(name):
    calls, span, rate, peaks, dispersions, cv = PUBLISHED[name]
    times = import_calls(file_of(name), Columns(time="TIMESTAMP")).arrival_s
    found = arrivals(times)
    assert (found.calls, round(found.span_s)) == (calls, span)
    assert as_printed(found.rate, rate) == rate
    got = [value for _, value in (*found.peak_to_mean, *found.dispersion)]
    assert [as_printed(g, p) for g, p in zip(got, (*peaks, *dispersions), strict=True)] == [
        *peaks,
        *dispersions,
    ]
    assert as_printed(found.gap_cv, cv) == cv
    for column, published in TOKENS[name].items():
        work = import_calls(file_of(name), Columns(time="TIMESTAMP", work=column)).work
        tokens = work_statistics(work)
        assert [round(v) for v in (tokens.mean, tokens.p50, tokens.p99)] == [*published]


@pytest.mark.traces("azure_code")
def test_the_azure_coding_service_is_silent_72_percent_of_the_time():
    found = arrivals(import_calls(file_of("azure_code"), Columns(time="TIMESTAMP")).arrival_s)
    assert round(found.silent_share, 2) == 0.72
    assert round(found.longest_gap_s) == 217


@pytest.mark.traces("mooncake")
def test_mooncake_spread_over_its_ticks():
    found = arrivals(load_trace("mooncake").arrival_s)
    assert found.calls == 12_031
    assert found.rate == pytest.approx(3.40, abs=0.005)
    got = [value for _, value in (*found.peak_to_mean, *found.dispersion)]
    assert got == pytest.approx([4.1, 1.2, 1.05, 1.5, 2.9], rel=0.05)
    assert found.gap_cv == pytest.approx(1.01, abs=0.01)


@pytest.mark.traces("mooncake")
def test_mooncake_as_a_users_file_is_in_milliseconds():
    columns = Columns(time="timestamp", work="output_length")
    calls = import_calls(file_of("mooncake"), columns)
    assert calls.time_unit == "ms"
    assert round(calls.arrival_s[-1]) == 3537
    tokens = work_statistics(calls.work)
    assert (round(tokens.mean), tokens.p50, round(tokens.p99)) == (343, 350, 1119)
