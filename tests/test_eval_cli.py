"""The command line: what it prints, what it writes, and how it refuses."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from slicegym.envs.errors import ConfigError
from slicegym.eval import session
from slicegym.eval.cli import main, split_specs
from slicegym.eval.runs.cells import cast_of, play_job
from slicegym.eval.suite import load_suite, suite_names

ROW_KEYS = {
    "allocator", "scenario", "tape", "seed", "block", "reward", "latency_term", "cost_term",
    "idle_term", "weights", "little_latency_s", "latency_mean_s", "latency_p50_s", "latency_p95_s",
    "latency_p99_s", "throughput", "cost_usd", "utilization", "completed", "open", "rejected",
    "cold_starts", "decision_us",
}  # fmt: skip
SCENARIO = """
agents:
  - {name: a, throughput: 4, cold_start_s: 2, keep_alive_s: 3, min_share: 0.2}
  - {name: b, throughput: 2, priority: 2, min_share: 0.2}
gpus: 2
horizon_s: 20
reference_rate: 2
workload:
  kind: streams
  suite_episodes: 3
  streams:
    a: {kind: poisson, rate: 2, work: {kind: exponential}}
    b: {kind: poisson, rate: 1}
"""


@pytest.fixture
def scenario(tmp_path, monkeypatch):
    monkeypatch.setenv("SLICEGYM_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "small.yaml"
    path.write_text(SCENARIO)
    return path


class TestRun:
    def run(self, cli, scenario, *more):
        specs = "static,round_robin:quantum=2,demand"
        return cli("run", "--suite", f"{scenario}-heldout", "--allocators", specs, *more)

    def test_json_is_all_that_stdout_holds(self, cli, scenario):
        status, out, err = self.run(cli, scenario, "--json", "-")
        content = json.loads(out)
        assert (status, err) == (0, "")
        assert list(content) == ["suite", "rows", "summary"]
        assert len(content["rows"]) == 9
        assert set(content["rows"][0]) >= ROW_KEYS
        assert {r["allocator"] for r in content["rows"]} == {
            "static", "round_robin:quantum=2", "demand",
        }  # fmt: skip

    def test_the_reward_is_its_weighted_terms(self, cli, scenario):
        for row in json.loads(self.run(cli, scenario, "--json", "-")[1])["rows"]:
            weighted = sum(
                row["weights"][t] * row[f"{t}_term"] for t in ("latency", "cost", "idle")
            )
            assert row["reward"] == pytest.approx(-weighted, abs=1e-9)

    def test_all_allocators_play_the_same_tapes(self, cli, scenario):
        rows = json.loads(self.run(cli, scenario, "--json", "-")[1])["rows"]
        tapes = {a: [r["tape"] for r in rows if r["allocator"] == a] for a in ("static", "demand")}
        assert tapes["static"] == tapes["demand"]
        assert len(set(tapes["static"])) == 3
        assert len({row["block"] for row in rows}) == 3

    def test_a_repetition_differs_in_time_alone(self, cli, scenario):
        first, second = (
            json.loads(self.run(cli, scenario, "--json", "-")[1])["rows"] for _ in range(2)
        )
        for row in first + second:
            row["decision_us"] = None
        assert first == second

    def test_the_summary_compares_with_static_over_blocks(self, cli, scenario):
        content = json.loads(self.run(cli, scenario, "--json", "-")[1])
        rewards = {}
        for row in content["rows"]:
            rewards.setdefault(row["allocator"], []).append(row["reward"])
        entry = content["summary"]["allocators"]["demand"]
        gain = [a - b for a, b in zip(rewards["demand"], rewards["static"], strict=True)]
        assert entry["reward"] == pytest.approx(sum(rewards["demand"]) / 3)
        assert entry["vs_static"]["mean"] == pytest.approx(sum(gain) / 3)
        assert entry["vs_static"]["low"] < entry["vs_static"]["mean"] < entry["vs_static"]["high"]
        assert entry["vs_static"]["note"] == "3 blocks: indicative"
        assert content["summary"]["allocators"]["static"]["vs_static"] is None

    def test_one_block_has_no_interval(self, cli, scenario):
        out = self.run(cli, scenario, "--episodes", 1, "--json", "-")[1]
        versus = json.loads(out)["summary"]["allocators"]["demand"]["vs_static"]
        assert (versus["low"], versus["high"], versus["n_blocks"]) == (None, None, 1)

    def test_without_static_there_is_no_difference_and_a_note(self, cli, scenario):
        out = cli("run", "--suite", f"{scenario}-train", "--allocators", "demand", "--json", "-")[1]
        summary = json.loads(out)["summary"]
        assert summary["allocators"]["demand"]["vs_static"] is None
        assert "no difference to static" in summary["note"]

    def test_the_table_fits_80_columns_and_says_what_it_means(self, cli, scenario):
        status, out, err = self.run(cli, scenario)
        assert (status, err) == (0, "")
        assert max(map(len, out.splitlines())) <= 80
        for word in ("vs static [95 %]", "Little", "p95", "indicative", "reward = −("):
            assert word in out

    def test_a_folder_holds_rows_summary_and_manifest(self, cli, scenario, tmp_path):
        folder = tmp_path / "new" / "result"
        assert self.run(cli, scenario, "--out", folder)[0] == 0
        assert sorted(path.name for path in folder.iterdir()) == [
            "agents.csv", "episodes", "manifest.json", "rows.csv", "summary.json", "table.csv",
        ]  # fmt: skip
        with (folder / "rows.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 9
        assert {"family", "allocator", "reward", "weights.latency"} <= set(rows[0])
        manifest = json.loads((folder / "manifest.json").read_text())
        assert {"python", "numpy", "numba"} <= set(manifest["versions"])
        (part,) = manifest["parts"]
        assert part["scenario"]["horizon_s"] == 20
        assert len(part["scenario_sha256"]) == 64
        assert len(part["episodes"]) == 3
        assert manifest["parameters"]["small"]["static"] == {}
        assert manifest["parameters"]["small"]["demand"]["drain_s"] == 5.0
        summary = json.loads((folder / "summary.json").read_text())
        assert summary["families"]["small"]["allocators"]["static"]["reward"] < 0

    def test_rows_are_the_same_in_csv_and_json(self, cli, scenario, tmp_path):
        target = tmp_path / "result.json"
        self.run(cli, scenario, "--out", tmp_path / "out", "--json", target)
        rows = json.loads(target.read_text())["rows"]
        with (tmp_path / "out" / "rows.csv").open(newline="") as file:
            for row, line in zip(rows, csv.DictReader(file), strict=True):
                assert float(line["reward"]) == row["reward"]
                assert line["block"] == row["block"]

    def test_a_run_that_is_cut_stays_marked(self, scenario, tmp_path, monkeypatch):
        def cut(jobs, workers):
            yield play_job(jobs[0], cast_of(jobs[:1]))[0]
            raise KeyboardInterrupt

        monkeypatch.setattr(session, "play_jobs", cut)
        with pytest.raises(SystemExit) as ended:
            main(["run", "--suite", f"{scenario}-train", "--out", str(tmp_path / "out")])
        assert ended.value.code == 130
        assert (tmp_path / "out" / "UNFINISHED").exists()
        assert not (tmp_path / "out" / "summary.json").exists()
        assert len((tmp_path / "out" / "rows.csv").read_text().splitlines()) == 2


class TestRefusals:
    def test_an_unknown_suite(self, refuse):
        assert "unknown suite 'bursty-helout' (did you mean 'bursty-heldout'?)" in refuse(
            "run", "--suite", "bursty-helout"
        )

    def test_an_unknown_allocator(self, refuse, scenario):
        line = refuse("run", "--suite", f"{scenario}-train", "--allocators", "static,adptive")
        assert "unknown allocator 'adptive' (did you mean 'adaptive'?)" in line

    @pytest.mark.parametrize(
        ("specs", "message"),
        [
            ("static,static", "'static' twice"),
            ("static,,demand", "names separated by commas"),
            ("demand:drain_s=-1", "demand.drain_s must be greater than 0"),
        ],
    )
    def test_bad_allocators(self, refuse, scenario, specs, message):
        assert message in refuse("run", "--suite", f"{scenario}-train", "--allocators", specs)

    def test_a_folder_that_exists(self, refuse, scenario, tmp_path):
        (tmp_path / "out").mkdir()
        line = refuse("run", "--suite", f"{scenario}-train", "--out", tmp_path / "out")
        assert "--out must be a new folder" in line
        assert not any((tmp_path / "out").iterdir())

    def test_a_refusal_leaves_nothing_behind(self, refuse, scenario, tmp_path):
        out = tmp_path / "out"
        refuse("run", "--suite", f"{scenario}-train", "--allocators", "nobody", "--out", out)
        spec = "demand:guarantee=true"
        scenario.write_text(SCENARIO.replace("min_share: 0.2", "min_share: 1.5"))
        line = refuse("run", "--suite", f"{scenario}-train", "--allocators", spec, "--out", out)
        assert "min_share of all agents must sum to at most gpus = 2" in line
        assert not out.exists()

    def test_a_json_file_without_a_folder(self, refuse, scenario, tmp_path):
        target = tmp_path / "nowhere" / "x.json"
        line = refuse("run", "--suite", f"{scenario}-train", "--json", target)
        assert f"its folder {target.parent} does not exist; create it first" in line

    @pytest.mark.parametrize("command", ["paper", "list", "traces", "bench"])
    def test_a_json_target_that_is_a_folder(self, refuse, command, tmp_path):
        assert "it is a folder" in refuse(command, "--json", tmp_path)

    def test_a_scenario_without_workload(self, refuse, scenario):
        scenario.write_text(SCENARIO[: SCENARIO.index("workload")])
        assert "needs a scenario with a workload" in refuse("run", "--suite", f"{scenario}-train")

    def test_a_bad_scenario_file(self, refuse, scenario):
        scenario.write_text(SCENARIO.replace("horizon_s", "horizon"))
        line = refuse("run", "--suite", f"{scenario}-train")
        assert "unknown key 'horizon' (did you mean 'horizon_s'?)" in line

    @pytest.mark.parametrize("arguments", [["run"], ["run", "--suite"], ["rum"], ["run", "--x"]])
    def test_usage_errors_are_one_line_too(self, refuse, arguments):
        refuse(*arguments)

    def test_zero_episodes(self, refuse, scenario):
        assert "--episodes" in refuse("run", "--suite", f"{scenario}-train", "--episodes", 0)

    def test_an_absent_trace(self, refuse, tmp_path, monkeypatch):
        monkeypatch.setenv("SLICEGYM_TRACES", str(tmp_path))
        monkeypatch.setenv("SLICEGYM_CACHE", str(tmp_path))
        monkeypatch.setattr("urllib.request.urlopen", no_network)
        assert "trace azure_co" in refuse("run", "--suite", "azure-heldout")


def no_network(*arguments, **options):
    raise OSError("no network")


class TestOtherCommands:
    def test_paper(self, cli):
        status, out, err = cli("paper", "--json", "-")
        assert (status, err) == (0, "")
        assert list(json.loads(out)) == ["static", "round_robin", "adaptive"]
        assert "Table II: ours · paper" in cli("paper")[1]

    def test_list(self, cli):
        content = json.loads(cli("list", "--json", "-")[1])
        assert {"allocators", "scenarios", "suites", "traces"} <= set(content)
        assert {"name": "adaptive", "causal": True} in content["allocators"]
        assert content["allocators_of_files"] == [{"name": "learned", "causal": True}]
        assert {"paper", "azure", "bursty"} <= set(content["scenarios"])
        assert "azure-heldout" in content["suites"]
        assert "azure_conv" in content["traces"]
        assert "round_robin" in cli("list")[1]

    def test_traces(self, cli):
        content = json.loads(cli("traces", "--json", "-")[1])
        azure = next(trace for trace in content if trace["name"] == "azure_conv")
        assert azure["licence"] == "CC-BY-4.0"
        assert isinstance(azure["present"], bool)
        out = cli("traces")[1]
        assert "azure_conv" in out
        assert max(map(len, out.splitlines())) <= 80

    @pytest.mark.parametrize(
        "command",
        [
            *("run", "bound", "table", "compare", "submit", "verify", "leaderboard"),
            *("paper", "list", "traces", "bench", "tune"),
        ],
    )
    def test_help_has_examples(self, cli, command):
        status, out, _ = cli(command, "--help")
        assert status == 0
        assert f"slicegym-eval {command}" in out.partition("Examples:")[2]


class TestSuites:
    def test_every_scenario_has_three(self):
        assert {"bursty-train", "bursty-validation", "bursty-heldout"} <= set(suite_names())

    def test_splits_share_no_seed(self):
        seeds = [{e.seed for e in load_suite(f"bursty-{s}").episodes} for s in ("train", "heldout")]
        assert seeds[0].isdisjoint(seeds[1])

    def test_a_part_of_a_suite_is_its_beginning(self):
        suite = load_suite("bursty-heldout")
        assert suite.first(2).episodes == suite.episodes[:2]
        with pytest.raises(ConfigError, match="episodes must be at least 1"):
            suite.first(0)

    @pytest.mark.traces("azure_conv", "azure_code")
    def test_the_real_trace_has_three_heldout_blocks(self, cli):
        suite = ("--suite", "azure-heldout", "--allocators", "static", "--no-bound")
        out = cli("run", *suite, "--json", "-")[1]
        rows = json.loads(out)["rows"]
        assert len({row["block"] for row in rows}) == 3
        assert all(row["completed"] > 1000 for row in rows)


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("static", ["static"]),
        ("a, b:x=1,y=2,c", ["a", "b:x=1,y=2", "c"]),
        ("learned:runs/x,demand:wake=1", ["learned:runs/x", "demand:wake=1"]),
    ],
)
def test_allocators_are_split_at_commas_between_them(text, specs):
    assert split_specs(text) == specs


def test_ctrl_c_ends_with_130_and_leaves_the_mark(scenario, tmp_path):
    scenario.write_text(SCENARIO.replace("suite_episodes: 3", "suite_episodes: 5000"))
    out = tmp_path / "out"
    command = [sys.executable, "-c", "from slicegym.eval.cli import main; main()", "run"]
    command += ["--suite", f"{scenario}-train", "--allocators", "static", "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (out / "rows.csv").exists() or not (out / "rows.csv").stat().st_size:
        assert time.monotonic() < deadline, process.poll()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "slicegym-eval: interrupted\n"
    assert (out / "UNFINISHED").exists()


def test_a_reader_that_has_seen_enough_is_no_error():
    command = f"{sys.executable} -c 'from slicegym.eval.cli import main; main()' list | true"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_a_terminal_without_greek_is_served():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", "from slicegym.eval.cli import main; main(['paper'])"]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"110.26" in done.stdout
