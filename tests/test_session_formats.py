"""Formats of derived tables: damaged lines are named; the real ones are what they say."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicegym.envs.errors import ConfigError, TraceError
from slicegym.envs.traces import FORMATS, load_trace, trace_status
from slicegym.envs.traces.registry import parse_spec
from slicegym.envs.traces.servegen import ClientRates
from slicegym.envs.traces.sessions import Sessions, session_hash
from slicegym.envs.traces.trace import load_content
from slicegym.envs.workloads import STREAMS
from slicegym.envs.workloads.randomness import keyed

from .miniatures import SPLITS, agent_sessions, write_trace

SIGMAS = 4.0
AGENTS, RUNS = {"kind": "agent_sessions"}, {"kind": "orchestrated"}
CLIENTS = {"kind": "servegen", "model": "mm-image"}
ROW = ("s", "main", 0, "claude-opus-4", 10, 5, 1.5, "end_turn")
GOOD = agent_sessions([ROW])
RUN_HEAD = b"app,session,timestamp_us,role,in_chars,out_chars,t_s\n"
RUN = b"magagent,r,1,coder,40,400,0.0\n"
CLIENT_HEAD = b"category,model,client,t,rate,cv,pat,a1,a2\n"
CLIENT = b"multimodal,mm-image,0,600,2.0,0.5,Gamma,4.0,0.1\n"


def read(content: dict[str, Any], data: bytes) -> Any:
    return FORMATS.build(content, "format").read(data, "x.csv")


@pytest.mark.parametrize(
    ("content", "data", "message"),
    [
        (AGENTS, b"", "x.csv must hold calls, but it is empty"),
        (AGENTS, GOOD.splitlines()[0], "it has a header alone"),
        (AGENTS, GOOD[5:], "line 1: must be the header trace,agent"),
        (AGENTS, GOOD[:-15], "line 2: must look like trace_0001,main"),
        (AGENTS, GOOD.replace(b"main", b"boss"), "line 2: must look like"),
        (AGENTS, GOOD.replace(b"1.5", b"nan"), "line 2: must look like"),
        (AGENTS, GOOD.replace(b"1.5", b"-1.5"), "line 2: must look like"),
        (AGENTS, GOOD.replace(b",10,", b",1e1,"), "line 2: must look like"),
        (
            AGENTS,
            GOOD.replace(b"opus", b"gpt"),
            "model must be one of the tiers opus, sonnet, haiku",
        ),
        (AGENTS, agent_sessions([(*ROW[:4], 0, 0, 1, "")]), "line 2: a call must have tokens"),
        (
            AGENTS,
            agent_sessions([("s", "sub0:A", *ROW[2:])]),
            "session s must have calls of 'main'",
        ),
        (
            AGENTS,
            agent_sessions([("s", "main", 5, *ROW[3:]), ROW]),
            "session s must have the calls of 'main' sorted by time, .* got 0 s after 5 s",
        ),
        (
            AGENTS,
            agent_sessions([ROW, ("s", "main", 900_000_000, *ROW[3:])]),
            r"within 1e\+08 s, got 9e\+08 s after 0 s",
        ),
        (RUNS, RUN, "line 1: must be the header app,session"),
        (RUNS, RUN_HEAD, "must hold calls, got none"),
        ({**RUNS, "app": "x"}, RUN_HEAD + RUN, "must hold calls of app 'x', got none"),
        (RUNS, RUN_HEAD + RUN[:-5], "line 2: must look like magagent"),
        (RUNS, RUN_HEAD + RUN.replace(b",40,400,", b",0,0,"), "a call must have characters"),
        (CLIENTS, CLIENT, "line 1: must be the header category,model"),
        (CLIENTS, CLIENT_HEAD, "must hold windows of model 'mm-image' with a rate, got none"),
        ({**CLIENTS, "model": "x"}, CLIENT_HEAD + CLIENT, "windows of model 'x'"),
        (CLIENTS, CLIENT_HEAD + CLIENT[:-5], "line 2: must look like multimodal"),
        (
            CLIENTS,
            CLIENT_HEAD + CLIENT.replace(b"Gamma", b""),
            "a rate must have a Gamma or Weibull",
        ),
        (CLIENTS, CLIENT_HEAD + CLIENT.replace(b"Gamma", b"Pareto"), "line 2: must look like"),
        (
            CLIENTS,
            CLIENT_HEAD + CLIENT.replace(b"4.0", b"0.0"),
            r"shape must lie in \[0.001, 1e\+06",
        ),
        (
            CLIENTS,
            CLIENT_HEAD + CLIENT.replace(b"2.0", b"9e99"),
            "line 2: must look like|rate below",
        ),
    ],
)
def test_damaged_files_name_line_rule_and_value(
    content: dict[str, Any], data: bytes, message: str
) -> None:
    with pytest.raises(TraceError, match=message):
        read(content, data)


def test_characters_are_a_quarter_of_a_token() -> None:
    (run,) = read(RUNS, RUN_HEAD + RUN).sessions
    assert run.gpu_s.tolist() == pytest.approx([10 / 4000 + 100 / 1000])
    assert run.service_s.tolist() == pytest.approx([0.5 + 10 / 100_000 + 1.0])
    assert run.imputed.all()


def clients(folder: Path, *rows: bytes) -> Any:
    data = CLIENT_HEAD + b"".join(rows)
    splits = {"train": [0, 1800], "validation": [1800, 3600], "heldout": [3600, 5400]}
    path = write_trace(folder, "clients", data, format=CLIENTS, splits=splits)
    return STREAMS.build({"kind": "servegen", "trace": str(path)}, "stream")


@pytest.mark.parametrize("family", [b"Gamma,0.25", b"Weibull,0.6", b"Gamma,4.0"])
def test_clients_have_their_rate_wherever_an_episode_starts(tmp_path: Path, family: bytes) -> None:
    row = CLIENT.replace(b"Gamma,4.0", family)
    stream = clients(tmp_path, row, row.replace(b",0,600,2.0", b",1,1200,1.0"))
    drawn = [stream.arrivals(keyed(seed, 1), 900.0, 600.0)[0] for seed in range(400)]
    for first, end, rate in ((0, 10, 2.0), (200, 300, 2.0), (300, 310, 1.0), (500, 600, 1.0)):
        counts = np.array([np.sum((t >= first) & (t < end)) for t in drawn])
        error = counts.std() / np.sqrt(len(drawn))
        assert abs(counts.mean() - rate * (end - first)) < SIGMAS * error
    for times in drawn:
        assert np.all(np.diff(times) >= 0)
        assert np.all((times >= 0) & (times < 600))
    assert stream.mean_rate(600.0) == pytest.approx((2.0 + 1.0) / 3)


def test_clients_add_up(tmp_path: Path) -> None:
    one = clients(tmp_path, CLIENT).arrivals(keyed(3, 1), 0.0, 1800.0)[0]
    assert one.size == pytest.approx(1200, rel=0.1)
    assert np.all((one >= 600) & (one < 1200))
    assert clients(tmp_path, CLIENT).arrivals(keyed(3, 1), 0.0, 600.0)[0].size == 0


def test_a_name_falls_where_its_sha256_puts_it() -> None:
    # sha256sum of the name: 25aa4209…, and 0x25aa4209 / 2^32 = 0.14712…
    assert session_hash("trace_0001") == pytest.approx(0x25AA4209 / 2**32, abs=1e-9)
    hashes = [session_hash(f"trace_{i:04d}") for i in range(2000)]
    assert np.histogram(hashes, 10, (0, 1))[0] == pytest.approx([200] * 10, abs=60)


def test_a_derived_file_says_what_it_was_made_from(tmp_path: Path) -> None:
    changes = {"format": AGENTS, "derived_from": "upstream's files"}
    path = write_trace(tmp_path, "made", None, **changes)
    with pytest.raises(TraceError, match="put it there; it is derived from upstream's files"):
        load_content(str(path), Sessions)
    assert trace_status(str(path)).url == "derived from upstream's files"
    content = {"file": "x.csv", "format": AGENTS, "splits": SPLITS, **changes}
    origin = {"repository": "a/b", "commit": "0" * 40, "path": "p", "sha256": "0" * 64}
    with pytest.raises(ConfigError, match="derived_from must stand alone, got repository"):
        parse_spec({**content, **origin}, name="x")
    with pytest.raises(TypeError, match="derived_from must be a string"):
        parse_spec({**content, "derived_from": 3}, name="x")


def test_sessions_are_not_calls_on_one_clock(tmp_path: Path) -> None:
    path = str(write_trace(tmp_path, "mini", GOOD, format=AGENTS))
    with pytest.raises(TraceError, match="must hold calls on one clock, got Sessions"):
        load_trace(path)


def test_wrong_sums_are_errors(tmp_path: Path) -> None:
    path = str(write_trace(tmp_path, "mini", GOOD, format=AGENTS, sha256="0" * 64, bytes=10**6))
    with pytest.raises(TraceError, match="must have the sha256 0000"):
        load_content(path, Sessions)


@pytest.mark.traces("lmcache_agent_calls")
def test_the_orchestrated_runs() -> None:
    runs = load_content("lmcache_agent_calls", Sessions).sessions
    units = np.concatenate([run.unit for run in runs])
    assert len(runs) == 25
    assert units.size == 746
    assert np.mean(units == "orchestrator") == pytest.approx(0.74, abs=0.005)
    pairs = [pair for run in runs for pair in zip(run.unit, run.unit[1:], strict=False)]
    after = [second for first, second in pairs if first == "orchestrator"]
    for role, share in (("orchestrator", 0.64), ("coder", 0.26), ("websurfer", 0.10)):
        assert np.mean(np.array(after) == role) == pytest.approx(share, abs=0.01)


@pytest.mark.traces("servegen_mm_image")
def test_resampled_clients_have_the_published_statistics() -> None:
    stream = STREAMS.build({"kind": "servegen", "trace": "servegen_mm_image"}, "stream")
    times, _ = stream.arrivals(keyed(0, 1), 0.0, 86_400.0)
    assert times.size / 86_400 == pytest.approx(9.47, rel=0.02)
    gaps = np.diff(times)
    assert gaps.std() / gaps.mean() == pytest.approx(1.32, rel=0.03)
    for width_s, expected in ((1.0, 4.2), (10.0, 9.8), (60.0, 34.0)):
        counts = np.bincount((times / width_s).astype(int))
        assert counts.var() / counts.mean() == pytest.approx(expected, rel=0.12)
    assert len(np.unique(load_content("servegen_mm_image", ClientRates).client)) == 35
