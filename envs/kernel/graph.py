"""The general path: calls that release each other, one clock for all agents of an environment.

Order at one instant: completions, then ends of loading and pauses, then releases in the tape's
order with zero-delay successors among them, repeated until nothing is due. Starts follow what made
them possible at once, but for decision instants, where nothing starts before the new shares.
"""

from __future__ import annotations

import numpy as np
from .compile import compiled
from .heaps import clear_events, first_event, pop_delayed, push_delayed, set_event
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
from .lifecycle import decide, make_feasible
from .service import (
    begin_interval,
    charge_horizon,
    complete_first,
    finish_interval,
    start_call,
    update_rates,
    work_in_service,
)


@compiled
def open_graph(
    system, constants, environment, agents, calls, tasks, task_calls, roots, delayed, slots
):
    """Play the releases at time 0, which the first decision sees."""
    for i in range(len(agents)):
        agents[i].active_from = np.inf
    while _next_release(environment, calls, roots, delayed)[0] <= 0.0:
        _release_next(
            constants, environment, agents, calls, tasks, task_calls, roots, delayed, slots, 0.0
        )
    update_rates(system, environment, agents)


@compiled
def step_graph(
    system,
    constants,
    environment,
    agents,
    calls,
    tasks,
    task_calls,
    successors,
    roots,
    delayed,
    slots,
    events,
    requested,
    shares,
):
    """Play one decision interval of one environment; return False on a share that is no number."""
    if not make_feasible(requested, system.gpus, system.share_quantum, shares):
        return False
    last = environment.decision == system.n_intervals - 1
    t0 = environment.decision * system.interval_s
    t1 = system.horizon_s if last else (environment.decision + 1) * system.interval_s
    environment.churn = decide(system, constants, agents, shares, t0, t1)
    begin_interval(constants, agents, slots, t0, t1)
    clear_events(events)
    for i in range(len(agents)):
        if agents[i].active_from == t0:
            _start_waiting(constants[i], agents[i], calls, slots, t0, t1)
        _set_next(constants[i], agents[i], slots, events, i, t0)
    while True:
        release_at = _next_release(environment, calls, roots, delayed)[0]
        now = min(events[1], release_at)
        if now > t1:
            break
        if events[1] == now:
            i = first_event(events)
            _play_agent(
                constants, environment, agents, calls, tasks, successors, delayed, slots, i, now, t1
            )
            _set_next(constants[i], agents[i], slots, events, i, now)
            continue
        if last and now == t1:
            break
        while _next_release(environment, calls, roots, delayed)[0] == now:
            i = _release_next(
                constants, environment, agents, calls, tasks, task_calls, roots, delayed, slots, t1
            )
            _set_next(constants[i], agents[i], slots, events, i, now)
    finish_interval(system, constants, environment, agents, t0, t1)
    if last and system.horizon_charge:
        _charge(system, constants, environment, agents, calls, tasks, slots, t0, t1)
    return True


@compiled
def _set_next(constants, agent, slots, events, i, now):
    """Put an agent's next event: its window's opening, or its next completion."""
    time = np.inf
    if agent.rate > 0.0:
        if agent.active_from > now:
            time = agent.active_from
        elif agent.in_service > 0:
            time = slots[constants.first_server].finish
    set_event(events, i, time)


@compiled
def _play_agent(
    constants, environment, agents, calls, tasks, successors, delayed, slots, i, now, t1
):
    """Play an agent's events at `now`: calls that complete, or the opening of its window."""
    base = constants[i].first_server
    while agents[i].in_service > 0 and slots[base].finish == now:
        call = complete_first(agents[i], calls, slots, base, t1)
        calls[call].state = COMPLETED
        _advance_task(environment, agents, calls, tasks, successors, delayed, call, now, t1)
        if now < t1:
            _start_waiting(constants[i], agents[i], calls, slots, now, t1)
    if now < t1:
        _start_waiting(constants[i], agents[i], calls, slots, now, t1)


@compiled
def _start_waiting(constants, agent, calls, slots, now, t1):
    """Fill an agent's free servers from its queue."""
    while agent.waiting > 0 and agent.in_service < constants.concurrency:
        call = first_waiting(agent, calls)
        agent.queue_head = calls[call].next_waiting
        agent.waiting -= 1
        calls[call].state = IN_SERVICE
        start_call(agent, calls, slots, constants.first_server, call, now, t1)


