"""Any number of agents, and what is seen of them, for the benchmark's decisions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from ..baselines.policy.files import HEADER_FILE, WEIGHTS_FILE
from ..baselines.policy.header import FORMAT, Header
from ..envs.agent import Agent
from ..envs.observation import N_FEATURES, SCHEMA, raw_columns
from ..envs.spec import Scenario

Floats = NDArray[np.float64]

HIDDEN = (32, 32, 32)  # as the shipped policies have it
COLD, LOADING, WARM = range(3)


def crowd(n_agents: int) -> tuple[Scenario, Floats]:
    """Return n agents and raw observations of them, shape (distinct ones, N, columns).

    A third of the agents is cold, a tenth loads, and half of the others have calls. The pool is too
    small for what they want, which is the dearer case: all rules ration then.
    """
    rng = np.random.default_rng(4)
    throughput = np.exp(rng.uniform(0.0, np.log(10.0), n_agents)).tolist()
    gpus = n_agents / 8.0
    agents = tuple(
        Agent(
            f"agent{i}",
            throughput=T,
            min_share=gpus / (4.0 * n_agents),
            priority=1.0 + i % 3,
            cold_start_s=8.0,
            keep_alive_s=30.0,
            concurrency=4,
        )
        for i, T in enumerate(throughput)
    )
    scenario = Scenario(agents, gpus=gpus, horizon_s=1e6, name="crowd")
    # Distinct ones as far as they fit into memory: a branch predictor learns a few that repeat.
    n_seen = min(256, max(2, 16_384 // n_agents))
    seen = np.empty((n_seen, n_agents, len(raw_columns(scenario))))
    for one in seen:
        one[:] = _seen(scenario, rng)
    return scenario, seen


def _seen(scenario: Scenario, rng: np.random.Generator) -> Floats:
    """Draw what is seen of every agent at one decision, (N, columns)."""
    n = scenario.n_agents
    status = rng.choice(3, n, p=(0.35, 0.1, 0.55))
    has_calls = rng.random(n) < np.array([0.1, 0.8, 0.5])[status]
    calls = np.where(has_calls, rng.geometric(0.4, n), 0)
    in_service = np.where(status == WARM, np.minimum(calls, scenario.concurrency), 0)
    rate = rng.exponential(1.0, n)
    loaded = status != COLD
    columns = {
        "queue": calls - in_service,
        "oldest_wait_s": (calls > in_service) * rng.exponential(5.0, n),
        "arrivals": rng.poisson(rate * scenario.interval_s),
        "rate_short": rate,
        "rate_long": rate * rng.uniform(0.5, 1.5, n),
        "ready_in_s": np.array([1.0, 0.5, 0.0])[status] * scenario.cold_start_s,
        "idle_s": ~has_calls * rng.exponential(10.0, n),
        "upstream": (rng.random(n) < 0.2) * rng.random(n),
        "in_service": in_service,
        "share": loaded * rng.uniform(0.0, 0.2, n),
        "loading": status == LOADING,
        "warm": status == WARM,
        "keep_alive_left_s": loaded * scenario.keep_alive_s,
    }
    none = np.zeros(n)
    return np.stack([columns.get(name, none) for name in raw_columns(scenario)], axis=1)


def write_policy(folder: Path) -> Path:
    """Write a policy of random weights, as large as one that training exports, and return it."""
    rng = np.random.default_rng(5)
    header = Header(
        format=FORMAT,
        observation=SCHEMA,
        scenario="crowd",
        network="equivariant",
        n_agents=4,
        n_features=N_FEATURES,
        hidden=HIDDEN,
        activation="relu",
        action="residual",
        base="demand:tuned=false",
        weights_sha256="of what follows",
    )
    tensors = {
        name: rng.normal(0.0, 0.3 * shape[-1] ** -0.5, shape).astype(np.float32)
        for name, shape in header.shapes.items()
    }
    data = save(tensors)
    header = replace(header, weights_sha256=hashlib.sha256(data).hexdigest())
    (folder / HEADER_FILE).write_text(json.dumps(asdict(header)), encoding="utf-8")
    (folder / WEIGHTS_FILE).write_bytes(data)
    return folder
