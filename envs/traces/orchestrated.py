"""Runs of an orchestrator and its workers: one row a call, lengths in characters, no text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .. import checks
from ..errors import TraceError
from .calls import (
    FORMATS,
    OUTPUT_TOKENS_PER_GPU_S,
    PROMPT_TOKENS_PER_GPU_S,
    bad_line,
    lines_below,
)
from .sessions import MAIN, SessionCall, Sessions, group_sessions

HEADER = "app,session,timestamp_us,role,in_chars,out_chars,t_s"
EXAMPLE = "magagent,1aa87db6,1760995773940169,orchestrator,1294,1548,0.0"
ROW = re.compile(
    r"([\w.-]{1,40}),([\w.-]{1,80}),\d{1,19},([\w.-]{1,40}),(\d{1,9}),(\d{1,9}),(\d{1,9}(?:\.\d{1,9})?)"
)
CHARACTERS_PER_TOKEN = 4.0  # the usual rule of thumb for English
# Service times are not recorded at all: half a second, and the speeds at which prompts are read
# and answers written [tokens/s], about those of a small hosted model.
START_S, READING, WRITING = 0.5, 100_000.0, 100.0


@FORMATS("orchestrated")
@dataclass(frozen=True)
class Orchestrated:
    """The table's columns are `HEADER`; the time read is `t_s`, from the run's start.

    A run is one chain: every call follows the one before it. Roles are inferred, not recorded (see
    `upstream.role_of`); the web surfer's prompts are pictures, of length 0.

    Attributes:
        app: The application whose runs to read; all of them by default.
    """

    app: str | None = None

    def __post_init__(self) -> None:
        if self.app is not None:
            checks.text("app", self.app)

    def read(self, data: bytes, source: str) -> Sessions:
        """Read a whole file."""
        lines = lines_below(HEADER, data, source)
        calls = list(self._calls(lines, source))
        if not calls:
            wanted = "calls" if self.app is None else f"calls of app {self.app!r}"
            raise TraceError(f"{source} must hold {wanted}, got none; fetch it again")
        return group_sessions(calls, source)

    def _calls(self, lines: Iterable[tuple[int, str]], source: str) -> Iterable[SessionCall]:
        for number, line in lines:
            match = ROW.fullmatch(line)
            if match is None:
                raise bad_line(source, number, f"must look like {EXAMPLE}", line)
            app, session, role, read, written, at_s = match.groups()
            if self.app not in (None, app):
                continue
            tokens_in = int(read) / CHARACTERS_PER_TOKEN
            tokens_out = int(written) / CHARACTERS_PER_TOKEN
            if not tokens_in + tokens_out:
                raise bad_line(source, number, "a call must have characters", line)
            gpu_s = tokens_in / PROMPT_TOKENS_PER_GPU_S + tokens_out / OUTPUT_TOKENS_PER_GPU_S
            service_s = START_S + tokens_in / READING + tokens_out / WRITING
            yield SessionCall(session, MAIN, float(at_s), role, gpu_s, service_s, True, False)
