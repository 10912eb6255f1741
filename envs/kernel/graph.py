"""The general path: calls that release each other, one clock for all agents of an environment.

Order at one instant: completions, then ends of loading and pauses, then releases in the tape's
order with zero-delay successors among them, repeated until nothing is due. Starts follow what made
them possible at once, but for decision instants, where nothing starts before the new shares.
"""

from __future__ import annotations

import numpy as np

from .batched import (
    NOTHING_DUE,
    PREFILL_ENDED,
    admit_call,
    begin_flight,
    finish_flight,
    next_end,
    play_end,
    work_in_flight,
)
from .compile import compiled_in_place
from .heaps import clear_events, first_event, pop_delayed, push_delayed, set_event
from .interval import begin, bounds, finish
from .layout import (
    CANCELLED,
    COMPLETED,
    IN_SERVICE,
    REJECTED,
    SCHEDULED,
    TASK_CLOSED,
    TASK_OPEN,
    TASK_REJECTED,
    TASK_UNOPENED,
    UNRELEASED,
    WAITING,
)
from .pool import open_pool
from .service import (
    charge_horizon,
    complete_first,
    start_call,
    update_rates,
    work_in_service,
)


@compiled_in_place
def open_graph(state, b):
    """Set up the pool and play the releases at time 0, which the first decision sees."""
    open_pool(state, b)
    environment, agents, calls = state.environments[b], state.agents[b], state.calls[b]
    roots, delayed = state.roots[b], state.delayed[b]
    while _next_release(environment, calls, roots, delayed) <= 0.0:
        call = _take_release(environment, agents, calls, roots, delayed)
        _release(state, b, call, 0.0, 0.0)
    update_rates(state.system[0], environment, agents)


@compiled_in_place
def step_graph(state, b, requested, shares):
    """Play one decision interval of environment `b`; return False on what is no number."""
    system, constants, environment = state.system[0], state.constants, state.environments[b]
    agents, flights, calls, slots = (
        state.agents[b],
        state.flights[b],
        state.calls[b],
        state.slots[b],
    )
    roots, delayed, events = state.roots[b], state.delayed[b], state.events
    t0, t1, last = bounds(system, environment)
    if not begin(state, b, requested, shares, t0, t1):
        return False
    clear_events(events)
    for i in range(len(agents)):
        if constants[i].batched:
            begin_flight(agents[i], flights[i])
        if agents[i].active_from == t0:
            _start_waiting(constants[i], agents[i], flights[i], calls, slots, t0, t1)
        _set_next(constants[i], agents[i], flights[i], slots, events, i, t0)
    while True:
        release_at = _next_release(environment, calls, roots, delayed)
        now = min(events[1], release_at)
        if now > t1:
            break
        if events[1] == now:
            i = first_event(events)
            _play_agent(state, b, i, now, t1)
            _set_next(constants[i], agents[i], flights[i], slots, events, i, now)
            continue
        if last and now == t1:
            break
        while release_at == now:
            call = _take_release(environment, agents, calls, roots, delayed)
            i = _release(state, b, call, now, t1)
            _set_next(constants[i], agents[i], flights[i], slots, events, i, now)
            release_at = _next_release(environment, calls, roots, delayed)
    for i in range(len(agents)):
        if constants[i].batched:
            finish_flight(constants[i], agents[i], flights[i], t1)
    finish(state, b, t0, t1)
    if last and system.horizon_charge:
        _charge(state, b, t0, t1)
    return True


@compiled_in_place
def _set_next(constants, agent, flight, slots, events, i, now):
    """Put an agent's next event: its window's opening, or its next completion."""
    time = np.inf
    if agent.rate > 0.0:
        if agent.active_from > now:
            time = agent.active_from
        elif constants.batched:
            time = next_end(constants, agent, flight, slots)
        elif agent.in_service > 0:
            time = slots[constants.first_server].finish
    set_event(events, i, time)


@compiled_in_place
def _play_agent(state, b, i, now, t1):
    """Play an agent's events at `now`: calls that complete, or the opening of its window."""
    constants, agents, flights = state.constants, state.agents[b], state.flights[b]
    calls, slots, base = state.calls[b], state.slots[b], constants[i].first_server
    while agents[i].in_service > 0:
        if constants[i].batched:
            call = play_end(constants[i], agents[i], flights[i], calls, slots, now, t1)
            if call == NOTHING_DUE:
                break
            if call == PREFILL_ENDED:
                continue
        elif slots[base].finish == now:
            call = complete_first(agents[i], calls, slots, base, t1)
        else:
            break
        calls[call].state = COMPLETED
        _advance_task(state, b, call, now, t1)
        if now < t1:
            _start_waiting(constants[i], agents[i], flights[i], calls, slots, now, t1)
    if now < t1:
        _start_waiting(constants[i], agents[i], flights[i], calls, slots, now, t1)


@compiled_in_place
def _start_waiting(constants, agent, flight, calls, slots, now, t1):
    """Fill an agent's free servers from its queue."""
    while agent.waiting > 0 and agent.in_service < constants.concurrency:
        call = first_waiting(agent, calls)
        agent.queue_head = calls[call].next_waiting
        agent.waiting -= 1
        _start(constants, agent, flight, calls, slots, call, now, t1)


@compiled_in_place
def _start(constants, agent, flight, calls, slots, call, now, t1):
    calls[call].state = IN_SERVICE
    if constants.batched:
        admit_call(constants, agent, flight, calls, slots, call, now, t1)
    else:
        start_call(agent, calls, slots, constants.first_server, call, now, t1)


