"""Users' tables that cannot be used are refused in one clear line, and within bounds."""

import gzip
import math
from pathlib import Path
from typing import Any

import pytest

from slicegym.envs.errors import ConfigError, TraceError, UnknownNameError
from slicegym.envs.traces import importing, rows
from slicegym.envs.traces.importing import Columns, Imported, import_calls

ALL = Columns(time="t", agent="a", work="w")
CSV = "t,a,w\n3,y,2\n1,x,0.5\n2.5,x,1\n"


def read(folder: Path, content: str | bytes, columns: Columns = ALL, **options: Any) -> Imported:
    path = folder / "log.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return import_calls(path, columns, **options)


class TestRefusals:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "it is empty"),
            (b" \n\n", "it is empty"),
            (b"t,a,w\n", "it has a header alone"),
            (b"t,a,w\n1,x,1\n", "calls at different times, got 1 at 1 alone"),
            (b"tt,a,w\n1,x,1\n", r"line 1: there is no column 't' .did you mean 'tt'"),
            (b"t,a,w,t\n1,x,1,1\n", "column 't' must stand once in the header, got it 2 times"),
            (b't,a,w\n1,x,1\n2,"x,1\n3,x,1\n', "must be CSV, got 'unexpected end of data'"),
            (b't,a,w\n1,"x"y,1\n', "line 2: must be CSV"),
            (b"t,a,w\n1,x,1\n2,\xff\xfe,1\n", "line 3: must be UTF-8 text"),
            ("t,a,w\n1,x,1\n".encode("utf-16"), "line 1: must be UTF-8 text"),
            (b'[{"t": 1}]', "got a JSON array; convert it, for instance by `jq -c '.\\[\\]'`"),
            (b"PK\x03\x04" + bytes(50), "got a ZIP or Excel file; save it as CSV"),
            (gzip.compress(CSV.encode(), mtime=0)[:-9], "whole gzip file, got: ends early"),
            (b"\x1f\x8b" + bytes(50), "must be a whole gzip file"),
            (gzip.compress(b"PAR1" + bytes(50), mtime=0), "gunzip it first"),
            (b'{"tt": 1, "a": 1, "w": 1}\n', "no column 't' .did you mean 'tt'"),
        ],
    )
    def test_files(self, tmp_path, content, message):
        with pytest.raises((TraceError, ConfigError), match=message):
            read(tmp_path, content)

    def test_a_column_that_never_turns_up_is_missed_early(self, tmp_path):
        lines = '{"t": 1, "usage": {"total": 1}}\n' * 1000 + "not read any more"
        with pytest.raises(UnknownNameError, match=r"did you mean 'usage.total'"):
            read(tmp_path, lines, Columns(time="t", work="usage.totl"))

    def test_paths(self, tmp_path):
        with pytest.raises(TraceError, match=r"cannot read .*nothing.csv: No such file"):
            import_calls(tmp_path / "nothing.csv", ALL)
        with pytest.raises(TraceError, match=r"cannot read .*: Is a directory"):
            import_calls(tmp_path, ALL)

    @pytest.mark.parametrize("allowed", [-0.1, 1.5, math.nan])
    def test_fractions(self, tmp_path, allowed):
        with pytest.raises(ConfigError, match=r"allow-dropped must be"):
            read(tmp_path, CSV, allow_dropped=allowed)

    def test_time_units(self, tmp_path):
        with pytest.raises(ConfigError, match=r"time-unit must be one of s, ms.*got 'sec'"):
            read(tmp_path, CSV, time_unit="sec")


class TestBounds:
    def test_a_line_without_end(self, tmp_path):
        with (tmp_path / "log.csv").open("wb") as file:
            file.write(b"t,a,w\n")
            file.truncate(10 << 30)  # a hole: ten gigabytes of zeros that take no disk
        with pytest.raises(TraceError, match=r"line 2: a line must hold at most 1,048,576 bytes"):
            import_calls(tmp_path / "log.csv", ALL)

    def test_a_packed_line_without_end(self, tmp_path):
        bomb = gzip.compress(b"t,a,w\n" + bytes(50_000_000))
        assert len(bomb) < 100_000
        with pytest.raises(TraceError, match=r"line 2: a line must hold at most"):
            read(tmp_path, bomb)

    @pytest.mark.parametrize(
        ("module", "name", "message"),
        [
            (rows, "MAX_LINES", "line 101: the file must hold at most 100 lines"),
            (rows, "MAX_UNPACKED_BYTES", "at most 100 bytes unpacked, got more"),
            (importing, "MAX_CALLS", "must hold at most 100 calls, got more by line 102"),
            (importing, "MAX_AGENTS", "line 102: column 'a' must hold at most 100 different"),
        ],
    )
    def test_many_of_anything(self, tmp_path, monkeypatch, module, name, message):
        monkeypatch.setattr(module, name, 100)
        text = "t,a,w\n" + "".join(f"{i},x{i},1\n" for i in range(1000))
        with pytest.raises(TraceError, match=message):
            read(tmp_path, gzip.compress(text.encode()))

    def test_a_quote_that_never_closes(self, tmp_path):
        with pytest.raises(TraceError, match=r"must be CSV, got 'field larger.*131,072 characters"):
            read(tmp_path, 't,a,w\n1,"x,1\n' + "2,x,1\n" * 50_000)

    def test_a_date_beyond_64_bits(self, tmp_path):
        with pytest.raises(TraceError, match=r"1 without a readable time stamp.*9999"):
            read(tmp_path, "t\n2023-01-01 00:00\n9999-01-01 00:00\n", Columns(time="t"))
