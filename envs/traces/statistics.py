"""Statistics of arrivals and work, as pure functions: what tells a calm trace from a bursty one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .calls import Floats

WIDTHS_S = (1.0, 10.0, 60.0)
PEAK_WIDTHS_S = (1.0, 60.0)
# A gap longer than this is a silence: an order of magnitude more than a busy stream's gaps, and
# about as long as it takes to load a small model.
SILENCE_S = 5.0

Span = tuple[float, float]


@dataclass(frozen=True)
class Arrivals:
    """How calls arrive; NaN where a trace is too short to tell.

    Attributes:
        calls: Their number.
        span_s: Length of the time that is looked at [s].
        rate: Calls per second of the span [1/s].
        peak_to_mean: (width [s], most calls in a bin of that width over the mean).
        dispersion: (width [s], variance over mean of the counts in bins of that width); 1 for a
            Poisson process at every width.
        gap_cv: Coefficient of variation of the gaps; 1 for a Poisson process.
        silent_share: Part of the span inside gaps of more than 5 s.
        longest_gap_s: The longest gap [s].
    """

    calls: int
    span_s: float
    rate: float
    peak_to_mean: tuple[tuple[float, float], ...]
    dispersion: tuple[tuple[float, float], ...]
    gap_cv: float
    silent_share: float
    longest_gap_s: float


@dataclass(frozen=True)
class WorkStatistics:
    """Mean, median and 99th percentile of the work of calls, in the unit of the trace."""

    mean: float
    p50: float
    p99: float


def arrivals(times: Floats, span: Span | None = None) -> Arrivals:
    """Describe arrival times, sorted, shape (calls,) [s].

    Args:
        times: At least one.
        span: Start and end of what is looked at [s], which holds all `times`; by default from the
            first of them to the last.
    """
    start, end = span or (float(times[0]), float(times[-1]))
    length = end - start
    gaps = np.diff(times, prepend=start, append=end) if span else np.diff(times)
    return Arrivals(
        calls=times.size,
        span_s=length,
        rate=times.size / length if length else math.nan,
        peak_to_mean=tuple((w, peak_to_mean(times, w, span)) for w in PEAK_WIDTHS_S),
        dispersion=tuple((w, dispersion(times, w, span)) for w in WIDTHS_S),
        gap_cv=gap_cv(times),
        silent_share=float(gaps[gaps > SILENCE_S].sum() / length) if length else math.nan,
        longest_gap_s=float(gaps.max(initial=0.0)),
    )


def counts(
    times: Floats, width_s: float, span: Span | None = None
) -> tuple[NDArray[np.int64], int]:
    """Count calls in the whole bins of a width; the last, cut short by the end, is left out.

    Returns:
        Counts of the bins that hold any call, and the number of all bins: a year of silence takes
        no memory.
    """
    start, end = span or (float(times[0]), float(times[-1]))
    n_bins = math.floor((end - start) / width_s)
    place = np.floor((times - start) / width_s).astype(np.int64)
    _, found = np.unique(place[place < n_bins], return_counts=True)
    return found.astype(np.int64), n_bins


def peak_to_mean(times: Floats, width_s: float, span: Span | None = None) -> float:
    """Return the largest count over the mean count of bins; NaN under two whole bins.

    Three calls in one bin and one in another, of four bins: 3 / (4/4) = 3.
    """
    found, n_bins = counts(times, width_s, span)
    if n_bins < 2 or not found.size:
        return math.nan
    return float(found.max() * n_bins / found.sum())


def dispersion(times: Floats, width_s: float, span: Span | None = None) -> float:
    """Return variance over mean of the counts in bins; NaN under two whole bins.

    Three calls in one bin and one in another, of four bins: mean 1, variance (4 + 0 + 1 + 1)/4,
    so 1.5.
    """
    found, n_bins = counts(times, width_s, span)
    if n_bins < 2 or not found.size:
        return math.nan
    mean = found.sum() / n_bins
    return float((np.square(found, dtype=np.float64).sum() / n_bins - mean * mean) / mean)


def gap_cv(times: Floats) -> float:
    """Return standard deviation over mean of the gaps; NaN without two gaps or any time."""
    gaps = np.diff(times)
    if gaps.size < 2 or not gaps.any():
        return math.nan
    return float(gaps.std() / gaps.mean())


def work_statistics(work: Floats) -> WorkStatistics:
    """Describe the work of calls, shape (calls,), of which there is at least one."""
    p50, p99 = np.percentile(work, (50, 99))
    return WorkStatistics(float(work.mean()), float(p50), float(p99))


def histogram(times: Floats, span: Span, n_bins: int) -> NDArray[np.int64]:
    """Count calls in equal parts of a span, shape (n_bins,); its end belongs to the last."""
    start, end = span
    place = np.floor((times - start) * (n_bins / (end - start))).astype(np.int64)
    return np.bincount(np.clip(place, 0, n_bins - 1), minlength=n_bins)
