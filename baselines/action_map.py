"""From the outputs of a policy to requested fractions of the pool, in training and afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class ActionMap(Protocol):
    """Makes fractions of the pool of actions in [-1, 1]; the same in `train/` and in `learned`."""

    def n_actions(self, n_agents: int) -> int:
        """Actions of a policy for N agents."""

    def fractions(self, actions: Floats) -> Floats:
        """Return requested fractions of the pool, shape (..., N), from actions (..., n)."""

    def actions(self, fractions: Floats) -> Floats:
        """Return actions that ask for the given fractions; where training starts from."""


class Direct:
    """One action per agent: the fraction (a + 1)/2, so g = (a + 1)/2 · G [GPU].

    -1 asks for nothing, 1 for the whole pool. What the agents ask for may sum to more than that;
    the simulator then scales it down.
    """

    def n_actions(self, n_agents: int) -> int:
        """One each."""
        return n_agents

    def fractions(self, actions: Floats) -> Floats:
        """(a + 1)/2."""
        return np.asarray((actions + 1.0) / 2.0)

    def actions(self, fractions: Floats) -> Floats:
        """2f - 1."""
        return np.asarray(2.0 * fractions - 1.0)


ACTION_MAPS: Mapping[str, ActionMap] = {"direct": Direct()}
