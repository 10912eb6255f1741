"""How many blocks a difference needs, and which difference blocks can show."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import nctdtr, stdtrit

from ...envs import checks
from ...envs.errors import ConfigError

ALPHA = 0.05
POWER = 0.8
MOST_BLOCKS = 1_000_000


def paired_power(difference: float, spread: float, n_blocks: int, alpha: float = ALPHA) -> float:
    """Return the probability that a paired t test finds a true difference.

    The t statistic of n blocks whose differences have the mean δ and the standard deviation σ has
    the noncentral t distribution with n − 1 degrees of freedom and noncentrality λ = δ·√n/σ; the
    power is 1 − F(t; λ) + F(−t; λ) at the two-sided critical t (J. Cohen, Statistical Power
    Analysis for the Behavioral Sciences, 2nd ed. 1988, ch. 2; exact, not the normal approximation).

    Args:
        difference: δ, in the unit of the values.
        spread: σ, the standard deviation over blocks of the paired difference, in the same unit.
        n_blocks: Independent blocks, at least 2.
        alpha: Probability to find a difference where there is none; that of all divided by the
            number of comparisons, where there are several.

    Raises:
        ConfigError: An argument is out of its bounds.
    """
    checks.number("spread", spread, above=0)
    n = checks.integer("n_blocks", n_blocks, at_least=2)
    shift = abs(checks.number("difference", difference)) * math.sqrt(n) / spread
    critical = float(stdtrit(n - 1, 1 - _part("alpha", alpha) / 2))
    wrong_side = 1 - nctdtr(n - 1, -shift, critical)  # F(−t; λ) = 1 − F(t; −λ)
    # SciPy has NaN for some values that are 1 but for rounding.
    return float(1 - nctdtr(n - 1, shift, critical) + np.nan_to_num(wrong_side, nan=0.0))


def blocks_needed(
    difference: float, spread: float, power: float = POWER, alpha: float = ALPHA
) -> int:
    """Return the fewest blocks with which a paired t test finds a difference with this power.

    Args:
        difference: δ, not 0, as in `paired_power`.
        spread: σ, as in `paired_power`.
        power: Probability to find it.
        alpha: As in `paired_power`.

    Raises:
        ConfigError: An argument is out of its bounds, or no million blocks would do.
    """
    _part("power", power)
    low, high = 1, 2
    while paired_power(difference, spread, high, alpha) < power:
        low, high = high, 2 * high
        if high > MOST_BLOCKS:
            raise ConfigError(
                f"difference must be large enough for {MOST_BLOCKS} blocks to find it at a spread "
                f"of {spread:g}, got {difference:g}"
            )
    while high - low > 1:
        middle = (low + high) // 2
        enough = paired_power(difference, spread, middle, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def detectable_difference(
    spread: float, n_blocks: int, power: float = POWER, alpha: float = ALPHA
) -> float:
    """Return the smallest difference that so many blocks find with this power.

    Args:
        spread: σ, as in `paired_power`.
        n_blocks: Independent blocks, at least 2.
        power: Probability to find it.
        alpha: As in `paired_power`.

    Raises:
        ConfigError: An argument is out of its bounds.
    """
    if not _part("alpha", alpha) < _part("power", power):
        raise ConfigError(f"power must be greater than alpha = {alpha:g}, got {power:g}")
    low, high = 0.0, 1.0  # in units of spread
    while paired_power(high, 1.0, n_blocks, alpha) < power:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        enough = paired_power(middle, 1.0, n_blocks, alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high * checks.number("spread", spread, above=0)


def _part(field: str, value: float) -> float:
    """Return a probability that is neither 0 nor 1."""
    if not checks.number(field, value, above=0) < 1:
        raise ConfigError(f"{field} must be less than 1, got {value!r}")
    return value
