"""Miniatures of the trace formats, so that tests need no real trace."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

T0 = "2023-11-16 18:17:00"
SPLITS = {"train": [0, 60], "validation": [70, 110], "heldout": [120, 200]}

ORIGIN = {"repository": "owner/name", "commit": "0" * 40, "path": "data/file.csv"}

Call = tuple[float, int, int]  # arrival [s], tokens in, tokens out


def calls(seed: int = 0, n: int = 400, span_s: float = 210.0, first_s: float = -5.0) -> list[Call]:
    """Random calls around `SPLITS`, some of them before second 0."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(first_s, span_s, n))
    tokens = rng.integers(1, 3000, (n, 2))
    return [
        (float(t), int(i), int(o)) for t, (i, o) in zip(np.round(times, 7), tokens, strict=True)
    ]


def azure(rows: Iterable[Call]) -> bytes:
    """As upstream: CRLF, no final line end, seven decimals, no time zone."""
    zero = np.datetime64(T0, "ns")
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    for second, tokens_in, tokens_out in rows:
        stamp = str(zero + np.timedelta64(round(second * 1e7) * 100, "ns")).replace("T", " ")
        lines.append(f"{stamp[:-2]},{tokens_in},{tokens_out}")
    return "\r\n".join(lines).encode()


def mooncake(rows: Iterable[Call]) -> bytes:
    """As upstream: JSON lines, milliseconds on ticks of 3 s."""
    lines = []
    for second, tokens_in, tokens_out in rows:
        call = {
            "timestamp": int(max(second, 0) // 3 * 3000),
            "input_length": tokens_in,
            "output_length": tokens_out,
            "hash_ids": [0, 1],
        }
        lines.append(json.dumps(call))
    return ("\n".join(lines) + "\n").encode()


def table(rows: Iterable[tuple[float, str, float]]) -> bytes:
    """A plain CSV of calls."""
    lines = ["release_s,agent,work", *(f"{t!r},{agent},{work!r}" for t, agent, work in rows)]
    return ("\n".join(lines) + "\n").encode()


def agent_sessions(rows: Iterable[tuple[object, ...]]) -> bytes:
    """Sessions of a coding agent.

    Rows are (session, agent, start [s], model, tokens in, tokens out, service [s] or "", stop).
    """
    lines = ["trace,agent,t_s,t_abs_s,model,in_tok,out_tok,api_time_s,think_time_s,stop"]
    for session, agent, start, model, tokens_in, tokens_out, service, stop in rows:
        cells = (session, agent, start, start, model, tokens_in, tokens_out, service, "", stop)
        lines.append(",".join(map(str, cells)))
    return ("\n".join(lines) + "\n").encode()


def coding_sessions(n: int = 40, seed: int = 0) -> bytes:
    """Random sessions, most with a sub-agent beside the main agent."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[object, ...]] = []
    for i in range(n):
        starts = np.cumsum(rng.integers(8, 60, 6))
        stops = rng.choice(["tool_use", "end_turn"], 6)
        main = zip((starts - starts[0]).tolist(), stops.tolist(), strict=True)
        rows += [(f"s{i}", "main", t, "claude-opus", 900 + t, 100, 5.5, stop) for t, stop in main]
        if i % 3:
            begin = int(starts[2] - starts[0]) + 6
            sub = [
                (f"s{i}", "sub0:Explore", begin + 7 * k, "claude-haiku", 50, 90, 2, "")
                for k in (0, 1)
            ]
            rows += sub
    return agent_sessions(rows)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_trace(folder: Path, name: str, data: bytes | None, /, **changes: Any) -> Path:
    """Write `name.yaml`, and its file next to it unless `data` is None; return the YAML's path.

    A change to None removes the key.
    """
    content: dict[str, Any] = {
        "title": f"Miniature {name}",
        "file": f"{name}.csv",
        "format": {"kind": "azure", "t0": T0},
        "clock": "mini",
        "splits": SPLITS,
        **changes,
    }
    if data is not None:
        (folder / f"{name}.csv").write_bytes(data)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    return path


def write_azure_scenario(folder: Path, horizon_s: float = 20.0) -> Path:
    """Write two miniature Azure traces and a scenario that replays them; return its path."""
    streams = {
        name: {"kind": "replay", "trace": str(write_trace(folder, name, azure(calls(seed))))}
        for seed, name in enumerate(("nlp", "reasoning"))
    }
    return write_scenario(folder, streams, horizon_s=horizon_s)


def write_scenario(
    folder: Path, streams: Mapping[str, object] | None = None, **changes: Any
) -> Path:
    """Write a scenario with one agent per stream; return its path."""
    agents: Sequence[str] = tuple(streams or ("a", "b"))
    content: dict[str, Any] = {
        "horizon_s": 20.0,
        "agents": [{"name": name, "throughput": 2.0} for name in agents],
        "workload": {"kind": "streams", "streams": dict(streams or {})},
        **changes,
    }
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(content))
    return path
