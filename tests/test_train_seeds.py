"""Several seeds of one configuration: folders, going on, refusals, and workers without our disk."""

import json
import pickle
import sys

import pytest
import yaml

from slicegym.envs import ConfigError
from slicegym.envs.loading import given, load_scenario
from slicegym.eval.engines.base import Engine
from slicegym.eval.engines.local import answer
from slicegym.train import cli, seeds
from slicegym.train.config import load_config
from slicegym.train.parcel import Parcel, pack, unpack
from slicegym.train.seeds_cmd import parse_seeds

from .training import SCENARIO, TINY


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder that holds a scenario and a configuration."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SCENARIO))
    values = {**TINY, "net_arch": [8], "total_timesteps": 512, "baselines": ["static"]}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"scenario": "small.yaml", **values}))

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            cli.main(list(map(str, arguments)))
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return call


def weights(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("policy.*"))
    }


class Away(Engine):
    """Runs jobs in this process as a worker would that lacks our files: pickled, elsewhere."""

    patience_s = 0.0
    jobs = 1

    def __init__(self, folder, monkeypatch, stop_after=None):
        self._folder, self._monkeypatch, self._stop_after = folder, monkeypatch, stop_after
        self.traces = None

    def __exit__(self, *_):
        pass

    def as_completed(self, function, tasks, *, shared=(), traces=None):
        self.traces = traces
        for place in reversed(range(len(tasks))):  # the last comes first
            if self._stop_after is not None and len(tasks) - 1 - place >= self._stop_after:
                raise KeyboardInterrupt
            with self._monkeypatch.context() as patch:
                patch.chdir(self._folder)
                patch.setattr(sys, "argv", ["worker"])
                arguments = pickle.loads(pickle.dumps(tasks[place]))
                found = answer(place, function, *arguments, *shared)
            yield found


@pytest.fixture
def away(tmp_path, monkeypatch):
    """Make every engine but the local one such a worker."""
    own = seeds.make_engine
    (tmp_path / "worker").mkdir()

    def replace(**changes):
        engine = Away(tmp_path / "worker", monkeypatch, **changes)
        monkeypatch.setattr(
            seeds,
            "make_engine",
            lambda name, *rest: own(name, *rest) if name == "local" else engine,
        )
        return engine

    return replace


class TestHere:
    def test_each_seed_has_the_run_that_it_would_have_alone(self, run, tmp_path):
        status, out, err = run("run.yaml", "--seeds", "3:5", "--jobs", 1)
        assert (status, err) == (0, "")
        assert [path.name for path in sorted((tmp_path / "runs/run").iterdir())] == ["3", "4"]
        assert run("run.yaml", "seed=4", "--out", "alone")[0] == 0
        assert weights(tmp_path / "runs/run/4") == weights(tmp_path / "alone")
        rewards = [
            json.loads((tmp_path / f"runs/run/{n}/manifest.json").read_text())["best"]["reward"]
            for n in (3, 4)
        ]
        for reward in (*rewards, sum(rewards) / 2):
            assert f"{reward:.4f}" in out
        assert "Validation reward of 2 seeds: mean" in out
        assert "learned:runs/run/3,learned:runs/run/4" in out

    def test_what_is_finished_stays_and_the_rest_is_done(self, run, tmp_path):
        run("run.yaml", "--seeds", "0:1", "--jobs", 1, "--out", "mine")
        before = (tmp_path / "mine/0/manifest.json").stat().st_mtime_ns
        assert run("run.yaml", "--seeds", "0:2", "--jobs", 1, "--out", "mine", "--resume")[0] == 0
        assert (tmp_path / "mine/0/manifest.json").stat().st_mtime_ns == before
        assert (tmp_path / "mine/1/policy.safetensors").is_file()

    def test_ctrl_c_leaves_what_to_go_on_from(self, run, tmp_path, monkeypatch):
        cut_off(monkeypatch, seed=1)
        status, out, err = run("run.yaml", "--seeds", "0:3", "--jobs", 1, "--out", "mine")
        assert (status, out) == (130, "")
        assert err == (
            "slicegym-train: interrupted; the same command with --out mine --resume goes on\n"
        )
        monkeypatch.undo()
        monkeypatch.chdir(tmp_path)
        assert run("run.yaml", "--seeds", "0:3", "--jobs", 1, "--out", "mine", "--resume")[0] == 0
        manifest = json.loads((tmp_path / "mine/1/manifest.json").read_text())
        assert manifest["resumed_at"] == [256]
        assert run("run.yaml", "--seeds", "1:2", "--jobs", 1, "--out", "whole")[0] == 0
        assert weights(tmp_path / "mine/1") == weights(tmp_path / "whole/1")


