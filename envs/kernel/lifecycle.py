"""One decision: feasible shares, and each agent's lifecycle through the interval.

Nothing here depends on calls, so that the lifecycle of a whole interval is known once its shares
are: when the model is in memory (and billed), and from when on its calls are served.
"""

from __future__ import annotations

import numpy as np

from .compile import compiled_in_place
from .layout import AWAITING_MEMORY, COLD, LOADING, WARM
from .pool import available, clipped, count_memory, memory_limit


@compiled_in_place
def make_feasible(system, machines, agents, nodes, requested, out):
    """Write the feasible shares of one environment to `out`; the only clipping there is.

    Negative shares become 0, shares under the quantum become 0, and where those on a node sum to
    more than what it has all of them are scaled to it.
    """
    if len(nodes) > 1:
        _fit_nodes(system, machines, agents, nodes, requested, out)
        return
    wanted, room = 0.0, available(nodes[0])
    for i in range(len(agents)):
        out[i] = clipped(system, requested[i])
        wanted += out[i]
    if wanted > room:
        scale = room / wanted
        for i in range(len(agents)):
            out[i] *= scale


@compiled_in_place
def _fit_nodes(system, machines, agents, nodes, requested, out):
    for m in range(len(nodes)):
        machines[m].wanted = 0.0
    for i in range(len(agents)):
        out[i] = clipped(system, requested[i])
        machines[agents[i].node].wanted += out[i]
    for m in range(len(nodes)):
        room, wanted = available(nodes[m]), machines[m].wanted
        if wanted > room:
            scale = room / wanted
            for i in range(len(agents)):
                if agents[i].node == m:
                    out[i] *= scale


@compiled_in_place
def partition(state, blocked, agents, shares):
    """Replace feasible shares by the nearest partition that can be cut, and place it.

    The slices minimise Σ|slices - 7·share|, ties lexicographic; among their placements the one
    that moves the fewest instances of unchanged size is taken, ties again lexicographic. None
    covers a memory slice in the bit mask `blocked`.
    """
    vectors, starts, n = state.vectors, state.starts, len(agents)
    best, nearest = 0, np.inf
    for v in range(len(vectors)):
        distance = 0.0
        for i in range(n):
            distance += abs(vectors[v, i] - 7.0 * shares[i])
            if distance >= nearest:
                break
        if distance < nearest and _can_be_cut(state, blocked, v):
            best, nearest = v, distance
    row, fewest = -1, n + 1
    for p in range(vectors[best, n], vectors[best, n + 1]):
        moved = 0
        for i in range(n):
            moved += agents[i].slices == vectors[best, i] and agents[i].start != starts[p, i]
        if moved < fewest and not state.covered[p] & blocked:
            row, fewest = p, moved
    for i in range(n):
        agent, slices = agents[i], vectors[best, i]
        agent.recut = agent.slices == slices and agent.start != starts[row, i]
        agent.slices = slices
        agent.start = starts[row, i]
        shares[i] = slices / 7.0


@compiled_in_place
def _can_be_cut(state, blocked, vector):
    """Whether one of a vector's placements stays clear of the blocked slices."""
    n = state.starts.shape[1]
    for p in range(state.vectors[vector, n], state.vectors[vector, n + 1]):
        if not state.covered[p] & blocked:
            return True
    return False


@compiled_in_place
def decide(system, constants, machines, agents, nodes, shares, t0, t1):
    """Put feasible `shares` into force over [t0, t1) and run every lifecycle to t1.

    Returns:
        Σ|Δg| [GPU].
    """
    churn = 0.0
    limited = system.limited != 0
    for i in range(len(agents)):
        churn += abs(shares[i] - agents[i].share)
        _apply_share(system, constants[i], agents[i], shares[i], t0)
    _admit(constants, machines, agents, nodes, limited, t0)
    if limited:
        _expire_and_admit(constants, machines, agents, nodes, t1)
    for i in range(len(agents)):
        _run_to(agents[i], t0, t1)
    return churn


@compiled_in_place
def _apply_share(system, constants, agent, share, t0):
    changed = abs(share - agent.share) > system.share_quantum or agent.recut
    if changed and agent.status != COLD:
        agent.pause_end = t0 + system.reconfigure_s
    agent.share = share
    in_memory = agent.status == LOADING or agent.status == WARM
    if share > 0.0:
        agent.keep_alive_end = np.inf
        if agent.status == COLD:
            agent.status = AWAITING_MEMORY
    elif agent.status == WARM:
        if agent.keep_alive_end == np.inf:
            agent.keep_alive_end = t0 + constants.keep_alive_s
        if agent.keep_alive_end <= t0:
            agent.status = COLD
            in_memory = False
    else:
        agent.status = COLD
        in_memory = False
    agent.memory_from = t0 if in_memory else np.inf
    agent.memory_until = np.inf


@compiled_in_place
def _admit(constants, machines, agents, nodes, limited, now):
    """Start loading, in agent order, every waiting model that fits into its node's memory."""
    if limited:
        count_memory(constants, machines, agents)
    for i in range(len(agents)):
        if agents[i].status != AWAITING_MEMORY:
            continue
        if limited:
            machine = machines[agents[i].node]
            limit = memory_limit(machine, nodes[agents[i].node])
            if machine.used_mb + constants[i].memory_mb > limit:
                continue
            machine.used_mb += constants[i].memory_mb
        agents[i].memory_from = now
        agents[i].load_end = now + constants[i].cold_start_s * agents[i].load_factor
        agents[i].status = LOADING
        if constants[i].cold_start_s > 0.0:
            agents[i].cold_starts += 1


@compiled_in_place
def _expire_and_admit(constants, machines, agents, nodes, t1):
    """Play the keep-alives that end inside (t0, t1): their memory goes to waiting models."""
    while True:
        now = t1
        for i in range(len(agents)):
            if agents[i].status == WARM or agents[i].status == LOADING:
                now = min(now, agents[i].keep_alive_end)
        if now >= t1:
            return
        for i in range(len(agents)):
            if agents[i].keep_alive_end == now and agents[i].status == WARM:
                agents[i].status = COLD
                agents[i].memory_until = now
        _admit(constants, machines, agents, nodes, True, now)


@compiled_in_place
def _run_to(agent, t0, t1):
    """Play the rest of one lifecycle to t1, and find when service runs."""
    agent.active_from = np.inf
    in_memory = agent.status == LOADING or agent.status == WARM
    if agent.share > 0.0 and agent.health > 0.0 and in_memory:
        ready = max(t0, agent.pause_end)
        if agent.status == LOADING:
            ready = max(ready, agent.load_end)
        if ready < t1:
            agent.active_from = ready
    if agent.status == LOADING and agent.load_end <= t1:
        agent.status = WARM
    if agent.status == WARM and agent.keep_alive_end <= t1:
        agent.status = COLD
        agent.memory_until = agent.keep_alive_end
    if agent.status == COLD:
        agent.keep_alive_end = np.inf
