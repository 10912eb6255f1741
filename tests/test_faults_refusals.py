"""Faults that cannot be used as written: each refusal names the field, the rule and the value."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from slicegym.envs import Agent, Scenario, Tape, load_scenario, simulate
from slicegym.envs.errors import ConfigError
from slicegym.envs.faults import Fault, build_faults
from slicegym.envs.kernel import layout
from slicegym.envs.loading import parse_scenario
from slicegym.envs.platform import Node
from slicegym.envs.workloads import Episode

from .test_faults import AGENTS, CROWD, LOSS, SLICE, STORM, STUCK, world

FIRST = {**LOSS, "at_s": 1}
NODES = (Node("left", 3), Node("right", 1))


@pytest.mark.parametrize(
    ("entry", "error", "message"),
    [
        ({"at_s": 1}, ConfigError, r"faults\[1\] lacks the required key 'kind'; add one of cold-"),
        ({"kind": "gpu-los"}, ConfigError, r"\[1\].kind must be one of .*did you mean 'gpu-loss'"),
        (5, TypeError, r"faults\[1\] must be a mapping of keys to values, got 5"),
        ({**FIRST, "gpu": 1}, ConfigError, r"faults\[1\] has an unknown key 'gpu' \(did you mean"),
        ({"kind": "gpu-loss", "gpus": 1}, ConfigError, r"lacks the required key 'duration_s'"),
        ({**LOSS, "at_s": -1}, ConfigError, r"faults\[1\].at_s must be at least 0, got -1.0"),
        ({**LOSS, "at_s": "1"}, TypeError, r"faults\[1\].at_s must be a number, got '1' \(str\)"),
        (LOSS, ConfigError, r"faults\[1\].at_s must be given for one strike, or every_s .*neither"),
        (
            {**FIRST, "every_s": 9},
            ConfigError,
            r"\.at_s must not stand beside every_s, got 1 and 9",
        ),
        ({**LOSS, "every_s": 0}, ConfigError, r"faults\[1\].every_s must be greater than 0, got"),
        ({**FIRST, "duration_s": 0}, ConfigError, r"\[1\].duration_s must be greater than 0, got"),
        ({**FIRST, "gpus": 0}, ConfigError, r"faults\[1\].gpus must be greater than 0, got 0.0"),
        ({**FIRST, "node": 3}, TypeError, r"faults\[1\].node must be a string, got 3"),
        ({**SLICE, "at_s": 1, "slice": 8}, ConfigError, r"\.slice must lie in \[0, 7\], got 8"),
        ({**SLICE, "at_s": 1, "slice": 1.0}, TypeError, r"slice must be a whole number, got 1.0"),
        ({**STORM, "at_s": 1, "factor": 0.5}, ConfigError, r"\.factor must be at least 1, got 0.5"),
        ({**STUCK, "at_s": 1, "factor": 1.5}, ConfigError, r"\.factor must be at most 1, got 1.5"),
        ({**STUCK, "at_s": 1, "factor": -1}, ConfigError, r"\.factor must be at least 0, got -1.0"),
        ({**STUCK, "at_s": 1, "agent": None}, TypeError, r"\.agent must be a string, got None"),
        ({**CROWD, "at_s": 1, "factor": 0.9}, ConfigError, r"\.factor must be at least 1, got 0.9"),
        ({**CROWD, "at_s": 1, "factor": 1e4}, ConfigError, r"\.factor must be at most 1000, got"),
        ({**CROWD, "at_s": 1, "agent": ""}, ConfigError, r"faults\[1\].agent must not be empty"),
    ],
)
def test_bad_entries(entry: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        build_faults([FIRST, entry])


@pytest.mark.parametrize(
    ("fault", "changes", "message"),
    [
        (
            {**LOSS, "at_s": 18.5},
            {},
            "at_s must be at most 18, the time of the last decision, got 18",
        ),
        (
            {**LOSS, "at_s": 1e300},
            {},
            "at_s must be at most 18, the time of the last decision, got",
        ),
        ({**FIRST, "gpus": 4.5}, {}, "gpus must be at most 4, got 4.5"),
        ({**FIRST, "node": "left"}, {}, "node must not be given in a scenario without nodes, got"),
        (FIRST, {"nodes": NODES, "gpus": 1.0}, "node must be given .*; add one of left, right"),
        (
            {**FIRST, "node": "lefft"},
            {"nodes": NODES, "gpus": 1.0},
            r"node must name one of the scenario's nodes, got 'lefft' \(did you mean 'left'\?\)",
        ),
        (
            {**FIRST, "node": "right", "gpus": 2},
            {"nodes": NODES, "gpus": 1.0},
            "gpus must be at most 1, got 2.0",
        ),
        (
            FIRST,
            {"partition": "mig", "gpus": 1.0},
            "gpus must not be lost of the one GPU that partition 'mig' cuts, got 1; use slice-loss",
        ),
        (
            {**SLICE, "at_s": 1},
            {},
            "slice must be one of a partitioned GPU, got 0 in a scenario without partition",
        ),
        (
            {**STUCK, "at_s": 1, "agent": "bb"},
            {},
            r"agent must name one of the scenario's agents, got 'bb' \(did you mean 'b'\?\)",
        ),
        (
            {**CROWD, "at_s": 1, "agent": "xyz"},
            {},
            r"agent must name one of the scenario's agents, got 'xyz' \(known: a, b\)",
        ),
        (
            {**STORM, "every_s": 1e-6, "duration_s": 1e-6},
            {"interval_s": 1e-5, "horizon_s": 90.0},
            r"every_s must make at most 1e\+07 changes an episode, got 1e-06 and 4.5e\+07 changes",
        ),
    ],
)
def test_faults_that_cannot_happen_to_the_scenario(
    fault: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"faults\[0\]\.{message}"):
        world(fault, **changes)


@dataclass(frozen=True, kw_only=True)
class Unregistered(Fault):
    """Not of a kind."""


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ("gpu-loss", "faults must be a list, got 'gpu-loss'"),
        ((FIRST,), r"faults\[0\] must be a Fault \(build_faults makes them\), got {'kind'"),
        ((Unregistered(at_s=1, duration_s=1),), "must be of a registered kind"),
    ],
)
def test_what_is_no_fault(faults: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Scenario(AGENTS, faults=faults)


def test_scenario_files(tmp_path: Any) -> None:
    head = "agents: [{name: a, throughput: 1}]\n"
    path = tmp_path / "mine.yaml"
    entry = "{kind: gpu-loss, gpus: 1, duration_s: 5, at_s: "
    path.write_text(f"{head}faults:\n  - {entry}5}}\n  - {entry}-5}}\n")
    with pytest.raises(ConfigError, match=r"faults\[1\].at_s must be at least 0, got -5.0"):
        load_scenario(path)
    path.write_text(f"{head}faults:\n  - {entry}5}}\n  - {entry}99.5}}\n")
    with pytest.raises(ConfigError, match=r"faults\[1\].at_s must be at most 99, the time of the"):
        load_scenario(path)
    path.write_text(f"{head}faults:\n  - {entry}5}}\n")
    assert load_scenario(path).faults == build_faults([{**LOSS, "at_s": 5, "duration_s": 5}])
    agents = [{"name": "a", "throughput": 1}]
    assert parse_scenario({"agents": agents, "faults": []}).faults == ()
    for wrong in (None, {}, FIRST, "gpu-loss"):
        with pytest.raises(TypeError, match="faults must be a list of mappings, got"):
            parse_scenario({"agents": agents, "faults": wrong})


def test_tapes_need_a_workload() -> None:
    scenario = Scenario((Agent("a", 1),))
    with pytest.raises(ConfigError, match="scenario 'custom' must have a workload to draw tapes"):
        scenario.tape(Episode("train", 0))


# ---- tables of changes made by hand ------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        [(0, layout.LOST, 1, 1.0)],  # there is one node
        [(0, layout.HEALTH, 2, 0.0)],  # there are two agents
        [(0, layout.HEALTH, -1, 0.0)],
        [(0, layout.HEALTH, 0, -0.5)],
        [(0, layout.LOAD_FACTOR, 0, np.nan)],
        [(0, layout.BLOCKED, 0, 1.0)],  # nothing is partitioned
        [(0, 5, 0, 1.0)],
        [(3, layout.EVICTION, 0, 0.0), (2, layout.EVICTION, 1, 0.0)],
    ],
)
def test_a_tape_s_own_changes_are_checked_before_they_reach_the_kernel(changes: list[Any]) -> None:
    scenario = Scenario((Agent("a", 1.0), Agent("b", 1.0)), horizon_s=5.0)
    tape = replace(
        Tape.from_calls([0], [1.0], [0.0], horizon_s=5.0), changes=np.array(changes, layout.CHANGE)
    )
    with pytest.raises(ConfigError, match=r"tape\.changes\[\d\] must be in the order"):
        simulate(scenario, tape, np.ones((5, 2)))


def test_changes_of_another_kind_are_refused() -> None:
    scenario = Scenario((Agent("a", 1.0),), horizon_s=5.0)
    tape = replace(Tape.from_calls([0], [1.0], [0.0], horizon_s=5.0), changes=np.zeros(2))
    with pytest.raises(TypeError, match=r"dtype layout\.CHANGE, got float64"):
        simulate(scenario, tape, np.ones((5, 1)))
