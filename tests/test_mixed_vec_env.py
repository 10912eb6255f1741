"""One batch of several scenarios: each plays as it would alone, and who is not there is ignored."""

import numpy as np
import pytest
import torch

from slicegym.baselines.learned import Learned
from slicegym.envs import load_scenario
from slicegym.envs.errors import ConfigError
from slicegym.envs.observation import n_features
from slicegym.eval.manifests import describe, traces_in
from slicegym.eval.suite import load_suite
from slicegym.train.config import TrainConfig
from slicegym.train.export import numpy_policy
from slicegym.train.mixed_vec_env import MixedVecEnv
from slicegym.train.outlook import columns, padded
from slicegym.train.ppo import make_env, make_model
from slicegym.train.sb3_vec_env import SliceVecEnv
from slicegym.train.worlds import own_suite, weighted, worlds

MADE = {"action": "residual", "base": "demand", "network": "equivariant", "outlook": True}
SMALL, LARGE = "bursty", "many-6"  # 4 and 6 agents


def batch(name, size=2, **changes):
    return SliceVecEnv(size, name, **{**MADE, **changes})


def configuration(**changes):
    given = {"scenario": SMALL, "n_envs": 6, "n_steps": 8, "batch_size": 16, "net_arch": (8, 8)}
    return TrainConfig(**{**given, **MADE, **changes})


class TestEnvironments:
    def test_each_scenario_plays_as_it_does_alone(self):
        mixed, alone = MixedVecEnv([batch(SMALL), batch(LARGE, 3)]), [batch(SMALL), batch(LARGE, 3)]
        mixed.seed(7)
        alone[0].seed(7)
        alone[1].seed(9)
        together = mixed.reset()
        seen = [env.reset() for env in alone]
        rng = np.random.default_rng(0)
        inputs = n_features(load_scenario(SMALL)) + 1
        assert mixed.observation_space.shape == (6 * inputs + columns(6),)
        for _ in range(310):  # past the end of an episode
            np.testing.assert_array_equal(together[:2, : 4 * inputs], seen[0][:, : 4 * inputs])
            np.testing.assert_array_equal(together[:2, 4 * inputs : 6 * inputs], 0.0)
            np.testing.assert_array_equal(together[2:], seen[1])
            actions = rng.uniform(-1, 1, (5, 6)).astype(np.float32)
            together, rewards, dones, infos = mixed.step(actions)
            own = [alone[0].step(actions[:2, :4]), alone[1].step(actions[2:])]
            seen = [one[0] for one in own]
            np.testing.assert_array_equal(rewards, np.concatenate([one[1] for one in own]))
            np.testing.assert_array_equal(dones, np.concatenate([one[2] for one in own]))
            if dones[0]:
                assert infos[0]["episode"] == own[0][3][0]["episode"]
                assert infos[0]["terminal_observation"].shape == together[0].shape
        assert mixed.get_attr("num_envs") == [2, 2, 3, 3, 3]

    def test_an_outlook_among_more_agents(self):
        """6 spans of 2 agents and the clock, among 3: a zero follows each pair."""
        outlook = np.array([[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0.5]], np.float32)
        wide = padded(outlook, 2, 3)
        pairs = [[1, 2, 0], [3, 4, 0], [5, 6, 0], [7, 8, 0], [9, 10, 0], [11, 12, 0]]
        np.testing.assert_array_equal(wide, [[*np.ravel(pairs), 0.5]])

    def test_agents_with_other_features_are_refused(self):
        with pytest.raises(ConfigError, match=r"23 features of 'bursty', got the 25 of 'faults'"):
            MixedVecEnv([batch(SMALL), batch("faults")])


