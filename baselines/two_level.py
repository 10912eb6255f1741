"""Two levels: which node each agent is on, then `demand` on it.

The first level moves where a move is cheap or overdue. With w_i what `demand` wants [GPU of speed
1], s_m a node's speed and room_m = s_m·(GPUs of m) − Σ w over the other agents on it,

- an agent that is cold and wanted has to load anyway: of the nodes with room for w_i and memory for
  its model it loads on the cheapest, by price_m·max(w_i/s_m, footprint there), or where none has
  room on the one that has most;
- an agent in memory whose backlog, (queue + in service)/T over its speed, exceeds `patience` cold
  starts leaves for the node with the most room, if it has some and at least twice its own.

The second level gives agent i the share w_i/s_m on its node; what a node has too little of is
scaled by the simulator. Without nodes it is `demand`. The hierarchy is the paper's future work
(Zhang, Guo, Tan, arXiv 2512.22149, conclusion); the rule is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..envs import checks
from ..envs.kernel.compile import compiled
from ..envs.kernel.layout import COLD, LOADING, WARM
from ..envs.platform import footprint_factor
from .base import Range, Shares, register
from .demand import Demand

if TYPE_CHECKING:
    from ..envs.observation import Observation
    from ..envs.spec import Scenario


class _Nodes(NamedTuple):
    """Constants of the nodes, as the compiled rule reads them; arrays (M,)."""

    gpus: Shares
    speed: Shares
    price: Shares
    memory_mb: Shares  # inf without a limit
    footprint: Shares  # (N, M), of each agent on each node


@register("two_level")
@dataclass(eq=False)
class TwoLevel(Demand):
    """Moves agents between nodes, and shares each node by `demand`, whose parameters it has, too.

    Attributes:
        patience: Backlog, in cold starts, at which a loaded agent moves.
    """

    patience: float = 2.0

    search_space = (*Demand.search_space, Range("patience", 0.3, 30.0, log=True))

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.number("two_level.patience", self.patience, above=0)

    def reset(self, scenario: Scenario) -> None:
        """Work out the scenario's constants."""
        super().reset(scenario)
        nodes = scenario.nodes
        factors = np.array([footprint_factor(scenario, m) for m in range(len(nodes))])
        memory = [np.inf if node.memory_mb is None else node.memory_mb for node in nodes]
        self._nodes = _Nodes(
            gpus=np.array([node.gpus for node in nodes], dtype=np.float64),
            speed=np.array([node.speed for node in nodes], dtype=np.float64),
            price=np.array([node.price for node in nodes], dtype=np.float64),
            memory_mb=np.array(memory, dtype=np.float64),
            footprint=np.outer(scenario.footprint, factors),
        )
        self._overdue = self.patience * scenario.cold_start_s

    def allocate(self, observation: Observation) -> Shares:
        """Return shares and nodes, (..., 2·N); shares alone, (..., N), where there is one node."""
        scenario = observation.scenario
        if scenario is not self._scenario:
            self.reset(scenario)
        wanted = super().allocate(observation)
        if not scenario.nodes:
            return wanted
        if scenario.n_nodes == 1:
            return wanted / scenario.nodes[0].speed
        backlog = (observation.queue + observation.in_service) / scenario.throughput
        flat = [np.atleast_2d(x) for x in (wanted, backlog, observation.node, observation.status)]
        requests: Shares = _place(*flat, scenario.memory_mb, self._overdue, self._nodes)
        return requests.reshape(*wanted.shape[:-1], -1)


@compiled
def _place(
    wanted: Shares,
    backlog: Shares,
    node: Shares,
    status: NDArray[np.int64],
    memory_mb: Shares,
    overdue: Shares,
    nodes: _Nodes,
) -> Shares:
    """Return requests, shape (B, 2·N)."""
    n_batch, n = wanted.shape
    requests = np.empty((n_batch, 2 * n))
    for b in range(n_batch):
        room, free = nodes.speed * nodes.gpus, nodes.memory_mb.copy()
        place = node[b].astype(np.int64)
        for i in range(n):
            room[place[i]] -= wanted[b, i]
            if status[b, i] == LOADING or status[b, i] == WARM:
                free[place[i]] -= memory_mb[i]
        for i in range(n):
            requests[b, n + i] = -1.0
            here, want = place[i], wanted[b, i]
            if want > 0.0:
                room[here] += want
                cold = status[b, i] == COLD
                if cold:
                    place[i] = _cheapest(want, memory_mb[i], here, i, room, free, nodes)
                elif backlog[b, i] / nodes.speed[here] > overdue[i]:
                    place[i] = _roomiest(memory_mb[i], here, max(0.0, 2.0 * room[here]), room, free)
                room[place[i]] -= want
                if place[i] != here:
                    requests[b, n + i] = place[i]
                if cold or place[i] != here:
                    free[place[i]] -= memory_mb[i]
            requests[b, i] = want / nodes.speed[place[i]]
    return requests


@compiled
def _cheapest(want, memory_mb, here, i, room, free, nodes):  # type: ignore[no-untyped-def]
    """Return the cheapest node with room and memory, or the one with most room."""
    best, least = -1, np.inf
    for m in range(len(room)):
        if room[m] >= want and free[m] >= memory_mb:
            bill = nodes.price[m] * max(want / nodes.speed[m], nodes.footprint[i, m])
            if bill < least:
                best, least = m, bill
    return best if best >= 0 else _roomiest(memory_mb, here, room[here], room, free)


@compiled
def _roomiest(memory_mb, here, most, room, free):  # type: ignore[no-untyped-def]
    """Return the node with the most room of those with more than `most`, or `here`."""
    best = here
    for m in range(len(room)):
        if m != here and room[m] > most and free[m] >= memory_mb:
            best, most = m, room[m]
    return best
