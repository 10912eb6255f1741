"""Policies that are refused: crafted, cut, changed, of another shape, or of another schema."""

import pickle
import re

import numpy as np
import pytest
from safetensors.numpy import save as save_tensors

from slicegym.baselines import make_allocator
from slicegym.baselines.learned import load_policy
from slicegym.envs import ConfigError
from slicegym.envs.observation import N_FEATURES, SCHEMA

from .policies import EQUIVARIANT, equivariant_tensors, random_tensors, write_policy

REFUSED_HEADERS = [
    ({"format": "slicegym-policy-1"}, "format must be one of slicegym-policy-2"),
    ({"observation": "slicegym-observation-0"}, f"observation must be '{SCHEMA}' with"),
    ({"n_features": 22}, f"observation must be '{SCHEMA}' with {N_FEATURES} to"),
    ({"scenario": ""}, "scenario must not be empty"),
    ({"network": "deep"}, "network must be one of mlp, equivariant"),
    ({"n_agents": 0}, "n_agents must lie in [1,"),
    ({"n_agents": "3"}, "n_agents must be a whole number"),
    ({"n_agents": True}, "n_agents must be a whole number"),
    ({"hidden": 7}, "hidden must be a list, got 7 (int)"),
    ({"hidden": [8] * 15}, "hidden must be 0 to 14 sizes"),
    ({"hidden": [8], "network": "equivariant"}, "hidden must be 2 to 14 sizes for the network"),
    ({"hidden": [0]}, "hidden must lie in [1,"),
    ({"hidden": [2.0]}, "hidden must be a whole number"),
    ({"hidden": [10**6, 10**6]}, "hidden must give at most 50000000 parameters"),
    ({"activation": "thanh"}, "activation must be one of tanh, relu, got 'thanh' (did you mean"),
    ({"action": ["direct"]}, "action must be one of direct, residual"),
    ({"action": "residual"}, "base must name the allocator that action 'residual' corrects"),
    ({"base": "demand"}, "base must be empty where action 'direct' corrects nothing"),
    ({"base": 5}, "base must be a string"),
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
            save_tensors(random_tensors())[:-4],
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
            ("hidden.0.weight", np.zeros((8, 5), np.float32), "must be float32 of shape (8, 69)"),
            (
                "hidden.1.bias",
                np.zeros(5, np.float64),
                "must be float32 of shape (5,), got float64",
            ),
            (
                "hidden.1.bias",
                np.zeros((5, 1), np.float32),
                "must be float32 of shape (5,), got float32",
            ),
            (
                "head.bias",
                np.array([0, np.nan, 0], np.float32),
                "must hold finite numbers; it has nan",
            ),
            (
                "head.bias",
                np.array([0, np.inf, 0], np.float32),
                "must hold finite numbers; it has inf",
            ),
            (
                "3.bias",
                np.zeros(3, np.float32),
                "must hold the tensors hidden.0.weight, hidden.0.bias",
            ),
        ],
    )
    def test_tensors(self, tmp_path, name, tensor, message):
        tensors = {**random_tensors(), name: tensor}
        with pytest.raises(ConfigError, match=re.escape(message)):
            load_policy(write_policy(tmp_path / "p", tensors))

    def test_a_missing_tensor(self, tmp_path):
        tensors = random_tensors()
        del tensors["hidden.1.bias"]
        with pytest.raises(ConfigError, match="must hold the tensors"):
            load_policy(write_policy(tmp_path / "p", tensors))

    @pytest.mark.parametrize(
        ("base", "message"),
        [
            ("demnd", "unknown allocator 'demnd'"),
            ("demand:drain_s=-1", "demand.drain_s must be greater than 0"),
            ("learned:somewhere", "base must name a causal rule, not a policy"),
            (" ppo : somewhere", "base must name a causal rule, not a policy"),
        ],
    )
    def test_bases(self, tmp_path, base, message):
        folder = write_policy(
            tmp_path / "p", equivariant_tensors(), **{**EQUIVARIANT, "base": base}
        )
        with pytest.raises(ConfigError, match=message):
            make_allocator(f"learned:{folder}")

    def test_no_folder(self):
        with pytest.raises(ConfigError, match="needs the folder of a trained policy: learned:DIR"):
            make_allocator("learned")

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(ConfigError, match="none is not there; name the output folder"):
            make_allocator(f"learned:{tmp_path / 'none'}")

    @pytest.mark.parametrize("name", ["policy.json", "policy.safetensors"])
    def test_half_a_policy(self, tmp_path, name):
        folder = write_policy(tmp_path / "p")
        (folder / name).unlink()
        with pytest.raises(ConfigError, match=r"must hold policy\.json and policy\.safetensors"):
            load_policy(folder)
