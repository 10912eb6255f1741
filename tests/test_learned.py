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
from slicegym.baselines.learned import Learned, load_policy
from slicegym.baselines.policy.header import Header
from slicegym.baselines.policy.networks import ACTIVATIONS
from slicegym.envs import ConfigError, Elastic, simulate
from slicegym.envs.observation import N_FEATURES, SCHEMA, Encoding

from .builders import drawn_pair
from .test_allocators import observe, row, scenario

N = 3
HEADER = {
    "format": "slicegym-policy-2",
    "observation": SCHEMA,
    "scenario": "custom",
    "network": "mlp",
    "n_agents": N,
    "n_features": N_FEATURES,
    "hidden": [8, 5],
    "activation": "tanh",
    "action": "direct",
    "base": "",
}
EQUIVARIANT = {
    "network": "equivariant",
    "hidden": [7, 6, 5],
    "activation": "relu",
    "action": "residual",
    "base": "demand:tuned=false,exponent=0.5",
}


def layer(name, inputs, outputs, rng):
    weight = rng.normal(0, 0.7, (outputs, inputs)).astype(np.float32)
    bias = rng.normal(0, 0.7, outputs).astype(np.float32)
    return {f"{name}.weight": weight, f"{name}.bias": bias}


def random_tensors(n=N, seed=0):
    """Return those of HEADER's network for n agents."""
    rng = np.random.default_rng(seed)
    tensors = layer("hidden.0", n * N_FEATURES, 8, rng) | layer("hidden.1", 8, 5, rng)
    return tensors | layer("head", 5, n, rng)


def equivariant_tensors(seed=26):
    """Return those of EQUIVARIANT's network; it opens some agents, closes some, scales the rest."""
    rng = np.random.default_rng(seed)
    tensors = layer("encoder", N_FEATURES + 1, 7, rng) | layer("decoder.0", 7, 6, rng)
    tensors |= layer("decoder.1", 6, 5, rng) | layer("head", 5, 1, rng)
    context = rng.normal(0, 0.7, (6, 14)).astype(np.float32)
    tensors["head.weight"] *= np.float32(0.3)
    return tensors | {"context.weight": context}


def write_policy(folder, tensors=None, data=None, **changes):
    """Write a policy whose header names the right sum, whatever else is wrong with it."""
    header = {**HEADER, **changes}
    if data is None:
        data = save_tensors(random_tensors() if tensors is None else tensors)
    folder.mkdir(exist_ok=True)
    (folder / "policy.safetensors").write_bytes(data)
    header.setdefault("weights_sha256", hashlib.sha256(data).hexdigest())
    header = {key: value for key, value in header.items() if value != "left out"}
    (folder / "policy.json").write_text(json.dumps(header))
    return folder


def features_by_hand(world, observation, base):
    """Scale by an agent's equal part of the pool, squash, and put the base's share beside it."""
    part = world.gpus / world.n_agents
    x = Encoding.of(world, part).flat(observation).reshape(*base.shape, -1)
    return np.concatenate([x, (base / (base + part))[..., None]], axis=-1).astype(np.float64)


def correction(tensors, x):
    """Return the action of every agent, (..., N)."""

    def dense(name, x):
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    e = np.maximum(dense("encoder", x), 0)
    pooled = np.concatenate([e.mean(-2), e.max(-2)], axis=-1)
    z = dense("decoder.0", e) + (pooled @ tensors["context.weight"].T)[..., None, :]
    z = np.maximum(dense("decoder.1", np.maximum(z, 0)), 0)
    return np.clip(dense("head", z), -1, 1)[..., 0]


