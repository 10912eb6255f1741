"""A scenario around a user's calls: first guesses, each with its reason in a comment."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import yaml
from numpy.typing import NDArray

from ..envs.errors import TraceError
from ..envs.traces.importing import Imported
from ..envs.traces.registry import SPLITS

Floats = NDArray[np.float64]

GPUS = 4.0
LOAD = 0.5
PARTS = (0.6, 0.8)  # ends of training and validation
COLD_START_S, KEEP_ALIVE_S = 8.0, 10.0
# An episode aims at so much time and so many calls; three of them fit where that leaves a minute.
EPISODE_S, EPISODE_CALLS, SHORT_S, EPISODES = 300.0, 500, 60.0, 3
# Decisions: every second, but never fewer than 20 nor more than 7,200 an episode.
FEWEST, MOST = 20, 7200


@dataclass(frozen=True, eq=False)
class Guess:
    """What a trace suggests for a scenario.

    Attributes:
        splits: Windows of training, validation and held-out [s].
        horizon_s: Length of an episode [s].
        interval_s: Time between decisions [s].
        work: Mean work of each agent's calls, in the trace's unit, shape (N,).
        rate: Calls of each agent per second of the training window, shape (N,) [1/s].
        throughput: Mean calls that one GPU completes per second, shape (N,) [1/s].
        min_share: R, shape (N,) [GPU].
    """

    splits: tuple[tuple[float, float], ...]
    horizon_s: float
    interval_s: float
    work: Floats
    rate: Floats
    throughput: Floats
    min_share: Floats


def guess(calls: Imported) -> Guess:
    """Choose windows, episodes and throughputs.

    Raises:
        TraceError: The training window holds no call.
    """
    splits = windows(calls)
    start, end = splits[0]
    train = (calls.arrival_s >= start) & (calls.arrival_s < end)
    n = len(calls.agents)
    in_train = np.bincount(calls.agent[train], minlength=n)
    if not in_train.any():
        raise TraceError(
            f"the training window, the first {end:g} s, must hold calls, got none of "
            f"{calls.n_calls:,}; is one time stamp far from the others?"
        )
    rate = in_train / (end - start)
    # Of an agent that is silent in training all calls have to do.
    total = np.bincount(calls.agent, calls.work, n) / np.bincount(calls.agent, minlength=n)
    seen = np.bincount(calls.agent[train], calls.work[train], n)
    work = np.where(in_train > 0, seen / np.maximum(in_train, 1), total)
    # Σ λ·m·κ = load · G, where a call of the agent takes m·κ GPU-seconds.
    per_work = LOAD * GPUS / float(rate @ work)
    throughput = np.array([float(f"{t:.4g}") for t in 1.0 / (work * per_work)])
    min_share = 0.25 * GPUS / throughput / np.sum(1.0 / throughput)
    horizon_s = episode_length(splits, float(rate.sum()))
    shares = np.floor(min_share * 1e4) / 1e4
    return Guess(splits, horizon_s, interval(horizon_s), work, rate, throughput, shares)


def windows(calls: Imported) -> tuple[tuple[float, float], ...]:
    """Cut the trace in time: 60 % training, 20 % validation, 20 % held-out.

    Of sessions started by a process the part up to the last start is cut: after it they only run
    out. Where that is less than half of the time, all of it is.
    """
    end = float(calls.arrival_s[-1])
    if calls.session_s is not None and calls.session_s[-1] >= end / 2:
        end = float(calls.session_s[-1])
    digits = 0 if end >= 100 else 3 if end >= 0.1 else 9
    scale = 10.0**digits
    edges = [0.0, *(math.floor(part * end * scale) / scale for part in PARTS)]
    return tuple(pairwise([*edges, math.ceil(end * scale) / scale]))


def episode_length(splits: Sequence[tuple[float, float]], rate: float) -> float:
    """Return the horizon, of which validation and held-out each hold at least one [s]."""
    room = min(end - start for start, end in splits[1:])
    wanted = max(EPISODE_S, EPISODE_CALLS / rate)
    if room < EPISODES * wanted:
        wanted = room / EPISODES if room >= EPISODES * SHORT_S else room
    horizon_s = rounded_down(wanted)
    return horizon_s if horizon_s <= room else rounded_down(0.99 * room)  # 47 - 37.6 < 9.4


def interval(horizon_s: float) -> float:
    """Return the time between decisions [s]."""
    fastest, slowest = horizon_s / MOST, horizon_s / FEWEST
    return rounded_down(min(max(1.0, 1.1 * fastest), slowest), digits=1)


def rounded_down(value: float, digits: int = 2) -> float:
    """Return a value with so many digits, never larger."""
    power = 10.0 ** (math.floor(math.log10(value)) - digits + 1)
    return float(f"{math.floor(value / power * (1 + 1e-12)) * power:.12g}")


def trace_yaml(calls: Imported, found: Guess, *, title: str, file: str, sha256: str) -> str:
    """Return the YAML file that names the calls' file, its sum and the windows."""
    lines = [
        "# The calls of the scenario beside it, and the windows of its splits. `slicegym-eval run`",
        "# and training refuse the calls where their sum is another.",
        f"title: {quoted(title)}",
        f"file: {quoted(file)}",
        "format: {kind: table}",
        f"clock: {quoted(file.partition('.')[0])}",
        f"sha256: {sha256}",
        "",
        f"# Seconds since {one_line(zero(calls))}.",
        "# 60 %, 20 % and 20 % of the time. Held-out data is for final figures alone: nothing is",
        "# tuned or chosen on it.",
        "splits:",
    ]
    named = zip(SPLITS, found.splits, strict=True)
    lines += [f"  {name}: [{plain(start)}, {plain(end)}]" for name, (start, end) in named]
    return "\n".join([*lines, ""])


