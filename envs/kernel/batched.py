"""Continuous batching: the calls in flight share an agent's rate, in prefill and then decoding.

Calls of one phase all run at the same rate, so that each phase has one clock: the work that a call
in it has done since the agent was last empty. A call is done with its phase when the clock reaches
the mark that it was given at its beginning, and marks never change, whatever the rates do. Those
that decode stand in a heap at `first_server`, those in prefill in one `concurrency` slots further.
"""

from __future__ import annotations

import numpy as np

from .compile import compiled_in_place
from .heaps import pop_slot, push_slot

# What `play_end` returns instead of a call.
PREFILL_ENDED, NOTHING_DUE = -1, -2


@compiled_in_place
def begin_flight(agent, flight):
    """Let the clocks run from `active_from` on."""
    flight.clock_at = agent.active_from
    flight.served = 0.0


@compiled_in_place
def finish_flight(constants, agent, flight, t1):
    """Play the calls in flight to the interval's end, and sum what they did."""
    agent.served = 0.0
    if agent.rate > 0.0:
        advance(constants, agent, flight, t1)
        agent.served = flight.served / agent.rate


@compiled_in_place
def _gain(constants, decoding):
    """Return φ of docs/platform.md: a full batch's efficiency is 1."""
    full = constants.concurrency
    h = constants.half_batch
    return decoding / (decoding + h) * ((full + h) / full)


@compiled_in_place
def advance(constants, agent, flight, now):
    """Let the calls in flight work up to `now`."""
    if not now > flight.clock_at:
        return
    if agent.in_service > 0:
        decoding = agent.in_service - flight.prefilling
        done = (now - flight.clock_at) * agent.rate / agent.in_service
        flight.clock_prefill += done
        flight.served += flight.prefilling * done
        if decoding > 0:
            done *= _gain(constants, decoding)
            flight.clock_decode += done
            flight.served += decoding * done
    flight.clock_at = now


@compiled_in_place
def _end_of_prefill(constants, agent, flight, slots):
    """Return when the first call in prefill begins to decode; inf without one."""
    if flight.prefilling == 0:
        return np.inf
    left = slots[constants.first_server + constants.concurrency].finish - flight.clock_prefill
    return flight.clock_at + left * agent.in_service / agent.rate


@compiled_in_place
def _end_of_decoding(constants, agent, flight, slots):
    decoding = agent.in_service - flight.prefilling
    if decoding == 0:
        return np.inf
    left = slots[constants.first_server].finish - flight.clock_decode
    return flight.clock_at + left * agent.in_service / (agent.rate * _gain(constants, decoding))


@compiled_in_place
def next_end(constants, agent, flight, slots):
    """Return when the next call in flight ends its phase; the agent must be active."""
    return min(
        _end_of_prefill(constants, agent, flight, slots),
        _end_of_decoding(constants, agent, flight, slots),
    )


@compiled_in_place
def admit_call(constants, agent, flight, calls, slots, call, now, t1):
    """Put a call into flight at `now`."""
    advance(constants, agent, flight, now)
    calls[call].started = now
    agent.started += t1 - now
    agent.in_service += 1
    if constants.prefill > 0.0:
        mark = flight.clock_prefill + constants.prefill * calls[call].work
        base = constants.first_server + constants.concurrency
        push_slot(slots, base, flight.prefilling, mark, call)
        flight.prefilling += 1
    else:
        _begin_decoding(constants, agent, flight, calls, slots, call)


@compiled_in_place
def _begin_decoding(constants, agent, flight, calls, slots, call):
    mark = flight.clock_decode + (1.0 - constants.prefill) * calls[call].work
    decoding = agent.in_service - flight.prefilling - 1
    push_slot(slots, constants.first_server, decoding, mark, call)


@compiled_in_place
def play_end(constants, agent, flight, calls, slots, now, t1):
    """Play one end of a phase that is due at `now`.

    Returns:
        The call that completed, or `PREFILL_ENDED` or `NOTHING_DUE`.
    """
    prefill_at = _end_of_prefill(constants, agent, flight, slots)
    decoding_at = _end_of_decoding(constants, agent, flight, slots)
    if min(prefill_at, decoding_at) > now:
        return NOTHING_DUE
    advance(constants, agent, flight, now)
    if prefill_at <= decoding_at:
        base = constants.first_server + constants.concurrency
        flight.clock_prefill = slots[base].finish
        call = slots[base].call
        pop_slot(slots, base, flight.prefilling)
        flight.prefilling -= 1
        if constants.prefill < 1.0:
            _begin_decoding(constants, agent, flight, calls, slots, call)
            return PREFILL_ENDED
    else:
        base = constants.first_server
        flight.clock_decode = slots[base].finish
        call = slots[base].call
        pop_slot(slots, base, agent.in_service - flight.prefilling)
    agent.in_service -= 1
    if agent.in_service == 0:
        flight.clock_prefill = 0.0
        flight.clock_decode = 0.0
    calls[call].completed = now
    agent.completed += t1 - now
    agent.completions += 1
    agent.last_completion = now
    return call


@compiled_in_place
def work_in_flight(constants, agent, flight, calls, slots):
    """Sum the remaining work of the calls in flight."""
    total = 0.0
    base = constants.first_server
    for s in range(base, base + agent.in_service - flight.prefilling):
        total += slots[s].finish - flight.clock_decode
    base += constants.concurrency
    for s in range(base, base + flight.prefilling):
        total += slots[s].finish - flight.clock_prefill
        total += (1.0 - constants.prefill) * calls[slots[s].call].work
    return total
