"""Importers: from upstream's own files to the derived tables that the traces here are read from.

Each takes the bytes of upstream's files and returns lines of the table; the text of prompts and
answers is dropped. Nothing upstream holds is ever executed.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import TraceError
from . import agent_sessions, orchestrated, servegen
from .calls import bad_line, numbered_lines
from .files import unpack

MAX_FILE_BYTES = 1 << 28
MAX_DEPTH = 8  # of sub-agents in sub-agents
MAX_LITERAL = 4_000_000  # characters of a distribution
LITERAL = re.compile(r"\{[0-9eE.+\-:, ]*\}")


def read_bounded(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Read a file, unpacked where its name ends in .gz, and never more than the bound.

    Raises:
        TraceError: It cannot be read, is larger, or is no whole gzip file.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise TraceError(f"cannot read {path}: {error.strerror or error}") from error
    if path.suffix == ".gz":
        data = unpack(data, path, max_bytes)
    if len(data) > max_bytes:
        raise TraceError(f"{path} must hold at most {max_bytes} bytes unpacked, got more; split it")
    return data


def convert_sessions(paths: Iterable[Path]) -> str:
    """Turn files `trace_NNNN.json` of kv-cache-tester into the table that `agent_sessions` reads.

    Raises:
        TraceError: A file that cannot be read or is not such a session.
    """
    lines = [agent_sessions.HEADER]
    for path in paths:
        lines += session_lines(read_bounded(path), str(path))
    return "\n".join(lines) + "\n"


def session_lines(data: bytes, source: str) -> list[str]:
    """Return the rows of one session: the main agent's, then each sub-agent's.

    Upstream writes a sub-agent's end and its length; its calls count from its start.
    """
    session = _parsed(data, source)
    name = _text(session, "id", source)
    lines = []
    for agent, start_s, request in _requests(session, source):
        t = _number(request, "t", source)
        cells = [name, agent, t, round(start_s + t, 3), _text(request, "model", source)]
        cells += [_count(request, "in", source), _count(request, "out", source)]
        cells += [_seconds(request, key, source) for key in ("api_time", "think_time")]
        lines.append(",".join(map(str, [*cells, request.get("stop") or ""])))
    return lines


def _requests(
    session: Mapping[str, Any], source: str
) -> Iterator[tuple[str, float, Mapping[str, Any]]]:
    """Yield (agent, its start [s], request), agent by agent; agents are numbered as they come."""
    agents = [("main", 0.0, session, 0)]
    for name, start_s, holder, depth in agents:  # grows as sub-agents are found
        requests = holder.get("requests")
        if not isinstance(requests, list) or depth > MAX_DEPTH:
            raise TraceError(f"{source}: {name} must hold a list `requests`; fetch the file again")
        for request in requests:
            if not isinstance(request, dict):
                raise TraceError(f"{source}: a request must be a mapping, got {request!r:.80}")
            if request.get("type") != "subagent":
                yield name, start_s, request
                continue
            end_s = start_s + _number(request, "t", source)
            begin_s = end_s - _number(request, "duration_ms", source) / 1e3
            kind = _text(request, "subagent_type", source)
            agents.append((f"sub{len(agents) - 1}:{kind}", max(begin_s, 0.0), request, depth + 1))


def orchestrated_table(data: bytes, app: str, source: str) -> str:
    """Turn JSON lines of lmcache-agent-trace into the table that `orchestrated` reads.

    Raises:
        TraceError: A line that is not a call with a time, a session, a prompt and an answer.
    """
    lines = [orchestrated.HEADER]
    first: dict[str, int] = {}
    for number, line in numbered_lines(data, source):
        call = _parsed(line.encode(), f"{source}, line {number}")
        at = f"{source}, line {number}"
        session, microseconds = _text(call, "session_id", at), _count(call, "timestamp", at)
        prompt, answer = call.get("input"), call.get("output")
        if not (isinstance(prompt, str | None) and isinstance(answer, str | None)):
            raise bad_line(source, number, "input and output must be text", line)
        start = first.setdefault(session, microseconds)
        lengths = len(prompt or ""), len(answer or "")
        role = role_of(prompt or "")
        cells = [app, session, microseconds, role, *lengths, round((microseconds - start) / 1e6, 6)]
        lines.append(",".join(map(str, cells)))
    return "\n".join(lines) + "\n"


def role_of(prompt: str) -> str:
    """Infer which agent of a Magentic-One team was called: by the words its prompts begin with."""
    if not prompt:
        return "websurfer"  # its prompts are pictures
    if "coding and language skills" in prompt:  # the coder's system message
        return "coder"
    if "Below I will present" in prompt or "working to address" in prompt:
        return "orchestrator"
    return "other"


def servegen_table(
    data: bytes, client: int, source: str, *, category: str = "multimodal", model: str = "mm-image"
) -> list[str]:
    """Turn a client's `chunk-N-trace.csv` into rows of the table that `servegen` reads."""
    lines = []
    for number, line in numbered_lines(data, source):
        cells = line.split(",")
        if len(cells) != 6:
            rule = "must be start, rate, CV, family and its two parameters"
            raise bad_line(source, number, rule, line)
        row = ",".join([category, model, str(client), *cells])
        if servegen.ROW.fullmatch(row) is None:
            raise bad_line(source, number, f"must make a row such as {servegen.EXAMPLE}", line)
        lines.append(row)
    return lines


