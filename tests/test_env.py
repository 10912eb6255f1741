"""`SliceEnv` over everything registered: Gymnasium's contract, seeds, splits, options, endings."""

import copy
import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from slicegym.envs import load_scenario, simulate
from slicegym.envs.env import SliceEnv
from slicegym.envs.loading import scenario_names
from slicegym.envs.observation import N_FEATURES
from slicegym.envs.registration import env_id

from .builders import (
    SCENARIOS,
    Recorder,
    actions,
    drawn_pair,
    every_id,
    graphs,
    is_random,
    rich,
    rollout,
    same,
)


def scenario_of(name: str) -> Any:
    return load_scenario(SCENARIOS.get(name, "paper"))


def test_every_shipped_scenario_is_registered() -> None:
    assert env_id("paper-spike") == "slicegym/PaperSpike-v0"
    ids = {spec for spec in gym.registry if spec.startswith("slicegym/")}
    assert ids == {env_id(name) for name in scenario_names()} | {"slicegym/Custom-v0"}
    assert ids >= {
        f"slicegym/{name}-v0"
        for name in ("Paper", "Bursty", "Azure", "PaperOverload", "PaperSpike", "PaperDominance")
    }


@pytest.mark.parametrize("name", every_id())
def test_gymnasium_checks(name: str) -> None:
    check_env(gym.make(name).unwrapped)  # renders in every mode too; warnings are errors


@pytest.mark.parametrize("make", [rich, graphs])
def test_gymnasium_checks_of_own_scenarios(make: Any) -> None:
    env = gym.make("slicegym/Custom-v0", scenario=make(), render_mode="ansi")
    check_env(env.unwrapped, skip_render_check=True)
    env.reset(seed=0)
    assert isinstance(env.render(), str)


@pytest.mark.parametrize("name", every_id())
def test_spaces(name: str) -> None:
    env, scenario = gym.make(name), scenario_of(name)
    features = scenario.n_agents * (N_FEATURES + len(scenario.observed))
    assert env.action_space == gym.spaces.Box(0, 1, (scenario.n_requests,), np.float32)
    assert env.observation_space == gym.spaces.Box(0, 1, (features,), np.float32)
    for step in rollout(env, seed=0):
        assert step[0] in env.observation_space
        assert step[0].dtype == np.float32


@pytest.mark.parametrize("name", every_id())
def test_seeds(name: str) -> None:
    env, other = gym.make(name), gym.make(name)
    first = rollout(env, seed=0)
    assert same(rollout(env, seed=0), first)  # 0 is a seed
    assert same(rollout(other, seed=0), first)
    assert same(rollout(env, seed=None), rollout(other, seed=None))  # the next episode
    assert same(rollout(env, seed=1), first) == (not is_random(name))


def test_an_unseeded_start_differs_each_time() -> None:
    one, other = (rollout(SliceEnv("bursty"), seed=None, n=30) for _ in range(2))
    assert not same(one, other)


@pytest.mark.parametrize("name", [*every_id(), rich, graphs])
def test_the_end(name: Any) -> None:
    """Truncated, never terminated, once, at the horizon; and then the next episode begins."""
    env = SliceEnv(scenario_of(name) if isinstance(name, str) else name())
    scenario = env.scenario
    for _ in range(2):
        env.reset(seed=0)
        for k, action in enumerate(actions(env.action_space, scenario.n_intervals)):
            _, reward, terminated, truncated, info = env.step(action)
            assert (type(reward), type(terminated), type(truncated)) == (float, bool, bool)
            assert not terminated
            assert truncated == (k == scenario.n_intervals - 1)
            assert info["time_s"] == scenario.interval_ends[k]
            w = scenario.weights
            total = w.latency * info["latency_term"] + w.cost * info["cost_term"]
            assert reward == pytest.approx(-(total + w.idle * info["idle_term"]), abs=1e-9)
        with pytest.raises(RuntimeError, match=r"no episode is running; call reset\(\) before"):
            env.step(action)
        assert env.observation().queue.shape == (scenario.n_agents,)


def test_nothing_before_a_reset() -> None:
    env = SliceEnv("paper", render_mode="ansi")
    with pytest.raises(RuntimeError, match=r"no episode is running; call reset\(\) before step"):
        env.step(np.zeros(4, np.float32))
    with pytest.raises(RuntimeError, match=r"no episode was begun; call reset\(\) before obs"):
        env.observation()
    with pytest.raises(RuntimeError, match="reset"):
        env.render()
    with pytest.raises(gym.error.ResetNeeded):
        gym.make("slicegym/Paper-v0").step(np.zeros(4, np.float32))


