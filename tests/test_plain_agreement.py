"""The package against the plain reference, event by event, on random instances.

Exact instances must agree to the last bit, rough ones to 1e-9 s with equal discrete outcomes; why
neither can raise a false alarm is said in `reference/strategies.py`. The fast tests take hundreds
of instances, those marked slow thousands.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings

from .reference.case import Case
from .reference.judges import (
    TIMES,
    Outcome,
    assert_agree,
    by_general_path,
    by_kernel,
    by_plain,
)
from .reference.strategies import exact_cases, rough_cases


def is_exact(run: Outcome) -> bool:
    """Whether all times lie on a grid so coarse that no operation on the way has rounded."""
    times = np.concatenate([getattr(run, name) for name in TIMES])
    return all(math.isnan(t) or (t * 2**36).is_integer() for t in times.tolist())


def agree_exactly(case: Case) -> None:
    expected = by_plain(case)
    assume(is_exact(expected))
    for play in (by_kernel, by_general_path):
        assert_agree(play(case), expected, tolerance=0.0)


def agree_roughly(case: Case) -> None:
    expected = by_plain(case)
    for play in (by_kernel, by_general_path):
        assert_agree(play(case), expected, tolerance=1e-9)


@settings(max_examples=100)
@given(case=exact_cases())
def test_call_graphs_with_ties_agree_to_the_last_bit(case: Case) -> None:
    agree_exactly(case)


@settings(max_examples=100)
@given(case=exact_cases(graphs=False))
def test_independent_calls_with_ties_agree_to_the_last_bit(case: Case) -> None:
    agree_exactly(case)


@settings(max_examples=100)
@given(case=rough_cases())
def test_call_graphs_agree(case: Case) -> None:
    agree_roughly(case)


@settings(max_examples=100)
@given(case=rough_cases(graphs=False))
def test_independent_calls_agree(case: Case) -> None:
    agree_roughly(case)


@pytest.mark.slow
@settings(max_examples=1_000)
@given(case=exact_cases())
def test_thousands_of_call_graphs_with_ties_agree_to_the_last_bit(case: Case) -> None:
    agree_exactly(case)


@pytest.mark.slow
@settings(max_examples=1_000)
@given(case=exact_cases(graphs=False))
def test_thousands_of_independent_calls_with_ties_agree_to_the_last_bit(case: Case) -> None:
    agree_exactly(case)


@pytest.mark.slow
@settings(max_examples=1_000)
@given(case=rough_cases())
def test_thousands_of_call_graphs_agree(case: Case) -> None:
    agree_roughly(case)


@pytest.mark.slow
@settings(max_examples=1_000)
@given(case=rough_cases(graphs=False))
def test_thousands_of_independent_calls_agree(case: Case) -> None:
    agree_roughly(case)
