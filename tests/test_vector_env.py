"""`SliceVectorEnv`: the batch is its environments, and behaves as Gymnasium's own batches do."""

import copy
import pickle
from itertools import combinations
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from slicegym.envs import load_scenario
from slicegym.envs.env import SliceEnv
from slicegym.envs.vector_env import SliceVectorEnv
from slicegym.envs.workloads import Episode

from .builders import actions, drawn_pair, every_id, graphs, rich, rollout, same, vector

TERMS = ("time_s", "latency_term", "cost_term", "idle_term")


def sync(scenario: Any, n: int, steps: int | None = None, **options: Any) -> Any:
    def make() -> Any:
        env = SliceEnv(scenario, **options)
        return env if steps is None else gym.wrappers.TimeLimit(env, steps)

    return SyncVectorEnv([make] * n, autoreset_mode=AutoresetMode.SAME_STEP)


@pytest.mark.parametrize("name", every_id())
def test_registered(name: str) -> None:
    envs = gym.make_vec(name, num_envs=3, vectorization_mode="vector_entry_point", split="train")
    assert isinstance(envs, SliceVectorEnv)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    single = gym.make(name)
    assert envs.num_envs == 3
    assert envs.single_observation_space == single.observation_space
    assert envs.single_action_space == single.action_space
    assert envs.observation_space.shape == (3, *(single.observation_space.shape or ()))
    first = rollout(envs, 0, 3)
    for flat, rewards, terminated, truncated, info in first[1:]:
        assert flat in envs.observation_space
        assert (rewards.shape, rewards.dtype) == ((3,), np.float64)
        assert (terminated.dtype, truncated.dtype) == (np.bool_, np.bool_)
        assert set(info) == {*TERMS, *(f"_{key}" for key in TERMS)}
    assert same(rollout(envs, 0, 3), first)
    envs.close()


@pytest.mark.parametrize("make", [rich, graphs])
@pytest.mark.parametrize("steps", [None, 7])
def test_the_batch_is_its_environments_through_autoresets(make: Any, steps: int | None) -> None:
    """Step by step what Gymnasium's own SAME_STEP batch of single environments returns."""
    scenario, n = make(), 4
    envs, reference = vector(scenario, n, max_episode_steps=steps), sync(scenario, n, steps)
    length = scenario.n_intervals if steps is None else steps
    assert same(envs.reset(seed=5), reference.reset(seed=5))
    for k, action in enumerate(actions(envs.action_space, 2 * length + 3), start=1):
        one, other = envs.step(action), reference.step(action)
        assert same(one[:4], other[:4])
        assert one[3].tolist() == [k % length == 0] * n
        compare_infos(one[4], other[4], one[3])


def compare_infos(info: dict[str, Any], reference: dict[str, Any], ended: Any) -> None:
    """Equal but for the terms on top where an episode ended: ours go with the reward returned."""
    assert info.keys() == reference.keys()
    for key in info.keys() - {*TERMS}:
        assert same(info[key], reference[key]), key
    for key in TERMS:
        assert same(info[key][~ended], reference[key][~ended]), key
        if ended.any():
            assert same(info[key][ended], info["final_info"][key][ended]), key


def test_environments_end_at_times_of_their_own() -> None:
    """After a reset of some, the batch still equals Gymnasium's, ends of a part of it included."""
    scenario, n = rich(), 4
    envs, reference = vector(scenario, n), sync(scenario, n)
    assert same(envs.reset(seed=[3, 1, 4, 1]), reference.reset(seed=[3, 1, 4, 1]))
    todo = iter(actions(envs.action_space, 40))
    for mask in ([True, False, False, True], [False, False, True, True]):
        for _ in range(5):
            envs.step(action := next(todo))
            reference.step(action)
        options = {"reset_mask": np.array(mask)}
        got, expected = (e.reset(seed=9, options=dict(options)) for e in (envs, reference))
        assert same(got, expected)
        assert list(options) == ["reset_mask"]
    ends = []
    for action in todo:
        one, other = envs.step(action), reference.step(action)
        assert same(one[:4], other[:4])
        compare_infos(one[4], other[4], one[3])
        ends += [one[3].tolist()] if one[3].any() else []
    assert ends[:3] == [
        [False, True, False, False],
        [True, False, False, False],
        [False, False, True, True],
    ]


def test_gymnasium_makes_batches_of_the_same_environments() -> None:
    native = gym.make_vec(
        "slicegym/Bursty-v0",
        num_envs=2,
        vectorization_mode="vector_entry_point",
        max_episode_steps=7,
    )
    by_one = gym.make_vec(
        "slicegym/Bursty-v0",
        num_envs=2,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
        max_episode_steps=7,
    )
    one, other = rollout(native, 0, 20), rollout(by_one, 0, 20)
    assert [step[3].all() for step in one[1:]] == [k % 7 == 6 for k in range(20)]
    assert all(same(a[:4], b[:4]) for a, b in zip(one[1:], other[1:], strict=True))


def test_the_limit_never_prolongs_an_episode() -> None:
    envs = vector(max_episode_steps=1000)
    assert [step[3].all() for step in rollout(envs, 0, 10)[1:]] == [False] * 9 + [True]


