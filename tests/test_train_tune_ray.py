"""Tuning PPO on Ray: one study for both engines, whatever is stopped, lost or killed."""

import ast
import json
import pickle
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from slicegym.envs import ConfigError
from slicegym.train import cli
from slicegym.train.config import load_config
from slicegym.train.study import StudyFile
from slicegym.train.tune import Task, tune

from .training import SCENARIO, TINY
from .tuning import hill

ray = pytest.importorskip("ray", reason="pip install 'slicegym[ray]'")

from slicegym.train import tune_on_ray as there  # noqa: E402  (which needs Ray)

LONG = {"total_timesteps": 1200, "eval_every": 100}  # 12 evaluations, and one before learning


class Stopped(BaseException):
    """Stands for a thread of a worker that is told to end."""


def run_here(retries):
    """Return what stands for Ray Tune with one worker, which loses trials as it is told.

    Args:
        retries: Names of trials in order, each as often as its worker is lost at its end.
    """

    def run(state, n_workers, sent):
        search, judge = there._Search(state), there._Judge(state)
        common = pickle.loads(sent.packed()["common"])
        for name in map(str, count()):
            if there._End(state).stop_all():
                return
            trial = search.suggest(name)
            if trial == search.FINISHED:
                return
            play(name, trial, common, judge, retries.count(name))
            search.on_trial_complete(name)

    def play(name, trial, common, judge, losses):
        lost = [losses]

        def tell(*news):
            if news[0] == "complete" and lost[0]:
                lost[0] -= 1
                raise Stopped
            result = {there.NEWS: pickle.dumps(news)}
            if judge.on_trial_result(None, SimpleNamespace(trial_id=name), result) == judge.STOP:
                raise Stopped

        for _ in range(min(1 + losses, 4)):
            try:
                there.play(pickle.loads(trial[there.PAYLOAD]), *common, tell)
            except Stopped:
                if lost[0] == losses:
                    return

    return run


@pytest.fixture
def task(configured, tmp_path):
    def make(trials, study="study.log", seeds=1, **changes):
        config = configured(**{**LONG, **changes})
        return Task(config, tmp_path / study, trials, seeds, "command")

    return make


@pytest.fixture
def emulated(monkeypatch):
    """Put a loop in this process in the place of Ray Tune."""

    def put(*retries):
        monkeypatch.setattr(there, "_run", run_here(retries))

    put()
    return put


def table(task):
    with StudyFile(task.study, task.asked()) as file:
        return [(t.user_attrs["place"], t.state.name, t.value, t.params) for t in file.trials()]


