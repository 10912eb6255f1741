"""Users' tables: every format and kind of time stamp, what is dropped, and what is refused."""

import gzip
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from slicegym.envs.errors import ConfigError, TraceError, UnknownNameError
from slicegym.envs.traces.importing import Columns, Imported, Starts, import_calls, session_starts
from slicegym.envs.traces.stamps import Stamps

ALL = Columns(time="t", agent="a", work="w")
CSV = "t,a,w\n3,y,2\n1,x,0.5\n2.5,x,1\n"


def write(folder: Path, content: str | bytes, name: str = "log.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(folder: Path, content: str | bytes, columns: Columns = ALL, **options: Any) -> Imported:
    return import_calls(write(folder, content), columns, **options)


def stamped(folder: Path, *stamps: object, **options: Any) -> Imported:
    """Import calls with these time stamps, as JSON lines keep their types."""
    lines = "\n".join(json.dumps({"t": stamp}) for stamp in stamps)
    return read(folder, lines, Columns(time="t"), **options)


class TestFormats:
    def check(self, calls: Imported) -> None:
        assert calls.arrival_s.tolist() == [0.0, 1.5, 2.0]
        assert calls.work.tolist() == [0.5, 1.0, 2.0]
        assert calls.agents == ("x", "y")
        assert calls.agent.tolist() == [0, 0, 1]
        assert (calls.n_rows, dict(calls.dropped)) == (3, {})

    @pytest.mark.parametrize(
        "text",
        [
            CSV,
            CSV.replace("\n", "\r\n").rstrip(),
            "\ufeff" + CSV,
            CSV.replace(",", ";"),
            CSV.replace(",", "\t"),
            CSV.replace("1,x", ' 1 ,"x "') + "\n\n",
            't,a,w,prompt\n3,y,2,"two\nlines, ""quoted"""\n1,x,0.5,\n2.5,x,1,b\n',
        ],
    )
    def test_csv(self, tmp_path, text):
        calls = read(tmp_path, text)
        self.check(calls)
        assert calls.format == "CSV"

    def test_columns_in_another_order(self, tmp_path):
        text = CSV.replace("t,a,w", "a b,x,t").replace(",y", ",y")
        calls = read(tmp_path, text, Columns(time="a b", agent="x", work="t"))
        self.check(calls)

    def test_json_lines(self, tmp_path):
        lines = [
            {"t": 3, "a": "y", "w": {"in": 2}},
            {"t": 1.0, "w": {"in": 0.5}, "a": "x"},
            {"t": "2.5", "a": "x", "w": {"in": "1"}, "other": [None]},
        ]
        text = "\n".join(map(json.dumps, lines))
        calls = read(tmp_path, text, Columns(time="t", agent="a", work="w.in"))
        self.check(calls)
        assert calls.format == "JSON lines"

    def test_packed_whatever_its_name(self, tmp_path):
        self.check(read(tmp_path, gzip.compress(CSV.encode())))

    def test_parquet(self, tmp_path):
        columns = {"t": [3, 1, 2.5], "a": ["y", "x", "x"], "w": [2.0, 0.5, 1.0]}
        day = np.datetime64("2024-02-29T12:00:00.000000001", "ns")
        nanoseconds = (np.array(columns["t"]) * 1e9).astype("m8[ns]")
        table = pyarrow.table({**columns, "when": pyarrow.array(day + nanoseconds)})
        pyarrow.parquet.write_table(table, tmp_path / "log.parquet")
        self.check(import_calls(tmp_path / "log.parquet", ALL))
        calls = import_calls(tmp_path / "log.parquet", Columns(time="when", agent="a", work="w"))
        self.check(calls)
        assert calls.first_stamp == "2024-02-29 12:00:01.000000001"
        with pytest.raises(UnknownNameError, match=r"no column 'whem' .did you mean 'when'"):
            import_calls(tmp_path / "log.parquet", Columns(time="whem"))

    def test_parquet_without_pyarrow(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(TraceError, match=r"needs pyarrow.*pip install 'slicegym\[parquet\]'"):
            read(tmp_path, b"PAR1" + bytes(100))

    def test_without_agents_or_work(self, tmp_path):
        calls = read(tmp_path, CSV, Columns(time="t"))
        assert (calls.agents, calls.work.tolist()) == (("agent",), [1.0] * 3)


class TestStamps:
    @pytest.mark.parametrize(
        ("stamps", "unit", "found"),
        [
            ([10, 11, 13], "s", "a guess: whole numbers, 1.5 apart"),
            ([10.5, 700, 900], "s", "numbers with decimals"),
            ([0, 3000, 9000], "ms", "a guess: whole numbers, 4.5e.03 apart"),
            ([1_700_000_000, 1_700_000_003], "s", "since 1970"),
            ([1_700_000_000_000, 1_700_000_003_000], "ms", "since 1970"),
            ([1_700_000_000_000_000, 1_700_000_003_000_000], "us", "since 1970"),
            ([1_700_000_000_000_000_000, 1_700_000_003_000_000_000], "ns", "since 1970"),
            (["1700000000.25", "1700000003.25"], "s", "since 1970"),
            (["2023-11-16 18:17:03", "2023-11-16 18:17:06"], "iso", "without a time zone"),
            (["2023-11-16T18:17:03Z", "2023-11-16T19:17:06+01:00"], "iso", "with a time zone"),
            (["2023-11-16T18:17:03-0530", "2023-11-16T18:17:06 -05:30"], "iso", "with a time"),
            (["2023-12-31 23:59:58.5", "2024-01-01 00:00:01,5"], "iso", "without"),
        ],
    )
    def test_kinds(self, tmp_path, stamps, unit, found):
        calls = stamped(tmp_path, *stamps)
        assert calls.time_unit == unit
        assert found.replace("e.", "e+") in calls.time_found

    @pytest.mark.parametrize("stamp", ["1_000", "", None, True, [1], "nan", 1e999, "16/11/2023"])
    def test_what_is_no_time(self, stamp):
        assert not Stamps("t").add(stamp)

    @pytest.mark.parametrize(
        "stamp", ["2023-02-29 00:00:00", "2023-01-01 24:00:00", "2023-01-01 10:60", "2023-01-01"]
    )
    def test_dates_that_do_not_exist(self, stamp):
        assert not Stamps("t").add(stamp)

    def test_seven_decimals_and_more_survive(self, tmp_path):
        calls = stamped(tmp_path, "2023-11-16 18:17:03.9799600", "2023-11-16 18:17:04.979960123")
        assert calls.arrival_s[1] == 1.000000123
        assert calls.first_stamp == "2023-11-16 18:17:03.979960000"

    @pytest.mark.parametrize(
        ("column", "unit"),
        [("t_ms", "ms"), ("timeMs", "ms"), ("arrival (us)", "us"), ("T_S", "s"), ("ts", "s")],
    )
    def test_a_columns_name_may_say_the_unit(self, column, unit):
        stamps = Stamps(column)
        assert all(stamps.add(value) for value in (0, 10, 30))
        assert stamps.seconds()[1] == unit

    def test_as_told(self, tmp_path):
        calls = stamped(tmp_path, 0, 3000, 9000, time_unit="s")
        assert calls.arrival_s.tolist() == [0, 3000, 9000]
        assert calls.time_found == "seconds (as told)"
        with pytest.raises(TraceError, match="3 without a readable time stamp"):
            stamped(tmp_path, 0, 1, 2, time_unit="iso")

    def test_zones_and_none_do_not_mix(self, tmp_path):
        stamps = ["2023-11-16 18:17:03", "2023-11-16 18:17:04Z", "2023-11-16 18:17:05"]
        calls = stamped(tmp_path, *stamps, allow_dropped=0.4)
        assert calls.n_calls == 2


class TestDropped:
    def test_one_in_a_hundred_is_dropped_and_counted(self, tmp_path):
        lines = [f"{i},x,1" for i in range(200)]
        lines[10], lines[20] = "10,x,0", "later,x,1"
        calls = read(tmp_path, "\n".join(["t,a,w", *lines]))
        assert calls.n_calls == 198
        assert {reason: entry.count for reason, entry in calls.dropped.items()} == {
            "with missing or non-positive work": 1,
            "without a readable time stamp": 1,
        }

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("5,x,", "1 with missing or non-positive work .first: line 4, column 'w', got None"),
            ("5,x,-1", "column 'w', got '-1'"),
            ("5,x,nan", "column 'w', got 'nan'"),
            ("soon,x,1", "1 without a readable time stamp .first: line 4, column 't', got 'soon'"),
            ("5,,1", "1 without an agent's name .first: line 4, column 'a', got None"),
            ("5,x,1,1", "1 that cannot be read .first: line 4, got '4 cells under a header of 3'"),
            ("5", "got '1 cells under a header of 3'"),
        ],
    )
    def test_more_is_refused_with_the_first_of_each(self, tmp_path, row, message):
        text = f"t,a,w\n1,x,1\n2,x,1\n{row}\n6,y,1\n"
        with pytest.raises(TraceError, match=rf"log.csv: at most 1 % .*1 of 4 .25 %.*{message}"):
            read(tmp_path, text)
        with pytest.raises(TraceError, match=r"pass --allow-dropped 0.25"):
            read(tmp_path, text)
        assert read(tmp_path, text, allow_dropped=0.25).n_calls == 3

    def test_damaged_json_lines(self, tmp_path):
        text = '{"t": 1}\n{"t": 2}\n{"t": 3, "a\n[1]\n' + '{"t":' + "[" * 100_000
        with pytest.raises(TraceError, match=r"3 that cannot be read .first: line 3, got '{"):
            read(tmp_path, text, Columns(time="t"))
        assert read(tmp_path, text, Columns(time="t"), allow_dropped=0.6).n_calls == 2


