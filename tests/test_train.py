"""Training: what a run writes, how it goes on after an interruption, and that it learns."""

import json
import pickle
import re
import shutil

import numpy as np
import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from slicegym.baselines import make_allocator
from slicegym.baselines.learned import load_policy
from slicegym.envs import ConfigError, load_scenario, simulate
from slicegym.envs.loading import shipped
from slicegym.eval.manifests import describe, traces_in
from slicegym.eval.session import evaluate
from slicegym.train import ppo
from slicegym.train.callbacks import Validation
from slicegym.train.config import load_config
from slicegym.train.folder import read_curve
from slicegym.train.ppo import make_env, train

from .training import SCENARIO, files


@pytest.fixture(scope="module")
def trained(configured, tmp_path_factory):
    return train(configured(), tmp_path_factory.mktemp("runs") / "run")


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


class TestRun:
    def test_writes_policy_manifest_checkpoint_and_curves(self, trained):
        assert files(trained.folder) == {
            "policy.json",
            "policy.safetensors",
            "manifest.json",
            "checkpoint.safetensors",
            "curve.csv",
            "tensorboard",
        }

    def test_manifest_says_how_to_repeat_it(self, trained, configured):
        content = manifest(trained.folder)
        assert content["status"] == "finished"
        assert content["config"] == json.loads(json.dumps(configured().as_dict()))
        assert content["seeds"] == {"policy": 0, "environments": [0, 7]}
        assert content["data"]["train"]["seeds"] == [0, 1_000_000]
        assert len(content["data"]["validation"]["episodes"]) == 3
        assert {"torch", "stable-baselines3", "numpy", "slicegym"} <= set(content["versions"])
        assert {"commit", "scenario", "traces", "wall_s", "command", "started"} <= set(content)
        assert content["timesteps"] == trained.timesteps == 1024
        assert content["best"] == trained.best
        assert set(content["validation"]) == {"static", "demand"}

    def test_best_policy_is_the_one_exported(self, trained, scenario_file):
        learned = f"learned:{trained.folder}"
        result = evaluate(f"{scenario_file}-validation", ["static", learned], quiet=True)
        figures = result["summary"]["allocators"]
        assert figures[learned]["reward"] == trained.best["reward"]
        assert figures["static"]["reward"] == trained.baselines["static"]

    def test_curves_of_policy_and_baselines_have_the_same_names(self, trained):
        curves = {}
        for folder in (trained.folder / "tensorboard").iterdir():
            events = EventAccumulator(str(folder))
            events.Reload()
            curves[folder.name] = events
        assert set(curves) == {"ppo", "static", "demand"}
        tags = {name: set(events.Tags()["scalars"]) for name, events in curves.items()}
        drawn = [event.value for event in curves["ppo"].Scalars("validation/reward")]
        assert [reward for _, reward in read_curve(trained.folder)] == pytest.approx(drawn)
        validation = {tag for tag in tags["ppo"] if tag.startswith("validation/")}
        assert validation == tags["static"] == tags["demand"]
        wanted = "reward latency_term cost_term idle_term latency_p50_s latency_p95_s cost_usd"
        assert {f"validation/{key}" for key in (*wanted.split(), "utilization")} <= validation
        assert {"rollout/ep_rew_mean", "rollout/latency_term", "train/loss"} <= tags["ppo"]
        rewards = [event.value for event in curves["ppo"].Scalars("validation/reward")]
        steps = [event.step for event in curves["ppo"].Scalars("validation/reward")]
        assert steps == [0, 256, 512, 768, 1024]
        assert max(rewards) == pytest.approx(trained.best["reward"])
        static = [event.value for event in curves["static"].Scalars("validation/reward")]
        assert static == pytest.approx([trained.baselines["static"]] * 5)

    def test_same_seed_same_policy_and_another_seed_another(self, configured, trained, tmp_path):
        again = train(configured(), tmp_path / "again").folder
        other = train(configured(seed=1), tmp_path / "other").folder
        policy = (trained.folder / "policy.safetensors").read_bytes()
        assert (again / "policy.safetensors").read_bytes() == policy
        assert (other / "policy.safetensors").read_bytes() != policy

    def test_time_limit_ends_it_in_good_order(self, configured, tmp_path):
        result = train(configured(time_limit_s=1e-3, total_timesteps=10**9), tmp_path / "run")
        assert manifest(result.folder)["status"] == "stopped by time_limit_s"
        assert result.timesteps < 1000
        load_policy(result.folder)

    def test_progress_is_silent_where_there_is_no_terminal(self, configured, tmp_path, capsys):
        train(configured(total_timesteps=256), tmp_path / "run")
        assert capsys.readouterr() == ("", "")

    def test_rewards_are_scaled_in_training_and_observations_are_not(self, configured):
        config = configured()
        env = make_env(config, load_scenario(config.scenario))
        env.seed(0)
        flat = env.reset()
        plain = env.venv
        np.testing.assert_array_equal(flat, plain.envs._simulator.flat(plain.envs.observation()))
        for _ in range(60):
            flat, rewards, _, _ = env.step(np.zeros((8, 2), np.float32))
        assert (rewards != env.get_original_reward()).any()
        assert plain.envs._source.split == "train"


