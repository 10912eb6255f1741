"""The configuration of workloads: every bad value is named by its path."""

import math
from typing import Any

import pytest

from slicegym.envs.errors import ConfigError
from slicegym.envs.kinds import Kinds
from slicegym.envs.workloads import build_workload

POISSON = {"kind": "poisson", "rate": 5.0}
ON_OFF = {"kind": "on_off", "rate_on": 20.0, "mean_on_s": 5.0, "mean_off_s": 10.0}
SPIKE = {"kind": "spike", "rate": 3.0, "multiplier": 10.0, "begin_s": 20.0, "end_s": 25.0}
DIURNAL = {"kind": "diurnal", "rate": 6.0, "amplitude": 0.8, "period_s": 90.0}
RENEWAL = {"kind": "renewal", "rate": 6.0, "cv": 2.0}


def streams(**entries: Any) -> dict[str, Any]:
    return {"kind": "streams", "streams": entries}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "workload lacks the required key 'kind'; add one of sessions, streams, subagents"),
        ({"kind": "stream"}, r"workload.kind must be one of .*did you mean 'streams'"),
        ({"kind": "streams"}, "workload lacks the required key 'streams'"),
        ({**streams(), "seed": 1}, "workload has an unknown key 'seed'"),
        ({**streams(), "suite_episodes": 0}, r"workload.suite_episodes must lie in \[1"),
        (streams(nlp={"rate": 5.0}), "workload.streams.nlp lacks the required key 'kind'"),
        (streams(nlp={**POISSON, "kind": "poison"}), r"streams.nlp.kind .*did you mean 'poisson'"),
        (streams(nlp={**POISSON, "rat": 5.0}), r"streams.nlp has an unknown key 'rat'"),
        (streams(nlp={"kind": "poisson"}), "streams.nlp lacks the required key 'rate'"),
        (streams(nlp={**POISSON, "rate": -1}), "workload.streams.nlp.rate must be at least 0.*-1"),
        (streams(nlp={**POISSON, "rate": math.nan}), "streams.nlp.rate must be a finite number"),
        (streams(nlp=[POISSON, {**POISSON, "rate": -2}]), r"streams.nlp\[1\].rate must be at"),
        (streams(nlp={**POISSON, "work": {"kind": "expo"}}), r"streams.nlp.work.kind must be"),
        (
            streams(nlp={**POISSON, "work": {"kind": "gamma", "cv": 0}}),
            "workload.streams.nlp.work.cv must be greater than 0",
        ),
        (streams(nlp={"kind": "replay", "trace": ""}), "streams.nlp.trace must not be empty"),
        (
            streams(nlp={**ON_OFF, "rate_on": [3, 2]}),
            r"nlp.rate_on\[1\] must be at least 3",
        ),
        (
            streams(nlp={**ON_OFF, "rate_on": [3]}),
            r"nlp.rate_on must be a number or a pair \[low, high\], got \[3\]",
        ),
        (
            streams(nlp={**ON_OFF, "mean_on_s": 0}),
            "nlp.mean_on_s must be greater than 0",
        ),
        (
            streams(nlp={**SPIKE, "end_s": 20}),
            "nlp.end_s must lie after begin_s = 20, got 20",
        ),
        (
            streams(nlp={**DIURNAL, "amplitude": 1.5}),
            "nlp.amplitude must be at most 1",
        ),
        (
            streams(nlp={**RENEWAL, "family": "weibul"}),
            "nlp.family must be one of .*did you mean 'weibull'",
        ),
        (
            streams(nlp={**RENEWAL, "cv": 0.001}),
            "nlp.cv must be at least 0.02",
        ),
        (
            streams(nlp={"kind": "deterministic", "rate": 1, "batch_s": 0}),
            "nlp.batch_s must be greater than 0",
        ),
    ],
)
def test_bad_values_name_their_path(content: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_workload(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "workload must be a mapping"),
        ({"kind": "streams", "streams": [1]}, "workload.streams must be a mapping"),
        (streams(nlp=3), "workload.streams.nlp must be a mapping"),
        (streams(nlp={**POISSON, "rate": "5"}), "streams.nlp.rate must be a number, got '5'"),
        (streams(nlp={**POISSON, "rate": True}), "streams.nlp.rate must be a number, got True"),
        (streams(nlp={**POISSON, "rate": None}), "streams.nlp.rate must be a number, got None"),
        (streams(nlp={**POISSON, "work": "gamma"}), "streams.nlp.work must be a mapping"),
        ({**streams(), "suite_episodes": 2.5}, "workload.suite_episodes must be a whole number"),
    ],
)
def test_wrong_types_name_their_path(content: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        build_workload(content)


def test_a_kind_is_registered_once() -> None:
    kinds: Kinds[object] = Kinds("thing")
    kinds("x")(int)
    with pytest.raises(
        ValueError, match=r"thing kind 'x' must be registered once, got str after int"
    ):
        kinds("x")(str)
