"""The native VecEnv: what stable-baselines3 expects, and the same numbers as every other way in."""

import re
import warnings
from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.env_checker import check_env as sb3_check
from stable_baselines3.common.vec_env import VecMonitor, VecNormalize

from slicegym.envs import Agent, Scenario, load_scenario, simulate
from slicegym.envs.env import SliceEnv
from slicegym.envs.errors import ConfigError
from slicegym.envs.vector_env import SliceVectorEnv
from slicegym.envs.workloads import build_workload
from slicegym.envs.workloads.base import Episode
from slicegym.train.sb3_vec_env import TERMS, SliceVecEnv

from .builders import every_id

B, STEPS = 5, 130
SHORT = Scenario(
    agents=(
        Agent("a", throughput=4.0, footprint=0.25, cold_start_s=2.0, keep_alive_s=3.0),
        Agent("b", throughput=2.0, priority=2.0, footprint=0.25, concurrency=2),
        Agent("c", throughput=3.0, footprint=0.25, queue_limit=5),
    ),
    gpus=2.0,
    horizon_s=37.0,
    name="short",
    workload=build_workload(
        {
            "kind": "streams",
            "streams": {
                "a": {"kind": "poisson", "rate": 2.0, "work": {"kind": "exponential"}},
                "b": {"kind": "poisson", "rate": 1.5},
                "c": {"kind": "poisson", "rate": 1.0, "work": {"kind": "exponential"}},
            },
        }
    ),
)


def exact_actions(steps, b, n, seed=0):
    """Multiples of 1/128 in [-1, 1]: halving and shifting them rounds nothing away."""
    return (np.random.default_rng(seed).integers(-128, 129, (steps, b, n)) / 128).astype(np.float32)


def as_fractions(actions):
    return ((actions + 1.0) / 2.0).astype(np.float32)


@pytest.fixture(scope="module", params=["bursty", "workflow", "short"])
def scenario(request):
    if request.param == "short":
        return SHORT
    return load_scenario(request.param)


