"""Policies as files and as allocators: what runs, and what is refused. Nothing here needs torch."""

import dataclasses
import hashlib
import json
import pickle
import re
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save as save_tensors

from slicegym.baselines import make_allocator
from slicegym.baselines.action_map import ACTION_MAPS
from slicegym.baselines.learned import ACTIVATIONS, Header, Learned, load_policy
from slicegym.envs import ConfigError, Elastic, simulate
from slicegym.envs.observation import N_FEATURES, SCHEMA, Encoding

from .builders import drawn_pair
from .test_allocators import observe, row, scenario

N = 3
HEADER = {
    "format": "slicegym-policy-1",
    "observation": SCHEMA,
    "scenario": "custom",
    "n_agents": N,
    "n_features": N_FEATURES,
    "layers": [N * N_FEATURES, 8, 5, N],
    "activation": "tanh",
    "action": "direct",
}


def random_tensors(layers, seed=0):
    rng = np.random.default_rng(seed)
    tensors = {}
    for i in range(len(layers) - 1):
        shape = (layers[i + 1], layers[i])
        tensors[f"{i}.weight"] = rng.normal(0, 0.7, shape).astype(np.float32)
        tensors[f"{i}.bias"] = rng.normal(0, 0.7, shape[0]).astype(np.float32)
    return tensors


def write_policy(folder, tensors=None, data=None, **changes):
    """Write a policy whose header names the right sum, whatever else is wrong with it."""
    header = {**HEADER, **changes}
    if data is None:
        data = save_tensors(random_tensors(HEADER["layers"]) if tensors is None else tensors)
    folder.mkdir(exist_ok=True)
    (folder / "policy.safetensors").write_bytes(data)
    header.setdefault("weights_sha256", hashlib.sha256(data).hexdigest())
    header = {key: value for key, value in header.items() if value != "left out"}
    (folder / "policy.json").write_text(json.dumps(header))
    return folder


