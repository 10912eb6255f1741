"""A user's file becomes statistics and a scenario that the environment and the commands take."""

import csv
import gzip
import hashlib
import json
import math
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import yaml

from slicegym.envs.errors import TraceError
from slicegym.envs.loading import load_scenario
from slicegym.eval import trace_files
from slicegym.eval.trace_report import picture, short

OPTIONS = ("--time-column", "when", "--agent-column", "who", "--work-column", "size")
WRITTEN = ["my.calls.csv", "my.trace.yaml", "my.yaml"]


@pytest.fixture
def log(tmp_path, monkeypatch):
    """A log of 3,000 unsorted calls in 20 minutes, in the current folder."""
    rng = np.random.default_rng(7)
    times = rng.uniform(0, 1200, 3000)
    times[1000:1002] = 0, 1200
    start = np.datetime64("2024-05-01T09:00:00")
    with (tmp_path / "log.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("when", "who", "size"))
        for i, time in enumerate(times):
            agent = ("plan, act", "code", "on")[i % 3]
            stamp = str(start + np.timedelta64(int(time * 1e6), "us")).replace("T", " ")
            writer.writerow((stamp, agent, (i % 3 + 1) * 100 + i % 7))
    monkeypatch.chdir(tmp_path)
    return Path("log.csv")


@pytest.fixture
def refuse(cli):
    """Run `trace` on what must be refused and return the one line that says why."""

    def run(*arguments):
        before = sorted(Path().iterdir())
        status, out, err = cli("trace", *arguments)
        assert (status, out) == (2, "")
        assert err.startswith("slicegym-eval: error: ")
        assert err.count("\n") == 1
        assert sorted(Path().iterdir()) == before
        return err

    return run


class TestRoad:
    def test_from_a_file_to_an_evaluation(self, cli, log, monkeypatch, tmp_path):
        status, out, err = cli("trace", log, *OPTIONS, "--out", "my.yaml", "--picture", "my.png")
        assert (status, err) == (0, "")
        assert "log.csv: CSV, 3,000 rows, none dropped" in out
        assert "slicegym-eval run --suite my.yaml-validation" in out
        assert max(map(len, out.splitlines())) <= 80
        assert sorted(p.name for p in Path().iterdir()) == sorted(["log.csv", "my.png", *WRITTEN])
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")  # paths are relative to the scenario's folder
        env = gym.make("slicegym/Custom-v0", scenario="../my.yaml")
        env.reset(seed=0)
        truncated, rewards = False, []
        while not truncated:
            _, reward, _, truncated, _ = env.step(np.full(3, 0.3, dtype=np.float32))
            rewards.append(float(reward))
        assert len(rewards) == 80
        assert all(math.isfinite(reward) for reward in rewards)
        suite = "../my.yaml-heldout"
        status, out, _ = cli("run", "--suite", suite, "--allocators", "static", "--json", "-")
        rows = json.loads(out)["rows"]
        assert [row["block"] for row in rows] == ["my 960-1040", "my 1040-1120", "my 1120-1200"]
        assert all(row["completed"] > 100 for row in rows)

    def test_the_calls_are_the_files(self, cli, log):
        cli("trace", log, *OPTIONS, "--out", "my.yaml")
        with Path("my.calls.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        with log.open(newline="") as file:
            given = sorted((np.datetime64(r["when"]), r["who"]) for r in csv.DictReader(file))
        assert [row["agent"] for row in rows] == [who for _, who in given]
        seconds = [(when - given[0][0]) / np.timedelta64(1, "us") / 1e6 for when, _ in given]
        assert [float(row["release_s"]) for row in rows] == pytest.approx(seconds, abs=1e-9)
        train = [
            float(r["work"]) for r in rows if r["agent"] == "on" and float(r["release_s"]) < 720
        ]
        assert np.mean(train) == pytest.approx(1.0)

    def test_the_scenario_is_at_load_one_half(self, cli, log):
        cli("trace", log, *OPTIONS, "--out", "my.yaml")
        world = load_scenario(Path("my.yaml"))
        assert world.agent_names == ("code", "on", "plan, act")
        rates = world.workload._streams(world).mean_rates(world)
        assert np.sum(rates / world.throughput) / world.gpus == pytest.approx(0.5, rel=1e-3)
        assert world.reference_rate == pytest.approx(rates.sum(), rel=1e-5)
        per_call = 1 / world.throughput
        assert per_call / per_call[0] == pytest.approx(np.array([2, 3, 1]) * 1.0 / 2, rel=0.02)
        assert world.min_share.sum() == pytest.approx(1.0, abs=1e-3)

    def test_the_sum_is_checked(self, cli, log):
        cli("trace", log, *OPTIONS, "--out", "my.yaml")
        data = Path("my.calls.csv").read_bytes()
        named = yaml.safe_load(Path("my.trace.yaml").read_text())["sha256"]
        assert named == hashlib.sha256(data).hexdigest()
        Path("my.calls.csv").write_bytes(data.replace(b"code", b"cope", 1))
        with pytest.raises(TraceError, match=r"must have the sha256 .*or write its new sum into"):
            load_scenario("my.yaml")

    def test_an_agents_calls_may_all_be_held_out(self, cli):
        lines = [f"{i},{'late' if i > 900 else 'early'}" for i in range(1000)]
        Path("late.csv").write_text("\n".join(["t_s,who", *lines]))
        options = ("--time-column", "t_s", "--agent-column", "who", "--out", "my.yaml")
        assert cli("trace", "late.csv", *options)[0] == 0
        assert load_scenario("my.yaml").n_agents == 2

    @pytest.fixture(autouse=True)
    def in_a_folder_of_its_own(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    def test_sessions(self, cli):
        lines = [f"{run},{call * 9},{'ab'[call % 2]}" for run in range(400) for call in range(5)]
        Path("runs.csv.gz").write_bytes(gzip.compress("\n".join(["run,t_s,who", *lines]).encode()))
        options = ("--time-column", "t_s", "--agent-column", "who", "--session-column", "run")
        options += ("--session-rate", "0.2", "--out", "my.yaml", "--json", "-")
        content = json.loads(cli("trace", "runs.csv.gz", *options)[1])
        assert content["sessions"] == 400
        assert content["agents"]["a"]["arrivals"]["calls"] == 1200
        end = content["written"]["splits"]["heldout"][1]
        assert end < content["span_s"]  # after the last start they only run out
        assert end == pytest.approx(400 / 0.2, rel=0.2)


class TestReport:
    def test_json_is_all_that_stdout_holds(self, cli, log):
        status, out, err = cli("trace", log, *OPTIONS, "--json", "-")
        content = json.loads(out)
        assert (status, err) == (0, "")
        assert (content["rows"], content["written"]) == (3000, None)
        assert content["time"]["unit"] == "iso"
        assert list(content["agents"]) == ["code", "on", "plan, act"]
        assert list(content["all"]["arrivals"]["dispersion"]) == ["1", "10", "60"]
        assert content["all"]["arrivals"]["rate"] == pytest.approx(2.5, rel=0.01)
        assert content["agents"]["on"]["work"]["mean"] == pytest.approx(303, abs=0.1)

    def test_what_is_unknown_is_null(self, cli, tmp_path):
        (tmp_path / "short.csv").write_text("t\n0.5\n1.5\n")
        out = cli("trace", tmp_path / "short.csv", "--time-column", "t", "--json", "-")[1]
        content = json.loads(out)
        assert content["all"]["arrivals"]["dispersion"] == {"1": None, "10": None, "60": None}
        assert "2 calls are few" in content["notes"][0]
        assert cli("trace", tmp_path / "short.csv", "--time-column", "t")[0] == 0

    def test_a_stray_time_stamp_is_noted(self, cli, tmp_path):
        lines = [str(1_700_000_000 + i) for i in range(300)]
        (tmp_path / "x.csv").write_text("\n".join(["t", "946684800", *lines]))
        out = cli("trace", tmp_path / "x.csv", "--time-column", "t")[1]
        assert "is a time stamp far from the others" in " ".join(out.split())

    def test_the_picture_in_letters(self):
        lines = picture(np.array([[0, 1, 9, 0], [1, 0, 0, 0]]), ["one", "två"], 8.0)
        assert lines[1] == "       4.50 |  #"
        assert lines[7] == "            |###"
        assert lines[9] == "        one | .@ |"
        assert lines[10] == "        tv? |@   |"
        assert all(line.isascii() for line in lines)

    @pytest.mark.parametrize(
        ("value", "text"),
        [(math.nan, "–"), (1234.5, "1,234"), (2.345, "2.35"), (0.00123, "0.0012")],
    )
    def test_numbers(self, value, text):
        assert short(value) == text

    def test_the_png_is_one(self, cli, log):
        cli("trace", log, *OPTIONS, "--picture", "my.png")
        assert Path("my.png").read_bytes().startswith(b"\x89PNG")

    def test_help_has_examples(self, cli):
        assert "slicegym-eval trace" in cli("trace", "--help")[1].partition("Examples:")[2]


class TestRefusals:
    @pytest.mark.parametrize("name", WRITTEN)
    def test_nothing_is_overwritten(self, refuse, log, name):
        Path(name).write_text("precious")
        line = refuse(log, *OPTIONS, "--out", "my.yaml")
        assert f"--out: {name} exists, and nothing is overwritten" in line
        assert Path(name).read_text() == "precious"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--out", "my.txt"), "--out must end in .yaml, got 'my.txt'"),
            (("--out", "no/my.yaml"), "its folder no does not exist; create it first"),
            (("--picture", "my.jpg"), "--picture must end in .png"),
            (("--json", "log.csv"), "--json must be another file than the trace"),
            (("--json", "no/x.json"), "its folder no does not exist"),
            (("--time-column", "whem"), "line 1: there is no column 'whem' (did you mean 'when'?)"),
            (("--agent-column", "work"), "there is no column 'work' (did you mean 'who'?)"),
            (("--time-unit", "sec"), "time-unit must be one of"),
            (("--session-column", "who"), "session-column and session-rate must be given together"),
            (("--session-rate", "0"), "session-rate must be greater than 0"),
            (("--session-rate", "x"), "--session-rate"),
            (("--seed", "-1"), "--seed"),
            (("--allow-dropped", "2"), "allow-dropped must be at most 1"),
            (("--time-unit", "ms", "--out", "my.yaml"), "3,000 without a readable time stamp"),
        ],
    )
    def test_options(self, refuse, log, options, message):
        assert message in refuse(log, *OPTIONS, *options)

    def test_a_failure_while_writing_leaves_nothing(self, refuse, log, monkeypatch):
        def full(*arguments):
            raise OSError(28, "No space left on device")

        for step in ("_write_calls", "_try", "_place"):
            with monkeypatch.context() as patch:
                patch.setattr(trace_files, step, full)
                assert "No space left" in refuse(log, *OPTIONS, "--out", "my.yaml")

    def test_a_file_that_appears_meanwhile_is_kept(self, refuse, log, monkeypatch):
        place = trace_files._place

        def race(source, target):
            if target.name == "my.yaml":
                raise FileExistsError(17, "File exists")
            place(source, target)

        monkeypatch.setattr(trace_files, "_place", race)
        assert "my.yaml exists" in refuse(log, *OPTIONS, "--out", "my.yaml")