def token_means(data: bytes, source: str) -> dict[float, dict[str, float]]:
    """Return the mean tokens of a client's `chunk-N-dataset.json` by window and kind.

    Its inner values are Python dictionaries {tokens: probability} written as text. They are checked
    for numbers alone before they are parsed, and parsed as literals, never evaluated.
    """
    windows = {}
    for start, kinds in _parsed(data, source).items():
        if not isinstance(kinds, dict) or not re.fullmatch(r"\d{1,9}", start):
            raise TraceError(f"{source}: {start!r:.40} must be a window's start and its kinds")
        windows[float(start)] = {
            str(kind): _mean(text, f"{source}, window {start}, {kind}")
            for kind, text in kinds.items()
        }
    return windows


def _mean(text: object, at: str) -> float:
    if not isinstance(text, str) or len(text) > MAX_LITERAL or not LITERAL.fullmatch(text):
        raise TraceError(
            f"{at} must be a flat dictionary of numbers of at most {MAX_LITERAL} characters, got "
            f"{text!r:.60}; fetch the file again"
        )
    try:
        found = ast.literal_eval(text)
        total, mean = sum(found.values()), sum(k * p for k, p in found.items())
    except (
        ValueError,
        SyntaxError,
        TypeError,
        AttributeError,
        RecursionError,
        MemoryError,
    ) as error:
        raise TraceError(
            f"{at} must be a dictionary of numbers ({error}); fetch it again"
        ) from None
    positive = all(k >= 0 and p >= 0 for k, p in found.items()) and math.isfinite(mean)
    if not positive or not abs(total - 1) < 0.01:
        raise TraceError(f"{at} must be probabilities of counts that add up to 1, got {total:g}")
    return float(mean)


def _parsed(data: bytes, source: str) -> dict[str, Any]:
    try:
        content = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise TraceError(f"{source} must be JSON ({error!s:.80}); fetch it again") from None
    if not isinstance(content, dict):
        raise TraceError(f"{source} must be a JSON object, got {content!r:.60}; fetch it again")
    return content


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _number(holder: Mapping[str, Any], key: str, source: str) -> float:
    value = holder.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e18:
        raise TraceError(f"{source}: {key} must be a number of at least 0, got {value!r:.40}")
    return value


def _seconds(holder: Mapping[str, Any], key: str, source: str) -> float | str:
    return "" if holder.get(key) is None else _number(holder, key, source)


def _count(holder: Mapping[str, Any], key: str, source: str) -> int:
    value = _number(holder, key, source)
    if not isinstance(value, int):
        raise TraceError(f"{source}: {key} must be a whole number, got {value!r:.40}")
    return value


def _text(holder: Mapping[str, Any], key: str, source: str) -> str:
    value = holder.get(key)
    if not isinstance(value, str) or not re.fullmatch(r"[\w. -]{1,80}", value):
        raise TraceError(f"{source}: {key} must be a short name, got {value!r:.80}")
    return value
