"""Entry points: one compiled call steps a batch of environments, or plays a whole episode."""

from __future__ import annotations

from .compile import compiled_in_place
from .graph import open_graph, step_graph
from .independent import open_independent, step_independent
from .layout import Cuts
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
def open_batch_independent(
    system,
    constants,
    vectors,
    starts,
    covered,
    widths,
    machines,
    environments,
    agents,
    nodes,
    units,
    changes,
    calls,
    first,
    last,
):
    """Play the releases at time 0 of environments first..last-1."""
    cuts = Cuts(vectors, starts, covered, widths)
    for b in range(first, last):
        open_independent(
            system[0],
            constants,
            cuts,
            machines,
            environments[b],
            agents[b],
            nodes[b],
            units[b],
            changes[b],
            calls[b],
        )


@compiled_in_place
def step_batch_independent(
    system,
    constants,
    vectors,
    starts,
    covered,
    widths,
    machines,
    environments,
    agents,
    nodes,
    units,
    changes,
    calls,
    slots,
    requested,
    shares,
):
    """Step every environment of the batch; return the first with a share that is no number, or -1.

    Environments that are done stay as they are.
    """
    cuts = Cuts(vectors, starts, covered, widths)
    for b in range(len(environments)):
        if environments[b].done:
            continue
        valid = step_independent(
            system[0],
            constants,
            cuts,
            machines,
            environments[b],
            agents[b],
            nodes[b],
            units[b],
            changes[b],
            calls[b],
            slots[b],
            requested[b],
            shares[b],
        )
        if not valid:
            return b
    return -1


@compiled_in_place
def step_flat_independent(
    system,
    constants,
    vectors,
    starts,
    covered,
    widths,
    machines,
    environments,
    agents,
    nodes,
    units,
    changes,
    calls,
    slots,
    requested,
    shares,
    raw,
    scale,
    scaled_constants,
    flat,
):
    """Step the batch and write its flat observations, shape (B, N · features), in one call."""
    cuts = Cuts(vectors, starts, covered, widths)
    for b in range(len(environments)):
        if b + 1 < len(environments):
            near_cursors(agents[b + 1], calls[b + 1])
        environment = environments[b]
        if not environment.done:
            valid = step_independent(
                system[0],
                constants,
                cuts,
                machines,
                environment,
                agents[b],
                nodes[b],
                units[b],
                changes[b],
                calls[b],
                slots[b],
                requested[b],
                shares[b],
            )
            if not valid:
                return b
        observe_independent(system[0], constants, environment, agents[b], nodes[b], calls[b], raw)
        encode(raw, scale, scaled_constants, flat[b])
    return -1


@compiled_in_place
def play_independent(
    system,
    constants,
    vectors,
    starts,
    covered,
    widths,
    machines,
    environments,
    agents,
    nodes,
    units,
    changes,
    calls,
    slots,
    schedule,
    shares,
    records,
    history,
):
    """Play environment 0 through a schedule of requests, shape (intervals, n_requests).

    `records` (intervals, N) and `history` (intervals,) take what is kept of each interval. Return
    the first interval with a share that is no number, or -1.
    """
    cuts = Cuts(vectors, starts, covered, widths)
    for k in range(len(schedule)):
        valid = step_independent(
            system[0],
            constants,
            cuts,
            machines,
            environments[0],
            agents[0],
            nodes[0],
            units[0],
            changes[0],
            calls[0],
            slots[0],
            schedule[k],
            shares[0],
        )
        if not valid:
            return k
        record_interval(agents[0], records[k])
        history[k] = environments[0]
    return -1


@compiled_in_place
def open_batch_graph(
    system,
    constants,
    vectors,
    starts,
    covered,
    widths,
    machines,
    environments,
    agents,
    nodes,
    units,
    changes,
    calls,
    slots,
    tasks,
    task_calls,
    roots,
    delayed,
    flights,
    first,
    last,
):
    """Play the releases at time 0 of environments first..last-1."""
    cuts = Cuts(vectors, starts, covered, widths)
    for b in range(first, last):
        open_graph(
            system[0],
            constants,
            cuts,
            machines,
            environments[b],
            agents[b],
            nodes[b],
            units[b],
            changes[b],
            calls[b],
            tasks[b],
            task_calls[b],
            roots[b],
            delayed[b],
            slots[b],
            flights[b],
        )


@compiled_in_place
def step_batch_graph(
    system,
    constants,
    vectors,
    starts,
    covered,
    widths,
    machines,
    environments,
    agents,
    nodes,
    units,
    changes,
    calls,
    slots,
    tasks,
    task_calls,
    successors,
    roots,
    delayed,
    order,
    flights,
    events,
    requested,
    shares,
):
    """Step every environment of the batch; return the first with a share that is no number, or -1.

    Environments that are done stay as they are. `events` is scratch and shared.
    """
    cuts = Cuts(vectors, starts, covered, widths)
    for b in range(len(environments)):
        if environments[b].done:
            continue
        valid = step_graph(
            system[0],
            constants,
            cuts,
            machines,
            environments[b],
            agents[b],
            nodes[b],
            units[b],
            changes[b],
            calls[b],
            tasks[b],
            task_calls[b],
            successors[b],
            roots[b],
            delayed[b],
            order[b],
            slots[b],
            flights[b],
            events,
            requested[b],
            shares[b],
        )
        if not valid:
            return b
    return -1


@compiled_in_place
def play_graph(
    system,
    constants,
    vectors,
    starts,
    covered,
    widths,
    machines,
    environments,
    agents,
    nodes,
    units,
    changes,
    calls,
    slots,
    tasks,
    task_calls,
    successors,
    roots,
    delayed,
    order,
    flights,
    events,
    schedule,
    shares,
    records,
    history,
):
    """Play environment 0 through a schedule of requests, shape (intervals, n_requests).

    `records` (intervals, N) and `history` (intervals,) take what is kept of each interval. Return
    the first interval with a share that is no number, or -1.
    """
    cuts = Cuts(vectors, starts, covered, widths)
    for k in range(len(schedule)):
        valid = step_graph(
            system[0],
            constants,
            cuts,
            machines,
            environments[0],
            agents[0],
            nodes[0],
            units[0],
            changes[0],
            calls[0],
            tasks[0],
            task_calls[0],
            successors[0],
            roots[0],
            delayed[0],
            order[0],
            slots[0],
            flights[0],
            events,
            schedule[k],
            shares[0],
        )
        if not valid:
            return k
        record_interval(agents[0], records[k])
        history[k] = environments[0]
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
