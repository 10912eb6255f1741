"""What the value network may know of the future, in training alone.

Most of what makes one episode better than another is which calls come, and no action changes that.
A value that sees the calls to come takes it out of the advantages, which leaves what the actions
did (input-dependent baselines: Mao et al. 2019, "Variance Reduction for Reinforcement Learning in
Input-Driven Environments"). The policy never sees it: nothing of it is exported.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..envs.kernel.compile import compiled
from ..envs.spec import Scenario
from ..envs.tape import Tape

AHEAD = (2, 5, 10, 20, 40, 80)  # intervals
Floats = NDArray[np.float64]


def columns(n_agents: int) -> int:
    """Return how many columns an outlook has."""
    return len(AHEAD) * n_agents + 1


def padded(outlook: NDArray[np.float32], n_agents: int, among: int) -> NDArray[np.float32]:
    """Return the outlook of N agents, (B, columns), among more agents, to whom nothing comes."""
    batch = len(outlook)
    work, clock = outlook[:, :-1].reshape(batch, len(AHEAD), n_agents), outlook[:, -1:]
    wide = np.pad(work, ((0, 0), (0, 0), (0, among - n_agents)))
    return np.concatenate([wide.reshape(batch, -1), clock], axis=1)


class Outlook:
    """Work that comes to every agent within the next intervals, for a batch of environments.

    Calls that follow others are counted where they would come if nothing ever waited. What is left
    of the episode stands in the last column.

    Args:
        scenario: Whose tapes these are.
        batch: Number of environments, B.
    """

    def __init__(self, scenario: Scenario, batch: int) -> None:
        self._scenario = scenario
        n, k = scenario.n_agents, scenario.n_intervals
        self._come = np.zeros((batch, k + 1 + max(AHEAD), n), np.float32)
        self.size = columns(n)

    def load(self, b: int, tape: Tape) -> None:
        """Take the tape that environment b plays now."""
        scenario = self._scenario
        k = scenario.n_intervals
        interval = np.minimum(_earliest(scenario, tape) / scenario.interval_s, k - 1).astype(int)
        work = np.zeros((k + max(AHEAD), scenario.n_agents))
        np.add.at(work, (interval, tape.agent), tape.work)
        work /= scenario.throughput * scenario.gpus * scenario.interval_s
        self._come[b, 1:] = np.cumsum(work, axis=0)

    def columns(self, decision: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return what comes after a decision of each environment, (B, columns), squashed.

        Args:
            decision: Index of each environment's decision, (B,).
        """
        b = np.arange(len(decision))
        now = self._come[b, decision]
        ahead = [(self._come[b, decision + m] - now) / np.float32(m) for m in AHEAD]
        left = self._scenario.n_intervals - decision
        clock = (left / (left + 20.0))[:, np.newaxis].astype(np.float32)
        found: NDArray[np.float32] = np.concatenate([*(x / (1 + x) for x in ahead), clock], axis=1)
        return found


def _earliest(scenario: Scenario, tape: Tape) -> Floats:
    """Return when each call comes if no call ever waits, (calls,) [s]."""
    if tape.graph is None:
        return tape.release
    graph, alone = tape.graph, tape.work / scenario.throughput[tape.agent]
    found: Floats = _follow(
        np.nan_to_num(tape.release),
        alone,
        graph.n_predecessors,
        graph.delay,
        graph.successor_ptr,
        graph.successors,
    )
    return found


@compiled
def _follow(release, alone, n_predecessors, delay, pointer, successors):  # type: ignore[no-untyped-def]
    """Release calls in the order of their graph."""
    waits_for = n_predecessors.copy()
    order = np.empty(len(release), np.int64)
    known = 0
    for call in range(len(release)):
        if waits_for[call] == 0:
            order[known] = call
            known += 1
    for place in range(len(release)):
        call = order[place]
        for edge in range(pointer[call], pointer[call + 1]):
            after = successors[edge]
            release[after] = max(release[after], release[call] + alone[call] + delay[after])
            waits_for[after] -= 1
            if waits_for[after] == 0:
                order[known] = after
                known += 1
    return release