@compiled
def first_waiting(agent, calls):
    """Return the first waiting call, dropping calls of rejected tasks from the queue's head."""
    call = agent.queue_head
    while calls[call].state != WAITING:
        call = calls[call].next_waiting
    agent.queue_head = call
    return call


@compiled
def _advance_task(environment, agents, calls, tasks, successors, delayed, call, now, t1):
    """Close the task of a completed call, or schedule the calls that waited for it."""
    task = tasks[calls[call].task]
    if task.state == TASK_REJECTED:
        return
    task.left -= 1
    if task.left == 0:
        task.state = TASK_CLOSED
        agents[task.agent].closed += t1 - now
        agents[task.agent].open_tasks -= 1
        return
    for edge in range(calls[call].first_successor, calls[call].last_successor):
        after = successors[edge]
        calls[after].pending -= 1
        if calls[after].pending == 0:
            calls[after].state = SCHEDULED
            agents[calls[after].agent].scheduled += 1
            due = now + calls[after].delay
            push_delayed(delayed, environment.n_delayed, due, calls[after].index, after)
            environment.n_delayed += 1


@compiled
def _next_release(environment, calls, roots, delayed):
    """Return time and tape index of the next release; cancelled calls are dropped on the way."""
    while environment.next_root < environment.n_roots:
        if calls[roots[environment.next_root]].state == UNRELEASED:
            break
        environment.next_root += 1
    while environment.n_delayed > 0 and calls[delayed[0].call].state == CANCELLED:
        pop_delayed(delayed, environment.n_delayed)
        environment.n_delayed -= 1
    time, index = np.inf, 2**31
    if environment.next_root < environment.n_roots:
        call = roots[environment.next_root]
        time, index = calls[call].release, np.int64(calls[call].index)
    if environment.n_delayed > 0:
        first = delayed[0]
        if first.time < time or (first.time == time and first.index < index):
            time, index = first.time, np.int64(first.index)
    return time, index


@compiled
def _release_next(
    constants, environment, agents, calls, tasks, task_calls, roots, delayed, slots, t1
):
    """Release the next call; it starts, waits, or is rejected with its task. Return its agent."""
    now, index = _next_release(environment, calls, roots, delayed)
    if environment.n_delayed > 0 and delayed[0].time == now and delayed[0].index == index:
        call = np.int64(delayed[0].call)
        pop_delayed(delayed, environment.n_delayed)
        environment.n_delayed -= 1
        agents[calls[call].agent].scheduled -= 1
        calls[call].release = now
    else:
        call = np.int64(roots[environment.next_root])
        environment.next_root += 1
    i = np.int64(calls[call].agent)
    agent, limit = agents[i], constants[i].queue_limit
    agent.arrivals += 1
    _open_task(agents, tasks, calls[call].task, now, t1)
    if now < t1 and agent.active_from <= now and agent.in_service < constants[i].concurrency:
        calls[call].state = IN_SERVICE
        start_call(agent, calls, slots, constants[i].first_server, call, now, t1)
    elif limit >= 0 and agent.waiting >= limit:
        _reject(agents, calls, tasks, task_calls, call)
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


@compiled
def _open_task(agents, tasks, task, now, t1):
    if tasks[task].state == TASK_UNOPENED:
        tasks[task].state = TASK_OPEN
        agents[tasks[task].agent].opened += t1 - now
        agents[tasks[task].agent].open_tasks += 1


@compiled
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


@compiled
def _charge(system, constants, environment, agents, calls, tasks, slots, t0, t1):
    work_left = np.zeros(len(agents))
    for i in range(len(agents)):
        left = 0.0
        for call in range(agents[i].first_call, agents[i].last_call):
            state, task = calls[call].state, tasks[calls[call].task].state
            open_task = task == TASK_OPEN or task == TASK_REJECTED
            if open_task and state != COMPLETED and state != IN_SERVICE:
                left += calls[call].work
        work_left[i] = left + work_in_service(agents[i], slots, constants[i].first_server, t1)
    charge_horizon(system, constants, environment, agents, work_left, t0, t1)
