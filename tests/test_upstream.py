"""Importers of upstream's formats: rows are those of the derived tables; the rest is refused."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from slicegym.envs.errors import TraceError
from slicegym.envs.traces import FORMATS, load_spec, upstream
from slicegym.envs.traces.files import find, read_checked

CALL = {"t": 0.0, "type": "n", "model": "claude-opus-4", "in": 900, "out": 50, "stop": "tool_use"}
SESSION: dict[str, Any] = {
    "id": "trace_7",
    "requests": [
        {**CALL, "api_time": 4.0, "think_time": 0.0},
        {
            "t": 30.5,  # its end
            "type": "subagent",
            "subagent_type": "Explore",
            "duration_ms": 20_000,
            "requests": [
                {**CALL, "t": 0.0, "model": "claude-haiku-4"},
                {
                    "t": 15.0,
                    "type": "subagent",
                    "subagent_type": "Plan",
                    "duration_ms": 5_000,
                    "requests": [{**CALL, "t": 2.0, "model": "claude-haiku-4", "stop": None}],
                },
            ],
        },
        {**CALL, "t": 31.0, "stop": "end_turn"},
    ],
}
LINE = {"timestamp": 1760996963873343, "session_id": "r1", "input": "x", "output": "yz"}


def as_bytes(content: object) -> bytes:
    return json.dumps(content).encode()


def test_nested_sub_agents_start_their_length_before_their_end(tmp_path: Path) -> None:
    path = tmp_path / "trace_7.json.gz"
    path.write_bytes(gzip.compress(as_bytes(SESSION)))
    table = upstream.convert_sessions([path])
    assert table.splitlines()[1:] == [
        "trace_7,main,0.0,0.0,claude-opus-4,900,50,4.0,0.0,tool_use",
        "trace_7,main,31.0,31.0,claude-opus-4,900,50,,,end_turn",
        "trace_7,sub0:Explore,0.0,10.5,claude-haiku-4,900,50,,,tool_use",
        "trace_7,sub1:Plan,2.0,22.5,claude-haiku-4,900,50,,,",
    ]
    read = FORMATS.build({"kind": "agent_sessions"}, "format").read(table.encode(), "x.csv")
    assert read.sessions[0].edges.tolist() == [[0, 1], [0, 2], [0, 3], [1, 3], [2, 3]]  # type: ignore[attr-defined]


def test_orchestrated_runs_get_their_roles() -> None:
    prompts = [
        ("user: Below I will present you a request", "orchestrator"),
        ("system: Solve tasks using your coding and language skills", "coder"),
        ("assistant: We are working to address the following", "orchestrator"),
        ("", "websurfer"),
        ("hello", "other"),
    ]
    lines = [
        {**LINE, "timestamp": 10**15 + 500_000 * i, "input": p} for i, (p, _) in enumerate(prompts)
    ]
    table = upstream.orchestrated_table(b"\n".join(map(as_bytes, lines)), "magagent", "x.jsonl")
    rows = [line.split(",") for line in table.splitlines()[1:]]
    assert [row[3] for row in rows] == [role for _, role in prompts]
    assert [row[6] for row in rows] == ["0.0", "0.5", "1.0", "1.5", "2.0"]
    read = FORMATS.build({"kind": "orchestrated"}, "format").read(table.encode(), "x.csv")
    assert read.sessions[0].n_calls == 5  # type: ignore[attr-defined]


def test_servegen_chunks_become_rows_and_means() -> None:
    rows = upstream.servegen_table(b"0,0,0,,0,0\n600,0.5,2.0,Gamma,0.25,8.0\n", 3, "chunk-3")
    assert rows[1] == "multimodal,mm-image,3,600,0.5,2.0,Gamma,0.25,8.0"
    data = "\n".join([upstream.servegen.HEADER, *rows]).encode()
    content = {"kind": "servegen", "model": "mm-image"}
    read: Any = FORMATS.build(content, "format").read(data, "x.csv")
    assert (read.client.tolist(), read.start_s.tolist(), read.shape.tolist()) == (
        [3],
        [600],
        [0.25],
    )
    assert read.mean_rate(0.0, 1200.0) == 0.25
    means = upstream.token_means(as_bytes({"600": {"text_tokens": "{10: 0.25, 30: 0.75}"}}), "x")
    assert means == {600.0: {"text_tokens": 25.0}}


BOMB = '{"a": ' * 100_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "x must be JSON"),
        (b"[1]", "x must be a JSON object"),
        (BOMB.encode(), "x must be JSON"),
        (as_bytes(SESSION)[:-20], "x must be JSON"),
        (as_bytes({**SESSION, "id": "a,b"}), "id must be a short name, got 'a,b'"),
        (as_bytes({**SESSION, "requests": None}), "main must hold a list `requests`"),
        (as_bytes({**SESSION, "requests": [1]}), "a request must be a mapping, got 1"),
        (
            as_bytes({**SESSION, "requests": [{**CALL, "in": -1}]}),
            "in must be a number of at least",
        ),
        (as_bytes({**SESSION, "requests": [{**CALL, "in": 1.5}]}), "in must be a whole number"),
        (as_bytes({**SESSION, "requests": [{**CALL, "t": True}]}), "t must be a number"),
        (b'{"id": "a", "requests": [{"t": NaN}]}', "NaN is not JSON"),
    ],
)
def test_bad_sessions_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        upstream.session_lines(content, "x")


def test_endless_nesting_of_sub_agents_is_refused() -> None:
    session: dict[str, Any] = {"requests": []}
    for _ in range(12):
        nested = {"t": 1, "type": "subagent", "subagent_type": "A", "duration_ms": 1}
        session = {"requests": [{**nested, **session}]}
    with pytest.raises(TraceError, match="must hold a list `requests`"):
        upstream.session_lines(as_bytes({"id": "deep", **session}), "x")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').abort()",
        "{1: (lambda: 1)()}",
        "{" * 5_000 + "}" * 5_000,
        "{1: 1.0",
        "{1: 0.5}",
        "{-1: 1.0}",
        "{1, 2}",
        "{1e999: 1.0, 2: 0}",
        "{}",
        "{1: 2: 3}",
        "{" + "1" * 5_000_000 + ": 1.0}",
        3,
    ],
)
def test_distributions_are_numbers_and_never_run(text: object) -> None:
    with pytest.raises(TraceError, match="x, window 0, text_tokens must be"):
        upstream.token_means(as_bytes({"0": {"text_tokens": text}}), "x")


@pytest.mark.parametrize("line", [b"0,0,0", b"x,0,0,,0,0", b"0,0,0,Pareto,1,1", b"0,nan,0,,0,0"])
def test_bad_chunks_are_refused(line: bytes) -> None:
    with pytest.raises(TraceError, match="chunk, line 1: must"):
        upstream.servegen_table(line, 0, "chunk")


@pytest.mark.parametrize("change", [{"input": 3}, {"session_id": ""}, {"timestamp": "x"}])
def test_bad_calls_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(TraceError, match=r"x, line 1: \w+"):
        upstream.orchestrated_table(as_bytes({**LINE, **change}), "app", "x")


def test_files_are_read_within_bounds(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.json.gz"
    bomb.write_bytes(gzip.compress(bytes(10**7)))
    line = tmp_path / "line.json"
    with line.open("wb") as file:
        file.truncate(10_000_000_000)  # sparse: one line of 10 GB
    for path in (bomb, line):
        with pytest.raises(TraceError, match="must hold at most 1000000 bytes unpacked, got more"):
            upstream.read_bounded(path, 1_000_000)
    with pytest.raises(TraceError, match="cannot read"):
        upstream.read_bounded(tmp_path / "absent.json")
    cut = tmp_path / "cut.json.gz"
    cut.write_bytes(gzip.compress(os.urandom(1000))[:500])
    with pytest.raises(TraceError, match="must be whole, but ends early"):
        upstream.read_bounded(cut)


def samples() -> Path:
    folder = Path(os.environ.get("SLICEGYM_TRACES", "/nowhere")) / "upstream_samples"
    if not folder.is_dir():
        pytest.skip("no samples of upstream's formats")
    return folder


def derived(name: str) -> list[str]:
    spec = load_spec(name)
    path = find(spec)
    assert path is not None
    return read_checked(spec, path).decode().splitlines()


@pytest.mark.traces("agent_sessions")
def test_upstream_sessions_are_the_tables_lines_to_the_byte() -> None:
    paths = sorted(samples().glob("trace_*.json"))
    made = upstream.convert_sessions(paths).splitlines()
    expected = [x for x in derived("agent_sessions") if x.startswith(tuple(p.stem for p in paths))]
    assert len(expected) == 440
    assert made[0] == derived("agent_sessions")[0]
    assert set(made[1:]) == set(expected)


@pytest.mark.traces("lmcache_agent_calls")
def test_upstream_runs_are_the_tables_lines_but_for_the_samples_cut_texts() -> None:
    data = (samples() / "lmcache_magagent_sample.jsonl").read_bytes()
    made = [x.split(",") for x in upstream.orchestrated_table(data, "magagent", "x").splitlines()]
    table = [x.split(",") for x in derived("lmcache_agent_calls")]
    expected = [row for row in table if row[1] == made[1][1]]
    assert [row[:4] + row[6:] for row in made[1:]] == [row[:4] + row[6:] for row in expected]


@pytest.mark.traces("servegen_mm_image")
def test_upstream_clients_are_in_the_table() -> None:
    table = {
        tuple(map(float, row)) for row in map(_numbers, derived("servegen_mm_image")[1:]) if row
    }
    for number in (9, 16):
        data = (samples() / f"servegen_mm-image_chunk-{number}-trace.csv").read_bytes()
        rows = upstream.servegen_table(data, number, "x")
        assert len(rows) == 144
        made = {tuple(map(float, row)) for row in map(_numbers, rows) if row}
        assert made <= table
        means = upstream.token_means(
            (samples() / f"servegen_mm-image_chunk-{number}-dataset.json").read_bytes(), "x"
        )
        assert sorted(means) == [0, 21_600, 43_200, 64_800]


def _numbers(line: str) -> list[str]:
    """Start, rate, CV and parameters of a window with calls; clients are numbered anew."""
    cells = line.split(",")
    return [*cells[3:6], *cells[7:]] if cells[1] == "mm-image" and float(cells[4]) else []
