"""What an allocator may see, read off the kernel's state."""

from __future__ import annotations

from .compile import compiled_in_place
from .graph import first_waiting
from .layout import AWAITING_MEMORY, LOADING, REJECTED_MARK, WARM
from .pool import ready_share

# Columns of the raw observation, one row an agent, in physical units. Those up to N_SQUASHED have
# no upper bound; the others are bounded by a constant of the scenario.
RAW_COLUMNS = (
    "queue",
    "oldest_wait_s",
    "arrivals",
    "rate_short",
    "rate_long",
    "completions",
    "rejected",
    "ready_in_s",
    "idle_s",
    "upstream",
    "in_service",
    "share",
    "awaiting_memory",
    "loading",
    "warm",
    "keep_alive_left_s",
    "pause_left_s",
)
N_SQUASHED = 10
N_RAW = len(RAW_COLUMNS)
# Further columns, of scenarios in which they can change; bounded as well.
EXTRA_COLUMNS = ("available", "ordered", "health", "node")


@compiled_in_place
def _observe_agent(constants, agent, now, oldest_wait, upstream, row):
    row[0] = agent.waiting
    row[1] = oldest_wait
    row[2] = agent.arrivals
    row[3] = agent.rate_short
    row[4] = agent.rate_long
    row[5] = agent.completions
    row[6] = agent.rejections
    ready_in = 0.0
    if agent.status == LOADING:
        ready_in = agent.load_end - now
    elif agent.status != WARM:
        ready_in = constants.cold_start_s * agent.load_factor
    row[7] = ready_in
    idle = 0.0
    if agent.waiting + agent.in_service == 0:
        idle = now - agent.last_completion
    row[8] = idle
    row[9] = upstream
    row[10] = agent.in_service
    row[11] = agent.share
    row[12] = agent.status == AWAITING_MEMORY
    row[13] = agent.status == LOADING
    row[14] = agent.status == WARM
    keep_alive = 0.0
    if agent.status == WARM:  # a zero share abandons a load at once
        keep_alive = min(constants.keep_alive_s, agent.keep_alive_end - now)
    row[15] = keep_alive
    row[16] = min(constants.reconfigure_s, max(0.0, agent.pause_end - now))


@compiled_in_place
def _observe_pool(system, environment, agents, nodes, raw):
    """Write the extra columns that the scenario has."""
    columns = system.columns
    for i in range(len(agents)):
        node = nodes[agents[i].node]
        if columns[0] >= 0:
            raw[i, columns[0]] = ready_share(environment, node)
        if columns[1] >= 0:
            raw[i, columns[1]] = environment.n_units * system.unit_gpus - node.gpus
        if columns[2] >= 0:
            raw[i, columns[2]] = agents[i].health
        if columns[3] >= 0:
            raw[i, columns[3]] = agents[i].node


@compiled_in_place
def observe_independent(system, constants, environment, agents, nodes, calls, raw):
    """Write the raw observation of one environment, shape (N, N_RAW and extra columns)."""
    now = environment.time
    for i in range(len(agents)):
        agent = agents[i]
        oldest_wait = 0.0
        if agent.waiting > 0:
            call = agent.next_start
            while calls[call].started == REJECTED_MARK:
                call += 1
            oldest_wait = now - calls[call].release
        _observe_agent(constants[i], agent, now, oldest_wait, 0.0, raw[i])
    if raw.shape[1] > N_RAW:
        _observe_pool(system, environment, agents, nodes, raw)


@compiled_in_place
def observe_graph(system, constants, environment, agents, nodes, calls, routings, raw):
    """Write the raw observation of one environment, shape (N, N_RAW and extra columns).

    Upstream calls are those whose predecessors are done and whose delay runs, known to come, and
    for each call in progress at agent i the `routing[i, j]` calls expected at agent j, by the
    tape's matrix among `routings`, shape (matrices, N, N).
    """
    now = environment.time
    n = len(agents)
    for i in range(n):
        agent = agents[i]
        oldest_wait = 0.0
        if agent.waiting > 0:
            oldest_wait = now - calls[first_waiting(agent, calls)].release
        _observe_agent(constants[i], agent, now, oldest_wait, float(agent.scheduled), raw[i])
    if environment.routing >= 0:
        routing = routings[environment.routing]
        for i in range(n):
            in_progress = agents[i].waiting + agents[i].in_service
            if in_progress > 0:
                for j in range(n):
                    raw[j, 9] += in_progress * routing[i, j]
    if raw.shape[1] > N_RAW:
        _observe_pool(system, environment, agents, nodes, raw)


@compiled_in_place
def encode(raw, scale, constants, out):
    """Write one environment's flat observation: raw·scale, x/(1 + x) where x has no bound.

    Args:
        raw: (N, columns) float64.
        scale: (N, columns) float64.
        constants: (N, n_constants) float32, already scaled.
        out: (N · (columns + n_constants),) float32.
    """
    n_raw = raw.shape[1]
    width = n_raw + constants.shape[1]
    for i in range(len(raw)):
        at = i * width
        for f in range(N_SQUASHED):
            x = raw[i, f] * scale[i, f]
            out[at + f] = x / (1.0 + x)
        for f in range(N_SQUASHED, N_RAW):  # a constant range: half of the time of a variable one
            out[at + f] = raw[i, f] * scale[i, f]
        for f in range(N_RAW, n_raw):
            out[at + f] = raw[i, f] * scale[i, f]
        for f in range(constants.shape[1]):
            out[at + n_raw + f] = constants[i, f]