class Interruption:
    """Makes the n-th evaluation of the policy end like Ctrl-C."""

    def __init__(self, monkeypatch, n):
        self.count, self.figures = 0, Validation.figures

        def figures(validation, name, allocator):
            self.count += name == "ppo"
            if self.count == n and name == "ppo":
                raise KeyboardInterrupt
            return self.figures(validation, name, allocator)

        monkeypatch.setattr(Validation, "figures", figures)


@pytest.fixture(scope="module")
def interrupted(configured, tmp_path_factory):
    folder = tmp_path_factory.mktemp("interrupted") / "run"
    with pytest.MonkeyPatch.context() as patch:
        Interruption(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            train(configured(), folder)
    return folder


class TestResume:
    @pytest.fixture
    def cut(self, interrupted, tmp_path):
        return shutil.copytree(interrupted, tmp_path / "run")

    def test_an_interrupted_run_is_marked_and_keeps_its_last_checkpoint(self, cut):
        assert "UNFINISHED" in files(cut)
        assert manifest(cut)["status"] == "interrupted"
        assert manifest(cut)["timesteps"] == 512
        load_policy(cut)

    def test_it_goes_on_from_there(self, cut, configured):
        before = manifest(cut)["best"]
        result = train(configured(), cut, resume=True)
        assert result.timesteps == 1024
        assert result.best["reward"] >= before["reward"]
        assert manifest(cut)["status"] == "finished"
        assert manifest(cut)["resumed_at"] == [512]
        assert "UNFINISHED" not in files(cut)
        events = EventAccumulator(str(cut / "tensorboard" / "ppo"))
        events.Reload()
        steps = [event.step for event in events.Scalars("validation/reward")]
        assert steps == [0, 256, 512, 768, 1024]

    def test_the_bound_may_be_drawn_from_there_on(self, cut, configured, tmp_path, monkeypatch):
        monkeypatch.setenv("SLICEGYM_CACHE", str(tmp_path / "cache"))
        before = manifest(cut)["validation"]
        result = train(configured(bound=True), cut, resume=True)
        assert result.best["reward"] <= result.baselines["bound"]
        events = EventAccumulator(str(cut / "tensorboard" / "bound"))
        events.Reload()
        assert [event.step for event in events.Scalars("validation/reward")] == [768, 1024]
        assert manifest(cut)["validation"]["static"]["reward"] == before["static"]["reward"]

    def test_a_finished_run_can_be_prolonged(self, configured, tmp_path):
        train(configured(total_timesteps=256), tmp_path / "run")
        with pytest.raises(ConfigError, match="total_timesteps must be more than the 256"):
            train(configured(total_timesteps=256), tmp_path / "run", resume=True)
        assert manifest(tmp_path / "run")["status"] == "finished"
        longer = configured(total_timesteps=512)
        assert train(longer, tmp_path / "run", resume=True).timesteps == 512
        assert manifest(tmp_path / "run")["config"]["total_timesteps"] == 512

    def test_cut_before_the_first_checkpoint_nothing_is_left(self, configured, tmp_path):
        with pytest.MonkeyPatch.context() as patch:
            Interruption(patch, 1)
            with pytest.raises(KeyboardInterrupt):
                train(configured(), tmp_path / "run")
        assert files(tmp_path) == set()

    def test_another_configuration_is_refused(self, cut, configured):
        with pytest.raises(ConfigError, match=re.escape("gamma must stay 0.99 when the run in")):
            train(configured(gamma=0.9), cut, resume=True)

    def test_nothing_to_resume(self, configured, tmp_path):
        with pytest.raises(ConfigError, match="--resume needs the folder of a run"):
            train(configured(), tmp_path / "none", resume=True)
        assert not (tmp_path / "none").exists()

    @pytest.mark.parametrize(
        "damage",
        [
            lambda path: path.write_bytes(path.read_bytes()[:-10]),
            lambda path: path.write_bytes(b""),
            lambda path: path.write_bytes(pickle.dumps({"policy": 1})),
            lambda path: path.unlink(),
        ],
    )
    def test_a_damaged_checkpoint_is_refused(self, cut, configured, damage):
        damage(cut / "checkpoint.safetensors")
        with pytest.raises(ConfigError, match=re.escape("checkpoint.safetensors")):
            train(configured(), cut, resume=True)

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"config": {"scenario": "bursty", "x": 1}}'])
    def test_a_damaged_manifest_is_refused(self, cut, configured, text):
        (cut / "manifest.json").write_text(text)
        with pytest.raises((ConfigError, TypeError), match=re.escape("manifest.json")):
            train(configured(), cut, resume=True)


