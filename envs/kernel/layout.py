"""The kernel's memory: a few arrays of records, so that each step touches few cache lines.

Shapes: B environments, N agents, C calls, S servers, K tasks, E edges. Times are in seconds from
the start of the episode, shares in GPUs, work in units of mean calls.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MEMORY_SLICES = 8  # of a GPU that can be partitioned

COLD, AWAITING_MEMORY, LOADING, WARM = 0, 1, 2, 3
STATUS_NAMES = ("cold", "awaiting memory", "loading", "warm")

# What a call is, along the general path.
UNRELEASED, SCHEDULED, WAITING, IN_SERVICE, COMPLETED, REJECTED, CANCELLED = range(7)
# What a task is, along the general path.
TASK_UNOPENED, TASK_OPEN, TASK_CLOSED, TASK_REJECTED = range(4)

# `started` of a rejected call along the path for independent calls (times are at least 0).
REJECTED_MARK = -1.0

# Constants of the system, shape (1,).
SYSTEM = np.dtype(
    [
        ("gpus", "f8"),
        ("share_quantum", "f8"),
        ("interval_s", "f8"),
        ("horizon_s", "f8"),
        ("reconfigure_s", "f8"),
        ("reference_rate", "f8"),
        ("reference_latency_s", "f8"),
        ("weight_latency", "f8"),
        ("weight_cost", "f8"),
        ("weight_idle", "f8"),
        ("short_gain", "f8"),  # 1 - exp(-Δ/window) of the two windows of arrival rates
        ("long_gain", "f8"),
        ("n_intervals", "i8"),
        ("horizon_charge", "i8"),
        ("unit_gpus", "f8"),  # an elastic pool is rented in units of so many GPUs
        ("min_gpus", "f8"),
        ("provision_s", "f8"),
        ("cross_node_s", "f8"),
        ("elastic", "i8"),
        ("limited", "i8"),  # whether some node's memory is limited
        ("columns", "i8", (4,)),  # places of EXTRA_COLUMNS in a raw observation; -1: not observed
        ("mig", "i8"),  # whether shares are slices of one GPU
        ("mig_speed", "f8", (8,)),  # speed over the whole GPU's, by compute slices
    ],
    align=True,
)

# Constants of an agent, shape (N,).
AGENT_CONSTANTS = np.dtype(
    [
        ("throughput", "f8"),
        ("footprint", "f8"),
        ("cold_start_s", "f8"),
        ("keep_alive_s", "f8"),
        ("memory_mb", "f8"),
        ("weight", "f8"),
        ("concurrency", "i8"),
        ("reconfigure_s", "f8"),
        ("queue_limit", "i8"),  # -1: none
        ("home", "i8"),  # node that it begins on
        ("half_batch", "f8"),
        ("prefill", "f8"),
        ("batched", "i8"),
        # Its servers are slots[b, first_server:first_server + concurrency]; where it is batched
        # these are the calls that decode, and as many further slots hold those in prefill.
        ("first_server", "i8"),
    ],
    align=True,
)

# Constants of a node, shape (M,), shared by the batch; scratch is of the environment being stepped.
MACHINE = np.dtype(
    [
        ("gpus", "f8"),  # when all are ready and none is lost
        ("speed", "f8"),
        ("value", "f8"),  # price of its GPUs over the pool's mean price
        ("hold", "f8"),  # factor on footprints
        ("memory_mb", "f8"),  # inf: no limit
        ("wanted", "f8"),  # scratch: sum of the shares asked for on it
        ("used_mb", "f8"),  # scratch: memory of the models on it
    ],
    align=True,
)

# State of a node, shape (B, M).
NODE = np.dtype([("gpus", "f8"), ("lost", "f8")], align=True)  # ready, lost ones included; lost

# State of an environment, shape (B,); terms and reward are those of the last interval.
ENVIRONMENT = np.dtype(
    [
        ("time", "f8"),
        ("latency_term", "f8"),
        ("cost_term", "f8"),
        ("idle_term", "f8"),
        ("reward", "f8"),
        ("churn", "f8"),  # Σ|Δg| of this decision [GPU]
        ("rented", "f8"),  # GPUs of an elastic pool that the last interval is billed for
        ("capacity", "f8"),  # GPUs that were ready and not lost in the last interval
        ("decision", "i8"),
        ("done", "i8"),
        ("next_root", "i8"),
        ("n_roots", "i8"),
        ("n_delayed", "i8"),
        ("routing", "i8"),  # matrix of routing probabilities that its tape names; -1: none
        ("n_units", "i4"),  # units of an elastic pool that are rented, ready or on order
        ("next_change", "i4"),
        ("n_changes", "i4"),
        ("blocked", "i4"),  # bit mask of the memory slices that are lost
        ("crossings", "i8"),  # calls of the episode that followed one on another node
    ],
    align=True,
)

# State of an agent, shape (B, N). Sums marked † are of the last interval.
AGENT = np.dtype(
    [
        ("share", "f8"),
        ("rate", "f8"),  # work/s of each call in service; 0 while frozen
        ("active_from", "f8"),  # service runs from here to the interval's end; inf: not in it
        ("load_end", "f8"),
        ("keep_alive_end", "f8"),
        ("pause_end", "f8"),
        ("memory_from", "f8"),  # † the model is in memory, and billed, from here …
        ("memory_until", "f8"),  # † … to here
        ("last_completion", "f8"),
        ("rate_short", "f8"),
        ("rate_long", "f8"),
        ("opened", "f8"),  # † Σ (interval's end - opening) over tasks opened [task·s]
        ("closed", "f8"),  # † the same over tasks closed
        ("started", "f8"),  # † the same over calls started [call·s]
        ("completed", "f8"),  # † the same over calls completed
        ("area", "f8"),  # † ∫ tasks in system dt [task·s]
        ("billed", "f8"),  # † [GPU·s]
        ("busy", "f8"),  # † [GPU·s]
        ("work_left", "f8"),  # at the horizon, of tasks that are left open
        ("health", "f8"),  # factor on its rate
        ("load_factor", "f8"),  # factor on the time of a load
        ("served", "f8"),  # † batched: work done over the rate [s]
        ("waiting", "i4"),
        ("in_service", "i4"),
        ("open_tasks", "i4"),
        ("open_tasks_before", "i4"),  # at the interval's start
        ("in_service_before", "i4"),
        ("arrivals", "i4"),  # †
        ("completions", "i4"),  # †
        ("rejections", "i4"),  # †
        ("cold_starts", "i4"),  # of the episode
        ("first_call", "i4"),  # its calls, by release, from here to `last_call`
        ("last_call", "i4"),
        ("next_arrival", "i4"),  # cursors into them, along the path for independent calls
        ("next_start", "i4"),
        ("queue_head", "i4"),  # linked list through `next_waiting`, along the general path
        ("queue_tail", "i4"),
        ("scheduled", "i4"),  # calls whose predecessors are done and whose delay runs
        ("node", "i4"),
        ("status", "i1"),
        ("slices", "i1"),  # of its instance, where the GPU is partitioned
        ("start", "i1"),  # memory slice at which the instance starts; -1 without one
        ("recut", "i1"),  # whether the last decision moved an instance of unchanged size
    ],
    align=True,
)

# Calls in flight of a batched agent, shape (B, N).
FLIGHT = np.dtype(
    [
        ("clock_prefill", "f8"),  # work that a call in prefill has done since the agent was empty
        ("clock_decode", "f8"),  # the same of a call that decodes
        ("clock_at", "f8"),  # until when the two have run
        ("served", "f8"),  # † work done
        ("prefilling", "i8"),  # calls in service that are in prefill
    ],
    align=True,
)

# What is kept of an agent's interval, shape (K, N) for K intervals.
RECORD = np.dtype(
    [
        ("share", "f8"),
        ("billed", "f8"),
        ("busy", "f8"),
        ("area", "f8"),
        ("queue", "i4"),
        ("in_service", "i4"),
        ("arrivals", "i4"),
        ("completions", "i4"),
        ("rejections", "i4"),
        ("status", "i4"),
        ("node", "i4"),
    ],
    align=True,
)

# A call on the tape and its fate, shape (B, C), sorted by agent, release and index.
CALL = np.dtype(
    [("release", "f8"), ("work", "f8"), ("started", "f8"), ("completed", "f8")], align=True
)

# A call along the general path, shape (B, C), in the tape's order: one cache line.
GRAPH_CALL = np.dtype(
    [
        ("release", "f8"),  # with predecessors: the delay, until the call is released
        ("work", "f8"),
        ("started", "f8"),
        ("completed", "f8"),
        ("agent", "i4"),
        ("task", "i4"),
        ("pending", "i4"),  # predecessors that have not completed
        ("first_successor", "i4"),
        ("last_successor", "i4"),
        ("next_waiting", "i4"),
        ("state", "i4"),
    ],
    align=True,
)

# A task along the general path, shape (B, K); its calls are task_calls[b, first_call:last_call].
TASK = np.dtype(
    [("agent", "i4"), ("state", "i4"), ("left", "i4"), ("first_call", "i4"), ("last_call", "i4")],
    align=True,
)

# A server's call, shape (B, S): a heap per agent. `finish` is a time while the agent's rate is
# positive, and the remaining work while the agent is frozen.
SLOT = np.dtype([("finish", "f8"), ("call", "i8")], align=True)

# What a decision finds changed, shape (B, F), by decision: drawn with the tape.
CHANGE = np.dtype(
    [("decision", "i8"), ("what", "i4"), ("target", "i4"), ("value", "f8")], align=True
)
# `what` of a change, what its target is, and what its value is.
LOST = 0  # node: GPUs that are gone from now on
BLOCKED = 1  # nothing: bit mask of the memory slices that are gone from now on
HEALTH = 2  # agent: factor on its rate from now on
LOAD_FACTOR = 3  # agent: factor on the time of loads that begin from now on
EVICTION = 4  # agent: its model leaves memory; no value

# A release to come, shape (B, C): a heap.
DELAYED = np.dtype([("time", "f8"), ("call", "i8")], align=True)


class Independent(NamedTuple):
    """A batch of B environments whose calls are independent: everything that a step touches."""

    system: NDArray[Any]  # (1,) SYSTEM
    constants: NDArray[Any]  # (N,) AGENT_CONSTANTS
    vectors: NDArray[np.int32]  # (V, N + 2): slices of a partition, its first placement, their end
    starts: NDArray[np.int32]  # (P, N): memory slice at which each instance starts, -1 without one
    covered: NDArray[np.int64]  # (P,): bit mask of the memory slices that a placement covers
    widths: NDArray[np.int64]  # (N, 8): memory slices of an agent's instance by compute slices
    machines: NDArray[Any]  # (M,) MACHINE
    environments: NDArray[Any]  # (B,) ENVIRONMENT
    agents: NDArray[Any]  # (B, N) AGENT
    nodes: NDArray[Any]  # (B, M) NODE
    units: NDArray[np.float64]  # (B, U): when each rented unit of an elastic pool is ready
    changes: NDArray[Any]  # (B, F) CHANGE
    calls: NDArray[Any]  # (B, C) CALL
    slots: NDArray[Any]  # (B, S) SLOT


class Graph(NamedTuple):
    """The same of environments whose calls release each other; its fields begin alike."""

    system: NDArray[Any]
    constants: NDArray[Any]
    vectors: NDArray[np.int32]
    starts: NDArray[np.int32]
    covered: NDArray[np.int64]
    widths: NDArray[np.int64]
    machines: NDArray[Any]
    environments: NDArray[Any]
    agents: NDArray[Any]
    nodes: NDArray[Any]
    units: NDArray[np.float64]
    changes: NDArray[Any]
    calls: NDArray[Any]  # (B, C) GRAPH_CALL
    slots: NDArray[Any]
    tasks: NDArray[Any]  # (B, K) TASK
    task_calls: NDArray[np.int32]  # (B, C)
    successors: NDArray[np.int32]  # (B, E)
    roots: NDArray[np.int32]  # (B, C): calls without predecessors, by release
    delayed: NDArray[Any]  # (B, C) DELAYED
    order: NDArray[np.int32]  # (B, C): calls by agent, release and index
    flights: NDArray[Any]  # (B, N) FLIGHT
    events: NDArray[np.float64]  # scratch: a tournament over the agents' next events
