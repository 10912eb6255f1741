"""Trace formats: what is read from a file, and what is refused."""

from typing import Any

import numpy as np
import pytest

from slicegym.envs.errors import TraceError
from slicegym.envs.traces import FORMATS

from .miniatures import T0, azure, calls, mooncake

AZURE = {"kind": "azure", "t0": T0}
MOONCAKE = {"kind": "mooncake", "jitter_s": 3.0}
TABLE = {"kind": "table"}


def read(content: dict[str, Any], data: bytes) -> Any:
    return FORMATS.build(content, "format").read(data, "x.csv")


def test_azure_reads_crlf_seven_decimals_and_no_final_line_end() -> None:
    data = (
        b"TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
        b"2023-11-16 18:15:46.6805900,374,44\r\n"
        b"2023-11-16 18:17:03.9799601,4808,10"
    )
    got = read(AZURE, data)
    assert got.arrival_s == pytest.approx([-73.31941, 3.9799601], abs=1e-12)
    assert got.work == pytest.approx([374 / 4000 + 0.044, 4808 / 4000 + 0.010])


@pytest.mark.parametrize("ending", [b"\r\n", b"\n"])
def test_line_ends_do_not_matter(ending: bytes) -> None:
    plain = azure(calls())
    other = plain.replace(b"\r\n", ending) + ending
    assert np.array_equal(read(AZURE, plain).arrival_s, read(AZURE, other).arrival_s)
    assert read(AZURE, plain).n_calls == 400


def test_mooncake_spreads_each_tick_over_three_seconds() -> None:
    rows = calls(first_s=0.0, n=3000)
    got = read(MOONCAKE, mooncake(rows))
    ticks = np.sort([t // 3 * 3 for t, _, _ in rows])
    assert np.all(np.diff(got.arrival_s) >= 0)
    # Spreading a tick over its three seconds keeps it there, so that ticks stay in order.
    assert np.array_equal(got.arrival_s // 3 * 3, ticks)
    inside = got.arrival_s - ticks
    assert inside.mean() == pytest.approx(1.5, abs=4 * 3 / np.sqrt(12 * 3000))
    again = read(MOONCAKE, mooncake(rows))
    assert np.array_equal(got.arrival_s, again.arrival_s)
    assert np.array_equal(np.sort(got.work), np.sort(again.work))
    other = read({**MOONCAKE, "jitter_seed": 1}, mooncake(rows))
    assert not np.array_equal(got.arrival_s, other.arrival_s)


def test_mooncake_keeps_each_calls_tokens() -> None:
    rows = [(0.0, 1000, 1), (0.0, 2000, 1), (6.0, 3000, 1)]
    got = read(MOONCAKE, mooncake(rows))
    assert sorted(got.work[:2]) == pytest.approx([0.251, 0.501])
    assert got.work[2] == pytest.approx(0.751)


def test_table_reads_agents_and_work() -> None:
    got = read(TABLE, b'release_s,agent,work\n0,nlp,1\n0.5,"a, b",2.5\n')
    assert got.arrival_s.tolist() == [0.0, 0.5]
    assert got.agent.tolist() == ["nlp", "a, b"]
    assert got.work.tolist() == [1.0, 2.5]


AZURE_HEAD = b"TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
GOOD = b"2023-11-16 18:17:03.9799600,4808,10\r\n"
JSON = b'{"timestamp": 3000, "input_length": 5, "output_length": 5, "hash_ids": []}\n'


@pytest.mark.parametrize(
    ("content", "data", "message"),
    [
        (AZURE, b"", "x.csv must hold calls, but it is empty"),
        (AZURE, b" \r\n", "x.csv must hold calls, but it is empty"),
        (AZURE, AZURE_HEAD, "it has a header alone"),
        (AZURE, GOOD, "line 1: must be the header TIMESTAMP"),
        (AZURE, AZURE_HEAD + GOOD + b"2023-11-16 18:17:0", "line 3: must look like .*18:17:0'"),
        (AZURE, AZURE_HEAD + b"2023-11-16 18:17:03.97+00:00,1,1", "line 2: must look like"),
        (AZURE, AZURE_HEAD + GOOD + b"\r\n" + GOOD, "line 3: must look like .*got ''"),
        (AZURE, AZURE_HEAD + GOOD.replace(b"4808", b"-1"), "line 2: must look like"),
        (AZURE, AZURE_HEAD + GOOD.replace(b"4808", b"nan"), "line 2: must look like"),
        (AZURE, AZURE_HEAD + GOOD.replace(b"4808,10", b"0,0"), "line 2: a call must have tokens"),
        (AZURE, AZURE_HEAD + GOOD + GOOD.replace(b"-11-", b"-13-"), "line 3: the time must exist"),
        (AZURE, AZURE_HEAD + GOOD + GOOD.replace(b":17:", b":16:"), "line 3: calls must be sorted"),
        (AZURE, AZURE_HEAD + GOOD + b"\xff\xfe", "line 3: must be UTF-8"),
        (MOONCAKE, b"\n", "x.csv must hold calls, but it is empty"),
        (MOONCAKE, JSON + JSON[:30], "line 2: must be one JSON object"),
        (MOONCAKE, JSON + b"[1]\n", "line 2: must be one JSON object"),
        (MOONCAKE, b"[" * 100_000, "line 1: must be one JSON object"),
        (MOONCAKE, JSON.replace(b"3000", b"NaN"), "line 1: must be one JSON object"),
        (MOONCAKE, JSON.replace(b"3000", b"-1"), "line 1: timestamp must be a whole number"),
        (MOONCAKE, JSON.replace(b"3000", b"1.5"), "line 1: timestamp must be a whole number"),
        (MOONCAKE, JSON.replace(b"3000", b"1" * 5000), "line 1: "),
        (MOONCAKE, JSON.replace(b"input_length", b"in"), "line 1: input_length must be .* None"),
        (MOONCAKE, JSON.replace(b": 5", b": 0"), "line 1: a call must have tokens"),
        (MOONCAKE, JSON + JSON.replace(b"3000", b"0"), "line 2: calls must be sorted"),
        (TABLE, b"t,agent,work\n0,a,1\n", "line 1: must be the header release_s,agent,work"),
        (TABLE, b"release_s,agent,work\n", "it has a header alone"),
        (TABLE, b"release_s,agent,work\n0,a\n", "line 2: must look like 12.5,nlp,1.0, got '0,a'"),
        (TABLE, b"release_s,agent,work\n0,,1\n", "line 2: must look like"),
        (TABLE, b"release_s,agent,work\ninf,a,1\n", "release_s must be a finite number, got 'inf'"),
        (TABLE, b"release_s,agent,work\n0,a,x\n", "work must be a finite number, got 'x'"),
        (TABLE, b"release_s,agent,work\n0,a,-1\n", "work must be greater than 0, got '-1'"),
        (TABLE, b"release_s,agent,work\n2,a,1\n1,a,1\n", "line 3: calls must be sorted by time"),
        (TABLE, b'release_s,agent,work\n0,"a,1\n', "line 2: must be CSV"),
    ],
)
def test_damaged_files_name_line_rule_and_value(
    content: dict[str, Any], data: bytes, message: str
) -> None:
    with pytest.raises(TraceError, match=message):
        read(content, data)