class TestPolicy:
    @pytest.fixture
    def made(self):
        config, scenario = configuration(mixture=(LARGE,), pinned=False), load_scenario(SMALL)
        env = make_env(config, scenario)
        return config, env, make_model(config, env, scenario)

    def test_who_is_not_there_does_not_count(self, made):
        """The same agents alone, with the same weights, have the same odds, entropy and actions."""
        _, env, model = made
        torch.nn.init.normal_(model.policy.actor.head.weight)
        seen = torch.as_tensor(env.reset()[:3])
        inputs = n_features(load_scenario(SMALL)) + 1
        by_itself, scenario = configuration(), load_scenario(SMALL)
        alone = make_model(by_itself, make_env(by_itself, scenario), scenario).policy
        alone.actor.load_state_dict(model.policy.actor.state_dict())
        actions = torch.randn(3, 6)
        both = model.policy.get_distribution(seen)
        padding = torch.zeros(3, columns(4))  # an outlook, which the actions are not told
        one = alone.get_distribution(torch.cat([seen[:, : 4 * inputs], padding], 1))
        torch.testing.assert_close(both.log_prob(actions), one.log_prob(actions[:, :4]))
        torch.testing.assert_close(both.entropy(), one.entropy())
        means = both.distribution.mean[:, :4]
        torch.testing.assert_close(means, one.distribution.mean)
        assert means.std() > 0.01

    def test_values_do_not_depend_on_how_many_places_are_empty(self, made):
        _, env, model = made
        value = model.policy.value
        agents = torch.as_tensor(env.reset()[:3, : 6 * 24]).reshape(3, 6, 24)[..., :23]
        nothing = torch.zeros(3, columns(6))
        found = value(agents, nothing)
        torch.testing.assert_close(found, value(agents[:, :4], nothing))
        assert (found != value(agents[:, :3], nothing)).all()

    def test_what_is_exported_follows_the_rule_as_it_is_tuned_where_it_plays(self, made):
        config, _, model = made
        scenario = load_scenario(SMALL)
        policy = numpy_policy(model, config, scenario)
        assert policy.header.base == "demand"
        assert policy.header.n_agents == 4
        Learned(policy).reset(load_scenario("many-40"))

    def test_a_plain_network_has_one_size(self):
        config = configuration(
            network="mlp", mixture=(LARGE,), action="direct", base="", outlook=False
        )
        with pytest.raises(ConfigError, match=r"equivariant where scenarios have \[4, 6\] agents"):
            make_model(config, make_env(config, load_scenario(SMALL)), load_scenario(SMALL))