class TestSessions:
    text = "run,t,a\nr1,100,x\nr1,130,y\nr2,5,x\nr2,25,y\nr2,5,y\n"
    columns = Columns(time="t", agent="a", session="run")

    def test_each_keeps_its_own_gaps(self, tmp_path):
        calls = read(tmp_path, self.text, self.columns, starts=Starts(rate=0.001, seed=3))
        assert calls.session_s is not None
        first, second = calls.session_s
        found = set(np.round(calls.arrival_s, 6))
        one = {*np.round([first, first + 30, second, second + 20], 6)}
        two = {*np.round([first, first + 20, second, second + 30], 6)}
        assert found in (one, two)

    def test_the_seed_decides(self, tmp_path):
        first, again, other = (
            read(tmp_path, self.text, self.columns, starts=Starts(rate=0.1, seed=seed)).arrival_s
            for seed in (0, 0, 1)
        )
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_starts_are_a_poisson_process(self):
        moments = np.sort(session_starts(20_000, Starts(rate=0.5)))
        gaps = np.diff(moments)
        assert gaps.mean() == pytest.approx(2.0, rel=0.03)
        assert gaps.std() == pytest.approx(2.0, rel=0.03)

    @pytest.mark.parametrize(
        ("columns", "starts"), [(columns, None), (Columns(time="t"), Starts(rate=1.0))]
    )
    def test_column_and_rate_belong_together(self, tmp_path, columns, starts):
        with pytest.raises(ConfigError, match="must be given together"):
            read(tmp_path, self.text, columns, starts=starts)

    @pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf])
    def test_rates(self, rate):
        with pytest.raises(ConfigError, match="session-rate must be"):
            Starts(rate=rate)
