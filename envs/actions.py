"""What an environment's actions are, and the requests that they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from . import checks
from .errors import ConfigError
from .mig import COMPUTE_SLICES
from .spec import Scenario

KINDS = ("shares", "slices")
Floats = NDArray[np.float64]


class Actions:
    """The actions of one scenario: fractions of the pool, or one of the partitions of a GPU.

    Attributes:
        space: Gymnasium's space of a single environment's action.

    Raises:
        ConfigError: An unknown kind, or slices of a pool that is not partitioned.
    """

    def __init__(self, scenario: Scenario, kind: str) -> None:
        self._scenario = scenario
        self._discrete = checks.one_of("actions", kind, KINDS) == "slices"
        if self._discrete and scenario.partition is None:
            raise ConfigError(
                f"actions must be 'shares' where the pool is not partitioned, got 'slices' for "
                f"scenario {scenario.name!r}; partition: mig cuts a GPU"
            )
        self.space: spaces.Space[Any]
        if self._discrete:
            self.space = spaces.Discrete(len(scenario.partitions.vectors))
        else:
            self.space = spaces.Box(0.0, 1.0, (scenario.n_requests,), np.float32)

    def requests(self, field: str, values: ArrayLike, batch: tuple[int, ...]) -> Floats:
        """Return the requests of actions, one for each environment.

        Args:
            field: Name of the values in error messages.
            values: Actions, shape (*batch, n_requests), or (*batch, N) for shares alone; or
                numbers of partitions, shape `batch`.
            batch: () for a single environment, (B,) for a batch.

        Raises:
            TypeError: Not numbers, or not whole numbers where they must be.
            ValueError: Another shape, or no partition of that number.
        """
        if self._discrete:
            return self._slices(field, values, batch)
        scenario, n = self._scenario, self._scenario.n_agents
        shape = (*batch, scenario.n_requests)
        fractions = _numbers(field, values, shape)
        if fractions.shape not in (shape, (*batch, n)):
            what = "one fraction of the pool per agent"
            if scenario.n_requests > n:
                what = f"as docs/platform.md describes a request, or {(*batch, n)}, {what}"
            raise ValueError(f"{field} must have the shape {shape}, {what}, got {fractions.shape}")
        requests = fractions.astype(np.float64) * scenario.gpus
        if scenario.n_nodes > 1 and fractions.shape == shape:
            requests[..., -n:] = _nodes(fractions[..., -n:].astype(np.float64), scenario.n_nodes)
        return requests

    def _slices(self, field: str, values: ArrayLike, batch: tuple[int, ...]) -> Floats:
        numbers = _numbers(field, values, batch)
        vectors = self._scenario.partitions.vectors
        if numbers.dtype.kind not in "iu":
            raise TypeError(f"{field} must be whole numbers of partitions, got {values!r:.60}")
        if numbers.shape != batch or np.any((numbers < 0) | (numbers >= len(vectors))):
            raise ValueError(
                f"{field} must have the shape {batch} and lie in [0, {len(vectors)}), the "
                f"partitions that can be cut, got {values!r:.60}"
            )
        n = self._scenario.n_agents
        return np.asarray(vectors[numbers, :n] / float(COMPUTE_SLICES))

    def masks(self, blocked: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which actions can be cut clear of lost memory slices, shape (*batch, actions).

        Args:
            blocked: Bit mask of the lost slices of each environment, shape `batch`.

        Raises:
            ConfigError: Actions are shares: all of them are valid.
        """
        if not self._discrete:
            raise ConfigError(
                "action_masks() is of discrete actions; make the environment with actions='slices'"
            )
        cuts = self._scenario.partitions
        each = [cuts.can_be_cut(int(mask)) for mask in np.ravel(blocked)]
        return np.stack(each).reshape(*np.shape(blocked), -1)


def fractions(scenario: Scenario, requests: Floats) -> Floats:
    """Return the actions that stand for requests of shares, (..., N) or (..., n_requests)."""
    found = requests / scenario.gpus
    n = scenario.n_agents
    if scenario.n_nodes > 1 and requests.shape[-1] == scenario.n_requests:
        found[..., -n:] = (requests[..., -n:] + 1.5) / (scenario.n_nodes + 1)  # `_nodes`, undone
    return found


def _numbers(field: str, values: ArrayLike, shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        numbers = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{field} must have the shape {shape}, got {values!r:.60}") from error
    if numbers.dtype.kind not in "fiub":
        raise TypeError(f"{field} must hold numbers, got {values!r:.60}")
    return numbers


def _nodes(x: Floats, n_nodes: int) -> Floats:
    """Return the nodes that numbers in [0, 1] ask for; -1 to stay, which the lowest do.

    What is not finite stays so: the simulator refuses it.
    """
    nodes = np.minimum(np.floor(x * (n_nodes + 1)) - 1.0, n_nodes - 1.0)
    return np.where(np.isfinite(x), nodes, x)