class TestDecision:
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_is_the_network_of_the_flat_observation(self, tmp_path, activation):
        world, tensors = scenario(N), random_tensors(HEADER["layers"])
        allocator = make_allocator(f"learned:{write_policy(tmp_path / 'p', activation=activation)}")
        observation = observe(world, batch=20)
        x = Encoding.of(world).flat(observation).astype(np.float64)
        act = {"tanh": np.tanh, "relu": lambda v: np.maximum(v, 0)}[activation]
        for i in (0, 1):
            x = act(x @ tensors[f"{i}.weight"].T + tensors[f"{i}.bias"])
        x = np.clip(x @ tensors["2.weight"].T + tensors["2.bias"], -1, 1)
        expected = (x + 1) / 2 * world.gpus
        np.testing.assert_allclose(allocator.allocate(observation), expected, atol=1e-5)
        assert len(np.unique(expected)) > 20

    def test_a_row_of_a_batch_is_the_single_result_bit_for_bit(self, tmp_path):
        allocator = make_allocator(f"learned:{write_policy(tmp_path / 'p')}")
        observation = observe(scenario(N), batch=40)
        shares = allocator.allocate(observation)
        assert shares.dtype == np.float64
        for b in range(40):
            alone = allocator.allocate(row(observation, b))
            np.testing.assert_array_equal(shares[b], alone, strict=True)

    def test_leaves_the_observation_and_its_own_answers_alone(self, tmp_path):
        allocator = make_allocator(f"learned:{write_policy(tmp_path / 'p')}")
        observation = observe(scenario(N), batch=2)
        observation.raw.setflags(write=False)
        first = allocator.allocate(observation)
        expected = first.copy()
        first[...] = -1.0
        np.testing.assert_array_equal(allocator.allocate(observation), expected)

    def test_one_instance_serves_several_scenarios(self, tmp_path):
        allocator = make_allocator(f"learned:{write_policy(tmp_path / 'p')}")
        small, large = scenario(N), scenario(N, gpus=40.0)
        first = allocator.allocate(observe(small))
        assert (allocator.allocate(observe(large)) != first).any()
        np.testing.assert_array_equal(allocator.allocate(observe(small)), first)

    def test_plays_an_episode(self, tmp_path):
        world = drawn_pair()
        layers = [2 * N_FEATURES, 4, 2]
        folder = write_policy(tmp_path / "p", random_tensors(layers), layers=layers, n_agents=2)
        tape = world.workload.tape(world, world.workload.suite(world, "train")[0])
        run = simulate(world, tape, make_allocator(f"ppo:{folder}"))
        assert np.isfinite(run.rewards).all()

    def test_another_number_of_agents_is_refused(self, tmp_path):
        allocator = make_allocator(f"learned:{write_policy(tmp_path / 'p')}")
        with pytest.raises(ConfigError, match="must get 3 agents, got the 4 of 'custom'"):
            allocator.reset(scenario(4))

    def test_a_scenario_with_other_columns_is_refused(self, tmp_path):
        allocator = make_allocator(f"learned:{write_policy(tmp_path / 'p')}")
        elastic = dataclasses.replace(scenario(N), gpus=4.0, elastic=Elastic())
        message = f"must get {N_FEATURES} features an agent, got the {N_FEATURES + 2} of 'custom'"
        with pytest.raises(ConfigError, match=message):
            allocator.reset(elastic)

    def test_needs_no_torch(self, tmp_path):
        code = (
            "import sys; from slicegym.baselines import make_allocator; "
            f"make_allocator('learned:{write_policy(tmp_path / 'p')}'); "
            "assert 'torch' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


class TestActionMaps:
    @pytest.mark.parametrize("name", ACTION_MAPS)
    def test_actions_ask_for_the_fractions_they_come_from(self, name):
        fractions = np.linspace(0, 1, 12).reshape(4, 3)
        ours = ACTION_MAPS[name]
        actions = ours.actions(fractions)
        assert actions.shape == (4, ours.n_actions(3))
        assert (np.abs(actions) <= 1).all()
        np.testing.assert_allclose(ours.fractions(actions), fractions, atol=1e-12)


REFUSED_HEADERS = [
    ({"format": "slicegym-policy-2"}, "format must be one of slicegym-policy-1"),
    ({"observation": "slicegym-observation-0"}, f"observation must be '{SCHEMA}' with"),
    ({"n_features": 22}, f"observation must be '{SCHEMA}' with {N_FEATURES} to"),
    ({"scenario": ""}, "scenario must not be empty"),
    ({"n_agents": 0}, "n_agents must lie in [1,"),
    ({"n_agents": "3"}, "n_agents must be a whole number"),
    ({"n_agents": True}, "n_agents must be a whole number"),
    ({"layers": 7}, "layers must be 2 to 16 sizes"),
    ({"layers": [N * N_FEATURES] * 17}, "layers must be 2 to 16 sizes"),
    ({"layers": [N * N_FEATURES, 0, N]}, "layers must lie in [1,"),
    ({"layers": [N * N_FEATURES, 2.0, N]}, "layers must be a whole number"),
    ({"layers": [5, 8, N]}, f"layers must begin with {N * N_FEATURES} features and end with {N}"),
    ({"layers": [N * N_FEATURES, 8, N + 1]}, f"and end with {N} actions for 3 agents"),
    ({"layers": [N * N_FEATURES, 10**6, 10**6, N]}, "must have at most 50000000 parameters"),
    ({"activation": "thanh"}, "activation must be one of tanh, relu, got 'thanh' (did you mean"),
    ({"action": ["direct"]}, "action must be one of direct"),
    ({"weights_sha256": "0" * 64}, "must have the sha256"),
    ({"weights_sha256": 5}, "weights_sha256 must be a string"),
    ({"extra": 1}, "has an unknown key 'extra'"),
    ({"activation": "left out"}, "lacks the required key 'activation'"),
]


class TestRefusals:
    @pytest.mark.parametrize(("changes", "message"), REFUSED_HEADERS)
    def test_headers(self, tmp_path, changes, message):
        with pytest.raises(ConfigError, match=re.escape(message)) as error:
            load_policy(write_policy(tmp_path / "p", **changes))
        assert str(tmp_path / "p") in str(error.value)

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "null", "[" * 60_000, '{"a": "\\ud800"}', " " * 70_000, "\xff\xfe"]
    )
    def test_what_is_no_header(self, tmp_path, text):
        folder = write_policy(tmp_path / "p")
        (folder / "policy.json").write_bytes(text.encode("latin-1"))
        with pytest.raises((ConfigError, TypeError), match=re.escape(str(folder / "policy.json"))):
            load_policy(folder)

    @pytest.mark.parametrize("keep", [0, 7, 100, -1])
    def test_cut_weights(self, tmp_path, keep):
        folder = write_policy(tmp_path / "p")
        path = folder / "policy.safetensors"
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(ConfigError, match="one of the two was cut or changed"):
            load_policy(folder)

    def test_one_changed_bit(self, tmp_path):
        folder = write_policy(tmp_path / "p")
        path = folder / "policy.safetensors"
        data = bytearray(path.read_bytes())
        data[-3] ^= 1
        path.write_bytes(data)
        with pytest.raises(ConfigError, match="one of the two was cut or changed"):
            load_policy(folder)

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"x" * 50,
            pickle.dumps({"0.weight": [1.0]}),
            (2**63).to_bytes(8, "little") + b"{}",
            (2).to_bytes(8, "little") + b"{}" + b"left over",
            (9).to_bytes(8, "little") + b'{"a": 1}}',
            save_tensors(random_tensors(HEADER["layers"]))[:-4],
        ],
    )
    def test_crafted_weights_with_a_matching_sum(self, tmp_path, data):
        with pytest.raises(ConfigError, match=r"must be a safetensors file|must hold the tensors"):
            load_policy(write_policy(tmp_path / "p", data=data))

    def test_too_large_a_file(self, tmp_path):
        with pytest.raises(ConfigError, match=r"must hold at most \d+ bytes"):
            load_policy(write_policy(tmp_path / "p", data=b"0" * 200_000))

    @pytest.mark.parametrize(
        ("name", "tensor", "message"),
        [
            ("0.weight", np.zeros((8, 5), np.float32), "must be float32 of shape (8, 69)"),
            ("1.bias", np.zeros(5, np.float64), "must be float32 of shape (5,), got float64"),
            ("1.bias", np.zeros((5, 1), np.float32), "must be float32 of shape (5,), got float32"),
            (
                "2.bias",
                np.array([0, np.nan, 0], np.float32),
                "must hold finite numbers; it has nan",
            ),
            (
                "2.bias",
                np.array([0, np.inf, 0], np.float32),
                "must hold finite numbers; it has inf",
            ),
            ("3.bias", np.zeros(3, np.float32), "must hold the tensors 0.weight, 0.bias, 1.weight"),
        ],
    )
    def test_tensors(self, tmp_path, name, tensor, message):
        tensors = {**random_tensors(HEADER["layers"]), name: tensor}
        with pytest.raises(ConfigError, match=re.escape(message)):
            load_policy(write_policy(tmp_path / "p", tensors))

    def test_a_missing_tensor(self, tmp_path):
        tensors = random_tensors(HEADER["layers"])
        del tensors["1.bias"]
        with pytest.raises(ConfigError, match="must hold the tensors"):
            load_policy(write_policy(tmp_path / "p", tensors))

    @pytest.mark.parametrize("spec", ["learned", "ppo"])
    def test_no_folder(self, spec):
        with pytest.raises(ConfigError, match="needs the folder of a trained policy: learned:DIR"):
            make_allocator(spec)

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(ConfigError, match="none is not there; name the output folder"):
            make_allocator(f"learned:{tmp_path / 'none'}")

    @pytest.mark.parametrize("name", ["policy.json", "policy.safetensors"])
    def test_half_a_policy(self, tmp_path, name):
        folder = write_policy(tmp_path / "p")
        (folder / name).unlink()
        with pytest.raises(ConfigError, match=r"must hold policy\.json and policy\.safetensors"):
            load_policy(folder)


def test_a_header_survives_the_way_through_json(tmp_path):
    policy = load_policy(write_policy(tmp_path / "p"))
    again = Header(**json.loads(json.dumps(dataclasses.asdict(policy.header))))
    assert again == policy.header
    assert isinstance(Learned(policy).policy.header.layers, tuple)
