"""The kernel against the plain reference on one episode of each family of call graphs."""

from dataclasses import replace

import numpy as np
import pytest

from slicegym.envs.loading import load_scenario
from slicegym.envs.tape import Tape
from slicegym.envs.workloads import Episode

from .reference.case import Call, Case
from .reference.judges import assert_agree, by_general_path, by_kernel, by_plain

FAMILIES = [
    pytest.param("workflow", 60.0),
    pytest.param("agentic", 45.0, marks=pytest.mark.traces("agent_sessions")),
    pytest.param("agentic-parallel", 150.0),
    pytest.param("many", 30.0),
]


def calls_of(tape: Tape) -> tuple[Call, ...]:
    before: list[list[int]] = [[] for _ in range(tape.n_calls)]
    if tape.graph is not None:
        parents = np.repeat(np.arange(tape.n_calls), np.diff(tape.graph.successor_ptr))
        for predecessor, call in zip(parents.tolist(), tape.graph.successors.tolist(), strict=True):
            before[call].append(predecessor)
    columns = (tape.agent, tape.work, tape.task, tape.release, tape.delay)
    rows = zip(*(column.tolist() for column in columns), before, strict=True)
    return tuple(Call(*row[:5], predecessors=tuple(row[5])) for row in rows)


@pytest.mark.parametrize(("name", "horizon_s"), FAMILIES)
def test_an_episode_agrees_with_the_plain_reference(name: str, horizon_s: float) -> None:
    scenario = replace(load_scenario(name), horizon_s=horizon_s)
    assert scenario.workload is not None
    tapes = (scenario.workload.tape(scenario, Episode("train", seed)) for seed in range(20))
    tape = next(tape for tape in tapes if tape.n_calls > 50)  # some begin with a long pause
    rng = np.random.default_rng(0)
    # Shares that stay for a while, some of them zero, so that models load, serve and go cold.
    shares = rng.uniform(0, 1, (scenario.n_intervals // 15 + 1, scenario.n_agents))
    shares *= rng.random(shares.shape) < 0.8
    held = np.repeat(shares, 15, axis=0)[: scenario.n_intervals] * 2 * scenario.gpus
    requested = tuple(map(tuple, (held / scenario.n_agents).tolist()))
    case = Case(scenario, calls_of(tape), requested)
    assert case.tape().digest == tape.digest
    expected = by_plain(case)
    assert np.sum(~np.isnan(expected.completed_at)) > 10
    for play in (by_kernel, by_general_path):
        assert_agree(play(case), expected, tolerance=1e-9)
