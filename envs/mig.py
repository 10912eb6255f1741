"""Which Multi-Instance GPU partitions can really be cut, by NVIDIA's placement rules.

An A100 or H100 has seven compute slices and eight memory slices. A profile takes a number of each,
and may start at certain memory slices only (NVIDIA MIG user guide, "supported MIG profiles" and
"placement"). Here one GPU is cut into at most one instance per agent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from .errors import ConfigError
from .kernel.layout import MEMORY_SLICES

COMPUTE_SLICES = 7
MAX_AGENTS = 7


@dataclass(frozen=True)
class Profile:
    """A kind of instance.

    Attributes:
        name: As NVIDIA names it, without the memory size.
        slices: Compute slices.
        memory_slices: Memory slices that it takes.
        starts: Memory slices at which it may start.
    """

    name: str
    slices: int
    memory_slices: int
    starts: tuple[int, ...]


PROFILES = (
    Profile("1g", 1, 1, (0, 1, 2, 3, 4, 5, 6)),
    Profile("1g+mem", 1, 2, (0, 2, 4, 6)),
    Profile("2g", 2, 2, (0, 2, 4)),
    Profile("3g", 3, 4, (0, 4)),
    Profile("4g", 4, 4, (0,)),
    Profile("7g", 7, 8, (0,)),
)
SIZES = (0, 1, 2, 3, 4, 7)

# Speed of an instance over the whole GPU's, by compute slices: streaming multiprocessors, which
# are not sevenths. H100 SXM: 132 in all; A100: 108 in all, of which MIG can use 98.
SPEED = {
    "mig": {1: 16 / 132, 2: 32 / 132, 3: 60 / 132, 4: 64 / 132, 7: 1.0},
    "mig-a100": {1: 14 / 108, 2: 28 / 108, 3: 42 / 108, 4: 56 / 108, 7: 98 / 108},
}

Starts = tuple[int, ...]


def placements(profiles: Sequence[Profile | None]) -> Iterator[Starts]:
    """Yield every way to place one instance per agent, in lexicographic order of the starts.

    Args:
        profiles: The agents' profiles, `None` for no instance.

    Yields:
        The start of each agent's instance, -1 without one.
    """

    def place(agent: int, taken: int, starts: Starts) -> Iterator[Starts]:
        if agent == len(profiles):
            yield starts
            return
        profile = profiles[agent]
        if profile is None:
            yield from place(agent + 1, taken, (*starts, -1))
            return
        for start in profile.starts:
            needed = ((1 << profile.memory_slices) - 1) << start
            if not taken & needed:
                yield from place(agent + 1, taken | needed, (*starts, start))

    yield from place(0, 0, ())


def profile_for(slices: int, memory_mb: float, gpu_memory_mb: float | None) -> Profile | None:
    """Return the smallest profile of so many slices whose memory holds a model, or `None`."""
    for profile in PROFILES:
        room = np.inf if gpu_memory_mb is None else gpu_memory_mb / MEMORY_SLICES
        if profile.slices == slices and profile.memory_slices * room >= memory_mb:
            return profile
    return None


@dataclass(frozen=True, eq=False)
class Partitions:
    """Every partition that can be cut for the agents of a scenario.

    Attributes:
        vectors: Compute slices per agent, lexicographic, then first row and end of its placements
            in `starts`; (V, N + 2) int32.
        starts: Starts of the instances, (P, N) int32, -1 without one.
        speed: Speed over the whole GPU's by compute slices, (8,).
        widths: Memory slices of each agent's instance by its compute slices, (N, 8); 0 where the
            model fits into none.
    """

    vectors: NDArray[np.int32]
    starts: NDArray[np.int32]
    speed: NDArray[np.float64]
    widths: NDArray[np.int64]

    @classmethod
    def none(cls, n_agents: int) -> Partitions:
        """Return what stands for a divisible pool."""
        return cls(
            np.zeros((0, n_agents + 2), np.int32),
            np.zeros((0, n_agents), np.int32),
            np.zeros(8),
            np.zeros((0, 8), np.int64),
        )

    @cached_property
    def covered(self) -> NDArray[np.int64]:
        """Bit mask of the memory slices that each placement covers, (P,)."""
        masks = np.zeros(len(self.starts), np.int64)
        for vector in self.vectors:
            *slices, first, end = vector.tolist()
            for agent, size in enumerate(slices):
                if size:
                    block = (1 << int(self.widths[agent, size])) - 1
                    masks[first:end] |= block << self.starts[first:end, agent].astype(np.int64)
        return masks

    def can_be_cut(self, blocked: int) -> NDArray[np.bool_]:
        """Whether each vector has a placement without the memory slices in a bit mask, (V,)."""
        free = (self.covered & blocked) == 0
        bounds = self.vectors[:, -2:].tolist()
        return np.array([free[first:end].any() for first, end in bounds], dtype=np.bool_)


@cache
def partitions(kind: str, memory_mb: tuple[float, ...], gpu_memory_mb: float | None) -> Partitions:
    """Enumerate the partitions of one GPU among agents with models of these sizes.

    Raises:
        ConfigError: More agents than can be enumerated.
    """
    n = len(memory_mb)
    if n > MAX_AGENTS:
        raise ConfigError(
            f"partition {kind!r} takes at most {MAX_AGENTS} agents, one instance each, got {n}"
        )
    vectors: list[list[int]] = []
    starts: list[Starts] = []
    for sizes in _sizes(n, COMPUTE_SLICES):
        profiles = [profile_for(s, m, gpu_memory_mb) for s, m in zip(sizes, memory_mb, strict=True)]
        if any(p is None and s > 0 for p, s in zip(profiles, sizes, strict=True)):
            continue
        rows = list(placements(profiles))
        if rows:
            vectors.append([*sizes, len(starts), len(starts) + len(rows)])
            starts += rows
    speed = np.zeros(8)
    for slices, part in SPEED[kind].items():
        speed[slices] = part
    widths = np.zeros((n, COMPUTE_SLICES + 1), np.int64)
    for agent, memory in enumerate(memory_mb):
        for slices in SIZES[1:]:
            profile = profile_for(slices, memory, gpu_memory_mb)
            widths[agent, slices] = 0 if profile is None else profile.memory_slices
    return Partitions(
        np.array(vectors, np.int32), np.array(starts, np.int32).reshape(-1, n), speed, widths
    )


def _sizes(n_agents: int, left: int) -> Iterator[tuple[int, ...]]:
    """Yield slices per agent that sum to at most `left`, in lexicographic order."""
    if n_agents == 0:
        yield ()
        return
    for size in SIZES:
        if size <= left:
            for rest in _sizes(n_agents - 1, left - size):
                yield (size, *rest)
