"""Putting tapes into the kernel's memory: calls sorted by agent, release and index."""

from __future__ import annotations

import numpy as np

from .compile import compiled_in_place
from .layout import TASK_UNOPENED, UNRELEASED


@compiled_in_place
def reset_environment(environments, agents):
    """Set the clock to 0 and every agent to COLD with share 0."""
    environment = environments[0]
    environment.time = 0.0
    environment.latency_term = 0.0
    environment.cost_term = 0.0
    environment.idle_term = 0.0
    environment.reward = 0.0
    environment.churn = 0.0
    environment.decision = 0
    environment.done = 0
    environment.next_root = 0
    environments[0].n_roots = 0
    environment.n_delayed = 0
    environment.routing = -1
    environment.rented = 0.0
    environment.capacity = 0.0
    environment.n_units = 0
    environment.next_change = 0
    environments[0].n_changes = 0
    environment.blocked = 0
    environment.crossings = 0
    for i in range(len(agents)):
        agent = agents[i]
        agent.share = 0.0
        agent.rate = 0.0
        agent.active_from = np.inf
        agent.load_end = 0.0
        agent.keep_alive_end = np.inf
        agent.pause_end = 0.0
        agent.memory_from = np.inf
        agent.memory_until = np.inf
        agent.last_completion = 0.0
        agent.rate_short = 0.0
        agent.rate_long = 0.0
        agent.opened = 0.0
        agent.closed = 0.0
        agent.started = 0.0
        agent.completed = 0.0
        agent.area = 0.0
        agent.billed = 0.0
        agent.busy = 0.0
        agent.status = 0
        agent.waiting = 0
        agent.in_service = 0
        agent.open_tasks = 0
        agent.open_tasks_before = 0
        agent.in_service_before = 0
        agent.arrivals = 0
        agent.completions = 0
        agent.rejections = 0
        agent.cold_starts = 0
        agent.queue_head = -1
        agent.queue_tail = -1
        agent.slices = 0
        agent.start = -1
        agent.recut = 0
        agent.scheduled = 0
        agent.health = 1.0
        agent.load_factor = 1.0
        agent.served = 0.0


@compiled_in_place
def _assign_ranges(agents, agent_of):
    """Give each agent its range of the sorted calls."""
    for i in range(len(agents)):
        agents[i].first_call = 0
        agents[i].last_call = 0
    for call in range(len(agent_of)):
        agents[agent_of[call]].last_call += 1
    start = 0
    for i in range(len(agents)):
        count = agents[i].last_call
        agents[i].first_call = start
        agents[i].last_call = start + count
        agents[i].next_arrival = start
        agents[i].next_start = start
        start += count


@compiled_in_place
def load_independent(environments, agents, calls, order, agent_of, release, work):
    """Load a tape of independent calls; `order` maps places to the tape's calls."""
    reset_environment(environments, agents)
    _assign_ranges(agents, agent_of)
    for place in range(len(order)):
        calls[place].release = release[order[place]]
        calls[place].work = work[order[place]]
        calls[place].started = np.nan
        calls[place].completed = np.nan


@compiled_in_place
def load_graph(
    environments,
    agents,
    flights,
    calls,
    tasks,
    task_calls,
    successors,
    roots,
    order,
    by_agent,
    agent_of,
    release,
    work,
    task_of,
    pending,
    delay,
    successor_ptr,
    successor,
    first_call,
    root_order,
):
    """Load a tape of call graphs; `root_order` are its calls without predecessors, by release."""
    reset_environment(environments, agents)
    for i in range(len(agents)):
        flights[i].clock_prefill = 0.0
        flights[i].clock_decode = 0.0
        flights[i].clock_at = np.inf
        flights[i].served = 0.0
        flights[i].prefilling = 0
    _assign_ranges(agents, agent_of)
    for task in range(len(first_call)):
        tasks[task].agent = agent_of[first_call[task]]
        tasks[task].state = TASK_UNOPENED
        tasks[task].left = 0
    for index in range(len(agent_of)):
        call = calls[index]
        call.release = delay[index] if pending[index] > 0 else release[index]
        call.work = work[index]
        call.started = np.nan
        call.completed = np.nan
        call.agent = agent_of[index]
        call.task = task_of[index]
        call.pending = pending[index]
        call.state = UNRELEASED
        call.next_waiting = -1
        call.first_successor = successor_ptr[index]
        call.last_successor = successor_ptr[index + 1]
        tasks[task_of[index]].left += 1
        order[index] = by_agent[index]
    start = 0
    for task in range(len(first_call)):
        tasks[task].first_call = start
        tasks[task].last_call = start
        start += tasks[task].left
    for index in range(len(agent_of)):
        task = task_of[index]
        task_calls[tasks[task].last_call] = index
        tasks[task].last_call += 1
    for edge in range(len(successor)):
        successors[edge] = successor[edge]
    for k in range(len(root_order)):
        roots[k] = root_order[k]
    environments[0].n_roots = len(root_order)
