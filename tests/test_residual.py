"""Training that corrects a rule: what is played, what the policy sees, and what the value sees."""

import numpy as np
import pytest
import torch

from slicegym.baselines import make_allocator
from slicegym.envs import load_scenario, simulate
from slicegym.envs.errors import ConfigError
from slicegym.envs.vector_env import SliceVectorEnv
from slicegym.train.callbacks import BurnIn
from slicegym.train.ppo import make_env, make_model
from slicegym.train.sb3_vec_env import SliceVecEnv

B = 3
OUTLOOK = 6 * 2 + 1  # columns in the tiny scenario


class TestUncorrected:
    # `knative` remembers what it saw, so that it must see every decision once, and in order.
    # `two_level` says, too, where agents are to be.
    @pytest.mark.parametrize(
        ("scenario", "base"),
        [
            *(("bursty", "demand"), ("workflow", "demand"), ("bursty", "knative")),
            *(("workflow", "knative"), ("hierarchy", "two_level"), ("pool", "two_level")),
        ],
    )
    def test_it_plays_as_the_rule_alone(self, scenario, base):
        world = load_scenario(scenario)
        env = SliceVecEnv(
            B, world, action="residual", base=base, network="equivariant", horizon_charge=True
        )
        env.seed(5)
        env.reset()
        same = SliceVectorEnv(B, world)
        same.reset(seed=5)
        nothing = np.zeros((B, world.n_agents), np.float32)
        for _ in range(2):  # episodes
            tapes = same.tapes
            rewards = np.array([env.step(nothing)[1] for _ in range(world.n_intervals)])
            for b, tape in enumerate(tapes):
                alone = simulate(world, tape, make_allocator(base)).rewards
                np.testing.assert_allclose(rewards[:, b], alone, rtol=1e-9, atol=1e-9)
            for _ in range(world.n_intervals):
                same.step(np.zeros((B, world.n_agents), np.float32))

    def test_the_rule_s_shares_stand_beside_what_is_seen(self):
        world = load_scenario("bursty")
        env = SliceVecEnv(B, world, action="residual", base="demand", network="equivariant")
        env.seed(5)
        features = env.reset().reshape(B, world.n_agents, -1)
        demand, part = make_allocator("demand"), world.gpus / world.n_agents
        for _ in range(50):
            shares = demand.allocate(env.envs.observation())
            np.testing.assert_allclose(features[..., -1], shares / (shares + part), rtol=1e-6)
            features = env.step(np.zeros((B, 4), np.float32))[0].reshape(B, world.n_agents, -1)
        assert features[..., -1].any()


class TestValue:
    @pytest.fixture
    def parts(self, configured):
        config = configured(
            network="equivariant", action="residual", base="demand", outlook=True, net_arch=(8, 8)
        )
        world = load_scenario(config.scenario)
        env = make_env(config, world)
        return env, make_model(config, env, world).policy, world

    def test_the_policy_does_not_see_what_is_to_come(self, parts):
        env, policy, _ = parts
        seen = torch.as_tensor(env.reset())
        blind = seen.clone()
        blind[:, -OUTLOOK:] = 0.3
        means = [policy.get_distribution(x).distribution.mean for x in (seen, blind)]
        torch.testing.assert_close(*means, rtol=0, atol=0)
        values = [policy.predict_values(x) for x in (seen, blind)]
        assert (values[0] != values[1]).all()

    def test_the_value_does_not_see_what_the_rule_would_do(self, parts):
        env, policy, world = parts
        seen = torch.as_tensor(env.reset())
        other = seen.clone()
        columns = (seen.shape[1] - OUTLOOK) // world.n_agents
        for i in range(world.n_agents):
            other[:, (i + 1) * columns - 1] += 0.5
        values = [policy.predict_values(x) for x in (seen, other)]
        torch.testing.assert_close(*values, rtol=0, atol=0)

    def test_an_episode_ends_where_the_value_sees_it_end(self, parts):
        env, _, world = parts
        env.reset()
        actions = np.zeros((env.num_envs, world.n_agents), np.float32)
        found = [env.step(actions) for _ in range(world.n_intervals)]
        infos = [info for step in found for info in step[3] if info]
        assert len(infos) >= env.num_envs
        for info in infos:
            assert not info["TimeLimit.truncated"]
            assert info["terminal_observation"].shape == env.observation_space.shape
            assert not info["terminal_observation"][-OUTLOOK:].any()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"action": "residual"}, "base must name the allocator that action 'residual' corrects"),
        ({"base": "demand"}, "base must be empty where action 'direct' corrects nothing"),
        ({"action": "residual", "base": "demnd"}, "unknown allocator 'demnd'"),
        ({"action": "residual", "base": "ppo:x"}, "base must name a causal rule"),
        ({"network": "deep"}, "network must be one of mlp, equivariant"),
    ],
)
def test_refusals(given, message):
    with pytest.raises(ConfigError, match=message):
        SliceVecEnv(B, "bursty", **given)


class TestBurnIn:
    def test_only_the_value_learns_at_first(self, configured):
        config = configured(
            network="equivariant", action="residual", base="demand", net_arch=(8, 8), burn_in=256
        )
        world = load_scenario(config.scenario)
        model = make_model(config, make_env(config, world), world)
        burning = BurnIn(config.burn_in)
        before = {name: p.detach().clone() for name, p in model.policy.named_parameters()}

        def changed():
            return {
                name.partition(".")[0]
                for name, p in model.policy.named_parameters()
                if (p != before[name]).any()
            }

        model.learn(256, callback=burning)
        assert changed() == {"value"}
        model.learn(128, callback=burning, reset_num_timesteps=False)
        assert changed() == {"value", "actor", "log_std"}
