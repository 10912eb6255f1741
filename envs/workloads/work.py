"""How the work of a call is distributed: always with mean 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .. import checks
from ..kinds import Kinds

Floats = NDArray[np.float64]

# A Gamma with a tiny shape underflows to 0, but a call has work.
SMALLEST = 1e-300
LARGEST_CV = 100.0


class Work(Protocol):
    """A distribution of work with mean 1; a frozen dataclass registered in `WORK`."""

    @property
    def is_random(self) -> bool:
        """Whether two draws differ."""

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw the work of n calls, shape (n,)."""


WORK: Kinds[Work] = Kinds("work")


@WORK("constant")
@dataclass(frozen=True)
class Constant:
    """Every call has work 1."""

    is_random = False

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        """Return ones, shape (n,)."""
        return np.ones(n)


@WORK("exponential")
@dataclass(frozen=True)
class Exponential:
    """Memoryless work: with Poisson arrivals an M/M/c queue. CV 1."""

    is_random = True

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw the work of n calls, shape (n,)."""
        return rng.standard_exponential(n)


@WORK("lognormal")
@dataclass(frozen=True)
class Lognormal:
    """Heavy-tailed work, as token counts are.

    Attributes:
        cv: Standard deviation over mean, greater than 0.
    """

    cv: float
    is_random = True

    def __post_init__(self) -> None:
        checks.number("cv", self.cv, above=0, at_most=LARGEST_CV)

    @cached_property
    def _sigma(self) -> float:
        return math.sqrt(math.log1p(self.cv**2))

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw the work of n calls, shape (n,)."""
        return rng.lognormal(-0.5 * self._sigma**2, self._sigma, n)


@WORK("gamma")
@dataclass(frozen=True)
class Gamma:
    """Work between almost constant (cv near 0), exponential (1) and mostly tiny (above 1).

    Attributes:
        cv: Standard deviation over mean, greater than 0.
    """

    cv: float
    is_random = True

    def __post_init__(self) -> None:
        checks.number("cv", self.cv, above=0, at_most=LARGEST_CV)

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw the work of n calls, shape (n,)."""
        shape = self.cv**-2
        return np.maximum(rng.gamma(shape, 1 / shape, n), SMALLEST)