class TestWorlds:
    def test_the_run_s_own_comes_first_as_it_is(self):
        config = configuration(
            mixture=(LARGE,), variants=3, vary_load=2.0, vary_mix=1.5, vary_cold_start=3.0
        )
        scenario = load_scenario(SMALL)
        found = worlds(config, scenario)
        assert [world.name for world in found] == [SMALL] * 3 + [LARGE] * 3
        assert found[0] is scenario
        assert found == worlds(config, scenario)
        assert found != worlds(configuration(seed=1, variants=3, vary_load=2.0), scenario)
        for world in found[1:3]:
            speed = world.throughput / scenario.throughput
            assert len(set(speed)) == 4
            assert ((speed >= 1 / 3) & (speed <= 3)).all()
            cold = world.cold_start_s / scenario.cold_start_s
            assert len(set(cold)) == 4
            assert ((cold >= 1 / 3) & (cold <= 3)).all()
            assert world.gpus == scenario.gpus
            assert world.workload == scenario.workload

    def test_the_load_alone_has_one_factor(self):
        scenario = load_scenario(SMALL)
        _, drawn = worlds(configuration(variants=2, vary_load=2.0), scenario)
        speed = drawn.throughput / scenario.throughput
        np.testing.assert_allclose(speed, speed[0], rtol=1e-12)
        assert 0.5 <= speed[0] <= 2.0
        assert speed[0] != 1.0
        np.testing.assert_array_equal(drawn.cold_start_s, scenario.cold_start_s)

    def test_the_batch_is_shared_out(self):
        config = configuration(n_envs=7, batch_size=56, mixture=(LARGE,), variants=2, vary_load=1.1)
        env = make_env(config, load_scenario(SMALL)).unwrapped
        assert [part.num_envs for part in env.parts] == [2, 2, 2, 1]

    @pytest.mark.traces("mooncake", "servegen_mm_image")
    def test_some_agents_alone(self):
        """Their calls are those that they have beside the others; the others' traces are unread."""
        config = configuration(scenario="composite", agents=["vision", "coordinator"])
        suite, whole = own_suite(config, "validation"), load_suite("composite-validation")
        assert suite.scenario.agent_names == ("coordinator", "vision")
        assert suite.scenario.gpus == whole.scenario.gpus
        assert set(traces_in(describe(suite.scenario))) == {"mooncake", "servegen_mm_image"}
        (episode, *_), all_agents = suite.episodes, whole.scenario
        tape, beside = suite.scenario.tape(episode), all_agents.tape(episode)
        for place, own in ((0, 0), (2, 1)):
            found, wanted = (t.release[t.agent == a] for t, a in ((tape, own), (beside, place)))
            np.testing.assert_array_equal(found, wanted)
            assert len(found) > 100

    @pytest.mark.parametrize(
        ("scenario", "agents", "message"),
        [
            ("bursty", ["nobody"], "unknown agent 'nobody'"),
            ("workflow", ["nlp"], "agents must be left out where agents call each other"),
        ],
    )
    def test_agents_that_cannot_be_alone(self, scenario, agents, message):
        with pytest.raises(ConfigError, match=message):
            own_suite(configuration(scenario=scenario, agents=agents), "validation")

    def test_weights_of_the_reward(self):
        config = configuration(weights=[2, 0, 1])
        scenario = weighted(config, load_scenario(SMALL))
        assert (scenario.weights.latency, scenario.weights.cost, scenario.weights.idle) == (2, 0, 1)
        (own,) = worlds(config, scenario)
        assert own is scenario

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"mixture": "many-6"}, "mixture must be a list, got 'many-6' (str)"),
            ({"mixture": ["many-6", "many-6"]}, "mixture must differ from each other"),
            ({"variants": 0}, "variants must lie in [1, 2147483647], got 0"),
            ({"vary_load": 0.5}, "vary_load must be at least 1"),
            ({"variants": 9, "n_envs": 8}, "n_envs must be at least the 9 scenarios"),
            ({"weights": [1, 2]}, "weights must be those of latency, cost and idle time"),
            ({"weights": [1, 2, -1]}, "weights must be at least 0"),
            ({"without": 3}, "without must be a list, got 3 (int)"),
        ],
    )
    def test_refusals(self, changes, message):
        with pytest.raises((ConfigError, TypeError)) as refused:
            configuration(**changes)
        assert message in str(refused.value)


class TestWithout:
    @pytest.mark.parametrize("network", ["equivariant", "mlp"])
    def test_an_absent_feature_changes_nothing(self, network):
        """Neither in training nor in what is exported, which is told the feature."""
        config = configuration(
            scenario="workflow", without=["upstream", "queue"], network=network, net_arch=(8, 8)
        )
        scenario = load_scenario("workflow")
        env = make_env(config, scenario)
        model = make_model(config, env, scenario)
        env.reset()
        for _ in range(60):
            seen, *_ = env.step(np.zeros((6, scenario.n_agents), np.float32))
        agents = seen[:, : scenario.n_agents * 24].reshape(6, scenario.n_agents, 24)
        assert (agents[..., [0, 9]] == 0).all()
        assert (agents != 0).any((0, 1)).sum() > 12
        policy = numpy_policy(model, config, scenario)
        told = agents.copy()
        told[..., [0, 9]] = 0.7
        np.testing.assert_array_equal(policy.actions(told), policy.actions(agents))
        means = model.policy.get_distribution(torch.as_tensor(seen)).distribution.mean
        np.testing.assert_allclose(
            policy.actions(told), means.detach().numpy().clip(-1, 1), atol=1e-6
        )

    def test_an_unknown_feature_is_refused(self):
        config = configuration(without=["upstraem"])
        with pytest.raises(ConfigError, match="did you mean 'upstream'"):
            make_env(config, load_scenario(SMALL))
