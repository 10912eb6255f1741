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
from .lifecycle import decide, make_feasible, partition
from .pool import decide_pool, open_pool, renew_pool
from .service import (
    begin_interval,
    charge_horizon,
    complete_first,
    finish_interval,
    start_call,
    update_rates,
    work_in_service,
)


@compiled_in_place
def open_graph(
    system,
    constants,
    cuts,
    machines,
    environment,
    agents,
    nodes,
    units,
    changes,
    calls,
    tasks,
    task_calls,
    roots,
    delayed,
    slots,
    flights,
):
    """Set up the pool and play the releases at time 0, which the first decision sees."""
    open_pool(system, constants, cuts, machines, environment, agents, nodes, units, changes)
    while _next_release(environment, calls, roots, delayed) <= 0.0:
        call = _take_release(environment, agents, calls, roots, delayed)
        _release(constants, agents, flights, calls, tasks, task_calls, slots, call, 0.0, 0.0)
    update_rates(system, environment, agents)


@compiled_in_place
def step_graph(
    system,
    constants,
    cuts,
    machines,
    environment,
    agents,
    nodes,
    units,
    changes,
    calls,
    tasks,
    task_calls,
    successors,
    roots,
    delayed,
    order,
    slots,
    flights,
    events,
    requested,
    shares,
):
    """Play one decision interval of one environment; return False on what is no number."""
    last = environment.decision == system.n_intervals - 1
    t0 = environment.decision * system.interval_s
    t1 = system.horizon_s if last else (environment.decision + 1) * system.interval_s
    if not decide_pool(
        system, constants, machines, environment, agents, nodes, units, requested, t0
    ):
        return False
    make_feasible(system, machines, agents, nodes, requested, shares)
    if system.mig:
        partition(cuts, environment.blocked, agents, shares)
    environment.churn = decide(system, constants, machines, agents, nodes, shares, t0, t1)
    begin_interval(system, constants, machines, agents, slots, t0, t1)
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
            _play_agent(
                system,
                constants,
                environment,
                agents,
                flights,
                calls,
                tasks,
                successors,
                delayed,
                slots,
                i,
                now,
                t1,
            )
            _set_next(constants[i], agents[i], flights[i], slots, events, i, now)
            continue
        if last and now == t1:
            break
        while release_at == now:
            call = _take_release(environment, agents, calls, roots, delayed)
            i = _release(constants, agents, flights, calls, tasks, task_calls, slots, call, now, t1)
            _set_next(constants[i], agents[i], flights[i], slots, events, i, now)
            release_at = _next_release(environment, calls, roots, delayed)
    for i in range(len(agents)):
        if constants[i].batched:
            finish_flight(constants[i], agents[i], flights[i], t1)
    finish_interval(system, constants, machines, environment, agents, t0, t1)
    renew_pool(system, constants, cuts, machines, environment, agents, nodes, units, changes, t1)
    if last and system.horizon_charge:
        _charge(system, constants, environment, agents, flights, calls, tasks, order, slots, t0, t1)
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
def _play_agent(
    system,
    constants,
    environment,
    agents,
    flights,
    calls,
    tasks,
    successors,
    delayed,
    slots,
    i,
    now,
    t1,
):
    """Play an agent's events at `now`: calls that complete, or the opening of its window."""
    base = constants[i].first_server
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
        _advance_task(system, environment, agents, calls, tasks, successors, delayed, call, now, t1)
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
def _advance_task(system, environment, agents, calls, tasks, successors, delayed, call, now, t1):
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
            due = now + calls[after].release
            if agents[calls[after].agent].node != agents[calls[call].agent].node:
                due += system.cross_node_s
                environment.crossings += 1
            push_delayed(delayed, environment.n_delayed, due, after)
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
def _release(constants, agents, flights, calls, tasks, task_calls, slots, call, now, t1):
    """Release a call: it starts, waits, or is rejected with its task. Return its agent."""
    i = np.int64(calls[call].agent)
    if calls[call].state == CANCELLED:
        return i
    agent, flight, limit = agents[i], flights[i], constants[i].queue_limit
    agent.arrivals += 1
    _open_task(agents, tasks, calls[call].task, now, t1)
    if now < t1 and agent.active_from <= now and agent.in_service < constants[i].concurrency:
        _start(constants[i], agent, flight, calls, slots, call, now, t1)
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
def _charge(system, constants, environment, agents, flights, calls, tasks, order, slots, t0, t1):
    for i in range(len(agents)):
        left = 0.0
        for place in range(agents[i].first_call, agents[i].last_call):
            call = order[place]
            state, task = calls[call].state, tasks[calls[call].task].state
            open_task = task in (TASK_OPEN, TASK_REJECTED)
            if open_task and state != COMPLETED and state != IN_SERVICE:
                left += calls[call].work
        if constants[i].batched:
            in_service = work_in_flight(constants[i], agents[i], flights[i], calls, slots)
        else:
            in_service = work_in_service(agents[i], slots, constants[i].first_server, t1)
        agents[i].work_left = left + in_service
    charge_horizon(system, constants, environment, agents, t0, t1)
