"""What a fault is, and when it strikes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import checks
from ..errors import ConfigError, did_you_mean
from ..kinds import Kinds
from .changes import Effect, Strike, on_grid

if TYPE_CHECKING:
    from ..spec import Scenario
    from ..tape import Tape

MAX_CHANGES = 10_000_000

# Returns the generator of one part of what a fault draws; valid until the next call.
Draw = Callable[[str], np.random.Generator]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A source of trouble; frozen and hashable, built from an entry of a scenario's `faults:`.

    It strikes once, at `at_s`, or over and over, with `every_s`. A subclass, registered in
    `FAULTS`, gives `effects` where a strike changes what the scenario has, and `add_calls` where
    it changes what comes.

    Attributes:
        duration_s: How long the strike at `at_s` lasts, or strikes last on average [s].
        at_s: Start of the one strike [s].
        every_s: Mean time from the end of a strike to the start of the next, and from time 0 to
            the first [s].
    """

    duration_s: float
    at_s: float | None = None
    every_s: float | None = None

    def __post_init__(self) -> None:
        checks.number("duration_s", self.duration_s, above=0)
        if self.at_s is not None and self.every_s is not None:
            raise ConfigError(
                f"at_s must not stand beside every_s, got {self.at_s!r} and {self.every_s!r}; "
                "remove one"
            )
        if self.every_s is not None:
            checks.number("every_s", self.every_s, above=0)
        elif self.at_s is not None:
            checks.number("at_s", self.at_s, at_least=0)
        else:
            raise ConfigError(
                "at_s must be given for one strike, or every_s for strikes over and over, got "
                "neither"
            )

    @property
    def is_random(self) -> bool:
        """Whether two episodes differ."""
        return self.every_s is not None

    def check(self, scenario: Scenario) -> None:
        """Raise `ConfigError` where the fault cannot happen to `scenario`."""
        if self.at_s is not None and _is_late(scenario, self.at_s):
            last_s = float(scenario.decision_times[-1])
            raise ConfigError(
                f"at_s must be at most {last_s:g}, the time of the last decision, got {self.at_s!r}"
            )
        cycle_s = self.duration_s + (self.every_s or scenario.horizon_s)
        strikes = min(1 + scenario.horizon_s / cycle_s, scenario.n_intervals)
        changes = strikes * (1 + sum(len(effect.targets) for effect in self.effects(scenario)))
        if changes > MAX_CHANGES:
            raise ConfigError(
                f"every_s must make at most {MAX_CHANGES:g} changes an episode, got "
                f"{self.every_s!r} and {changes:g} changes; lengthen it"
            )

    def strikes(self, scenario: Scenario, rng: np.random.Generator) -> list[Strike]:
        """Draw the strikes of an episode, in order, on the decision grid.

        Gaps and durations are exponential. A gap runs from the end as it is moved to its
        decision, so that a fault never overlaps itself. One that would begin after the last
        decision does not happen; `check` has refused an `at_s` that late.
        """
        if self.every_s is None:
            assert self.at_s is not None  # one of them is given
            return [on_grid(scenario, self.at_s, self.at_s + self.duration_s)]
        found: list[Strike] = []
        now = 0.0
        while True:
            gap, length = rng.standard_exponential(2).tolist()
            now += self.every_s * gap
            strike = on_grid(scenario, now, now + self.duration_s * length)
            if strike.start >= scenario.n_intervals:
                return found
            found.append(strike)
            now = strike.end * scenario.interval_s

    def effects(self, scenario: Scenario) -> tuple[Effect, ...]:
        """Return what a strike changes while it lasts."""
        return ()

    def add_calls(
        self, scenario: Scenario, tape: Tape, strikes: Sequence[Strike], draw: Draw
    ) -> Tape:
        """Return the tape with the calls that come because of the strikes."""
        return tape


FAULTS: Kinds[Fault] = Kinds("fault")


def _is_late(scenario: Scenario, at_s: float) -> bool:
    return on_grid(scenario, at_s, at_s).start >= scenario.n_intervals


def place_of(field: str, name: str, known: Sequence[str], nouns: str) -> range:
    """Return the place of `name` among the scenario's agents or nodes, as targets of an effect.

    Raises:
        ConfigError: There is none of that name.
    """
    if name not in known:
        raise ConfigError(
            f"{field} must name one of the scenario's {nouns}, got {name!r}"
            f"{did_you_mean(name, known)}"
        )
    place = known.index(name)
    return range(place, place + 1)