@pytest.mark.parametrize("make", [rich, graphs])
def test_no_aliases(make: Any) -> None:
    """What was returned is the caller's; what was given stays the caller's."""
    env, twin = SliceEnv(make()), SliceEnv(make())
    flat, info = env.reset(seed=0)
    twin.reset(seed=0)
    for action in actions(env.action_space, 15):
        flat[:] = 7
        info.clear()
        env.observation().raw[:] = 7
        given = action.copy()
        flat, reward, _, _, info = env.step(given)
        assert np.array_equal(given, action)
        given[:] = 7
        assert same((flat, reward, False, False, info), twin.step(action))


def test_info_has_the_same_keys_after_reset_and_step() -> None:
    env = SliceEnv("paper")
    _, begun = env.reset(seed=0)
    info = env.step(np.full(4, 0.25))[-1]
    assert begun == dict.fromkeys(info, 0.0)
    assert list(info) == ["time_s", "latency_term", "cost_term", "idle_term"]


def test_the_env_is_simulate_step_by_step() -> None:
    scenario = rich()
    env, recorder = SliceEnv(scenario, horizon_charge=True), Recorder()
    env.reset(seed=0)
    assert env.episode is not None
    assert scenario.workload is not None
    run = simulate(scenario, scenario.workload.tape(scenario, env.episode), recorder)
    replay = Recorder()
    rewards = []
    for seen in recorder.seen:
        assert np.array_equal(env.observation().raw, seen.raw)
        rewards.append(env.step(replay.allocate(seen) / scenario.gpus)[1])
    assert rewards == run.rewards.tolist()


def test_horizon_charge_is_paid_at_the_end_only() -> None:
    charged, free = (SliceEnv(rich(), horizon_charge=charge) for charge in (True, False))
    one, other = rollout(charged, 0, 21), rollout(free, 0, 21)
    assert same(one[:-1], other[:-1])
    assert one[-1][1] < other[-1][1]
    assert np.array_equal(one[-1][0], other[-1][0])


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        ([0.5], ValueError, r"action must have the shape \(2,\), one fraction .*, got \(1,\)"),
        ([[0.5, 0.5]], ValueError, r"action must have the shape \(2,\), .*, got \(1, 2\)"),
        (0.5, ValueError, r"action must have the shape \(2,\), .*, got \(\)"),
        ([[1], [1, 2]], ValueError, r"action must have the shape \(2,\), got \[\[1\], \[1, 2\]\]"),
        ([0.5, np.nan], ValueError, r"must be finite numbers, got \[0.5 nan\]"),
        ([np.inf, 0.5], ValueError, r"must be finite numbers, got \[inf 0.5\]"),
        (None, TypeError, "action must hold numbers, got None"),
        ("ab", TypeError, "action must hold numbers, got 'ab'"),
        (["0.5", "0.5"], TypeError, "action must hold numbers, got"),
        ([0.5j, 0.5], TypeError, "action must hold numbers, got"),
    ],
)
def test_refused_actions_change_nothing(action: Any, error: Any, message: str) -> None:
    env, twin = SliceEnv(drawn_pair()), SliceEnv(drawn_pair())
    rollout(env, 0, 3)
    rollout(twin, 0, 3)
    with pytest.raises(error, match=message):
        env.step(action)
    for good in actions(env.action_space, 5, seed=1):
        assert same(env.step(good), twin.step(good))


def test_actions_out_of_the_box_are_clipped_as_shares_are() -> None:
    env, twin = SliceEnv("paper"), SliceEnv("paper")
    env.reset(seed=0), twin.reset(seed=0)
    assert same(env.step(np.array([-3, 2, 2, 0])), twin.step(np.array([0, 0.5, 0.5, 0])))


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
@pytest.mark.parametrize("make", [rich, graphs])
def test_copies_go_on_alike_and_apart(copier: Any, make: Any) -> None:
    env = SliceEnv(make(), render_mode="ansi")
    rollout(env, 0, 5)
    twin = copier(env)
    todo = actions(env.action_space, 16)
    assert same([env.step(a) for a in todo], [twin.step(a) for a in todo])
    assert env.render() == twin.render()
    assert same(rollout(env, None), rollout(twin, None))


def test_gym_make_imports_by_itself_and_limits_steps() -> None:
    env = gym.make("slicegym:slicegym/Paper-v0", split="heldout", max_episode_steps=7)
    assert [step[3] for step in rollout(env, 0, 7)[1:]] == [False] * 6 + [True]


def test_render_modes() -> None:
    env = SliceEnv("paper")
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None
    env = SliceEnv("paper", render_mode="rgb_array")
    env.reset(seed=0)
    picture = env.render()
    assert isinstance(picture, np.ndarray)
    assert (picture.dtype, picture.ndim, picture.shape[2]) == (np.uint8, 3, 3)