class TestDecision:
    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_is_the_network_of_the_flat_observation(self, tmp_path, activation):
        world, tensors = scenario(N), random_tensors()
        allocator = make_allocator(f"learned:{write_policy(tmp_path / 'p', activation=activation)}")
        observation = observe(world, batch=20)
        x = Encoding.of(world).flat(observation).astype(np.float64)
        act = {"tanh": np.tanh, "relu": lambda v: np.maximum(v, 0)}[activation]
        for name in ("hidden.0", "hidden.1"):
            x = act(x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"])
        x = np.clip(x @ tensors["head.weight"].T + tensors["head.bias"], -1, 1)
        expected = (x + 1) / 2 * world.gpus
        np.testing.assert_allclose(allocator.allocate(observation), expected, atol=1e-5)
        assert len(np.unique(expected)) > 20

    def test_an_equivariant_network_corrects_its_base(self, tmp_path):
        world, tensors = scenario(N), equivariant_tensors()
        folder = write_policy(tmp_path / "p", tensors, **EQUIVARIANT)
        observation = observe(world, batch=50)
        base = make_allocator(EQUIVARIANT["base"]).allocate(observation)
        a = correction(tensors, features_by_hand(world, observation, base))
        expected = np.maximum(base * 4.0**a, np.minimum(base, world.share_quantum))
        opened = np.maximum(expected, np.maximum(world.footprint, world.share_quantum))
        expected = np.select([a >= 1, a <= -1], [opened, np.zeros_like(base)], expected)
        shares = make_allocator(f"learned:{folder}").allocate(observation)
        np.testing.assert_allclose(shares, expected, rtol=1e-4)
        assert (a >= 1).any()
        assert (a <= -1).any()
        assert (np.abs(a) < 1).any()

    def test_it_gives_permuted_agents_permuted_shares(self, tmp_path):
        folder = write_policy(tmp_path / "p", equivariant_tensors(), **EQUIVARIANT)
        allocator = make_allocator(f"learned:{folder}")
        world, order = scenario(5), np.array([3, 0, 4, 1, 2])
        mixed = dataclasses.replace(world, agents=tuple(world.agents[i] for i in order))
        seen = observe(world, batch=30)
        shares = allocator.allocate(seen)
        permuted = dataclasses.replace(seen, scenario=mixed, raw=seen.raw[:, order])
        np.testing.assert_allclose(allocator.allocate(permuted), shares[:, order], rtol=1e-4)
        assert len(np.unique(shares)) > 20

    def test_it_serves_any_number_of_agents(self, tmp_path):
        folder = write_policy(tmp_path / "p", equivariant_tensors(), **EQUIVARIANT)
        allocator = make_allocator(f"learned:{folder}")
        for n in (1, 2, 9, 100):
            shares = allocator.allocate(observe(scenario(n), batch=3))
            assert shares.shape == (3, n)
            assert np.isfinite(shares).all()

    def test_twice_the_agents_in_twice_the_pool_get_the_same_each(self, tmp_path):
        # What one agent's features are measured by is its equal part of the pool.
        tensors = equivariant_tensors()
        folder = write_policy(tmp_path / "p", tensors, **EQUIVARIANT)
        allocator = make_allocator(f"learned:{folder}")
        agents = scenario(N).agents
        twins = tuple(dataclasses.replace(a, name=f"{a.name}-{i}") for i in (1, 2) for a in agents)
        world, double = scenario(N), scenario(2 * N)
        double = dataclasses.replace(double, agents=twins, gpus=2 * world.gpus)
        seen = observe(world, batch=30)
        both = dataclasses.replace(seen, scenario=double, raw=np.tile(seen.raw, (1, 2, 1)))
        shares = allocator.allocate(seen)
        np.testing.assert_allclose(allocator.allocate(both), np.tile(shares, (1, 2)), rtol=1e-4)

    @pytest.mark.parametrize("kind", ["mlp", "equivariant"])
    def test_a_row_of_a_batch_is_the_single_result_bit_for_bit(self, tmp_path, kind):
        given = (equivariant_tensors(), EQUIVARIANT) if kind == "equivariant" else (None, {})
        allocator = make_allocator(f"learned:{write_policy(tmp_path / 'p', given[0], **given[1])}")
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
        folder = write_policy(tmp_path / "p", random_tensors(2), n_agents=2)
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
    def test_direct_asks_for_fractions_of_the_pool(self):
        world = scenario(3, gpus=8.0)
        shares = ACTION_MAPS["direct"].shares(np.array([[-1.0, 0.0, 1.0]]), None, world)
        np.testing.assert_array_equal(shares, [[0.0, 4.0, 8.0]])

    def test_direct_starts_from_equal_shares(self):
        world = scenario(4, gpus=8.0)
        start = np.tile(ACTION_MAPS["direct"].start(4, 0.5), (1, 4))
        np.testing.assert_allclose(ACTION_MAPS["direct"].shares(start, None, world), 1.0)

    def test_residual_starts_from_its_base(self):
        base = np.array([[0.0, 0.25, 3.0]])
        start = np.tile(ACTION_MAPS["residual"].start(3, 1.0), (1, 3))
        shares = ACTION_MAPS["residual"].shares(start, base, scenario(3))
        np.testing.assert_array_equal(shares, base)

    def test_residual_scales_opens_closes_and_holds(self):
        world = dataclasses.replace(scenario(5), share_quantum=0.01)
        agents = [dataclasses.replace(a, footprint=0.5) for a in world.agents]
        world = dataclasses.replace(world, agents=tuple(agents))
        base = np.array([[1.0, 0.0, 2.0, 0.015, 0.0]])
        actions = np.array([[0.5, 1.0, -1.0, -0.9, 0.9]])
        shares = ACTION_MAPS["residual"].shares(actions, base, world)
        np.testing.assert_allclose(shares, [[2.0, 0.5, 0.0, 0.01, 0.0]])


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


def test_a_header_survives_the_way_through_json(tmp_path):
    policy = load_policy(write_policy(tmp_path / "p"))
    again = Header(**json.loads(json.dumps(dataclasses.asdict(policy.header))))
    assert again == policy.header
    assert isinstance(Learned(policy).policy.header.hidden, tuple)
