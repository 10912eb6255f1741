"""What both paths share: servers, the sums over an interval, reward terms, the horizon's charge.

Sums are kept per agent and in the order of its own events, so that the path for independent calls
and the general one add the same numbers in the same order.
"""

from __future__ import annotations

from .compile import compiled_in_place
from .heaps import pop_slot, push_slot


@compiled_in_place
def begin_interval(system, constants, machines, agents, slots, t0, t1):
    """Clear the interval's sums and put the rates of the new shares into force."""
    for i in range(len(agents)):
        agent = agents[i]
        agent.opened = 0.0
        agent.closed = 0.0
        agent.started = 0.0
        agent.completed = 0.0
        agent.arrivals = 0
        agent.completions = 0
        agent.rejections = 0
        agent.open_tasks_before = agent.open_tasks
        agent.in_service_before = agent.in_service
        rate = 0.0
        if agent.active_from < t1:
            gpus = system.mig_speed[agent.slices] if system.mig else agent.share
            rate = constants[i].throughput * gpus
            if not constants[i].batched:
                rate = rate / constants[i].concurrency
            rate = rate * machines[agent.node].speed * agent.health
        if constants[i].batched:
            agent.rate = rate
        elif rate != agent.rate or (rate > 0.0 and agent.active_from != t0):
            _rebase(agent, slots, constants[i].first_server, rate, t0)


@compiled_in_place
def _rebase(agent, slots, base, rate, t0):
    """Turn finish times into remaining work and back under the new rate; order is kept."""
    for s in range(base, base + agent.in_service):
        remaining = slots[s].finish
        if agent.rate > 0.0:
            remaining = (remaining - t0) * agent.rate
        if rate > 0.0:
            slots[s].finish = agent.active_from + remaining / rate
        else:
            slots[s].finish = remaining
    agent.rate = rate


@compiled_in_place
def start_call(agent, calls, slots, base, call, now, t1):
    """Put a call into service at `now`."""
    calls[call].started = now
    agent.started += t1 - now
    push_slot(slots, base, agent.in_service, now + calls[call].work / agent.rate, call)
    agent.in_service += 1


@compiled_in_place
def complete_first(agent, calls, slots, base, t1):
    """Complete the call in service that finishes first and return it."""
    call, now = slots[base].call, slots[base].finish
    pop_slot(slots, base, agent.in_service)
    agent.in_service -= 1
    calls[call].completed = now
    agent.completed += t1 - now
    agent.completions += 1
    agent.last_completion = now
    return call


@compiled_in_place
def finish_interval(system, constants, machines, environment, agents, t0, t1):
    """Close the interval's books: areas, bill, reward terms and arrival rates."""
    length = t1 - t0
    holding = 0.0
    billed = 0.0
    idle = 0.0
    for i in range(len(agents)):
        agent = agents[i]
        agent.area = max(0.0, agent.open_tasks_before * length + agent.opened - agent.closed)
        machine = machines[agent.node]
        agent.billed = 0.0
        if agent.memory_from < t1:
            until = min(agent.memory_until, t1)
            footprint = constants[i].footprint * machine.hold
            in_use = max(agent.share, footprint)
            agent.billed = (until - agent.memory_from) * in_use
        agent.busy = 0.0
        if agent.rate > 0.0 and constants[i].batched:
            agent.busy = min(agent.served, t1 - agent.active_from) * agent.share
        elif agent.rate > 0.0:
            active = t1 - agent.active_from
            in_service = agent.in_service_before * active + agent.started - agent.completed
            served = in_service / constants[i].concurrency
            agent.busy = min(max(served, 0.0), active) * agent.share
        agent.billed *= machine.value
        agent.busy *= machine.value
        holding += constants[i].weight * agent.area
        billed += agent.billed
        idle += agent.billed - agent.busy
    pool = system.gpus * length
    if system.elastic:  # the pool's bill takes the place of the agents'
        rented = environment.rented * length
        idle += rented - billed
        billed = rented
    environment.latency_term = (
        holding / length / (system.reference_rate * system.reference_latency_s)
    )
    environment.cost_term = billed / pool
    environment.idle_term = idle / pool
    environment.decision += 1
    environment.time = t1
    update_rates(system, environment, agents)
    if environment.decision == system.n_intervals:
        environment.done = 1
    weigh(system, environment)


@compiled_in_place
def record_interval(agents, records):
    """Copy what is kept of the interval just played, shape (N,)."""
    for i in range(len(agents)):
        agent, record = agents[i], records[i]
        record.share = agent.share
        record.billed = agent.billed
        record.busy = agent.busy
        record.area = agent.area
        record.queue = agent.waiting
        record.in_service = agent.in_service
        record.arrivals = agent.arrivals
        record.completions = agent.completions
        record.rejections = agent.rejections
        record.status = agent.status
        record.node = agent.node


@compiled_in_place
def weigh(system, environment):
    """Set the reward from its three terms."""
    environment.reward = -(
        system.weight_latency * environment.latency_term
        + system.weight_cost * environment.cost_term
        + system.weight_idle * environment.idle_term
    )


@compiled_in_place
def update_rates(system, environment, agents):
    """Fold the last interval's arrivals into two exponential windows.

    The gain is at least 1/(decisions + 1): a plain mean until the window has filled, so that the
    first estimates are not drawn towards zero.
    """
    seen = 1.0 / (environment.decision + 1)
    short = max(seen, system.short_gain)
    long = max(seen, system.long_gain)
    for i in range(len(agents)):
        rate = agents[i].arrivals / system.interval_s
        agents[i].rate_short += short * (rate - agents[i].rate_short)
        agents[i].rate_long += long * (rate - agents[i].rate_long)


@compiled_in_place
def work_in_service(agent, slots, base, now):
    """Sum the remaining work of an agent's calls in service, first to finish first.

    The slots are used up: at the horizon nothing needs them any more.
    """
    total = 0.0
    for size in range(agent.in_service, 0, -1):
        remaining = slots[base].finish
        if agent.rate > 0.0:
            remaining = (remaining - now) * agent.rate
        total += remaining
        pop_slot(slots, base, size)
    return total


@compiled_in_place
def charge_horizon(system, constants, environment, agents, t0, t1):
    """Add what the tasks left open at the horizon still cost to the last interval's terms.

    Each agent's `work_left` is the remaining work of open and rejected tasks.
    """
    length = t1 - t0
    holding = 0.0
    gpu_seconds = 0.0
    for i in range(len(agents)):
        holding += constants[i].weight * agents[i].open_tasks * system.reference_latency_s
        gpu_seconds += agents[i].work_left / constants[i].throughput
    environment.latency_term += (
        holding / length / (system.reference_rate * system.reference_latency_s)
    )
    environment.cost_term += gpu_seconds / (system.gpus * length)
    weigh(system, environment)
