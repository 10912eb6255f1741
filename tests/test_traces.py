"""Traces: their calls in memory, and what the registry knows of them."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicegym.envs.errors import ConfigError, TraceError, UnknownNameError
from slicegym.envs.traces import Trace, load_spec, load_trace, trace_names

from .miniatures import ORIGIN, SPLITS, T0, azure, calls, table, write_trace

TABLE = {"kind": "table"}


# ---- a trace in memory -------------------------------------------------------------------------


def mini(tmp_path: Path, **changes: Any) -> Trace:
    return load_trace(str(write_trace(tmp_path, "mini", azure(calls()), **changes)))


def test_work_has_mean_1_over_the_training_window(tmp_path: Path) -> None:
    trace = mini(tmp_path)
    inside = (trace.arrival_s >= 0) & (trace.arrival_s < 60)
    assert trace.work[inside].mean() == pytest.approx(1.0)
    assert trace.work.mean() != pytest.approx(1.0, abs=1e-6)
    assert trace.n_calls("train") == inside.sum()
    raw = [i / 4000 + o / 1000 for _, i, o in calls()]
    assert trace.work * trace.mean_gpu_s == pytest.approx(raw)


def test_a_cut_holds_the_calls_of_its_window(tmp_path: Path) -> None:
    trace = mini(tmp_path)
    release, work = trace.cut(70.0, 40.0)
    inside = (trace.arrival_s >= 70) & (trace.arrival_s < 110)
    assert np.array_equal(release, trace.arrival_s[inside] - 70.0)
    assert np.array_equal(work, trace.work[inside])


def test_no_cut_reaches_the_horizon_by_rounding(tmp_path: Path) -> None:
    before = np.nextafter(27.0, 0.0)  # before 27 s, but −73 s + 100 s is as near as floats get
    trace = replace(mini(tmp_path), arrival_s=np.array([-73.0, before]), work=np.array([1.0, 2.0]))
    assert before + 73.0 == 100.0
    release, work = trace.cut(-73.0, 100.0)
    assert release.tolist() == [0.0]
    assert work.tolist() == [1.0]


def test_loaded_arrays_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        mini(tmp_path).arrival_s[0] = 1.0


def test_a_changed_file_of_ones_own_is_read_again(tmp_path: Path) -> None:
    first = mini(tmp_path)
    data = tmp_path / "mini.csv"
    data.write_bytes(azure(calls(seed=1, n=300)))
    assert load_trace(str(tmp_path / "mini.yaml")).arrival_s.size == 300
    assert first.arrival_s.size == 400


def test_an_empty_training_window_is_an_error(tmp_path: Path) -> None:
    splits = {"train": [900, 990], "validation": [0, 1], "heldout": [2, 3]}
    with pytest.raises(TraceError, match=r"window 900–990 s must hold calls, got none.*-[0-9.]+–2"):
        mini(tmp_path, splits=splits)


def test_agents_of_a_table(tmp_path: Path) -> None:
    rows = [(t / 2, "ab"[t % 2], 1.0 + t % 2) for t in range(240)]
    path = str(write_trace(tmp_path, "mini", table(rows), format=TABLE, splits=SPLITS))
    trace = load_trace(path)
    assert trace.agent_names == ("a", "b")
    assert np.all(load_trace(path, "b").work == 2.0)  # taken as it stands
    assert load_trace(path, "a").arrival_s.size == 120
    with pytest.raises(TraceError, match="must hold calls of agent 'c', got those of a, b"):
        load_trace(path, "c")


def test_a_trace_without_agents_has_none_to_choose(tmp_path: Path) -> None:
    path = str(write_trace(tmp_path, "mini", azure(calls())))
    with pytest.raises(TraceError, match="got those of one unnamed agent"):
        load_trace(path, "nlp")


def test_a_plain_csv_is_split_in_time(tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    path.write_bytes(table([(t, "a", 1.0) for t in np.arange(10.0, 111.0).tolist()]))
    spec = load_spec(str(path))
    assert dict(spec.splits) == {
        "train": (10.0, 70.0),
        "validation": (70.0, 90.0),
        "heldout": (90.0, 110.0),
    }
    path.write_bytes(table([(1.0, "a", 1.0), (1.0, "b", 1.0)]))
    with pytest.raises(TraceError, match="must span some time, got calls at 1 s alone"):
        load_trace(str(path))


# ---- what is known of a trace ------------------------------------------------------------------


def test_shipped_traces_are_complete() -> None:
    assert {"azure_code", "azure_conv", "mooncake"} <= set(trace_names())
    for name in trace_names():
        spec = load_spec(name)
        assert spec.sha256
        assert spec.bytes
        assert spec.origin
        assert spec.licence != "unknown"
        windows = [spec.window(split) for split in ("train", "validation", "heldout")]
        gaps = [b[0] - a[1] for a, b in pairwise(windows)]
        # Nothing in the system crosses from one to the next. Derived traces hold no calls on a
        # clock: sessions have their own, and clients' windows are sampled anew.
        assert all(gap >= (60 if spec.url else 0) for gap in gaps)


def test_azure_traces_share_a_clock() -> None:
    conv, code = load_spec("azure_conv"), load_spec("azure_code")
    assert (conv.clock, conv.splits, conv.format) == (code.clock, code.splits, code.format)


def test_addresses_name_the_full_commit() -> None:
    spec = load_spec("mooncake")
    assert spec.url == (
        "https://raw.githubusercontent.com/kvcache-ai/Mooncake/"
        f"{spec.commit}/FAST25-release/traces/conversation_trace.jsonl"
    )


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"titel": "x"}, ConfigError, "unknown key 'titel'.*did you mean 'title'"),
        ({"name": "x"}, ConfigError, "unknown key 'name'"),
        ({"file": None}, ConfigError, "lacks the required key 'file'"),
        ({"format": None}, ConfigError, "lacks the required key 'format'"),
        ({"splits": None}, ConfigError, "lacks the required key 'splits'"),
        ({"file": "../x.csv"}, ConfigError, "file must be a name without folders"),
        ({"file": 3}, TypeError, "file must be a string, got 3"),
        ({"format": {"kind": "azur", "t0": T0}}, ConfigError, "format.kind.*did you mean 'azure'"),
        ({"format": {"kind": "azure"}}, ConfigError, "format lacks the required key 't0'"),
        ({"format": {"kind": "azure", "t0": "noon"}}, ConfigError, "format.t0 must be a time"),
        ({"format": {"kind": "azure", "t0": 5}}, TypeError, "format.t0 must be a quoted string"),
        (
            {"format": {"kind": "mooncake", "jitter_s": -1}},
            ConfigError,
            "format.jitter_s must be at least 0",
        ),
        ({"sha256": "abc"}, ConfigError, "sha256 must be 64 hexadecimal digits, got 'abc'"),
        ({"bytes": 0}, ConfigError, r"bytes must lie in \[1"),
        ({"repository": "a/b"}, ConfigError, "commit must be given beside repository"),
        ({**ORIGIN, "commit": "b469a113"}, ConfigError, "commit must be 40 hexadecimal digits"),
        (ORIGIN, ConfigError, "sha256 must be given for a trace with an address"),
        ({"splits": {"train": [0, 1]}}, ConfigError, "splits lacks the required key 'validation'"),
        ({"splits": {**SPLITS, "test": [0, 1]}}, ConfigError, "splits has an unknown key 'test'"),
        ({"splits": {**SPLITS, "train": [5]}}, TypeError, "splits.train must be a pair"),
        (
            {"splits": {**SPLITS, "train": [5, 5]}},
            ConfigError,
            r"train\[1\] must be greater than 5",
        ),
        (
            {"splits": {**SPLITS, "train": [0, 71]}},
            ConfigError,
            "splits.validation must not overlap train, which ends at 71 s",
        ),
    ],
)
def test_bad_specs_name_the_field(
    tmp_path: Path, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    path = write_trace(tmp_path, "mini", azure(calls()), **changes)
    with pytest.raises(error, match=message):
        load_spec(str(path))


def test_unknown_traces() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown trace 'azure_con'.*'azure_conv'"):
        load_spec("azure_con")
    with pytest.raises(ConfigError, match=r"cannot read .*nothing.yaml"):
        load_spec("nothing.yaml")
    with pytest.raises(ConfigError, match=r"cannot read .*nothing.csv"):
        load_trace("nothing.csv")
