"""Who plays what: the cells of a run, in their fixed order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...baselines import Allocator, allocator_class, names
from ...envs import checks
from ...envs.errors import ConfigError
from ..manifests import circumstances
from ..output import plain
from ..rollout import make_allocators
from ..suite import Suite
from .identity import identify
from .suites import Suites
from .unseen import check_unseen

FIRST, ALL, NONE = SERIES = ("first", "all", "none")


@dataclass(frozen=True)
class Key:
    """Names one cell: an allocator on an episode of a family.

    Attributes:
        family: Name of the part.
        index: The episode's place in the part.
        allocator: The spec.
        position: The allocator's place in the manifest.
        seed: The episode's.
        block: The episode's.
        agents: Names of the family's agents.
    """

    family: str
    index: int
    allocator: str
    position: int
    seed: int
    block: str
    agents: tuple[str, ...]

    @property
    def cell(self) -> tuple[str, int, str]:
        """What tells it from all others of the run."""
        return self.family, self.index, self.allocator

    @property
    def file(self) -> str:
        """Name of the file with what plots need."""
        return f"{self.family}-{self.index:03d}-{self.position:03d}.npz"


def make_manifest(
    suites: Suites, specs: Sequence[str] | None, *, bound: bool, series: str = FIRST
) -> dict[str, Any]:
    """Return what a reader needs to repeat the run, the cells among it.

    Args:
        suites: What is played.
        specs: Allocators; None for all that need no file.
        bound: Whether the clairvoyant bound of each tape is computed.
        series: Of which episodes series over decisions are kept.

    Raises:
        ConfigError: Bad specs, one that no family can be played by, or a policy that has seen
            held-out data.
        TraceError: A trace is absent or damaged.
    """
    checks.one_of("--series", series, SERIES)
    allocators = make_allocators(nameable() if specs is None else specs)
    skipped = dict(suites.absent)
    parameters = {part.family: playable(part, allocators, skipped) for part in suites.parts}
    for spec in allocators if specs is not None else ():
        if not any(spec in played for played in parameters.values()):
            raise ConfigError(next(skipped[f"{spec} on {p.family}"] for p in suites.parts))
    return {
        "suite": _short(suites.parts[0]) if suites.is_strict else suites.name,
        **identify(suites.parts),
        "allocators": list(allocators),
        "parameters": parameters,
        "skipped": skipped,
        "bound": bound,
        "series": series,
        **circumstances(),
    }


def nameable() -> list[str]:
    """Return the allocators that need no file, static first."""
    found = [name for name in names() if not allocator_class(name).needs_file]
    return sorted(found, key=lambda name: name != "static")


def playable(
    suite: Suite, allocators: Mapping[str, Allocator], skipped: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """Return the parameters of those who can play a family, by spec; note the others' reasons.

    Raises:
        ConfigError: A policy has learned from held-out data.
    """
    found = {}
    for spec, allocator in allocators.items():
        try:
            allocator.reset(suite.scenario)
        except ConfigError as error:
            skipped[f"{spec} on {suite.family}"] = str(error)
            continue
        check_unseen(spec, allocator.folder)
        values = allocator.parameters().items()
        found[spec] = {n: "inf" if value == math.inf else plain(value) for n, value in values}
    return found


def planned(manifest: Mapping[str, Any]) -> list[Key]:
    """Return the cells of a manifest: families, then episodes, then allocators.

    Raises:
        KeyError, TypeError: It is no manifest of a run.
    """
    positions = {str(spec): i for i, spec in enumerate(manifest["allocators"])}
    return [
        Key(
            part["family"],
            index,
            spec,
            positions[spec],
            episode["seed"],
            episode["block"],
            tuple(agent["name"] for agent in part["scenario"]["agents"]),
        )
        for part in manifest["parts"]
        for index, episode in enumerate(part["episodes"])
        for spec in manifest["parameters"][part["family"]]
    ]


def _short(suite: Suite) -> str:
    return f"{suite.family}-{suite.split}"