def zero(calls: Imported) -> str:
    """Say what second 0 is."""
    if calls.session_s is not None:
        return "the first session's start"
    return f"the first call, {calls.first_stamp} in the file"


def scenario_yaml(calls: Imported, found: Guess, *, title: str, trace: str, command: str) -> str:
    """Return the scenario file."""
    rates = float(found.rate.sum())
    service_s = float(found.rate @ (1.0 / found.throughput)) / rates
    footprint = min(0.5, GPUS / len(calls.agents))
    episodes = ", ".join(
        f"{name} {int((end - start) / found.horizon_s + 1e-9)}"
        for name, (start, end) in zip(SPLITS, found.splits, strict=True)
    )
    note = _work_note(calls)
    head = f"""\
# {one_line(title)}
# Written by: {one_line(command)}
# Second 0 is {one_line(zero(calls))}.
# All values below but the calls are first guesses: put what you know in their place.
description: {quoted(title)}
gpus: {GPUS:g} # G: the pool
interval_s: {plain(found.interval_s)} # time between decisions
# An episode; so many fit into the windows side by side: {episodes}.
horizon_s: {plain(found.horizon_s)}
price_per_gpu_hour: 1.21 # an assumption: one A10G, on demand
# λ_ref: calls per second of the training window, so that the latency term is the mean weighted
# latency per call.
reference_rate: {rates:.6g}
# L_ref, and the latency objective: two cold starts and five mean service times.
reference_latency_s: {rounded_down(2 * COLD_START_S + 5 * service_s):g}
# Idle time counts half, since cost holds it already.
weights: {{latency: 1.0, cost: 1.0, idle: 0.5}}

# throughput: mean calls per second on one GPU, chosen for a load of {LOAD:g} over the training
#   window: Σ rate/throughput = {LOAD:g} · {GPUS:g} GPUs. Where you know what a GPU does, write that
#   and match the load by gpus, never by the calls: thinning makes a burst more Poisson.{note}
# min_share: a quarter of the pool in all, as 1/throughput. footprint: half a GPU's memory holds a
# model. cold_start_s: a published median. keep_alive_s: about as long as a load takes.
# concurrency: as many calls as the pool has GPUs, so that one call never uses more than one.
agents:
"""
    body = [_agent(calls, found, i, footprint) for i in range(len(calls.agents))]
    tail = f"""
# Work has mean 1 per agent over the training window. The path is relative to this file.
workload: {{kind: table, trace: {quoted(trace)}}}
"""
    return head + "".join(body) + tail


def _work_note(calls: Imported) -> str:
    if np.all(calls.work == 1.0):
        return "\n#   Every call is one unit of work."
    return "\n#   A call's work, in the file's unit, stands behind each agent."


def _agent(calls: Imported, found: Guess, i: int, footprint: float) -> str:
    return (
        f"  - {{name: {quoted(calls.agents[i])}, throughput: {found.throughput[i]:.4g}, "
        f"priority: 1, min_share: {found.min_share[i]:.4g}, footprint: {footprint:.4g}, "
        f"cold_start_s: {COLD_START_S:g}, keep_alive_s: {KEEP_ALIVE_S:g}, "
        f"concurrency: {math.ceil(GPUS)}}} # {found.rate[i]:.4g} calls/s, mean work "
        f"{found.work[i]:.4g}\n"
    )


def quoted(text: str) -> str:
    """Return a text as YAML reads it back: bare where that is safe, else quoted."""
    bare = text.replace("_", "").replace("-", "").replace(".", "").isalnum()
    try:
        safe = bare and text.isascii() and yaml.safe_load(text) == text
    except yaml.YAMLError:
        safe = False
    return text if safe else json.dumps(text, ensure_ascii=False)


def one_line(text: str) -> str:
    """Return a text that cannot leave its comment."""
    return "".join(c if c.isprintable() else "?" for c in text)


def plain(value: float) -> str:
    """Return a number as YAML has it, without an exponent where there is a choice."""
    return f"{value:.12g}"
