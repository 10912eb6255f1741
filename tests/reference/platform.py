"""The pool of the plain simulator: machines, rented units, losses, and who is where.

Written from docs/platform.md. What an interval offers is fixed at its decision, so all of this
acts at decisions; where the text is silent the choice is written next to the code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from slicegym.envs import Scenario
from slicegym.envs.kernel.layout import EVICTION, HEALTH, LOAD_FACTOR, LOST

from .case import Change
from .parts import COLD, LOADING, NEVER, WARM, Agent


@dataclass
class Machine:
    """A node, or the whole pool where there are none."""

    gpus: float
    speed: float
    price: float
    """In prices of a mean GPU of the pool."""
    memory_mb: float | None
    lost: float = 0.0
    hold: float = 1.0
    """Factor on footprints: a model takes a larger part of a smaller GPU."""


class Platform:
    """What the agents run on."""

    def __init__(self, scenario: Scenario, agents: list[Agent]) -> None:
        self.scenario, self.agents, self.elastic = scenario, agents, scenario.elastic
        mean = scenario.price_per_gpu_hour
        self.machines = [
            Machine(n.gpus, n.speed, n.price / mean, n.memory_mb) for n in scenario.nodes
        ] or [Machine(scenario.gpus, 1.0, 1.0, scenario.pool_memory_mb)]
        memory = [m.memory_mb for m in self.machines if m.memory_mb is not None]
        if scenario.nodes and len(memory) == len(self.machines):
            mean_mb = math.fsum(memory) / scenario.gpus
            for machine, own_mb in zip(self.machines, memory, strict=True):
                machine.hold = mean_mb / (own_mb / machine.gpus)
        self.units: list[float] = []
        """When each rented unit is ready, in the order in which they were ordered."""
        if self.elastic:
            self.units = [0.0] * self.whole_units(self.elastic.min_gpus)
        self.ready = len(self.units)
        """Units that are ready, as of the last decision."""
        for i, (agent, given) in enumerate(zip(agents, scenario.agents, strict=True)):
            names = [node.name for node in scenario.nodes]
            self.place(
                agent, i % len(self.machines) if given.node is None else names.index(given.node)
            )

    def place(self, agent: Agent, node: int) -> None:
        machine = self.machines[node]
        agent.node, agent.speed, agent.price = node, machine.speed, machine.price
        agent.hold = machine.hold

    # ---- what there is -------------------------------------------------------------------------

    def whole_units(self, gpus: float) -> int:
        assert self.elastic
        return math.ceil(gpus / self.elastic.unit_gpus - 1e-9)

    @property
    def rented(self) -> float:
        """GPUs on order or ready; all of them, where they do not come and go."""
        return len(self.units) * self.elastic.unit_gpus if self.elastic else self.scenario.gpus

    @property
    def ordered(self) -> float:
        unit = self.elastic.unit_gpus if self.elastic else 0.0
        return (len(self.units) - self.ready) * unit

    def capacity(self, machine: Machine) -> float:
        """GPUs that are there; a loss takes from those that are ready."""
        gpus = machine.gpus
        if self.elastic and self.ready < round(machine.gpus / self.elastic.unit_gpus):
            gpus = self.ready * self.elastic.unit_gpus
        return max(0.0, gpus - machine.lost)

    def fits(self, machine: Machine, memory_mb: float) -> bool:
        """Whether models of so much memory fit, which shrinks with the GPUs."""
        if machine.memory_mb is None:
            return True
        return memory_mb <= machine.memory_mb * (self.capacity(machine) / machine.gpus)

    def loaded(self, machine: Machine) -> list[Agent]:
        """The agents whose models are in its memory."""
        here = [a for a in self.agents if self.machines[a.node] is machine]
        return [a for a in here if a.status in (LOADING, WARM)]

    def has_room(self, agent: Agent) -> bool:
        machine = self.machines[agent.node]
        used = sum(a.memory_mb for a in self.loaded(machine))
        return self.fits(machine, used + agent.memory_mb)

    # ---- before the observation ----------------------------------------------------------------

    def change(self, changes: Sequence[Change], now: float) -> None:
        """What the tape says of this decision; units that are ready are there."""
        self.ready = sum(at <= now + 1e-9 * self.scenario.interval_s for at in self.units)
        for change in changes:
            if change.what == LOST:
                self.machines[change.target].lost = change.value
            elif change.what == HEALTH:
                self.agents[change.target].health = change.value
            elif change.what == LOAD_FACTOR:
                self.agents[change.target].load_factor = change.value
            elif change.what == EVICTION:
                evict(self.agents[change.target])
        self.shed()

    def shed(self) -> None:
        """Models that no longer fit leave, the last agents first.

        One without memory always fits: its leaving would not help.
        """
        for machine in self.machines:
            loaded = [a for a in self.loaded(machine) if a.memory_mb > 0]
            while loaded and not self.fits(machine, sum(a.memory_mb for a in loaded)):
                evict(loaded.pop())

    # ---- after the request, before the new shares ----------------------------------------------

    def request(self, row: Sequence[float], now: float) -> list[float]:
        """Sizes the pool, moves agents, and returns the feasible shares."""
        n, quantum = len(self.agents), self.scenario.share_quantum
        shares = [g if g >= quantum and g > 0 else 0.0 for g in row[:n]]
        rest = row[n:]
        if self.elastic:
            self.resize(rest[0] if rest and rest[0] >= 0 else sum(shares), now)
        else:
            for agent, node in zip(self.agents, rest, strict=False):
                if node >= 0 and node != agent.node:
                    self.place(agent, int(node))
                    leave(agent)
        self.shed()
        return self.feasible(shares)

    def resize(self, size: float, now: float) -> None:
        """Orders missing units and gives back the last ones, ready or not."""
        assert self.elastic
        least, most = self.elastic.min_gpus, self.scenario.gpus
        n = self.whole_units(min(max(size, least), most))
        missing = n - len(self.units)
        self.units = self.units[:n] + [now + self.elastic.provision_s] * missing
        self.ready = sum(at <= now for at in self.units)

    def feasible(self, shares: list[float]) -> list[float]:
        """On each machine, scales what exceeds it."""
        shares = list(shares)
        for index, machine in enumerate(self.machines):
            here = [i for i, agent in enumerate(self.agents) if agent.node == index]
            total, gpus = sum(shares[i] for i in here), self.capacity(machine)
            if total > gpus:
                factor = gpus / total
                for i in here:
                    shares[i] *= factor
        return shares


def evict(agent: Agent) -> None:
    """A model in memory leaves it; one that waits for memory has nothing there."""
    if agent.status in (LOADING, WARM):
        leave(agent)


def leave(agent: Agent) -> None:
    """Cold from now on: a share decided now is the first from cold and causes no pause."""
    agent.status, agent.ready_at, agent.cold_at = COLD, NEVER, NEVER