@pytest.mark.parametrize("make", [drawn_pair, graphs])
def test_each_environment_is_a_single_one(make: Any) -> None:
    scenario, n = make(), 3
    envs, singles = vector(scenario, n), [SliceEnv(scenario) for _ in range(n)]
    flat, _ = envs.reset(seed=11)
    starts = [env.reset(seed=11 + b)[0] for b, env in enumerate(singles)]
    assert same(flat, np.stack(starts))
    for action in actions(envs.action_space, scenario.n_intervals - 1):
        flat, rewards, _, _, info = envs.step(action)
        observation = envs.observation()
        for b, env in enumerate(singles):
            alone, reward, _, _, own = env.step(action[b])
            assert np.array_equal(flat[b], alone)
            assert rewards[b] == reward
            assert {key: info[key][b] for key in TERMS} == own
            assert np.array_equal(observation.raw[b], env.observation().raw)


def test_seeds() -> None:
    envs = vector("bursty")
    start = envs.reset(seed=0)
    assert same(envs.reset(seed=[0, 1, 2]), start)
    assert same(envs.reset(seed=np.array([0, 1, 2])), start)
    assert same(envs.reset(seed=np.int64(0)), start)
    later = rollout(envs, None, 20)  # the second episodes
    envs.reset(seed=0)
    assert same(rollout(envs, None, 20), later)
    first = rollout(envs, 0, 20)
    assert not same(rollout(envs, 1, 20), first)
    mixed = rollout(envs, [0, None, 2], 20)  # type: ignore[arg-type]
    for one, other in zip(mixed[1:], first[1:], strict=True):
        assert same(one[1][[0, 2]], other[1][[0, 2]])
    assert any(one[1][1] != other[1][1] for one, other in zip(mixed[1:], first[1:], strict=True))
    assert not same(rollout(vector("bursty"), None, 20), rollout(vector("bursty"), None, 20))


@pytest.mark.parametrize("make", [drawn_pair, graphs])
def test_no_aliases(make: Any) -> None:
    """What was returned is the caller's; what was given stays the caller's; ends included."""
    envs, twin = vector(make()), vector(make())
    for part in arrays(envs.reset(seed=0)):
        part[...] = 7
    kept: list[Any] = [twin.reset(seed=0)]
    copies = copy.deepcopy(kept)
    for action in actions(envs.action_space, 2 * envs.scenario.n_intervals + 1):
        given = action.copy()
        returned = envs.step(given)
        assert np.array_equal(given, action)
        kept.append(twin.step(action))
        copies.append(copy.deepcopy(kept[-1]))
        assert same(returned, kept[-1])
        parts = arrays(returned)
        assert not any(np.shares_memory(a, b) for a, b in combinations(parts, 2))
        for part in (*parts, envs.observation().raw):
            part[...] = 7
        given[:] = 7
    assert same(kept, copies)


def arrays(data: Any) -> list[Any]:
    """Every array of numbers inside."""
    if isinstance(data, np.ndarray) and data.dtype != object:
        return [data]
    parts = data.values() if isinstance(data, dict) else data
    return [] if parts is None else [array for part in parts for array in arrays(part)]


def test_staggered_starts() -> None:
    """Environment b starts at phase b/B, after equal shares, every time the batch is reset."""
    scenario, n = rich(), 4
    envs, plain = vector(scenario, n, staggered=True), vector(scenario, n)
    flat, info = envs.reset(seed=0)
    phases = [0, 5, 10, 15]  # of 21 decisions
    assert info["time_s"].tolist() == phases
    assert same(envs.reset(seed=0), (flat, info))
    plain.reset(seed=0)
    equal, starts = np.full((n, 3), 1 / 3), {0: plain.observation().raw}
    for k in range(15):
        plain.step(equal)
        starts[k + 1] = plain.observation().raw
    expected = np.stack([starts[phase][b] for b, phase in enumerate(phases)])
    assert np.array_equal(envs.observation().raw, expected)
    ended = np.stack([step[3] for step in rollout(envs, 0, 21)[1:]])
    assert [np.flatnonzero(column).tolist() for column in ended.T] == [[20], [15], [10], [5]]
    one = {"reset_mask": np.array([False, False, True, False])}
    assert envs.reset(seed=0, options=one)[1]["time_s"][2] == 0


def test_staggered_starts_within_a_limit() -> None:
    envs = vector(rich(), 4, staggered=True, max_episode_steps=8)
    assert envs.reset(seed=0)[1]["time_s"].tolist() == [0, 2, 4, 6]
    ended = np.stack([step[3] for step in rollout(envs, 0, 8)[1:]])
    assert [np.flatnonzero(column).tolist() for column in ended.T] == [[7], [5], [3], [1]]


def test_options() -> None:
    scenario = load_scenario("bursty")
    envs, workload = vector(scenario), scenario.workload
    assert workload is not None
    episodes = [Episode("train", seed) for seed in (7, 8, 7)]
    by_episode = rollout(envs, 0, 20, options={"episodes": episodes})
    tapes = [workload.tape(scenario, episode) for episode in episodes]
    assert same(rollout(envs, 1, 20, options={"tapes": tapes}), by_episode)
    assert all(
        same(step[0][0], step[0][2]) for step in rollout(envs, 1, 1, options={"tapes": tapes})[:1]
    )
    own = rollout(envs, 1, 20, options={"episodes": [None, episodes[1], None]})
    assert np.array_equal([s[1][1] for s in own[1:]], [s[1][1] for s in by_episode[1:]])


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda envs: pickle.loads(pickle.dumps(envs))])
def test_copies_go_on_alike(copier: Any) -> None:
    envs = vector(graphs())
    rollout(envs, 0, 5)
    twin = copier(envs)
    for action in actions(envs.action_space, 25):
        assert same(envs.step(action), twin.step(action))
