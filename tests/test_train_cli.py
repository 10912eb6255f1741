"""The command line of training: values, refusals in one line, Ctrl-C, and the demonstration."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import yaml

from slicegym.envs import ConfigError, TraceError
from slicegym.envs.loading import shipped
from slicegym.train import bench, cli, demo
from slicegym.train.config import TrainConfig, load_config

from .test_train import SCENARIO

SMALL = [
    *("n_envs=4", "n_steps=8", "batch_size=16", "n_epochs=1", "total_timesteps=64"),
    *("validation_episodes=1", "net_arch=[8]"),
]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder that holds a scenario and a configuration."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SCENARIO))
    (tmp_path / "run.yaml").write_text("scenario: small.yaml\ntotal_timesteps: 64\n")

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            cli.main(list(arguments))
        out, err = capsys.readouterr()
        return stop.value.code, out, err

    return call


class TestRun:
    def test_trains_and_says_what_to_do_next(self, run, tmp_path):
        status, out, err = run("run.yaml", *SMALL)
        assert (status, err) == (0, "")
        assert "64 timesteps in" in out
        assert "On the same tapes: static " in out
        assert "tensorboard --logdir runs/run/tensorboard" in out
        evaluate = re.search(r"slicegym-eval (run --suite \S+) --allocators (\S+)", out)
        assert evaluate is not None
        assert evaluate[1] == "run --suite small.yaml-heldout"
        assert (tmp_path / "runs" / "run" / "policy.safetensors").is_file()
        from slicegym.eval.session import evaluate as play

        rows = play("small.yaml-heldout", evaluate[2].split(","), quiet=True)["rows"]
        assert {row["allocator"] for row in rows} >= {"static", "learned:runs/run"}

    def test_out_and_overrides(self, run, tmp_path):
        assert run("run.yaml", *SMALL, "seed=3", "gamma=0.9", "--out", "mine")[0] == 0
        content = json.loads((tmp_path / "mine" / "manifest.json").read_text())
        assert content["config"]["seed"] == 3
        assert content["config"]["gamma"] == 0.9
        assert content["config"]["net_arch"] == [8]

    def test_resume(self, run, tmp_path):
        run("run.yaml", *SMALL)
        status, out, _ = run("run.yaml", *SMALL, "total_timesteps=128", "--resume")
        assert status == 0
        assert "128 timesteps in" in out

    def test_help_is_worth_reading(self, run):
        status, out, _ = run("--help")
        assert status == 0
        for name in shipped("train"):
            assert name in out
        assert "slicegym-train bursty seed=1" in out
        assert "Held-out data is not" in out


REFUSED = [
    (["burst"], "unknown training configuration 'burst' (did you mean 'bursty'?)"),
    (["none.yaml"], "cannot read none.yaml: No such file or directory"),
    (["bursty", "gama=0.9"], "unknown training option 'gama' (did you mean 'gamma'?)"),
    (["bursty", "gamma"], "an override must be key=value, got 'gamma'"),
    (["bursty", "gamma="], "an override must be key=value, got 'gamma='"),
    (["bursty", "gamma=high"], "gamma must be a number, got 'high' (str)"),
    (["bursty", "gamma=1.5"], "gamma must be at most 1, got 1.5"),
    (["bursty", "gamma=nan"], "gamma must be a finite number, got nan"),
    (["bursty", "n_envs=2.5"], "n_envs must be a whole number, got 2.5 (float)"),
    (["bursty", "n_envs=-1"], "n_envs must lie in [1, 65536], got -1"),
    (["bursty", "learning_rate=0"], "learning_rate must be greater than 0, got 0"),
    (["bursty", "batch_size=1000"], "batch_size must divide n_envs · n_steps = "),
    (["bursty", "net_arch=64"], "net_arch must be a list, got 64 (int)"),
    (["bursty", "net_arch=[64,0]"], "net_arch must lie in [1, 4096], got 0"),
    (["bursty", "net_arch=[64"], "net_arch must be a YAML value, got '[64'"),
    (["bursty", "activation=gelu"], "activation must be one of tanh, relu, got 'gelu'"),
    (["bursty", "staggered=maybe"], "staggered must be true or false, got 'maybe'"),
    (["bursty", "bound=maybe"], "bound must be true or false, got 'maybe'"),
    (["bursty", "split=heldout"], "split must be 'train', got 'heldout': that data is for final"),
    (["bursty", "split=validation"], "split must be 'train', got 'validation': that data is for"),
    (["bursty", "split=tain"], "split must be one of train, validation, heldout, got 'tain' (did"),
    (["bursty", "scenario=azur"], "unknown scenario 'azur' (did you mean 'azure'?)"),
    (["bursty", "seed=-1"], "seed must lie in [0,"),
    (["bursty", "--out", "."], "--out must be a new folder, and . exists"),
    (["bursty", "--resume"], "--resume needs the folder of a run, and runs/bursty holds no"),
    (["bursty", "--rseume"], "No such option"),
    ([], "Missing argument"),
]


class TestRefusals:
    @pytest.mark.parametrize(("arguments", "message"), REFUSED)
    def test_one_line_and_nothing_left_behind(self, run, tmp_path, arguments, message):
        before = sorted(path.name for path in tmp_path.iterdir())
        status, out, err = run(*arguments)
        if not arguments:  # help, as for every command here
            assert (status, err) == (0, "")
            return
        assert (status, out) == (2, "")
        assert message in err
        assert err.startswith("slicegym-train: error: ")
        assert err.count("\n") == 1
        assert sorted(path.name for path in tmp_path.iterdir()) == before

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "run.yaml must hold a mapping"),
            ("seed: 1", "'run' lacks the required key 'scenario'"),
            ("scenario: small.yaml\nsead: 1", "has an unknown key 'sead' (did you mean 'seed'?)"),
            ("scenario: small.yaml\nseed: 1\nseed: 2", "the key 'seed' stands twice (line 3)"),
            ("scenario: 5", "scenario must be a string, got 5 (int)"),
            (
                "scenario: small.yaml\nlearning_rate: fast",
                "learning_rate must be a number, got 'fa",
            ),
            ("scenario: small.yaml\nsplit: heldout", "split must be 'train', got 'heldout'"),
            ("scenario: [", "run.yaml is not valid YAML"),
        ],
    )
    def test_files(self, run, tmp_path, text, message):
        (tmp_path / "run.yaml").write_text(text)
        status, _, err = run("run.yaml")
        assert status == 2
        assert message in err
        assert not (tmp_path / "runs").exists()

    def test_without_torch_it_says_what_to_install(self, run, monkeypatch):
        find = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name == "torch" else find(name)
        )
        status, _, err = run("bursty")
        assert status == 2
        assert "training needs torch, not installed here: pip install 'slicegym[train]'" in err

    def test_the_command_itself_needs_no_torch(self):
        code = "import sys, slicegym.train.cli; assert 'torch' not in sys.modules"
        subprocess.run([sys.executable, "-c", code], check=True)


def test_ctrl_c_keeps_the_last_checkpoint_and_says_how_to_go_on(run, tmp_path):
    command = [sys.executable, "-c", "from slicegym.train.cli import main; main()", "run.yaml"]
    process = subprocess.Popen(
        [*command, *SMALL, "total_timesteps=1000000000"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    checkpoint = tmp_path / "runs" / "run" / "checkpoint.safetensors"
    deadline = time.monotonic() + 300
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")
    assert err.count("\n") == 1
    assert "interrupted; the same command with --out runs/run --resume goes on" in err
    assert (tmp_path / "runs" / "run" / "UNFINISHED").is_file()
    assert checkpoint.is_file()


class TestConfig:
    @pytest.mark.parametrize("name", shipped("train"))
    def test_every_shipped_one_is_read(self, name):
        assert load_config(name).split == "train"

    def test_a_text_may_be_emptied(self):
        config = load_config("composite", ["base=", "action=direct"])
        assert (config.base, config.action) == ("", "direct")

    def test_overrides_are_read_by_the_type_of_their_field(self):
        config = load_config(
            "bursty",
            [
                *("learning_rate=1e-3", "total_timesteps=2e6", "net_arch=[32, 16]"),
                *("time_limit_s=30", "baselines=[static, 'round_robin:quantum=5']"),
                *("normalize_reward=false", "validation_episodes=null"),
            ],
        )
        assert config.learning_rate == 1e-3
        assert config.total_timesteps == 2_000_000
        assert config.net_arch == (32, 16)
        assert config.time_limit_s == 30.0
        assert config.baselines == ("static", "round_robin:quantum=5")
        assert config.normalize_reward is False
        assert config.validation_episodes is None

    def test_is_frozen_and_survives_its_own_dictionary(self):
        config = load_config("bursty", ["seed=4"])
        assert TrainConfig(**config.as_dict()) == config
        with pytest.raises(AttributeError):
            config.seed = 5  # type: ignore[misc]


class TestDemo:
    @pytest.fixture
    def small(self, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "small.yaml").write_text(yaml.safe_dump(SCENARIO))
        monkeypatch.setattr(demo, "choose_scenario", lambda: ("small.yaml", "A small one."))

    def test_trains_compares_draws_and_can_be_run_again(self, small, tmp_path, capsys):
        for name in ("demo", "demo-2"):
            assert demo.main(SMALL) == 0
            out, _ = capsys.readouterr()
            folder = tmp_path / "runs" / name
            (picture,) = folder.glob("*.png")
            assert picture.read_bytes().startswith(b"\x89PNG")
            assert (folder / "heldout" / "rows.csv").is_file()
            assert all(len(line) <= 80 for line in out.splitlines())
            words = " ".join(out.split())
            assert f"learned:{name}" in words
            assert f"tensorboard --logdir runs/{name}/tensorboard" in words
            for shown in (*demo.BASELINES, "score", "clairvoyant bound"):
                assert shown in words

    def test_needs_no_arguments(self, monkeypatch, capsys):
        def refuse():
            raise ConfigError("it was begun")

        monkeypatch.setattr(demo, "choose_scenario", refuse)
        assert demo.main([]) == 2
        assert capsys.readouterr().err == f"{demo.PROGRAM}: error: it was begun\n"

    def test_takes_the_azure_traces_where_they_are(self, monkeypatch):
        monkeypatch.setattr(demo, "load_trace", lambda name: None)
        assert demo.choose_scenario()[0] == "azure"

    def test_takes_a_synthetic_scenario_where_they_are_not(self, monkeypatch, tmp_path):
        monkeypatch.delenv("SLICEGYM_TRACES", raising=False)
        monkeypatch.setenv("SLICEGYM_CACHE", str(tmp_path))

        def absent(name):
            raise TraceError(f"trace {name} is nowhere")

        monkeypatch.setattr(demo, "load_trace", absent)
        scenario, why = demo.choose_scenario()
        assert scenario == "bursty"
        assert "trace azure_conv is nowhere" in why

    def test_does_not_pass_over_a_damaged_trace(self, monkeypatch, tmp_path):
        monkeypatch.setenv("SLICEGYM_TRACES", str(tmp_path))
        monkeypatch.setenv("SLICEGYM_CACHE", str(tmp_path))
        (tmp_path / "AzureLLMInferenceTrace_conv.csv").write_text("TIMESTAMP\n")
        with pytest.raises(TraceError, match="must have the sha256"):
            demo.choose_scenario()


class TestBench:
    @pytest.mark.slow
    def test_prints_a_figure(self):
        command = [sys.executable, "-m", "slicegym.train.bench", "--quick", "--json", "-"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        assert min(found["ppo_steps_per_s"], found["ppo_equivariant_steps_per_s"]) > 0

    def test_without_torch_it_says_why_there_is_none(self, monkeypatch, capsys):
        def refuse():
            raise ConfigError("training needs torch")

        monkeypatch.setattr(bench, "require_libraries", refuse)
        monkeypatch.setattr(sys, "argv", ["bench"])
        assert bench.main() == 2
        assert capsys.readouterr().err.strip().endswith("training needs torch")
