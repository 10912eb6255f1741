"""What begins and ends a decision interval along both paths, whatever calls do in between."""

from __future__ import annotations

from .compile import compiled_in_place
from .lifecycle import decide, make_feasible, partition
from .pool import decide_pool, renew_pool
from .service import begin_interval, finish_interval


@compiled_in_place
def bounds(system, environment):
    """Return start and end of the coming interval [s], and whether it is the last."""
    last = environment.decision == system.n_intervals - 1
    t0 = environment.decision * system.interval_s
    t1 = system.horizon_s if last else (environment.decision + 1) * system.interval_s
    return t0, t1, last


@compiled_in_place
def begin(state, b, requested, shares, t0, t1):
    """Put a request into force in environment `b`; return False on what is no number."""
    system, environment = state.system[0], state.environments[b]
    constants, machines = state.constants, state.machines
    agents, nodes = state.agents[b], state.nodes[b]
    if not decide_pool(state, b, requested, t0):
        return False
    make_feasible(system, machines, agents, nodes, requested, shares)
    if system.mig:
        partition(state, environment.blocked, agents, shares)
    environment.churn = decide(system, constants, machines, agents, nodes, shares, t0, t1)
    begin_interval(system, constants, machines, agents, state.slots[b], t0, t1)
    return True


@compiled_in_place
def finish(state, b, t0, t1):
    """Close the interval's books, and bring the pool to what the next decision finds."""
    system, environment = state.system[0], state.environments[b]
    finish_interval(system, state.constants, state.machines, environment, state.agents[b], t0, t1)
    renew_pool(state, b, t1)
