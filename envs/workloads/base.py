"""What a workload, a stream and an episode are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import checks
from ..errors import ConfigError
from ..kinds import Kinds

if TYPE_CHECKING:
    from ..spec import Scenario
    from ..tape import Tape

Floats = NDArray[np.float64]

SPLITS = ("train", "validation", "heldout")
# A synthetic workload has no data to hold out: its splits are disjoint ranges of seeds.
SEEDS = {
    "train": (0, 1_000_000),
    "validation": (1_000_000, 2_000_000),
    "heldout": (2_000_000, 3_000_000),
}


@dataclass(frozen=True)
class Episode:
    """Names one tape of a workload completely: the same episode is the same tape, bit by bit.

    Attributes:
        split: `train`, `validation` or `heldout`.
        seed: Everything random comes from it; it lies in the split's range of `SEEDS`.
        start_s: Start inside the split's window of every trace, from the window's own start [s];
            `None` draws one per clock from the seed. Workloads without traces ignore it.
        block: The independent unit of data that the episode belongs to, for statistics.
    """

    split: str
    seed: int
    start_s: float | None = None
    block: str = ""

    def __post_init__(self) -> None:
        first, end = SEEDS[check_split(self.split)]
        if not first <= self.seed < end:
            raise ConfigError(
                f"episode.seed must lie in [{first}, {end}), the range of split {self.split!r}, "
                f"got {self.seed!r}; seeds of another split would mix training and evaluation"
            )


class Stream(Protocol):
    """One agent's source of calls; a frozen dataclass registered in `STREAMS`."""

    @property
    def is_random(self) -> bool:
        """Whether two episodes differ."""

    @property
    def clock(self) -> str | None:
        """Name of the trace clock that the stream runs on; `None` for synthetic ones."""

    def window(self, split: str) -> tuple[float, float]:
        """Start and end of the split's window on the clock [s]; only where there is a clock."""

    def arrivals(
        self, rng: np.random.Generator, start_s: float, horizon_s: float
    ) -> tuple[Floats, Floats]:
        """Draw the calls of one episode.

        Args:
            rng: Belongs to the stream during this call and must not be kept.
            start_s: Start of the episode on the stream's clock [s]; 0 without one.
            horizon_s: Length of the episode [s].

        Returns:
            Release times, sorted, in [0, horizon_s) [s], and the work of each call; both (calls,).
        """

    def mean_rate(self, horizon_s: float) -> float:
        """Expected calls per second over an episode of the training split [1/s]."""


class Synthetic:
    """Defaults of streams that come from no trace."""

    is_random: ClassVar[bool] = True
    clock: ClassVar[str | None] = None

    def window(self, split: str) -> tuple[float, float]:
        """Refuse: a synthetic stream has no data to cut windows from."""
        raise NotImplementedError(f"{type(self).__name__} runs on no clock")


class Workload(ABC):
    """Draws tapes; frozen and hashable, built from the `workload:` mapping of a scenario.

    A subclass gives `tape`; where it replays data, `suite` too.
    """

    suite_episodes: int = 16
    # Whether tapes may hold tasks of several calls; the simulator then takes its general path.
    has_graphs: ClassVar[bool] = False

    @property
    def is_random(self) -> bool:
        """Whether two episodes differ."""
        return True

    @abstractmethod
    def tape(self, scenario: Scenario, episode: Episode) -> Tape:
        """Return the tape of an episode: a pure function of its arguments."""

    @abstractmethod
    def check(self, scenario: Scenario) -> None:
        """Raise `ConfigError` where the workload cannot drive `scenario`; reads no trace."""

    def sample(self, scenario: Scenario, split: str, rng: np.random.Generator) -> Episode:
        """Draw an episode, as training does: any seed of the split's range.

        Raises:
            ConfigError: An unknown split.
        """
        seed = int(rng.integers(*SEEDS[check_split(split)]))
        return Episode(split, seed, block=f"seed {seed}")

    def suite(self, scenario: Scenario, split: str) -> tuple[Episode, ...]:
        """Return the episodes to evaluate on: one per independent block.

        Raises:
            ConfigError: An unknown split, or data that does not hold one episode.
        """
        first = SEEDS[check_split(split)][0]
        is_random = self.is_random or any(fault.is_random for fault in scenario.faults)
        seeds = range(first, first + (self.suite_episodes if is_random else 1))
        return tuple(Episode(split, seed, block=f"seed {seed}") for seed in seeds)


STREAMS: Kinds[Stream] = Kinds("stream")
WORKLOADS: Kinds[Workload] = Kinds("workload")


def build_workload(content: object, at: str = "workload") -> Workload:
    """Build a workload from its mapping; `at` is the mapping's path in error messages.

    Raises:
        ConfigError: No or an unknown kind, an unknown or missing key, a value out of range.
        TypeError: A value of the wrong type.
    """
    return WORKLOADS.build(content, at)


def check_split(split: str) -> str:
    """Return `split` if there is such a split."""
    return checks.one_of("split", split, SPLITS)
