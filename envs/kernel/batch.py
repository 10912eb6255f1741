"""Entry points: one compiled call steps a batch of environments, or plays a whole episode.

The arrays of the state come one by one, since taking a named tuple apart at each call would cost as
much as a step; the tuple is put together in compiled code, where it costs nothing.
"""

from __future__ import annotations

from .compile import compiled_in_place
from .graph import open_graph, step_graph
from .independent import open_independent, step_independent
from .layout import Graph, Independent
from .observe import encode, observe_graph, observe_independent
from .prefetch import prefetch
from .service import record_interval


@compiled_in_place
def near_cursors(agents, calls):
    """Bring the calls near that the next environment of the batch will touch first."""
    start, size = calls.ctypes.data, calls.itemsize
    for i in range(len(agents)):
        prefetch(start + agents[i].next_start * size)
        prefetch(start + agents[i].next_arrival * size)
        prefetch(start + (agents[i].next_arrival + 2) * size)


@compiled_in_place
def open_batch_independent(b, *arrays):
    """Play the releases at time 0 of environment `b`."""
    open_independent(Independent(*arrays), b)


@compiled_in_place
def open_batch_graph(b, *arrays):
    """Play the releases at time 0 of environment `b`."""
    open_graph(Graph(*arrays), b)


@compiled_in_place
def step_batch_independent(requested, shares, *arrays):
    """Step every environment of the batch; return the first with a share that is no number, or -1.

    Environments that are done stay as they are.
    """
    state = Independent(*arrays)
    for b in range(len(state.environments)):
        if state.environments[b].done:
            continue
        if not step_independent(state, b, requested[b], shares[b]):
            return b
    return -1


@compiled_in_place
def step_batch_graph(requested, shares, *arrays):
    """Step every environment like `step_batch_independent`, along the general path."""
    state = Graph(*arrays)
    for b in range(len(state.environments)):
        if state.environments[b].done:
            continue
        if not step_graph(state, b, requested[b], shares[b]):
            return b
    return -1


@compiled_in_place
def step_flat_independent(requested, shares, raw, scale, scaled_constants, flat, *arrays):
    """Step the batch and write its flat observations, shape (B, N · features), in one call."""
    state = Independent(*arrays)
    agents, calls = state.agents, state.calls
    for b in range(len(agents)):
        if b + 1 < len(agents):
            near_cursors(agents[b + 1], calls[b + 1])
        environment = state.environments[b]
        if not environment.done and not step_independent(state, b, requested[b], shares[b]):
            return b
        nodes = state.nodes[b]
        system, constants = state.system[0], state.constants
        observe_independent(system, constants, environment, agents[b], nodes, calls[b], raw)
        encode(raw, scale, scaled_constants, flat[b])
    return -1


@compiled_in_place
def play_independent(schedule, shares, records, history, *arrays):
    """Play environment 0 through a schedule of requests, shape (intervals, n_requests).

    `records` (intervals, N) and `history` (intervals,) take what is kept of each interval. Return
    the first interval with a share that is no number, or -1.
    """
    state = Independent(*arrays)
    for k in range(len(schedule)):
        if not step_independent(state, 0, schedule[k], shares[0]):
            return k
        record_interval(state.agents[0], records[k])
        history[k] = state.environments[0]
    return -1


@compiled_in_place
def play_graph(schedule, shares, records, history, *arrays):
    """Play environment 0 like `play_independent`, along the general path."""
    state = Graph(*arrays)
    for k in range(len(schedule)):
        if not step_graph(state, 0, schedule[k], shares[0]):
            return k
        record_interval(state.agents[0], records[k])
        history[k] = state.environments[0]
    return -1


@compiled_in_place
def observe_batch_independent(system, constants, environments, agents, nodes, calls, raw):
    """Write the raw observations of the batch, shape (B, N, columns)."""
    for b in range(len(environments)):
        observe_independent(
            system[0], constants, environments[b], agents[b], nodes[b], calls[b], raw[b]
        )


@compiled_in_place
def observe_batch_graph(system, constants, environments, agents, nodes, calls, routings, raw):
    """Write the raw observations of the batch, shape (B, N, columns)."""
    for b in range(len(environments)):
        observe_graph(
            system[0], constants, environments[b], agents[b], nodes[b], calls[b], routings, raw[b]
        )


@compiled_in_place
def encode_batch(raw, scale, scaled_constants, flat):
    """Write the flat observations of the batch, shape (B, N · features) float32."""
    for b in range(len(raw)):
        encode(raw[b], scale, scaled_constants, flat[b])
