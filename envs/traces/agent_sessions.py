"""Sessions of a coding agent and its sub-agents: one row a call, tokens and times, no text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import TraceError
from .calls import (
    FORMATS,
    OUTPUT_TOKENS_PER_GPU_S,
    PROMPT_TOKENS_PER_GPU_S,
    bad_line,
    lines_below,
)
from .sessions import SessionCall, Sessions, group_sessions

HEADER = "trace,agent,t_s,t_abs_s,model,in_tok,out_tok,api_time_s,think_time_s,stop"
EXAMPLE = "trace_0001,main,19.0,19.0,claude-opus-4-5,72762,296,9.19,12.0,tool_use"
SECONDS = r"\d{1,9}(?:\.\d{1,9})?"
ROW = re.compile(
    rf"([\w.-]{{1,80}}),(main|sub\d{{1,6}}:[\w -]{{1,80}}),({SECONDS}),({SECONDS}),"
    rf"([\w.-]{{1,80}}),(\d{{1,9}}),(\d{{1,9}}),({SECONDS})?,({SECONDS})?,(\w{{0,40}})"
)
# Service time of a call whose own was not recorded: a constant [s], and the speeds at which prompts
# are read and answers written [tokens/s]. Least squares over the training sessions; R² is 0.88,
# 0.85 and 0.97.
SERVICE = {
    "opus": (1.32, 98_000.0, 63.0),
    "sonnet": (1.92, 75_000.0, 70.0),
    "haiku": (0.21, 68_000.0, 109.0),
}


class SessionRow(NamedTuple):
    """One line of the table, without what follows from the rest.

    Attributes:
        session: Name of the session.
        agent: `main`, or `sub` with a number and the kind of sub-agent: `sub0:Explore`.
        at_s: Start since the session's own [s].
        model: Full name of the model.
        tokens_in: Whole prompt, the part in the prefix cache included.
        tokens_out: Answer.
        service_s: Recorded time of the call [s]; `None` where there is none.
        stop: Why it stopped: `tool_use`, `end_turn` or nothing.
    """

    session: str
    agent: str
    at_s: float
    model: str
    tokens_in: int
    tokens_out: int
    service_s: float | None
    stop: str


@FORMATS("agent_sessions")
@dataclass(frozen=True)
class AgentSessions:
    """The table's columns are `HEADER`; the time read is `t_abs_s`, from the session's start.

    A call's work counts the tokens that are not in the prefix cache: what its prompt is longer than
    the agent's prompt before, or all of it where it is shorter, after a compaction.
    """

    def read(self, data: bytes, source: str) -> Sessions:
        """Read a whole file."""
        below = lines_below(HEADER, data, source)
        rows = [_row(line, number, source) for number, line in below]
        if not rows:
            raise TraceError(f"{source} must hold calls, but it has a header alone; fetch it again")
        return as_sessions(rows, source)


def _row(line: str, number: int, source: str) -> SessionRow:
    match = ROW.fullmatch(line)
    if match is None:
        raise bad_line(source, number, f"must look like {EXAMPLE}", line)
    session, agent, _, at_s, model, tokens_in, tokens_out, service_s, _, stop = match.groups()
    counts = int(tokens_in), int(tokens_out)
    if not sum(counts):
        raise bad_line(source, number, "a call must have tokens", line)
    if not any(tier in model for tier in SERVICE):
        known = ", ".join(SERVICE)
        raise bad_line(source, number, f"the model must be one of the tiers {known}", model)
    seconds = float(service_s) if service_s else None
    return SessionRow(session, agent, float(at_s), model, *counts, seconds, stop)


def as_sessions(rows: Iterable[SessionRow], source: str) -> Sessions:
    """Turn rows into sessions: tiers for models, work for tokens, service times for blanks.

    Raises:
        TraceError: A session without a main agent, or calls that are out of order.
    """
    prompts: dict[tuple[str, str], int] = {}
    calls = []
    for row in rows:
        tier = next(tier for tier in SERVICE if tier in row.model)
        cached = prompts.get(row[:2], 0)
        new = row.tokens_in - cached if row.tokens_in >= cached else row.tokens_in
        prompts[row[:2]] = row.tokens_in
        # At least one token: even a prompt that is in the cache as a whole is work.
        gpu_s = max(new, 1) / PROMPT_TOKENS_PER_GPU_S + row.tokens_out / OUTPUT_TOKENS_PER_GPU_S
        start_s, reading, writing = SERVICE[tier]
        imputed_s = start_s + row.tokens_in / reading + row.tokens_out / writing
        service_s = imputed_s if row.service_s is None else row.service_s
        calls.append(
            SessionCall(
                row.session,
                row.agent,
                row.at_s,
                tier,
                gpu_s,
                service_s,
                row.service_s is None,
                row.stop == "end_turn",
            )
        )
    return group_sessions(calls, source)
