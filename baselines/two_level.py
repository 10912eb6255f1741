"""Two levels: which node each agent is on, then `demand` on it.

The first level moves where a move is cheap or overdue. With w_i what `demand` wants [GPU of speed
1], s_m a node's speed and room_m = s_m·(GPUs of m) − Σ w over the other agents on it,

- an agent that is cold and wanted loads on the node with the most room whose memory takes it: it
  has to load anyway;
- an agent in memory whose backlog, (q_i + in service)/T_i over its speed, exceeds `patience` cold
  starts leaves for the node with the most room, if that is at least twice its own.

The second level gives agent i the share w_i/s_m on its node; what a node has too little of is
scaled by the simulator. Without nodes it is `demand`. The hierarchy is the paper's future work
(Zhang, Guo, Tan, arXiv 2512.22149, conclusion); the rule is ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from ..envs import checks
from ..envs.kernel.compile import compiled
from ..envs.kernel.layout import COLD, LOADING, WARM
from .base import Allocator, Range, Shares, field_types, parse_fields, register
from .demand import SEARCH_SPACE, Demand, DemandParameters

if TYPE_CHECKING:
    from ..envs.observation import Observation
    from ..envs.spec import Scenario


@register("two_level")
class TwoLevel(Allocator):
    """Moves agents between nodes, and shares each node by `demand`.

    Args:
        patience: Backlog, in cold starts, at which a loaded agent moves.
        given: Parameters of `demand` by name.
    """

    search_space = (*SEARCH_SPACE, Range("patience", 0.3, 30.0, log=True))

    def __init__(self, patience: float = 2.0, **given: float | bool) -> None:
        """Check the parameters."""
        self._patience = checks.number("two_level.patience", patience, above=0)
        self._demand = Demand(**given)
        self._scenario: Scenario | None = None

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Build from `field=value,…`: `patience` and the fields of `DemandParameters`."""
        types = {"patience": float, **field_types(DemandParameters)}
        return cls(**parse_fields(cls.name, text, types))  # type: ignore[arg-type]

    def reset(self, scenario: Scenario) -> None:
        """Work out the scenario's constants."""
        self._demand.reset(scenario)
        nodes = scenario.nodes
        self._gpus = np.array([node.gpus for node in nodes])
        self._speed = np.array([node.speed for node in nodes])
        memory = [np.inf if node.memory_mb is None else node.memory_mb for node in nodes]
        self._memory = np.array(memory)
        self._overdue = self._patience * scenario.cold_start_s
        self._scenario = scenario

    def allocate(self, observation: Observation) -> Shares:
        """Return shares and nodes, (..., 2·N); shares alone, (..., N), where there is one node."""
        scenario = observation.scenario
        if scenario is not self._scenario:
            self.reset(scenario)
        wanted = self._demand.allocate(observation)
        if scenario.n_nodes == 1:
            return wanted
        backlog = (observation.queue + observation.in_service) / scenario.throughput
        flat = [np.atleast_2d(x) for x in (wanted, backlog, observation.node, observation.status)]
        requests = _place(
            *flat, scenario.memory_mb, self._overdue, self._gpus, self._speed, self._memory
        )
        return requests.reshape(*wanted.shape[:-1], -1)


@compiled
def _place(
    wanted: Shares,
    backlog: Shares,
    node: Shares,
    status: NDArray[np.int64],
    memory_mb: Shares,
    overdue: Shares,
    gpus: Shares,
    speed: Shares,
    limit: Shares,
) -> Shares:
    """Return requests, shape (B, 2·N)."""
    n_batch, n = wanted.shape
    requests = np.empty((n_batch, 2 * n))
    for b in range(n_batch):
        room, free = speed * gpus, limit.copy()
        place = node[b].astype(np.int64)
        for i in range(n):
            room[place[i]] -= wanted[b, i]
            if status[b, i] == LOADING or status[b, i] == WARM:
                free[place[i]] -= memory_mb[i]
        for i in range(n):
            requests[b, n + i] = -1.0
            here = place[i]
            cold = status[b, i] == COLD
            late = backlog[b, i] / speed[here] > overdue[i]
            if wanted[b, i] > 0.0 and (cold or late):
                own = room[here] + wanted[b, i]
                best, most = here, own if cold else 2.0 * own
                for m in range(len(gpus)):
                    if m != here and room[m] > most and free[m] >= memory_mb[i]:
                        best, most = m, room[m]
                if best != here:
                    requests[b, n + i] = best
                    room[here] += wanted[b, i]
                    room[best] -= wanted[b, i]
                    free[best] -= memory_mb[i]
                    place[i] = best
            requests[b, i] = wanted[b, i] / speed[place[i]]
    return requests
