"""What the pool offers: units that are rented, nodes that agents are on, what is lost and back.

All of it changes at decisions only, so that feasible shares hold for a whole interval.
"""

from __future__ import annotations

import math

import numpy as np

from .compile import compiled_in_place
from .layout import (
    BLOCKED,
    COLD,
    EVICTION,
    HEALTH,
    LOAD_FACTOR,
    LOADING,
    LOST,
    MEMORY_SLICES,
    WARM,
)

UNIT_TOLERANCE = 1e-9  # a size that exceeds whole units by less is float noise
READY_TOLERANCE = 1e-9  # intervals: a unit due so little after a decision is due at it


@compiled_in_place
def open_pool(state, b):
    """Set up the pool of environment `b` as the first decision finds it."""
    system, environment, nodes = state.system[0], state.environments[b], state.nodes[b]
    for m in range(len(nodes)):
        nodes[m].gpus = state.machines[m].gpus
        nodes[m].lost = 0.0
    for i in range(len(state.constants)):
        state.agents[b, i].node = state.constants[i].home
    environment.n_units = 0
    if system.elastic:
        _resize(system, environment, state.units[b], system.min_gpus, -system.provision_s)
    renew_pool(state, b, 0.0)


@compiled_in_place
def renew_pool(state, b, now):
    """Bring the pool to what the decision at `now` finds: ready units, then changes."""
    if state.system[0].elastic:
        _make_ready(state, b, now)
    _apply_changes(state, b)


@compiled_in_place
def decide_pool(state, b, requested, now):
    """Put the requested size and the requested nodes into force; return False on no number."""
    for entry in range(len(requested)):
        if not math.isfinite(requested[entry]):
            return False
    system, environment = state.system[0], state.environments[b]
    agents, nodes = state.agents[b], state.nodes[b]
    n = len(agents)
    if system.elastic:
        size = requested[n]
        if size < 0.0:
            size = 0.0
            for i in range(n):
                size += clipped(system, requested[i])
        _resize(system, environment, state.units[b], size, now)
        _make_ready(state, b, now)
        environment.rented = environment.n_units * system.unit_gpus
        _evict_overflow(state, b)
    if len(nodes) > 1:
        for i in range(n):
            wanted = requested[len(requested) - n + i]
            if wanted >= 0.0:
                _move(agents[i], np.int64(min(wanted, len(nodes) - 1.0)))
    environment.capacity = 0.0
    for m in range(len(nodes)):
        environment.capacity += ready_share(environment, nodes[m])
    return True


@compiled_in_place
def clipped(system, share):
    """Return a requested share, or 0 where it does not count."""
    return 0.0 if share < system.share_quantum or share < 0.0 else share


@compiled_in_place
def _resize(system, environment, units, size, now):
    """Rent so many units; the last ones that were ordered are the first to be given back."""
    size = min(max(size, system.min_gpus), system.gpus)
    wanted = min(math.ceil(size / system.unit_gpus - UNIT_TOLERANCE), len(units))
    while environment.n_units < wanted:
        units[environment.n_units] = now + system.provision_s
        environment.n_units += 1
    environment.n_units = max(wanted, 0)


@compiled_in_place
def _make_ready(state, b, now):
    system, units = state.system[0], state.units[b]
    due = now + READY_TOLERANCE * system.interval_s
    ready = 0
    while ready < state.environments[b].n_units and units[ready] <= due:
        ready += 1
    # Of all units without the rounding of the product.
    whole = ready == len(units)
    state.nodes[b, 0].gpus = state.machines[0].gpus if whole else ready * system.unit_gpus


@compiled_in_place
def _move(agent, node):
    if node != agent.node:
        agent.node = node
        agent.status = COLD
        agent.keep_alive_end = np.inf


@compiled_in_place
def available(node):
    """Return the GPUs of a node that are ready and not lost."""
    return max(0.0, node.gpus - node.lost)


@compiled_in_place
def ready_share(environment, node):
    """Return what of a node can be had: without lost GPUs, and without lost slices of one."""
    ready = available(node)
    if environment.blocked:
        for place in range(MEMORY_SLICES):
            ready -= (environment.blocked >> place & 1) / MEMORY_SLICES
    return max(0.0, ready)


@compiled_in_place
def memory_limit(machine, node):
    """Return the memory of a node's GPUs that are ready and not lost [MB]."""
    if machine.memory_mb == np.inf:
        return np.inf
    return machine.memory_mb * (available(node) / machine.gpus)


@compiled_in_place
def _apply_changes(state, b):
    """Apply what the tape changes up to the coming decision."""
    environment, agents = state.environments[b], state.agents[b]
    lost = False
    while environment.next_change < environment.n_changes:
        change = state.changes[b, environment.next_change]
        if change.decision > environment.decision:
            break
        environment.next_change += 1
        if change.what == LOST:
            state.nodes[b, change.target].lost = change.value
            lost = True
        elif change.what == BLOCKED:
            environment.blocked = np.int64(change.value)
            _destroy_blocked(state.widths, environment, agents)
        elif change.what == HEALTH:
            agents[change.target].health = change.value
        elif change.what == LOAD_FACTOR:
            agents[change.target].load_factor = change.value
        elif change.what == EVICTION:
            _evict(agents[change.target])
    if lost:
        _evict_overflow(state, b)


@compiled_in_place
def _evict(agent):
    """Take a model out of memory; a load that waits for memory goes on waiting."""
    if agent.status == LOADING or agent.status == WARM:
        agent.status = COLD
        agent.keep_alive_end = np.inf


@compiled_in_place
def _destroy_blocked(widths, environment, agents):
    """Destroy the instances that cover a lost memory slice."""
    for i in range(len(agents)):
        agent = agents[i]
        if agent.slices > 0:
            covers = ((1 << widths[i, agent.slices]) - 1) << agent.start
            if covers & environment.blocked:
                _evict(agent)
                agent.slices = 0
                agent.start = -1


@compiled_in_place
def _evict_overflow(state, b):
    """Where models no longer fit into a node's memory, evict those of the last agents."""
    if not state.system[0].limited:
        return
    constants, machines = state.constants, state.machines
    agents, nodes = state.agents[b], state.nodes[b]
    count_memory(constants, machines, agents)
    for i in range(len(agents) - 1, -1, -1):
        agent, machine, node = agents[i], machines[agents[i].node], nodes[agents[i].node]
        in_memory = agent.status == LOADING or agent.status == WARM
        over = machine.used_mb > memory_limit(machine, node)
        if in_memory and constants[i].memory_mb > 0.0 and over:
            machine.used_mb -= constants[i].memory_mb
            _evict(agent)


@compiled_in_place
def count_memory(constants, machines, agents):
    """Sum the memory of the models that load or are warm, by node."""
    for m in range(len(machines)):
        machines[m].used_mb = 0.0
    for i in range(len(agents)):
        if agents[i].status == LOADING or agents[i].status == WARM:
            machines[agents[i].node].used_mb += constants[i].memory_mb
