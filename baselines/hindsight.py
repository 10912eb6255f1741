"""The best schedule that is found where the tape is known: what foresight is worth at least.

Late acceptance (Burke and Bykov 2017): a schedule is changed at random in one entry over a stretch
of time, and taken where it is no worse than the one of `MEMORY` changes before. It starts from
each of the schedules given; the best that it returns was played, so its reward can be reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..envs.simulator import Simulator

if TYPE_CHECKING:
    from ..envs.spec import Scenario
    from ..envs.tape import Tape

Floats = NDArray[np.float64]

MEMORY = 50


class Player:
    """Plays one tape again and again.

    Args:
        scenario: The system.
        tape: The calls.
    """

    def __init__(self, scenario: Scenario, tape: Tape) -> None:
        self._tape = tape
        self._simulator = Simulator(
            scenario, graph=not tape.is_independent, capacity=max(tape.n_calls, 1)
        )

    def __call__(self, schedule: Floats) -> float:
        """Return the mean reward of whole requests, (K, n_requests)."""
        self._simulator.load(0, self._tape)
        return float(self._simulator.play(schedule)[1]["reward"].mean())


def best_schedule(
    scenario: Scenario, tape: Tape, starts: Sequence[Floats], plays: int, rng: np.random.Generator
) -> tuple[float, Floats]:
    """Search for the schedule of the highest reward.

    Args:
        scenario: The system.
        tape: The calls.
        starts: Schedules to begin with, (K, N) or (K, n_requests) each; at least one.
        plays: Changes that are tried from each of them.
        rng: Draws the changes.

    Returns:
        Mean reward per interval, and the whole requests, (K, n_requests).
    """
    play = Player(scenario, tape)
    whole = [_whole(scenario, start) for start in starts]
    found = [_climb(scenario, play, start, plays, rng) for start in whole]
    return max(found, key=lambda pair: pair[0])


def _whole(scenario: Scenario, schedule: Floats) -> Floats:
    missing = scenario.n_requests - schedule.shape[1]
    return np.pad(schedule, ((0, 0), (0, missing)), constant_values=-1.0)


def _climb(
    scenario: Scenario, play: Player, start: Floats, plays: int, rng: np.random.Generator
) -> tuple[float, Floats]:
    now, reward = start, play(start)
    best, most = start, reward
    past = [reward] * MEMORY
    for step in range(plays):
        changed = _change(scenario, now, rng)
        got = play(changed)
        if got >= min(reward, past[step % MEMORY]):
            now, reward = changed, got
        if got > most:
            best, most = changed, got
        past[step % MEMORY] = reward
    return most, best


def _change(scenario: Scenario, schedule: Floats, rng: np.random.Generator) -> Floats:
    """Change one entry over a stretch: to another value, by a factor, or to what stands beside."""
    changed = schedule.copy()
    n, entry = len(schedule), int(rng.integers(schedule.shape[1]))
    first = int(rng.integers(n))
    until = min(n, first + int(rng.geometric(rng.choice([0.9, 0.3, 0.1]))))
    kind = rng.random()
    if kind < 0.3:
        value = changed[first - 1, entry] if first and rng.random() < 0.5 else changed[-1, entry]
        changed[first:until, entry] = changed[until, entry] if until < n else value
    elif kind < 0.6 and entry < scenario.n_agents:
        changed[first:until, entry] *= np.exp(rng.normal(0.0, 0.5))
    else:
        changed[first:until, entry] = _value(scenario, entry, rng)
    return changed


def _value(scenario: Scenario, entry: int, rng: np.random.Generator) -> float:
    n = scenario.n_agents
    if entry < n:
        some = [0.0, max(scenario.footprint[entry], scenario.share_quantum), scenario.gpus]
        return float(rng.choice([*some, rng.random() * scenario.gpus]))
    if scenario.elastic is not None and entry == n:
        units = int(scenario.gpus / scenario.elastic.unit_gpus) + 1
        return float(rng.integers(-1, units + 1)) * scenario.elastic.unit_gpus
    return float(rng.integers(-1, scenario.n_nodes))