@compiled_in_place
def first_waiting(agent, calls):
    """Return the first waiting call, dropping calls of rejected tasks from the queue's head."""
    call = agent.queue_head
    while calls[call].state != WAITING:
        call = calls[call].next_waiting
    agent.queue_head = call
    return call


@compiled_in_place
def _advance_task(state, b, call, now, t1):
    """Close the task of a completed call, or schedule the calls that waited for it."""
    environment, agents, calls = state.environments[b], state.agents[b], state.calls[b]
    task = state.tasks[b, calls[call].task]
    if task.state == TASK_REJECTED:
        return
    task.left -= 1
    if task.left == 0:
        task.state = TASK_CLOSED
        agents[task.agent].closed += t1 - now
        agents[task.agent].open_tasks -= 1
        return
    for edge in range(calls[call].first_successor, calls[call].last_successor):
        after = state.successors[b, edge]
        calls[after].pending -= 1
        if calls[after].pending == 0:
            calls[after].state = SCHEDULED
            agents[calls[after].agent].scheduled += 1
            due = now + calls[after].release
            if agents[calls[after].agent].node != agents[calls[call].agent].node:
                due += state.system[0].cross_node_s
                environment.crossings += 1
            push_delayed(state.delayed[b], environment.n_delayed, due, after)
            environment.n_delayed += 1


@compiled_in_place
def _next_release(environment, calls, roots, delayed):
    """Return the time of the next release, perhaps of a call that was cancelled since."""
    time = np.inf
    if environment.next_root < environment.n_roots:
        time = calls[roots[environment.next_root]].release
    if environment.n_delayed > 0:
        time = min(time, delayed[0].time)
    return time


@compiled_in_place
def _take_release(environment, agents, calls, roots, delayed):
    """Remove and return the next call to release: by time, then by place on the tape."""
    if environment.next_root < environment.n_roots:
        root = np.int64(roots[environment.next_root])
        if environment.n_delayed == 0 or not _comes_first(delayed[0], calls[root].release, root):
            environment.next_root += 1
            return root
    call, time = delayed[0].call, delayed[0].time
    pop_delayed(delayed, environment.n_delayed)
    environment.n_delayed -= 1
    if calls[call].state == SCHEDULED:
        calls[call].release = time
        agents[calls[call].agent].scheduled -= 1
    return call


@compiled_in_place
def _comes_first(entry, time, call):
    return entry.time < time or (entry.time == time and entry.call < call)


@compiled_in_place
def _release(state, b, call, now, t1):
    """Release a call: it starts, waits, or is rejected with its task. Return its agent."""
    constants, agents, calls = state.constants, state.agents[b], state.calls[b]
    i = np.int64(calls[call].agent)
    if calls[call].state == CANCELLED:
        return i
    agent, limit = agents[i], constants[i].queue_limit
    agent.arrivals += 1
    _open_task(agents, state.tasks[b], calls[call].task, now, t1)
    if now < t1 and agent.active_from <= now and agent.in_service < constants[i].concurrency:
        _start(constants[i], agent, state.flights[b, i], calls, state.slots[b], call, now, t1)
    elif limit >= 0 and agent.waiting >= limit:
        _reject(agents, calls, state.tasks[b], state.task_calls[b], call)
    else:
        calls[call].state = WAITING
        calls[call].next_waiting = -1
        if agent.waiting > 0:
            calls[agent.queue_tail].next_waiting = call
        else:
            agent.queue_head = call
        agent.queue_tail = call
        agent.waiting += 1
    return i


@compiled_in_place
def _open_task(agents, tasks, task, now, t1):
    if tasks[task].state == TASK_UNOPENED:
        tasks[task].state = TASK_OPEN
        agents[tasks[task].agent].opened += t1 - now
        agents[tasks[task].agent].open_tasks += 1


@compiled_in_place
def _reject(agents, calls, tasks, task_calls, call):
    """Reject a call and its task: waiting calls leave, unreleased ones are never released."""
    task = tasks[calls[call].task]
    task.state = TASK_REJECTED
    calls[call].state = REJECTED
    agents[calls[call].agent].rejections += 1
    for entry in range(task.first_call, task.last_call):
        other = task_calls[entry]
        agent = agents[calls[other].agent]
        if calls[other].state == WAITING:
            calls[other].state = REJECTED
            agent.waiting -= 1
            agent.rejections += 1
        elif calls[other].state == SCHEDULED:
            calls[other].state = CANCELLED
            agent.scheduled -= 1
        elif calls[other].state == UNRELEASED:
            calls[other].state = CANCELLED


@compiled_in_place
def _charge(state, b, t0, t1):
    constants, agents, flights = state.constants, state.agents[b], state.flights[b]
    calls, slots = state.calls[b], state.slots[b]
    for i in range(len(agents)):
        left = 0.0
        for place in range(agents[i].first_call, agents[i].last_call):
            call = state.order[b, place]
            fate, task = calls[call].state, state.tasks[b, calls[call].task].state
            open_task = task in (TASK_OPEN, TASK_REJECTED)
            if open_task and fate != COMPLETED and fate != IN_SERVICE:
                left += calls[call].work
        if constants[i].batched:
            in_service = work_in_flight(constants[i], agents[i], flights[i], calls, slots)
        else:
            in_service = work_in_service(agents[i], slots, constants[i].first_server, t1)
        agents[i].work_left = left + in_service
    charge_horizon(state.system[0], constants, state.environments[b], agents, t0, t1)
