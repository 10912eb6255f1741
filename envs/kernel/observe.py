"""What an allocator may see, read off the kernel's state."""

from __future__ import annotations

from .compile import compiled_in_place
from .graph import first_waiting
from .layout import AWAITING_MEMORY, LOADING, REJECTED_MARK, WARM

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
        ready_in = constants.cold_start_s
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
def observe_independent(constants, environment, agents, calls, raw):
    """Write the raw observation of one environment, shape (N, N_RAW)."""
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


@compiled_in_place
def observe_graph(constants, environment, agents, calls, routings, raw):
    """Write the raw observation of one environment, shape (N, N_RAW).

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


@compiled_in_place
def encode(raw, scale, constants, out):
    """Write one environment's flat observation: raw·scale, x/(1 + x) where x has no bound.

    Args:
        raw: (N, N_RAW) float64.
        scale: (N, N_RAW) float64.
        constants: (N, n_constants) float32, already scaled.
        out: (N · (N_RAW + n_constants),) float32.
    """
    width = N_RAW + constants.shape[1]
    for i in range(len(raw)):
        at = i * width
        for f in range(N_SQUASHED):
            x = raw[i, f] * scale[i, f]
            out[at + f] = x / (1.0 + x)
        for f in range(N_SQUASHED, N_RAW):
            out[at + f] = raw[i, f] * scale[i, f]
        for f in range(constants.shape[1]):
            out[at + N_RAW + f] = constants[i, f]
