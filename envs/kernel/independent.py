"""The path for independent calls: each agent by itself, over its own sorted arrivals.

Calls start in the order in which they arrive, so that two cursors hold the queue.
"""

from __future__ import annotations

from .compile import compiled_in_place
from .heaps import pop_slot, push_slot, replace_slot
from .interval import begin, bounds, finish
from .layout import REJECTED_MARK
from .pool import open_pool
from .service import charge_horizon, update_rates, work_in_service


@compiled_in_place
def open_independent(state, b):
    """Set up the pool and play the releases at time 0, which the first decision sees."""
    open_pool(state, b)
    agents, calls = state.agents[b], state.calls[b]
    for i in range(len(agents)):
        agent = agents[i]
        while agent.next_arrival < agent.last_call and calls[agent.next_arrival].release <= 0.0:
            _release(state.constants[i], agent, calls, 0.0, False)
    update_rates(state.system[0], state.environments[b], agents)


@compiled_in_place
def step_independent(state, b, requested, shares):
    """Play one decision interval of environment `b`; return False on what is no number."""
    system, constants, environment = state.system[0], state.constants, state.environments[b]
    agents, calls, slots = state.agents[b], state.calls[b], state.slots[b]
    t0, t1, last = bounds(system, environment)
    if not begin(state, b, requested, shares, t0, t1):
        return False
    for i in range(len(agents)):
        _serve_agent(constants[i], agents[i], calls, slots, t1, last)
    finish(state, b, t0, t1)
    if last and system.horizon_charge:
        _charge(system, constants, environment, agents, calls, slots, t0, t1)
    return True


@compiled_in_place
def _serve_agent(constants, agent, calls, slots, t1, last):
    """Play one agent's interval; a release at its end is only queued, at the horizon not even."""
    if constants.queue_limit >= 0:
        _release_limited(constants, agent, calls, slots, t1, last)
    elif constants.concurrency == 1:
        _play_single(agent, calls, slots[constants.first_server], t1, last)
    else:
        _release_all(agent, calls, t1, last)
    if agent.rate > 0.0 and (constants.queue_limit >= 0 or constants.concurrency > 1):
        _serve(constants, agent, calls, slots, t1, t1)
    agent.closed = agent.completed


@compiled_in_place
def _play_single(agent, calls, server, t1, last):
    """Play a single server without a queue limit: releases and service in one pass."""
    free_at = agent.active_from  # inf while frozen: nothing starts
    opened, started, completed, completions = 0.0, 0.0, 0.0, 0
    last_completion = agent.last_completion
    if agent.in_service > 0 and agent.rate > 0.0:
        free_at = server.finish
        if free_at <= t1:
            calls[server.call].completed = free_at
            last_completion = free_at
            completed = t1 - free_at
            completions = 1
    call, cursor = agent.next_start, agent.next_arrival
    while True:
        if call == cursor:  # nobody waits: the next call is the next to be released
            if cursor == agent.last_call:
                break
            release = calls[cursor].release
            if release > t1 or (last and release == t1):
                break
            opened += t1 - release
            cursor += 1
        now = max(calls[call].release, free_at)
        if now >= t1:
            break
        free_at = now + calls[call].work / agent.rate
        calls[call].started = now
        started += t1 - now
        if free_at <= t1:
            calls[call].completed = free_at
            last_completion = free_at
            completed += t1 - free_at
            completions += 1
        else:
            server.finish = free_at
            server.call = call
        call += 1
    while cursor < agent.last_call:
        release = calls[cursor].release
        if release > t1 or (last and release == t1):
            break
        opened += t1 - release
        cursor += 1
    agent.opened = opened
    agent.started = started
    agent.completed = completed
    agent.completions = completions
    agent.arrivals = cursor - agent.next_arrival
    agent.open_tasks += agent.arrivals - completions
    agent.in_service += call - agent.next_start - completions
    agent.waiting = cursor - call
    agent.next_start = call
    agent.next_arrival = cursor
    agent.last_completion = last_completion


@compiled_in_place
def _release_all(agent, calls, t1, last):
    """Release the interval's calls into the queue."""
    cursor, opened = agent.next_arrival, 0.0
    while cursor < agent.last_call:
        release = calls[cursor].release
        if release > t1 or (last and release == t1):
            break
        opened += t1 - release
        cursor += 1
    arrivals = cursor - agent.next_arrival
    agent.opened = opened
    agent.arrivals = arrivals
    agent.open_tasks += arrivals
    agent.waiting += arrivals
    agent.next_arrival = cursor


@compiled_in_place
def _release_limited(constants, agent, calls, slots, t1, last):
    while agent.next_arrival < agent.last_call:
        release = calls[agent.next_arrival].release
        if release > t1 or (last and release == t1):
            return
        if agent.rate > 0.0:
            _serve(constants, agent, calls, slots, release, t1)
        free = agent.rate > 0.0 and agent.in_service < constants.concurrency
        _release(constants, agent, calls, t1, free and agent.active_from <= release < t1)


@compiled_in_place
def _release(constants, agent, calls, t1, can_start):
    """Release the next call: it waits, if only until `_serve` starts it, or is rejected."""
    call = agent.next_arrival
    agent.next_arrival += 1
    agent.arrivals += 1
    agent.opened += t1 - calls[call].release
    agent.open_tasks += 1
    if constants.queue_limit >= 0 and not can_start and agent.waiting >= constants.queue_limit:
        calls[call].started = REJECTED_MARK
        agent.rejections += 1
    else:
        agent.waiting += 1


@compiled_in_place
def _serve(constants, agent, calls, slots, until, t1):
    """Play completions and starts up to and including `until`; none starts at t1."""
    base = constants.first_server
    in_service, waiting, call = agent.in_service, agent.waiting, agent.next_start
    started, completed, completions = agent.started, agent.completed, 0
    while waiting > 0:
        while calls[call].started == REJECTED_MARK:
            call += 1
        # Not before the last completion: one at t1 frees a server that nothing may take yet.
        now = max(calls[call].release, agent.active_from, agent.last_completion)
        full = in_service == constants.concurrency
        if full:
            now = max(now, slots[base].finish)
        if now > until or now >= t1:
            break
        calls[call].started = now
        started += t1 - now
        finish = now + calls[call].work / agent.rate
        if full:
            completed += _complete(agent, calls, slots[base], t1)
            completions += 1
            replace_slot(slots, base, in_service, finish, call)
        else:
            push_slot(slots, base, in_service, finish, call)
            in_service += 1
        waiting -= 1
        call += 1
    while in_service > 0 and slots[base].finish <= until:
        completed += _complete(agent, calls, slots[base], t1)
        completions += 1
        pop_slot(slots, base, in_service)
        in_service -= 1
    agent.in_service = in_service
    agent.waiting = waiting
    agent.next_start = call
    agent.started = started
    agent.completed = completed
    agent.completions += completions
    agent.open_tasks -= completions


@compiled_in_place
def _complete(agent, calls, server, t1):
    calls[server.call].completed = server.finish
    agent.last_completion = server.finish
    return t1 - server.finish


@compiled_in_place
def _charge(system, constants, environment, agents, calls, slots, t0, t1):
    for i in range(len(agents)):
        agent = agents[i]
        left = 0.0
        for call in range(agent.first_call, agent.next_arrival):
            in_service = calls[call].started >= 0.0
            if not in_service and not calls[call].completed >= 0.0:
                left += calls[call].work
        in_service = work_in_service(agent, slots, constants[i].first_server, t1)
        agent.work_left = left + in_service
    charge_horizon(system, constants, environment, agents, t0, t1)
