"""The command line of tuning PPO: what it writes, what it refuses, kills and companions."""

import json
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from slicegym.train import cli
from slicegym.train.config import load_config
from slicegym.train.search import space_around
from slicegym.train.study import StudyFile
from slicegym.train.tune import Task

from .training import SCENARIO, TINY
from .tuning import hill


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder that holds a scenario and a configuration."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SCENARIO))
    content = {**TINY, "scenario": "small.yaml", "net_arch": [16, 16], "baselines": ["static"]}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(content))

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            cli.main(list(map(str, arguments)))
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return call


class TestCommand:
    def test_what_it_writes_can_be_trained(self, run, tmp_path):
        arguments = ("tune", "run.yaml", "n_steps=8", "--trials", 3, "--out", "best.yaml")
        status, out, err = run(*arguments)
        assert (status, err) == (0, "")
        assert "3 trials, 0 of them stopped early" in out
        content = yaml.safe_load((tmp_path / "best.yaml").read_text())
        tuned = content["tuned"]
        assert tuned["command"] == "slicegym-train tune run.yaml n_steps=8 --trials 3 --seeds 1"
        assert (tuned["split"], tuned["trials"], tuned["pruned"]) == ("validation", 3, 0)
        assert tuned["reward"] >= tuned["given_reward"]
        config = load_config("best.yaml")
        assert json.loads(json.dumps(config.as_dict())) == {
            key: value for key, value in content.items() if key != "tuned"
        }
        assert (config.scenario, config.total_timesteps) == ("small.yaml", 1024)
        status, out, _ = run("best.yaml")
        assert status == 0
        assert f"validation reward {tuned['reward']:.3f}" in out

    def test_without_out_it_prints_yaml(self, run, script, tmp_path):
        script(hill)
        status, out, _ = run("tune", "run.yaml", "--trials", 2)
        assert status == 0
        assert yaml.safe_load(out)["tuned"]["trials"] == 2
        assert (tmp_path / "runs" / "run-tune" / "study.log").is_file()

    def test_again_it_renews_its_own_file(self, run, script):
        script(hill)
        for trials in (2, 3):
            assert run("tune", "run.yaml", "--trials", trials, "--out", "o.yaml")[0] == 0
            assert yaml.safe_load(Path("o.yaml").read_text())["tuned"]["trials"] == trials

    def test_ctrl_c_says_how_to_go_on(self, run, script):
        script(hill, (2, 512))
        status, out, err = run("tune", "run.yaml", "--study", "s.log")
        assert (status, out) == (130, "")
        assert err == (
            "slicegym-train tune: interrupted; the trials so far are in s.log, and the same "
            "command goes on\n"
        )

    def test_help_is_worth_reading(self, run, monkeypatch):
        monkeypatch.setenv("COLUMNS", "80")
        status, out, _ = run("tune", "--help")
        assert status == 0
        assert "slicegym-train tune azure --trials 40 --out azure-tuned.yaml" in out
        assert "After a kill" in out
        assert "slicegym-train tune azure --trials 40" in run("--help")[1]
        assert max(map(len, out.splitlines())) <= 80


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["burst"], "unknown training configuration 'burst' (did you mean 'bursty'?)"),
            (["none.yaml"], "cannot read none.yaml"),
            (["run.yaml", "gama=0.9"], "unknown training option 'gama'"),
            (["run.yaml", "split=heldout"], "split must be 'train', got 'heldout': that data is"),
            (["run.yaml", "scenario=azur"], "unknown scenario 'azur' (did you mean 'azure'?)"),
            (["run.yaml", "tuned=1"], "unknown training option 'tuned'"),
            (["run.yaml", "--trials", "0"], "Invalid value for '--trials'"),
            (["run.yaml", "--seeds", "0"], "Invalid value for '--seeds'"),
            (["run.yaml", "--out", "no/o.yaml"], "its folder no does not exist"),
            (["run.yaml", "--out", "run.yaml"], "--out must be a new file or one that `slicegym"),
            (["run.yaml", "--study", "run.yaml"], "and run.yaml holds something else; name"),
            (["run.yaml", "--study", "."], "cannot read .: Is a directory"),
            (["run.yaml", "--study", "run.yaml/s"], "cannot "),
        ],
    )
    def test_one_line_and_nothing_left_behind(self, run, tmp_path, arguments, message):
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        status, out, err = run("tune", *arguments)
        assert (status, out) == (2, "")
        assert message in err
        assert err.startswith("slicegym-train tune: error: ")
        assert err.count("\n") == 1
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_without_optuna_the_extra_is_named(self, run, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "optuna", None)
        status, _, err = run("tune", "run.yaml")
        assert status == 2
        assert "needs Optuna, which is not installed: pip install 'slicegym[tune]'" in err
        assert not (tmp_path / "runs").exists()

    def test_a_file_without_a_line_is_not_cut(self, run, tmp_path):
        (tmp_path / "precious").write_text("without a newline")
        assert "holds something else" in run("tune", "run.yaml", "--study", "precious")[2]
        assert (tmp_path / "precious").read_text() == "without a newline"

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            (["gamma=0.9"], "config.gamma must stay 0.99 in the study s.log, got 0.9; begin"),
            (["total_timesteps=2048"], "config.total_timesteps must stay 1024 in"),
            (["--seeds", "2"], "seeds must stay 1 in the study s.log, got 2"),
        ],
    )
    def test_the_study_of_another_task(self, run, script, changed, message):
        script(hill)
        run("tune", "run.yaml", "--trials", 1, "--study", "s.log")
        status, _, err = run("tune", "run.yaml", *changed, "--study", "s.log")
        assert status == 2
        assert message in err

    def test_the_study_of_another_scenario_of_that_name_or_of_another_space(
        self, run, script, tmp_path, monkeypatch
    ):
        script(hill)
        run("tune", "run.yaml", "--trials", 1, "--study", "s.log")
        again = ("tune", "run.yaml", "--trials", 1, "--study", "s.log")
        with monkeypatch.context() as patch:
            patch.setattr("slicegym.train.search.SPACE", space_around(load_config("paper")))
            assert "space." in run(*again)[2]
        (tmp_path / "small.yaml").write_text(yaml.safe_dump({**SCENARIO, "gpus": 3}))
        assert "scenario_sha256 must stay" in run(*again)[2]

    def test_what_makes_no_difference_may_change(self, run, script):
        script(hill)
        run("tune", "run.yaml", "--trials", 1, "--study", "s.log")
        status, _, err = run(
            *("tune", "run.yaml", "baselines=[]", "torch_threads=2"),
            *("--trials", 1, "--study", "s.log"),
        )
        assert (status, err) == (0, "")

    @pytest.mark.parametrize(
        "damage",
        [b"\x00\x00\x00\x00\n", b'{"op_code":4,\n', b"[]\n", b'{"study_name":"x"}\n', b"7\n"],
    )
    def test_a_damaged_study(self, run, script, damage):
        script(hill)
        run("tune", "run.yaml", "--trials", 1, "--study", "s.log")
        study = Path("s.log")
        lines = study.read_bytes().splitlines(keepends=True)
        study.write_bytes(b"".join([*lines[:5], damage, *lines[6:]]))
        before = study.read_bytes()
        status, _, err = run("tune", "run.yaml", "--study", "s.log")
        assert status == 2
        assert "s.log is damaged in line 6, which must be an event in JSON; cut the file" in err
        assert err.count("\n") == 1
        assert study.read_bytes() == before

    def test_events_that_do_not_fit_together(self, run, script):
        script(hill)
        run("tune", "run.yaml", "--trials", 1, "--study", "s.log")
        with Path("s.log").open("a") as file:
            file.write('{"op_code":6,"worker_id":"x"}\n')
        status, _, err = run("tune", "run.yaml", "--study", "s.log")
        assert status == 2
        assert "its events do not fit together (KeyError: 'trial_id'); name another" in err


