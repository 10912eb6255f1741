"""Losses of capacity: GPUs of the pool or of a node, a memory slice of a partitioned GPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import checks
from ..errors import ConfigError
from ..kernel.layout import BLOCKED, LOST, MEMORY_SLICES
from .base import FAULTS, Fault, place_of
from .changes import Effect

if TYPE_CHECKING:
    from ..spec import Scenario


@FAULTS("gpu-loss")
@dataclass(frozen=True, kw_only=True)
class GpuLoss(Fault):
    """GPUs are gone while it lasts, and back afterwards.

    Losses at the same time add up, on the tape beyond what there is, too.

    Attributes:
        gpus: GPUs lost [GPU].
        node: Where they are lost; only in a scenario with nodes, and required there.
    """

    gpus: float
    node: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.number("gpus", self.gpus, above=0)
        if self.node is not None:
            checks.text("node", self.node)

    def check(self, scenario: Scenario) -> None:
        """Raise `ConfigError` where the GPUs are not there to be lost."""
        if scenario.partition is not None:
            raise ConfigError(
                f"gpus must not be lost of the one GPU that partition {scenario.partition!r} cuts, "
                f"got {self.gpus!r}; use slice-loss"
            )
        super().check(scenario)
        place = self._place(scenario).start
        there = scenario.nodes[place].gpus if scenario.nodes else scenario.gpus
        checks.number("gpus", self.gpus, at_most=there)

    def effects(self, scenario: Scenario) -> tuple[Effect, ...]:
        """Return the loss."""
        return (Effect(LOST, self._place(scenario), float(self.gpus)),)

    def _place(self, scenario: Scenario) -> range:
        names = [node.name for node in scenario.nodes]
        if self.node is None and names:
            raise ConfigError(
                f"node must be given in a scenario with nodes, got none; add one of "
                f"{', '.join(names)}"
            )
        if self.node is None:
            return range(1)
        if not names:
            raise ConfigError(
                f"node must not be given in a scenario without nodes, got {self.node!r}; remove it"
            )
        return place_of("node", self.node, names, "nodes")


@FAULTS("slice-loss")
@dataclass(frozen=True, kw_only=True)
class SliceLoss(Fault):
    """A memory slice of a partitioned GPU is gone while it lasts, and back afterwards.

    Attributes:
        slice: Memory slice, 0 to 7.
    """

    slice: int

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.integer("slice", self.slice, at_least=0, at_most=MEMORY_SLICES - 1)

    def check(self, scenario: Scenario) -> None:
        """Raise `ConfigError` where the GPU is not cut."""
        super().check(scenario)
        if scenario.partition is None:
            raise ConfigError(
                f"slice must be one of a partitioned GPU, got {self.slice!r} in a scenario without "
                "partition; use gpu-loss"
            )

    def effects(self, scenario: Scenario) -> tuple[Effect, ...]:
        """Return the mask of the slice."""
        return (Effect(BLOCKED, range(1), float(1 << self.slice)),)
