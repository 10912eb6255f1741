"""Going on after a cut, to the last bit as if it had not been."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from slicegym.baselines.learned import Learned
from slicegym.envs import ConfigError
from slicegym.envs.vector_env import SliceVectorEnv
from slicegym.eval.suite import load_suite
from slicegym.train.callbacks import OutOfTime, TimeLimit, Validation
from slicegym.train.checkpoint import CHECKPOINT_FILE, pack, unpack
from slicegym.train.config import TrainConfig
from slicegym.train.export import numpy_policy
from slicegym.train.folder import TrainingFolder
from slicegym.train.ppo import make_env, make_model, train

from .builders import env_id, marks
from .training import SCENARIO, files

B = 3
NAMES = (
    *("paper", "bursty", "workflow", "faults", "mig", "mig-faults", "pool", "hierarchy", "batched"),
    *("azure", "composite", "agentic", "orchestrated"),
)


def environments(name, **options):
    return SliceVectorEnv(B, name, staggered=True, resumable=True, **options)


def play(envs, steps, rng):
    """Play shares that are often zero, so that agents go cold and come back."""
    seen = []
    for _ in range(steps):
        actions = rng.random((B, *envs.single_action_space.shape))
        flat, rewards, _, truncated, _ = envs.step(actions * (rng.random(actions.shape) < 0.7))
        seen.append((flat.tobytes(), rewards.tobytes(), truncated.tobytes()))
    return seen


def through_a_file(state):
    return unpack(pack(state))


class TestEnvironments:
    @pytest.mark.parametrize(
        "name", [pytest.param(name, marks=marks(env_id(name))) for name in NAMES]
    )
    def test_restored_in_the_middle_they_play_on_alike(self, name):
        """Past an end of an episode after the cut, and so into tapes that are drawn later."""
        envs, restored = environments(name), environments(name)
        n = envs.scenario.n_intervals
        envs.reset(seed=1)
        play(envs, n // 4, np.random.default_rng(0))
        flat = restored.restore(through_a_file(envs.state()))
        assert flat.tobytes() == envs._simulator.flat(envs.observation()).tobytes()
        ends = [play(one, n // 2, np.random.default_rng(1)) for one in (envs, restored)]
        assert ends[0] == ends[1]
        assert any(np.frombuffer(truncated, np.bool_).any() for _, _, truncated in ends[0])
        for b in range(B):
            for one, other in zip(
                *(e._simulator.call_times(b) for e in (envs, restored)), strict=True
            ):
                assert one.tobytes() == other.tobytes()

    def test_the_state_is_what_was_asked_for_since_each_episode_began(self):
        envs = environments("pool")
        envs.reset(seed=0)
        scenario = envs.scenario
        actions = np.arange(2 * B * 5).reshape(2, B, 5) / 100
        for one in actions:
            envs.step(one)
        state = envs.state()
        phases = [b * scenario.n_intervals // B for b in range(B)]
        assert state["decisions"].tolist() == [phase + 2 for phase in phases]
        equal = [*[scenario.gpus / 4] * 4, -1.0]  # the size follows
        for b, end in enumerate(np.cumsum(state["decisions"])):
            np.testing.assert_array_equal(
                state["requests"][end - 2 : end], actions[:, b] * scenario.gpus
            )
            before = state["requests"][end - 2 - phases[b] : end - 2]
            np.testing.assert_array_equal(before, np.tile(equal, (phases[b], 1)))

    def test_episodes_that_have_just_begun(self):
        envs, restored = environments("bursty"), environments("bursty")
        envs._staggered = False
        envs.reset(seed=0)
        restored.restore(through_a_file(envs.state()))
        ends = [play(one, 20, np.random.default_rng(1)) for one in (envs, restored)]
        assert ends[0] == ends[1]

    def test_partitions_of_a_gpu_are_restored(self):
        envs, restored = (environments("mig", actions="slices") for _ in range(2))
        envs.reset(seed=0)
        vectors = np.random.default_rng(0).integers(envs.single_action_space.n, size=(40, B))
        for one in vectors[:25]:
            envs.step(one)
        restored.restore(through_a_file(envs.state()))
        for one in vectors[25:]:
            steps = [e.step(one) for e in (envs, restored)]
            assert steps[0][0].tobytes() == steps[1][0].tobytes()
            assert steps[0][1].tobytes() == steps[1][1].tobytes()

    def test_what_has_no_state_says_so(self):
        with pytest.raises(RuntimeError, match="call reset"):
            environments("bursty").state()
        plain = SliceVectorEnv(B, "bursty")
        plain.reset(seed=0)
        with pytest.raises(ConfigError, match="make them with resumable=True"):
            plain.state()
        by_hand = environments("bursty")
        scenario = by_hand.scenario
        tape = scenario.tape(scenario.workload.suite(scenario, "train")[0])
        by_hand.reset(seed=0, options={"tapes": [tape, None, None]})
        with pytest.raises(ConfigError, match="a tape given by hand has no state"):
            by_hand.state()


def small(scenario, **changes):
    """Make a run of 8 updates that starts badly, so that later policies are the best."""
    values = {
        **{"n_envs": 16, "n_steps": 32, "batch_size": 128, "net_arch": (16, 16)},
        **{"total_timesteps": 4096, "eval_every": 1024, "learning_rate": 1e-3},
        **{"start_share": 0.02, "log_std_init": -0.5, "validation_episodes": 1, "baselines": ()},
    }
    return TrainConfig(scenario=scenario, **{**values, **changes})


def cut(monkeypatch, config, folder, at, *, resume=False, limit=False):
    """Train, and be stopped in the middle of the rollout after `at` timesteps, or before it."""
    with monkeypatch.context() as patch:

        def stop(clock):
            if clock.num_timesteps > at and not limit:
                raise KeyboardInterrupt
            return True

        def expire(clock):
            clock.expired = clock.num_timesteps >= at
            if clock.expired:
                raise OutOfTime

        patch.setattr(TimeLimit, "_on_step", stop)
        if limit:
            patch.setattr(TimeLimit, "_on_rollout_start", expire)
            train(config, folder, resume=resume)
        else:
            with pytest.raises(KeyboardInterrupt):
                train(config, folder, resume=resume)


def checkpoint(folder):
    """Return a checkpoint without the one thing that clocks decide."""
    state = unpack((folder / CHECKPOINT_FILE).read_bytes())
    assert state["notes"].pop("wall_s") > 0
    return state


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def killed(*_, **__):
    raise KeyboardInterrupt


def random_states():
    ours = np.random.get_state()[1]  # noqa: NPY002 - it is the one that stable-baselines3 uses
    return ours.tobytes(), torch.get_rng_state().tolist()


def same_end(folder, other):
    for name in ("policy.safetensors", "policy.json"):
        assert (folder / name).read_bytes() == (other / name).read_bytes()
    assert pack(checkpoint(folder)) == pack(checkpoint(other))


# A correction of a rule that remembers what it saw, and a value that sees ahead and learns first.
CORRECTING = {
    **{"network": "equivariant", "action": "residual", "base": "knative", "outlook": True},
    **{"burn_in": 1100, "log_std_init": -1.0, "learning_rate": 3e-3},
}


# Scenarios of different size side by side, and versions of each that are drawn.
MIXED = {**CORRECTING, "mixture": ("many-6",), "variants": 2, "vary_load": 1.5, "vary_mix": 1.2}


@pytest.fixture(
    scope="module",
    params=[("bursty", {}), ("workflow", {}), ("bursty", CORRECTING), ("bursty", MIXED)],
    ids=["bursty", "workflow", "correcting", "mixed"],
)
def whole(request, tmp_path_factory):
    scenario, changes = request.param
    config = small(scenario, **changes)
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert train(config, folder).best["timesteps"] >= 2048  # learnt after the first cut below
    return config, folder


class TestTraining:
    def test_cut_twice_it_ends_like_one_never_cut(self, whole, tmp_path, monkeypatch):
        config, folder = whole
        run = tmp_path / "run"
        cut(monkeypatch, config, run, 1700)
        assert checkpoint(run)["learner"]["timesteps"] == 1024
        cut(monkeypatch, config, run, 2900, resume=True)
        assert checkpoint(run)["learner"]["timesteps"] == 2048
        train(config, run, resume=True)
        same_end(run, folder)
        assert manifest(run)["resumed_at"] == [1024, 2048]

    def test_cut_before_the_first_update(self, whole, tmp_path, monkeypatch):
        config, folder = whole
        run = tmp_path / "run"
        cut(monkeypatch, config, run, 100)
        assert checkpoint(run)["learner"]["timesteps"] == 0
        train(config, run, resume=True)
        same_end(run, folder)

    def test_cut_when_nothing_was_left_but_to_say_so(self, whole, tmp_path, monkeypatch):
        config, folder = whole
        run = tmp_path / "run"
        with monkeypatch.context() as patch:
            patch.setattr(TrainingFolder, "end", killed)
            with pytest.raises(KeyboardInterrupt):
                train(config, run)
        assert manifest(run)["status"] == "running"
        assert checkpoint(run)["learner"]["timesteps"] == 4096
        assert train(config, run, resume=True).timesteps == 4096
        assert manifest(run)["status"] == "finished"
        same_end(run, folder)

    def test_stopped_by_its_time_limit(self, whole, tmp_path, monkeypatch):
        """The policy at the stop is evaluated too, and beaten later: the end is the same."""
        config, folder = whole
        run = tmp_path / "run"
        cut(monkeypatch, config, run, 1536, limit=True)
        assert manifest(run)["status"] == "stopped by time_limit_s"
        assert checkpoint(run)["learner"]["timesteps"] == 1536
        train(config, run, resume=True)
        same_end(run, folder)

    def test_stopped_by_its_patience(self, tmp_path, monkeypatch):
        """A policy that cannot learn is never better than the first: 1024 after the burn-in."""
        config = small("bursty", learning_rate=1e-30, final_learning_rate=1e-30, patience=1024)
        whole, run = tmp_path / "whole", tmp_path / "run"
        assert train(config, whole).timesteps == 1024
        assert manifest(whole)["status"] == "stopped by patience"
        assert not (whole / "UNFINISHED").exists()
        cut(monkeypatch, config, run, 700)
        train(config, run, resume=True)
        same_end(run, whole)
        assert train(config, run, resume=True).timesteps == 1024  # which changes nothing
        same_end(run, whole)
        later = replace(config, burn_in=1024)
        assert train(later, tmp_path / "later").timesteps == 2048

    def test_evaluation_leaves_the_random_states_alone(self):
        config = small("bursty")
        suite = load_suite("bursty-validation").first(1)
        model = make_model(config, make_env(config, suite.scenario), suite.scenario)
        before = random_states()
        Validation(suite).figures("ppo", Learned(numpy_policy(model, config, suite.scenario)))
        assert random_states() == before

    def test_another_scenario_under_the_same_name_is_refused(self, tmp_path, monkeypatch):
        scenario = tmp_path / "mine.yaml"
        scenario.write_text(yaml.safe_dump(SCENARIO))
        config = small(str(scenario), total_timesteps=1024)
        cut(monkeypatch, config, tmp_path / "run", 700)
        scenario.write_text(yaml.safe_dump(SCENARIO | {"reference_rate": 3}))
        with pytest.raises(ConfigError, match=r"must stay as .*manifest"):
            train(config, tmp_path / "run", resume=True)


@pytest.mark.slow
def test_killed_and_resumed_by_the_command(tmp_path):
    """SIGKILL, which no code of ours can answer."""
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SCENARIO))
    values = ["n_envs=16", "n_steps=32", "batch_size=128", "total_timesteps=20000"]
    (tmp_path / "run.yaml").write_text("scenario: small.yaml\n")
    main = [sys.executable, "-c", "from slicegym.train.cli import main; main()", "run.yaml"]
    command = [*main, *values, "eval_every=2000", "start_share=0.1"]
    subprocess.run([*command, "--out", "whole"], cwd=tmp_path, check=True, capture_output=True)
    process = subprocess.Popen(
        [*command, "--out", "cut"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    file = tmp_path / "cut" / CHECKPOINT_FILE
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if file.exists() and unpack(file.read_bytes())["learner"]["timesteps"] > 0:
            break
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL  # it was still at work
    assert "UNFINISHED" in files(tmp_path / "cut")
    resume = [*command, "--out", "cut", "--resume"]
    subprocess.run(resume, cwd=tmp_path, check=True, capture_output=True)
    same_end(tmp_path / "whole", tmp_path / "cut")
    assert manifest(tmp_path / "cut")["resumed_at"][0] > 0
