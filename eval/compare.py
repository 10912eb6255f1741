"""Which of two allocators is better: paired over the tapes of a finished run, in ten lines.

On each tape the difference is reward(A) − reward(B). Tapes of one block are averaged first, since
they are not independent. With F families of n_f blocks, mean d_f and variance s_f² each, every
family counts the same:

    d = Σ d_f / F        se² = Σ s_f² / n_f / F²        ν = se⁴ / Σ (s_f² / n_f / F²)² / (n_f − 1)

and d ± t_ν · se is the 95 % interval: a stratified mean (Cochran, Sampling Techniques, 3rd ed.
1977, ch. 5) with Satterthwaite's degrees of freedom (Biometrics Bulletin 2(6), 1946). Of one family
it is Student's. Where a family has a single block, its spread is unknown, and there is no interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from ..envs.errors import ConfigError, unknown_name
from .results import Results
from .statistics import CONFIDENCE, Interval, block_means, score_interval

POWER = 0.8
MOST_TIMES = 1_000  # a difference that wants more of such suites is none for practical purposes
TERMS = ("latency", "cost", "idle")


@dataclass(frozen=True)
class Tape:
    """Two allocators on one tape.

    Attributes:
        family: Its family.
        block: Its independent block.
        rewards: Of A and of B.
        gain: Reward of A above that of B.
        terms: What each weighted term adds to the gain.
        bound: The clairvoyant bound; None without one.
    """

    family: str
    block: str
    rewards: tuple[float, float]
    gain: float
    terms: dict[str, float]
    bound: float | None


@dataclass(frozen=True)
class Difference:
    """A mean difference and how well it is known.

    Attributes:
        mean: Mean gain, every family counting the same.
        low: Lower end of the 95 % interval; None where there is none, as the following.
        high: Upper end.
        p_value: Two-sided, of no difference.
        standard_error: Of the mean.
        freedom: Degrees of freedom.
        n_blocks: Independent blocks.
    """

    mean: float
    low: float | None
    high: float | None
    p_value: float | None
    standard_error: float | None
    freedom: float | None
    n_blocks: int


@dataclass(frozen=True)
class Comparison:
    """A against B.

    Attributes:
        suite: On what.
        a: The first allocator.
        b: The second.
        tapes: One by one, in the order of the suite.
        rewards: Mean rewards of A and of B, weighted as the difference is.
        terms: What each weighted term adds to the difference.
        difference: Of the rewards, A above B.
        closed: Of the distance to the bound that the one behind leaves, what the one ahead closes,
            over all blocks; None without bounds or distance.
        families: Mean gain of each.
        blocks: Mean gain of each block, by `FAMILY, BLOCK`.
        tapes_to_decide: How many more tapes of this kind would show the difference with a power of
            80 %, were it as large as it seems; 0 where it is shown, None where nothing can be said.
        missing: Families that one of the two has not played.
    """

    suite: str
    a: str
    b: str
    tapes: tuple[Tape, ...]
    rewards: tuple[float, float]
    terms: dict[str, float]
    difference: Difference
    closed: Interval | None
    families: dict[str, float]
    blocks: dict[str, float]
    tapes_to_decide: int | None
    missing: tuple[str, ...]

    @property
    def ahead(self) -> tuple[str, str]:
        """The one with the higher mean reward, and the other."""
        return (self.a, self.b) if self.difference.mean >= 0 else (self.b, self.a)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain mappings, for JSON."""
        return asdict(self)


def compare(results: Results, a: str, b: str) -> Comparison:
    """Compare two allocators of a run.

    Raises:
        ConfigError: One is not in it, they are the same, or they have no family in common.
    """
    for spec in (a, b):
        if spec not in results.allocators:
            raise unknown_name("allocator", spec, results.allocators)
    if a == b:
        raise ConfigError(f"two allocators must be compared, got {a!r} twice")
    tapes = tuple(_tapes(results, a, b))
    if not tapes:
        raise ConfigError(f"{a!r} and {b!r} must have played one family both, got none")
    families = _means(tapes, lambda tape: tape.family)
    difference = stratified([_blocks_of(tapes, family) for family in families])
    return Comparison(
        str(results.manifest["suite"]),
        a,
        b,
        tapes,
        (_mean(tapes, [t.rewards[0] for t in tapes]), _mean(tapes, [t.rewards[1] for t in tapes])),
        {name: _mean(tapes, [tape.terms[name] for tape in tapes]) for name in TERMS},
        difference,
        _closed(tapes, difference.mean),
        families,
        _means(tapes, lambda tape: f"{tape.family}, {tape.block}"),
        tapes_to_decide(difference, len(tapes)),
        tuple(family for family in results.families if family not in families),
    )