class TestRefusals:
    def test_an_existing_folder_is_left_alone(self, configured, tmp_path):
        (tmp_path / "note").write_text("mine")
        with pytest.raises(ConfigError, match=r"--out must be a new folder, and .* exists"):
            train(configured(), tmp_path)
        assert files(tmp_path) == {"note"}

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"scenario": "burst"}, "unknown scenario 'burst' (did you mean 'bursty'?)"),
            ({"baselines": ("statik",)}, "unknown allocator 'statik' (did you mean 'static'?)"),
            ({"baselines": ("demand:wake=2",)}, "demand.wake must be at most 1"),
            ({"baselines": ("static", "static")}, "baselines must differ"),
            ({"validation_episodes": 0}, "validation_episodes must lie in [1,"),
        ],
    )
    def test_nothing_is_left_behind(self, configured, tmp_path, changes, message):
        with pytest.raises(ConfigError, match=re.escape(message)):
            train(configured(**changes), tmp_path / "run")
        assert files(tmp_path) == set()

    def test_a_scenario_without_a_workload(self, configured, tmp_path):
        path = tmp_path / "still.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in SCENARIO.items() if k != "workload"}))
        with pytest.raises(ConfigError, match="needs a scenario with a workload"):
            train(configured(scenario=str(path)), tmp_path / "run")
        assert files(tmp_path) == {"still.yaml"}


SMALLER = (
    *("n_envs=4", "n_steps=8", "batch_size=16", "total_timesteps=64", "validation_episodes=1"),
)


def with_its_traces(name):
    traces = set(traces_in(describe(load_scenario(load_config(name).scenario))))
    return pytest.param(name, marks=[pytest.mark.traces(*traces)] if traces else [])


@pytest.mark.parametrize("name", [with_its_traces(name) for name in shipped("train")])
def test_every_shipped_configuration_trains(name, tmp_path):
    result = train(load_config(name, SMALLER), tmp_path / "run")
    assert result.timesteps == 64
    make_allocator(f"learned:{result.folder}")


@pytest.mark.parametrize("name", ["pool", "hierarchy", "mig-faults", "batched"])
def test_a_policy_learns_where_more_is_observed(name, tmp_path):
    result = train(load_config("demo", [*SMALLER, f"scenario={name}"]), tmp_path / "run")
    world = load_scenario(name)
    tape = world.tape(world.workload.suite(world, "validation")[0])
    run = simulate(world, tape, make_allocator(f"learned:{result.folder}"))
    assert np.isfinite(run.rewards).all()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_ppo_beats_static_round_robin_and_algorithm_1(tmp_path, seed):
    """On episodes that neither training nor the choice of the model has seen."""
    config = load_config("bursty", [f"seed={seed}", "total_timesteps=600000"])
    folder = train(config, tmp_path / "run").folder
    rivals, learned = (
        ["static", "round_robin", "round_robin:quantum=20", "adaptive"],
        f"ppo:{folder}",
    )
    rows = evaluate("bursty-heldout", [*rivals, learned], bound=False, quiet=True)["rows"]
    rewards = {
        name: np.array([row["reward"] for row in rows if row["allocator"] == name])
        for name in (*rivals, learned)
    }
    for name in rivals:
        gain = rewards[learned] - rewards[name]
        assert gain.mean() - 2.13 * gain.std(ddof=1) / np.sqrt(len(gain)) > 0, name


def test_nothing_of_stable_baselines3_that_unpickles_is_used():
    sources = "".join(path.read_text() for path in ppo_sources())
    assert not re.search(r"\bPPO\.load|\bpickle|torch\.load|VecNormalize\.load", sources)


def ppo_sources():
    """All of training but what passes trials between a command and its own workers, no files."""
    from pathlib import Path

    sources = Path(ppo.__file__).parent.glob("*.py")
    return sorted(path for path in sources if path.name != "tune_on_ray.py")