def start(*arguments, folder):
    code = "from slicegym.train.cli import main; main()"
    command = [sys.executable, "-c", code, "tune", "run.yaml", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def n_ended(study):
    """Count the events that end a trial."""
    text = study.read_text() if study.exists() else ""
    return text.count('"datetime_complete"')


@pytest.mark.slow
class TestProcesses:
    def test_a_killed_one_goes_on_to_the_same_end(self, run, tmp_path):
        process = start("--trials", "9", "--study", "cut.log", folder=tmp_path)
        deadline = time.monotonic() + 300
        while n_ended(tmp_path / "cut.log") < 6 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert 6 <= n_ended(tmp_path / "cut.log") < 9
        contents = []
        for study in ("cut.log", "whole.log"):
            arguments = ("tune", "run.yaml", "--trials", 9, "--study", study, "--out", "o.yaml")
            assert run(*arguments)[0] == 0
            contents.append(yaml.safe_load(Path("o.yaml").read_text()))
        assert contents[0] == contents[1]

    def test_two_share_a_study(self, run, tmp_path):
        arguments = ("--trials", "8", "--study", "s.log", "--out", "o.yaml")
        processes = [start(*arguments, folder=tmp_path) for _ in range(2)]
        for process in processes:
            _, err = process.communicate(timeout=300)
            assert (process.returncode, err) == (0, b"")
        task = Task(load_config("run.yaml"), Path("s.log"), 8)
        with StudyFile(task.study, task.asked()) as file:
            trials = file.study.trials
        assert [trial.state.name in ("COMPLETE", "PRUNED") for trial in trials] == [True] * 8
        assert [trial.user_attrs["place"] for trial in trials] == list(range(8))
        overlaps = [a.datetime_complete > b.datetime_start for a, b in pairwise(trials)]
        assert any(overlaps)  # they were at it at the same time
        assert yaml.safe_load(Path("o.yaml").read_text())["tuned"]["trials"] == 8
