"""From the outputs of a policy to requested shares of the pool, in training and afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from .compiled import hold, rule

if TYPE_CHECKING:
    from ..envs.spec import Scenario

Floats = NDArray[np.float64]
SPAN = 4.0  # largest factor of a correction


class ActionMap(Protocol):
    """Makes shares of actions in [-1, 1]; the same in `train/` and in `learned`.

    Attributes:
        per_agent: Actions of one agent; those of agent i stand side by side.
        corrects: Whether it corrects the shares of a base allocator.
    """

    per_agent: ClassVar[int]
    corrects: ClassVar[bool]

    def shares(self, actions: Floats, base: Floats | None, scenario: Scenario) -> Floats:
        """Return requested shares, (B, N) [GPU], beside the rest of the base's request.

        Args:
            actions: (B, N · per_agent), within [-1, 1].
            base: Shares that the base allocator requests, (B, N) [GPU], and the rest of its
                request where it makes one, (B, n_requests); `None` without one.
            scenario: Whose pool is shared.
        """

    def start(self, n_agents: int, start_share: float) -> tuple[float, ...]:
        """Return the actions of one agent that training starts from, (per_agent,).

        Args:
            n_agents: N.
            start_share: Part of the pool that all agents together should ask for.
        """


class Direct:
    """One action per agent: the fraction (a + 1)/2, so g = (a + 1)/2 · G [GPU].

    -1 asks for nothing, 1 for the whole pool. What the agents ask for may sum to more than that;
    the simulator then scales it down.
    """

    per_agent: ClassVar[int] = 1
    corrects: ClassVar[bool] = False

    def shares(self, actions: Floats, base: Floats | None, scenario: Scenario) -> Floats:
        """(a + 1)/2 · G."""
        return np.asarray((actions + 1.0) / 2.0 * scenario.gpus)

    def start(self, n_agents: int, start_share: float) -> tuple[float, ...]:
        """Equal shares of `start_share`."""
        return (2.0 * start_share / n_agents - 1.0,)


class Residual:
    """A correction a of every agent to the shares h of a base allocator.

    g = h · SPAN^a, and at its ends a decides whether the agent is served at all: a = -1 closes it,
    a = 1 opens it, with at least its footprint. Nothing is corrected at 0. Whom the base serves,
    however little, is served unless it is closed: rules hold an agent by the least share that
    counts, and a share below that would drop it. Where the base also says how large the pool is to
    be, or which node an agent is to be on, it is obeyed.
    """

    per_agent: ClassVar[int] = 1
    corrects: ClassVar[bool] = True

    def shares(self, actions: Floats, base: Floats | None, scenario: Scenario) -> Floats:
        """Correct the shares of the base."""
        shares: Floats = _corrected(actions, base, scenario.footprint, hold(scenario))
        return shares

    def start(self, n_agents: int, start_share: float) -> tuple[float, ...]:
        """No correction."""
        return (0.0,)


@rule
def _corrected(actions: Floats, base: Floats, footprint: Floats, least: float) -> Floats:
    shares = base.copy()
    for b in range(len(base)):
        for i in range(len(footprint)):
            action = actions[b, i]
            share = max(base[b, i] * SPAN**action, min(base[b, i], least))
            share = max(share, footprint[i], least) if action >= 1.0 else share
            shares[b, i] = 0.0 if action <= -1.0 else share
    return shares


ACTION_MAPS: Mapping[str, ActionMap] = {"direct": Direct(), "residual": Residual()}
