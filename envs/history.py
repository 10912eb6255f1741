"""What happened in running episodes, as plain data from which they can be played again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import checks
from .errors import ConfigError
from .observation import Observation
from .simulator import Simulator
from .workloads.base import Episode

Floats = NDArray[np.float64]


class History:
    """The requests of the running episodes, and how to play them again to the last bit.

    The simulator has no randomness, so that a tape and the requests since its start give back all
    of its memory. They take less room than that memory, and no file can make compiled code read or
    write where it should not: a request is a number to be clipped, never the place of something.

    Args:
        simulator: Its environments are followed from the start of their episodes.
    """

    def __init__(self, simulator: Simulator) -> None:
        scenario = simulator.scenario
        self._simulator = simulator
        # Zeros take no memory before they are written over.
        self._requests = np.zeros((simulator.batch, scenario.n_intervals, scenario.n_requests))

    def note(self, requests: Floats) -> None:
        """Keep the requests that are about to be played, (B, N) or (B, n_requests) [GPU]."""
        environments, width = self._simulator.environments, requests.shape[1]
        b = np.flatnonzero(environments["done"] == 0)
        decision = environments["decision"][b]
        self._requests[b, decision, :width] = requests[b]
        self._requests[b, decision, width:] = -1.0  # size and nodes follow the shares

    def state(self) -> dict[str, NDArray[Any]]:
        """Return copies of the decisions played and of their requests.

        Returns:
            `decisions` (B,), those played by each environment, and `requests`
            (Σ decisions, n_requests), environment by environment [GPU].
        """
        decisions = self._simulator.environments["decision"].copy()
        return {"decisions": decisions, "requests": self._requests[self._played(decisions)]}

    def restore(
        self, state: Mapping[str, Any], watch: Callable[[Observation], object] | None = None
    ) -> None:
        """Play tapes that were just loaded up to where `state` was taken.

        Args:
            state: Of the same scenario and as many environments.
            watch: Shown what is seen at every decision on the way.

        Raises:
            ConfigError: Arrays of another shape or kind, or numbers out of range.
        """
        simulator = self._simulator
        batch, n_intervals, width = self._requests.shape
        decisions = checks.array("decisions", state["decisions"], (batch,), np.int64)
        if np.any((decisions < 0) | (decisions > n_intervals)):
            raise ConfigError(f"decisions must lie in [0, {n_intervals}], got {decisions}")
        shape = (int(decisions.sum()), width)
        self._requests[:] = 0.0
        self._requests[self._played(decisions)] = checks.array(
            "requests", state["requests"], shape, np.float64
        )
        for k in range(int(decisions.max())):
            simulator.environments["done"] = decisions <= k
            if watch is not None:
                watch(simulator.observe())
            simulator.step(self._requests[:, k])
        simulator.environments["done"] = decisions == n_intervals

    def _played(self, decisions: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.arange(self._requests.shape[1]) < decisions[:, np.newaxis]


def episode_state(episode: Episode | None) -> dict[str, Any]:
    """Return an episode as JSON has it.

    Raises:
        ConfigError: There is none: the tape was given by hand.
    """
    if episode is None:
        raise ConfigError(
            "an environment that plays a tape given by hand has no state to go on from; let it "
            "draw its episodes, or name them by options['episodes']"
        )
    return asdict(episode)


def episode_of(state: object) -> Episode:
    """Return the episode of `episode_state`.

    Raises:
        ConfigError: Keys that are unknown or missing, or values out of range.
        TypeError: Values of the wrong type.
    """
    values = checks.mapping("episode", state)
    names = ("split", "seed", "start_s", "block")
    checks.keys("episode", values, names, required=names)
    split, seed, start_s, block = (values[name] for name in names)
    if not isinstance(split, str) or not isinstance(block, str):
        raise TypeError(f"episode must have texts as split and block, got {split!r} and {block!r}")
    start = None if start_s is None else checks.number("episode.start_s", start_s, at_least=0)
    return Episode(split, checks.integer("episode.seed", seed, at_least=0), start, block)


def generator_state(rng: np.random.Generator) -> list[int]:
    """Return the four whole numbers that a PCG64 generator is in."""
    state: Any = rng.bit_generator.state
    inner = state["state"]
    return [inner["state"], inner["inc"], state["has_uint32"], state["uinteger"]]


def restore_generator(rng: np.random.Generator, numbers: object) -> None:
    """Put a PCG64 generator into the state of `generator_state`.

    Raises:
        ConfigError: Not four whole numbers, or one out of range.
        TypeError: Numbers of the wrong type.
    """
    limits = {"state": 2**128, "inc": 2**128, "has_uint32": 2, "uinteger": 2**32}
    if not isinstance(numbers, list) or len(numbers) != len(limits):
        raise ConfigError(f"generator must be {len(limits)} whole numbers, got {numbers!r:.60}")
    values = {
        name: checks.integer(f"generator.{name}", number, at_least=0, at_most=limit - 1)
        for (name, limit), number in zip(limits.items(), numbers, strict=True)
    }
    inner = {"state": values.pop("state"), "inc": values.pop("inc")}
    rng.bit_generator.state = {"bit_generator": "PCG64", "state": inner, **values}
