"""Policies as allocators: what they decide. Nothing here needs torch."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from slicegym.baselines import make_allocator
from slicegym.baselines.action_map import ACTION_MAPS
from slicegym.baselines.learned import Learned, load_policy
from slicegym.baselines.policy.header import Header
from slicegym.baselines.policy.networks import ACTIVATIONS
from slicegym.envs import ConfigError, Elastic, simulate
from slicegym.envs.observation import N_FEATURES, Encoding

from .builders import drawn_pair
from .policies import EQUIVARIANT, N, equivariant_tensors, random_tensors, write_policy
from .test_allocators import observe, row, scenario


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


def test_a_header_survives_the_way_through_json(tmp_path):
    policy = load_policy(write_policy(tmp_path / "p"))
    again = Header(**json.loads(json.dumps(dataclasses.asdict(policy.header))))
    assert again == policy.header
    assert isinstance(Learned(policy).policy.header.hidden, tuple)