@pytest.mark.usefixtures("emulated")
class TestStudy:
    def test_one_worker_finds_what_this_process_finds(self, script, task):
        script(hill)
        assert tune(task(14, "a")).pruned > 0
        script(hill)
        there.tune_on_ray(task(14, "b"), 1)
        assert table(task(14, "a")) == table(task(14, "b"))

    def test_seeds_are_averaged_and_watched(self, script, task):
        script(lambda config, run, timesteps: float(config.seed))
        seen = []
        found = there.tune_on_ray(task(2, seeds=3, seed=4), 1, lambda *now: seen.append(now))
        assert found.reward == 5.0
        assert [done for done, _ in seen] == pytest.approx(
            [n + (seed + t / 12) / 3 for n in range(2) for seed in range(3) for t in range(13)]
        )
        assert seen[-1][1] == 5.0

    def test_a_study_changes_its_engine(self, script, task):
        script(hill)
        tune(task(14, "whole"))
        for trials, search in ((5, tune), (9, lambda one: there.tune_on_ray(one, 1)), (14, tune)):
            assert search(task(trials)).trials == trials
        assert table(task(14)) == table(task(14, "whole"))

    def test_nothing_left_to_do_starts_nothing(self, script, task, monkeypatch):
        script(hill)
        tune(task(3))
        monkeypatch.setattr(there, "_run", None)
        assert there.tune_on_ray(task(3), 1).trials == 3

    def test_what_is_lost_is_run_again_and_counts_once(self, script, task, emulated):
        script(hill)
        tune(task(8, "whole"))
        emulated("0", "3", "3")
        played = script(hill)
        there.tune_on_ray(task(8), 1)
        assert table(task(8)) == table(task(8, "whole"))
        assert len(played.runs) == 8 + 3

    def test_what_is_lost_again_and_again_ends_it(self, script, task, emulated):
        emulated(*["2"] * 4)
        script(hill)
        with pytest.raises(ChildProcessError, match="worker was lost 4 times"):
            there.tune_on_ray(task(8), 1)
        emulated()
        script(hill)
        assert there.tune_on_ray(task(8), 1).trials == 8  # its place is taken again

    def test_a_diverged_network_is_a_bad_trial_and_no_end(self, script, task):
        def reward(config, run, timesteps):
            if run == 2:
                raise ValueError("nan in the actions")
            return 1.0

        script(reward)
        found = there.tune_on_ray(task(4), 1)
        assert (found.trials, found.pruned, found.diverged) == (4, 1, 1)

    @pytest.mark.parametrize("error", [ConfigError, OSError])
    def test_what_is_wrong_with_the_task_ends_it(self, script, task, error):
        def reward(*_):
            raise error("the disk is full")

        script(reward)
        with pytest.raises(error, match="the disk is full"):
            there.tune_on_ray(task(3), 1)


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


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--engine", "rai"], "unknown engine 'rai' (did you mean 'ray'?)"),
            (["--jobs", "2"], "--jobs goes with --engine ray here"),
            (["--ray-address", "a:1"], "--ray-address"),
            (["--engine", "ray", "scenario=azur"], "unknown scenario 'azur'"),
            (["--engine", "ray", "--ray-address", "no"], "--ray-address must be HOST:PORT or auto"),
        ],
    )
    def test_one_line_and_nothing_left_behind(self, run, tmp_path, arguments, message):
        before = {path.name for path in tmp_path.iterdir()}
        status, out, err = run("tune", "run.yaml", *arguments)
        assert (status, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1
        assert {path.name for path in tmp_path.iterdir()} == before

    def test_without_ray_the_extra_is_named(self, run, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "ray", None)
        status, _, err = run("tune", "run.yaml", "--engine", "ray")
        assert status == 2
        assert "pip install 'slicegym[ray]'" in err
        assert not (tmp_path / "runs").exists()


def test_ray_is_known_in_one_file_of_this_room():
    room = Path(there.__file__).parent
    for path in room.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        names = [
            alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
        ]
        names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
        if path.name != "tune_on_ray.py":
            assert not [name for name in names if name.partition(".")[0] == "ray"], path


def make_trainer(folder, lose=0):
    """Return a trainer of known rewards that is sent whole; its process is lost so many times.

    The given configuration comes to 0, and so do four more; what comes later is hopeless.
    """
    folder = str(folder)

    def train(config, _, *, quiet, report):
        import os
        from pathlib import Path
        from types import SimpleNamespace

        begun = len(list(Path(folder).iterdir()))
        Path(folder, f"{begun}-{os.getpid()}-{os.urandom(4).hex()}").touch()
        for timesteps in range(0, config.total_timesteps + 1, config.eval_every):
            report(timesteps, 0.0 if begun < 6 + lose else -1.0)
            if begun < lose and timesteps >= config.total_timesteps / 2:
                os.kill(os.getpid(), 9)
        return SimpleNamespace(best={"reward": 0.0})

    return train


@pytest.fixture(scope="module")
def workers():
    """A small cluster for all tests here."""
    from slicegym.eval.engines.on_ray import connected

    with connected(2) as n_workers:
        yield n_workers


@pytest.mark.slow
class TestWorkers:
    @pytest.fixture
    def marks(self, tmp_path):
        (tmp_path / "marks").mkdir()
        return tmp_path / "marks"

    def test_two_at_a_time_and_the_hopeless_are_stopped(self, workers, task, marks):
        found = there.tune_on_ray(task(10), workers, trainer=make_trainer(marks))
        assert (found.trials, found.reward) == (10, 0.0)
        assert 0 < found.pruned <= 4
        assert [row[0] for row in table(task(10))] == list(range(10))
        assert len({mark.name.split("-")[1] for mark in marks.iterdir()}) == 2

    def test_a_killed_worker_costs_no_trial(self, workers, task, marks):
        found = there.tune_on_ray(task(4), workers, trainer=make_trainer(marks, lose=2))
        assert (found.trials, found.pruned) == (4, 0)
        assert [row[:3] for row in table(task(4))] == [(n, "COMPLETE", 0.0) for n in range(4)]
        assert len(list(marks.iterdir())) == 6

    def test_one_killed_again_and_again_ends_it(self, workers, task, marks):
        with pytest.raises(ChildProcessError, match="was lost 4 times"):
            there.tune_on_ray(task(1), workers, trainer=make_trainer(marks, lose=9))
        assert len(list(marks.iterdir())) == 4
        assert [row[1] for row in table(task(1))] == ["RUNNING"]  # until the next one looks

    def test_another_version_is_refused_with_the_reason(self, workers, task, monkeypatch):
        wanted = {**there.contract({}), "numpy": "0.1"}
        monkeypatch.setattr(there, "contract", lambda traces: wanted)
        with pytest.raises(ValueError, match=r"must have numpy 0\.1, as the command has"):
            there.tune_on_ray(task(2), workers)


def n_ended(study):
    text = study.read_text() if study.exists() else ""
    return text.count('"datetime_complete"')


@pytest.mark.slow
def test_a_killed_command_goes_on_with_either_engine(run, tmp_path):
    code = "from slicegym.train.cli import main; main()"
    ask = ("tune", "run.yaml", "--study", "s.log", "--engine", "ray", "--jobs", "1")
    command = [sys.executable, "-c", code, *ask, "--trials"]  # by itself: a process has one cluster
    process = subprocess.Popen([*command, "7"], cwd=tmp_path, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 300
    while n_ended(tmp_path / "s.log") < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert 3 <= n_ended(tmp_path / "s.log") < 7
    assert run("tune", "run.yaml", "--study", "s.log", "--trials", 7)[0] == 0
    subprocess.run([*command, "8", "--out", "o.yaml"], cwd=tmp_path, check=True)
    assert run("tune", "run.yaml", "--study", "w.log", "--trials", 8)[0] == 0
    found = [table(Task(load_config("run.yaml"), Path(name), 8)) for name in ("s.log", "w.log")]
    assert json.dumps(found[0]) == json.dumps(found[1])
    assert yaml.safe_load(Path("o.yaml").read_text())["tuned"]["trials"] == 8


LOSE_A_NODE = """
import threading
from pathlib import Path

from ray.cluster_utils import Cluster

from slicegym.eval.engines.on_ray import connected
from slicegym.train.config import load_config
from slicegym.train.tune import Task


def slow(config, folder, *, quiet, report):
    import time
    from types import SimpleNamespace

    for timesteps in range(0, 1025, 256):
        report(timesteps, 0.0)
        time.sleep(0.5)
    return SimpleNamespace(best={"reward": 0.0})


node_args = {"num_cpus": 1, "include_dashboard": False}
cluster = Cluster(initialize_head=True, head_node_args=node_args)
node = cluster.add_node(num_cpus=1)
both_at_work = threading.Event()


def lose():
    both_at_work.wait()
    cluster.remove_node(node, allow_graceful=False)


threading.Thread(target=lose, daemon=True).start()
with connected(None, cluster.address) as n_workers:
    from slicegym.train.tune_on_ray import tune_on_ray

    task = Task(load_config("run.yaml"), Path("s.log"), 6)
    watch = lambda done, best: done > 2 and both_at_work.set()
    found = tune_on_ray(task, n_workers, watch, slow)
print(n_workers, found.trials, both_at_work.is_set())
"""


@pytest.mark.slow
def test_a_lost_node_costs_no_trial(run, tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", LOSE_A_NODE],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines()[-1] == "2 6 True"
    task = Task(load_config("run.yaml"), Path("s.log"), 6)
    assert [row[:3] for row in table(task)] == [(n, "COMPLETE", 0.0) for n in range(6)]