class TestSameNumbers:
    @pytest.mark.parametrize("staggered", [False, True])
    def test_as_the_vector_env_bit_for_bit(self, scenario, staggered):
        n = scenario.n_agents
        ours = SliceVecEnv(B, scenario, horizon_charge=True, staggered=staggered)
        theirs = SliceVectorEnv(B, scenario, staggered=staggered)
        ours.seed(7)
        np.testing.assert_array_equal(ours.reset(), theirs.reset(seed=7)[0], strict=True)
        ends = 0
        for action in exact_actions(scenario.n_intervals + 5, B, n):
            flat, rewards, dones, infos = ours.step(action)
            expected = theirs.step(as_fractions(action))
            np.testing.assert_array_equal(flat, expected[0], strict=True)
            np.testing.assert_array_equal(rewards, expected[1], strict=True)
            np.testing.assert_array_equal(dones, expected[3], strict=True)
            for b in np.flatnonzero(dones):
                ends += 1
                last = expected[4]["final_obs"][b]
                np.testing.assert_array_equal(infos[b]["terminal_observation"], last, strict=True)
        assert ends >= B

    def test_as_the_single_env_bit_for_bit(self):
        many = SliceVecEnv(B, SHORT, horizon_charge=True)
        many.seed(3)
        single = [SliceEnv(SHORT) for _ in range(B)]
        flat = many.reset()
        for b, env in enumerate(single):
            np.testing.assert_array_equal(flat[b], env.reset(seed=3 + b)[0], strict=True)
        for action in exact_actions(90, B, 3):
            flat, rewards, dones, infos = many.step(action)
            for b, env in enumerate(single):
                own, reward, terminated, truncated, _ = env.step(as_fractions(action)[b])
                assert (reward, truncated, terminated) == (rewards[b], dones[b], False)
                if truncated:
                    terminal = infos[b]["terminal_observation"]
                    np.testing.assert_array_equal(terminal, own, strict=True)
                    own, _ = env.reset()
                np.testing.assert_array_equal(flat[b], own, strict=True)

    def test_as_simulate_bit_for_bit(self):
        episode = Episode("validation", 1_000_003)
        tape = SHORT.workload.tape(SHORT, episode)
        env = SliceVecEnv(2, SHORT, split="validation", horizon_charge=True)
        env.set_options({"episode": episode})
        env.reset()
        actions = exact_actions(SHORT.n_intervals, 1, 3)
        rewards = [env.step(np.repeat(action, 2, axis=0))[1] for action in actions]
        shares = (actions[:, 0].astype(np.float64) + 1) / 2 * SHORT.gpus
        run = simulate(SHORT, tape, shares)
        np.testing.assert_array_equal(np.array(rewards), np.stack([run.rewards] * 2, axis=1))

    def test_seeds_reproduce_and_differ(self):
        def rewards(seed):
            env = SliceVecEnv(B, SHORT)
            env.seed(seed)
            env.reset()
            return np.array([env.step(action)[1] for action in exact_actions(80, B, 3)])

        np.testing.assert_array_equal(rewards(0), rewards(0), strict=True)
        assert (rewards(0) != rewards(100)).any()

    def test_a_seed_counts_for_one_reset_only(self):
        env = SliceVecEnv(1, SHORT)
        env.seed(0)
        env.reset()
        first = [env.step(action)[1][0] for action in exact_actions(30, 1, 3)]
        env.reset()
        assert first != [env.step(action)[1][0] for action in exact_actions(30, 1, 3)]

    def test_the_horizon_charge_is_off_unless_asked_for(self):
        def last(horizon_charge):
            env = SliceVecEnv(1, SHORT, horizon_charge=horizon_charge)
            env.seed(1)
            env.reset()
            nothing = -np.ones((1, 3), np.float32)
            return [env.step(nothing)[1][0] for _ in range(SHORT.n_intervals)]

        assert last(False)[:-1] == last(True)[:-1]
        assert last(False)[-1] > last(True)[-1]
        assert SliceVecEnv(1, SHORT).envs._simulator._system["horizon_charge"][0] == 0


class TestEpisodeEnd:
    def play(self, n_steps=2 * SHORT.n_intervals + 1, **arguments):
        env = SliceVecEnv(B, SHORT, **arguments)
        env.seed(0)
        env.reset()
        return [env.step(action) for action in exact_actions(n_steps, B, 3)]

    def test_infos_are_empty_but_at_the_end(self):
        for _, _, dones, infos in self.play():
            assert [bool(info) for info in infos] == dones.tolist()
            for info in (info for info in infos if info):
                assert set(info) == {"terminal_observation", "TimeLimit.truncated", "episode"}
                assert info["TimeLimit.truncated"] is True

    def test_episode_holds_its_return_length_and_terms(self):
        steps = self.play()
        k = SHORT.n_intervals
        for b in range(B):
            episode = steps[k - 1][3][b]["episode"]
            assert episode["l"] == k
            assert episode["r"] == pytest.approx(sum(step[1][b] for step in steps[:k]))
            weights = SHORT.weights
            terms = [episode[term] for term in TERMS]
            per_step = -np.dot(terms, [weights.latency, weights.cost, weights.idle])
            assert per_step == pytest.approx(episode["r"] / k)
            second = steps[2 * k - 1][3][b]["episode"]
            assert second["r"] == pytest.approx(sum(step[1][b] for step in steps[k : 2 * k]))

    def test_a_staggered_batch_ends_at_different_times(self):
        ends = np.array([step[2] for step in self.play(SHORT.n_intervals, staggered=True)])
        assert ends.sum(axis=0).tolist() == [1] * B
        assert len(set(ends.argmax(axis=0))) == B

    def test_buffers_are_not_handed_out(self):
        steps = self.play(4)
        for earlier, later in pairwise(steps):
            assert not np.shares_memory(earlier[0], later[0])
            assert not np.shares_memory(earlier[1], later[1])