def cut_off(monkeypatch, seed):
    """Interrupt a seed's training at its second evaluation."""
    train = seeds.train

    def cut(config, folder, **options):
        def told(timesteps, reward):
            if config.seed == seed and timesteps >= 256:
                raise KeyboardInterrupt

        return train(config, folder, report=told, **options)

    monkeypatch.setattr(seeds, "train", cut)


class TestElsewhere:
    ASK = ("run.yaml", "--seeds", "0:2", "--engine", "ray")

    def test_the_same_files_without_this_disk(self, run, away, tmp_path):
        engine = away()
        status, _, err = run(*self.ASK, "--out", "there")
        assert (status, err) == (0, "")
        assert run("run.yaml", "--seeds", "0:2", "--jobs", 1, "--out", "here")[0] == 0
        assert weights(tmp_path / "there") == weights(tmp_path / "here")
        names = [set(pack(tmp_path / place / "0")) for place in ("there", "here")]
        assert {name for name in names[0] ^ names[1] if "tfevents" not in name} == set()
        assert list((tmp_path / "worker").iterdir()) == []
        assert engine.traces == {}
        manifest = json.loads((tmp_path / "there/0/manifest.json").read_text())
        assert manifest["command"] != ["worker"]
        assert manifest["config"]["scenario"] == "small.yaml"

    def test_what_came_back_before_ctrl_c_is_kept(self, run, away, tmp_path):
        away(stop_after=1)
        status, _, err = run(*self.ASK, "--out", "mine")
        assert status == 130
        assert "--out mine --resume goes on" in err
        assert [path.name for path in (tmp_path / "mine").iterdir()] == ["1"]
        before = (tmp_path / "mine/1/manifest.json").stat().st_mtime_ns
        away()
        assert run(*self.ASK, "--out", "mine", "--resume")[0] == 0
        assert (tmp_path / "mine/1/manifest.json").stat().st_mtime_ns == before

    def test_what_was_cut_here_is_gone_on_with_there(self, run, away, tmp_path, monkeypatch):
        with monkeypatch.context() as patch:
            cut_off(patch, seed=0)
            assert run("run.yaml", "--seeds", "0:2", "--jobs", 1, "--out", "mine")[0] == 130
        away()
        assert run(*self.ASK, "--out", "mine", "--resume")[0] == 0
        manifest = json.loads((tmp_path / "mine/0/manifest.json").read_text())
        assert manifest["resumed_at"] == [256]
        assert run("run.yaml", "--seeds", "0:2", "--jobs", 1, "--out", "whole")[0] == 0
        assert weights(tmp_path / "mine") == weights(tmp_path / "whole")

    def test_a_network_that_diverges_takes_no_other_along(self, run, away, tmp_path, monkeypatch):
        train = seeds.train

        def diverge(config, *rest, **options):
            if config.seed == 1:
                raise ValueError("nan in the actions")
            return train(config, *rest, **options)

        monkeypatch.setattr(seeds, "train", diverge)
        away()
        status, _, err = run(*self.ASK, "--out", "mine")
        assert (status, err) == (2, "slicegym-train: error: nan in the actions\n")
        assert [path.name for path in (tmp_path / "mine").iterdir()] == ["0"]

    def test_without_ray_the_extra_is_named(self, run, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "ray", None)
        status, _, err = run(*self.ASK)
        assert status == 2
        assert "pip install 'slicegym[ray]'" in err
        assert not (tmp_path / "runs").exists()