def _tapes(results: Results, a: str, b: str) -> list[Tape]:
    return [
        _tape(first, second)
        for family in results.families
        if results.of(family, a) and results.of(family, b)
        for first, second in zip(results.of(family, a), results.of(family, b), strict=True)
    ]


def _tape(first: dict[str, Any], second: dict[str, Any]) -> Tape:
    terms = {
        name: first[f"weights.{name}"] * (second[f"{name}_term"] - first[f"{name}_term"])
        for name in TERMS
    }
    rewards = first["reward"], second["reward"]
    gain = rewards[0] - rewards[1]
    bound = first.get("bound.reward")
    return Tape(first["family"], first["block"], rewards, gain, terms, bound)


def _blocks_of(tapes: Sequence[Tape], family: str) -> list[float]:
    own = [tape for tape in tapes if tape.family == family]
    return list(block_means([t.gain for t in own], [t.block for t in own]))


def _means(tapes: Sequence[Tape], key: Callable[[Tape], str]) -> dict[str, float]:
    """Return the mean gain by a key, blocks counting the same."""
    groups: dict[str, list[Tape]] = {}
    for tape in tapes:
        groups.setdefault(key(tape), []).append(tape)
    return {name: _mean(own, [tape.gain for tape in own]) for name, own in groups.items()}


def _mean(tapes: Sequence[Tape], values: Sequence[float]) -> float:
    """Return the mean over families of the mean over blocks of the mean over tapes."""
    means = []
    for family in dict.fromkeys(tape.family for tape in tapes):
        own = [(v, t.block) for v, t in zip(values, tapes, strict=True) if t.family == family]
        means.append(float(np.mean(block_means([v for v, _ in own], [b for _, b in own]))))
    return float(np.mean(means))


def stratified(strata: Sequence[Sequence[float]]) -> Difference:
    """Return the mean over strata of the means of independent values, with its interval.

    Args:
        strata: The values of each, (blocks,).
    """
    mean = float(np.mean([np.mean(values) for values in strata]))
    n = sum(map(len, strata))
    if min(map(len, strata)) < 2:
        return Difference(mean, None, None, None, None, None, n)
    parts = np.array([np.var(v, ddof=1) / len(v) for v in strata]) / len(strata) ** 2
    error = math.sqrt(float(np.sum(parts)))
    if error == 0.0:
        return Difference(mean, mean, mean, 0.0 if mean else 1.0, 0.0, math.inf, n)
    freedom = error**4 / float(np.sum(parts**2 / [len(values) - 1 for values in strata]))
    half = float(stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * error
    p_value = 2.0 * float(stdtr(freedom, -abs(mean) / error))
    return Difference(mean, mean - half, mean + half, p_value, error, freedom, n)


def _closed(tapes: Sequence[Tape], mean: float) -> Interval | None:
    if any(tape.bound is None for tape in tapes):
        return None
    behind, sign = (1, 1.0) if mean >= 0 else (0, -1.0)
    gains = [sign * tape.gain for tape in tapes]
    rooms = [float(tape.bound or 0.0) - tape.rewards[behind] for tape in tapes]
    return score_interval(gains, rooms, [f"{tape.family}, {tape.block}" for tape in tapes])


def tapes_to_decide(difference: Difference, n_tapes: int) -> int | None:
    """Return how many more tapes would show a difference as large as this one.

    With m times the blocks the standard error is se/√m. The difference is found with power 0.8
    where |d| ≥ (t_{0.975} + t_{0.8}) · se/√m, both quantiles with m·ν degrees of freedom (Chow,
    Shao and Wang, Sample Size Calculations in Clinical Research, 2nd ed. 2008, ch. 3.1).
    """
    error, freedom = difference.standard_error, difference.freedom
    if error is None or freedom is None or difference.mean == 0.0:
        return None
    assert difference.low is not None
    assert difference.high is not None
    if difference.low > 0 or difference.high < 0:
        return 0
    more = np.arange(1, MOST_TIMES * n_tapes + 1)
    times = 1 + more / n_tapes
    quantiles = stdtrit(times * freedom, 0.5 + CONFIDENCE / 2) + stdtrit(times * freedom, POWER)
    enough = abs(difference.mean) >= quantiles * error / np.sqrt(times)
    return int(more[np.argmax(enough)]) if enough.any() else None