class TestInterface:
    def test_spaces(self):
        env = SliceVecEnv(2, SHORT)
        assert env.action_space == gym.spaces.Box(-1.0, 1.0, (3,), np.float32)
        assert env.observation_space == SliceEnv(SHORT).observation_space
        assert env.num_envs == 2
        assert env.render_mode is None

    def test_minus_one_is_nothing_and_one_the_whole_pool(self):
        env = SliceVecEnv(1, SHORT)
        env.reset()
        env.step(np.array([[-1.0, 1.0, -1.0]], np.float32))
        assert env.envs._simulator.shares.tolist() == [[0.0, 2.0, 0.0]]

    def test_actions_are_not_touched(self):
        env = SliceVecEnv(1, SHORT)
        env.reset()
        action = np.full((1, 3), 0.3, np.float32)
        action.setflags(write=False)
        env.step(action)

    def test_wrappers_of_stable_baselines3_go_around_it(self):
        env = VecNormalize(VecMonitor(SliceVecEnv(B, SHORT)), norm_obs=False)
        env.reset()
        for action in exact_actions(SHORT.n_intervals, B, 3):
            _, _, dones, infos = env.step(action)
        assert dones.all()
        assert infos[0]["episode"]["l"] == SHORT.n_intervals
        env.close()

    def test_attributes(self):
        env = SliceVecEnv(3, SHORT)
        assert env.get_attr("scenario", [0, 2]) == [SHORT, SHORT]
        assert env.get_attr("scenario", 1) == [SHORT]
        assert env.env_is_wrapped(gym.Wrapper) == [False] * 3
        env.set_attr("anything", 5)
        assert env.get_attr("anything") == [5, 5, 5]
        with pytest.raises(ValueError, match="for all 3 environments at once"):
            env.set_attr("anything", 6, indices=[0])
        with pytest.raises(NotImplementedError, match="'reset' on single environments"):
            env.env_method("reset")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_envs": 0}, "num_envs must lie in [1, "),
        ({"split": "trian"}, "split must be one of train, validation, heldout, got 'trian' (did"),
        ({"scenario": "burst"}, "unknown scenario 'burst' (did you mean 'bursty'?)"),
        ({"action": "derect"}, "action must be one of "),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        SliceVecEnv(**{"num_envs": 2, "scenario": SHORT, **arguments})


def test_bad_actions():
    env = SliceVecEnv(2, SHORT)
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(np.zeros((2, 3), np.float32))
    env.reset()
    for action in (np.zeros(3), np.zeros((2, 2)), np.zeros((3, 3))):
        with pytest.raises(ValueError, match=re.escape("(environments, actions) = (2, 3), got")):
            env.step(action)
    with pytest.raises(ValueError, match="must be finite numbers"):
        env.step(np.array([[0, 0, 0], [0, np.nan, 0]]))


def test_bad_options():
    env = SliceVecEnv(2, SHORT)
    env.set_options({"tapes": []})
    with pytest.raises(ConfigError, match=re.escape("options may hold 'episode' or 'tape'")):
        env.reset()


@pytest.mark.parametrize("name", every_id())
class TestEveryRegisteredId:
    def test_checker_of_stable_baselines3(self, name):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # Its advice for PPO, which SliceVecEnv follows.
            warnings.filterwarnings("ignore", message=".*symmetric and normalized Box action.*")
            sb3_check(gym.make(name).unwrapped)

    def test_native_vec_env_keeps_its_spaces(self, name):
        env = SliceVecEnv(3, gym.make(name).unwrapped.scenario, staggered=True)
        env.seed(0)
        flat = env.reset()
        for action in exact_actions(20, 3, env.scenario.n_agents):
            assert flat.dtype == np.float32
            assert all(env.observation_space.contains(row) for row in flat)
            flat, rewards, dones, infos = env.step(action)
            assert rewards.shape == dones.shape == (3,)
            assert np.isfinite(rewards).all()
            assert len(infos) == 3