REFUSED = [
    (["--seeds", "5:2"], "--seeds must be FIRST:END, whole numbers with FIRST below END"),
    (["--seeds", "2:2"], "--seeds must be FIRST:END"),
    (["--seeds", "x"], "got 'x'; --seeds 0:10 trains ten"),
    (["--seeds", "5"], "got '5'"),
    (["--seeds=-1:2"], "got '-1:2'"),
    (["--seeds", "0:2", "seed=1"], "seed=1 must be left out, since --seeds names the seeds"),
    (["--seeds", "0:2", "--out", "."], "--out must be a new folder, and . exists; name another"),
    (["--seeds", "0:2", "--out", "one", "--resume"], "and one holds a run itself; name another"),
    (
        ["--seeds", "0:1", "--out", "taken", "--resume"],
        "--out must hold training runs, and taken/0",
    ),
    (["--seeds", "0:2", "scenario=azur"], "unknown scenario 'azur' (did you mean 'azure'?)"),
    (["--seeds", "0:2", "--engine", "rai"], "unknown engine 'rai' (did you mean 'ray'?)"),
    (["--seeds", "0:2", "--ray-address", "a:1"], "--ray-address"),
    (["--seeds", "0:2", "--engine", "ray", "scenario=azur"], "unknown scenario 'azur'"),
    (["--seeds", "0:2", "--jobs", "0"], "Invalid value for '--jobs'"),
    (["--jobs", "2"], "--jobs must come with --seeds, since one run has one process"),
    (["--engine", "ray"], "--engine must come with --seeds"),
    (["--ray-address", "auto"], "--ray-address must come with --seeds"),
]


class TestRefusals:
    @pytest.mark.parametrize(("arguments", "message"), REFUSED)
    def test_one_line_and_nothing_left_behind(self, run, tmp_path, arguments, message):
        (tmp_path / "taken/0").mkdir(parents=True)
        (tmp_path / "taken/0/mine.txt").write_text("mine")
        (tmp_path / "one").mkdir()
        (tmp_path / "one/manifest.json").write_text("{}")
        before = sorted(map(str, tmp_path.rglob("*")))
        status, out, err = run("run.yaml", *arguments)
        assert (status, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1
        assert sorted(map(str, tmp_path.rglob("*"))) == before

    def test_a_run_of_another_configuration_is_not_taken(self, run):
        run("run.yaml", "--seeds", "0:1", "--jobs", 1, "--out", "mine")
        status, _, err = run("run.yaml", "gamma=0.9", "--seeds", "0:2", "--out", "mine", "--resume")
        assert status == 2
        assert "gamma must stay 0.99 when the run in mine/0 is resumed, got 0.9" in err


class TestParcel:
    def test_a_range_of_seeds(self):
        assert list(parse_seeds("0:3")) == [0, 1, 2]
        assert list(parse_seeds("7:8")) == [7]

    def test_it_names_the_traces_that_a_worker_needs(self, configured, monkeypatch):
        monkeypatch.setattr("slicegym.train.parcel.trace_sum", lambda name: f"sum of {name}")
        monkeypatch.setattr("slicegym.train.parcel.own_suite", lambda *_: None)
        parcel = Parcel.of(configured(scenario="azure"), {})
        assert parcel.traces
        assert parcel.traces == {name: f"sum of {name}" for name in parcel.traces}
        assert list(parcel.scenarios) == ["azure"]

    def test_given_scenarios_go_before_files_and_leave(self, scenario_file):
        scenario = load_scenario(scenario_file)
        with given({"no/where.yaml": scenario}):
            assert load_scenario("no/where.yaml") is scenario
        with pytest.raises(ConfigError, match="cannot read no/where"):
            load_scenario("no/where.yaml")

    def test_a_folder_is_replaced_whole(self, tmp_path):
        files = {"a": b"1", "deep/b": b"2"}
        for name in (".run.partial", ".run.old", "run"):  # as a kill may leave them
            (tmp_path / name).mkdir()
            (tmp_path / name / "stale").write_text("stale")
        unpack(files, tmp_path / "run")
        assert pack(tmp_path / "run") == files
        assert [path.name for path in tmp_path.iterdir()] == ["run"]

    def test_a_configuration_that_cannot_be_trained_is_not_packed(self, run):
        config = load_config("run.yaml", ["agents=[nobody]"])
        with pytest.raises(ConfigError, match="unknown agent 'nobody'"):
            Parcel.of(config, {})


@pytest.mark.slow
def test_ray_and_processes_train_the_same_policies(run, tmp_path):
    for engine in ("local", "ray"):
        ask = ("run.yaml", "--seeds", "0:3", "--jobs", 2, "--engine", engine, "--out", engine)
        assert run(*ask)[0] == 0
    assert len(weights(tmp_path / "ray")) == 6
    assert weights(tmp_path / "ray") == weights(tmp_path / "local")
