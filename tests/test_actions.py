"""Actions of environments: requests of elastic pools and nodes, and slices with their masks."""

from __future__ import annotations

import dataclasses

import gymnasium as gym
import numpy as np
import pytest

from slicegym.envs import (
    Agent,
    ConfigError,
    Elastic,
    Node,
    Scenario,
    Simulator,
    Tape,
    simulate,
)
from slicegym.envs.env import SliceEnv
from slicegym.envs.kernel import layout
from slicegym.envs.loading import load_scenario
from slicegym.envs.vector_env import SliceVectorEnv
from slicegym.envs.workloads import build_workload

STREAM = {"kind": "poisson", "rate": 0.5}
WORKLOAD = build_workload({"kind": "streams", "streams": {"a": STREAM, "b": STREAM}})
AGENTS = (Agent("a", 2.0), Agent("b", 2.0))
ELASTIC = Scenario(
    AGENTS, gpus=4.0, horizon_s=6.0, elastic=Elastic(min_gpus=1.0), workload=WORKLOAD
)
NODES = Scenario(
    AGENTS, horizon_s=6.0, nodes=(Node("x", 1), Node("y", 2), Node("z", 1)), workload=WORKLOAD
)
MIG = load_scenario("mig")


def feature(env: SliceEnv, name: str) -> list[float]:
    values: list[float] = getattr(env.observation(), name).tolist()
    return values


# ---- sizes and nodes ---------------------------------------------------------------------------


def test_elastic_pool_s_last_entry_is_its_size() -> None:
    env = SliceEnv(ELASTIC)
    assert env.action_space == gym.spaces.Box(0, 1, (3,), np.float32)
    env.reset(seed=0)
    assert feature(env, "available") == [1.0, 1.0]
    env.step(np.array([0.25, 0.25, 0.75], np.float32))
    assert feature(env, "available") == [3.0, 3.0]
    assert feature(env, "share") == [1.0, 1.0]
    env.step(np.array([0.25, 0.25], np.float32))  # shares alone: the pool follows their sum
    assert feature(env, "available") == [2.0, 2.0]


def test_units_on_order_are_observed() -> None:
    slow = dataclasses.replace(ELASTIC, elastic=Elastic(min_gpus=1.0, provision_s=1.5))
    env = SliceEnv(slow)
    flat, _ = env.reset(seed=0)
    env.step(np.array([0, 0, 0.75], np.float32))
    assert (feature(env, "available"), feature(env, "ordered")) == ([1.0, 1.0], [2.0, 2.0])
    flat, *_ = env.step(np.array([0, 0, 0.75], np.float32))
    assert (feature(env, "available"), feature(env, "ordered")) == ([3.0, 3.0], [0.0, 0.0])
    assert flat.reshape(2, -1)[:, 17].tolist() == [0.75, 0.75]  # available / G
    assert flat.reshape(2, -1)[:, 18].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("x", "node"), [(0.0, 0), (0.2, 0), (0.25, 0), (0.49, 0), (0.5, 1), (0.75, 2), (1.0, 2)]
)
def test_last_entries_name_nodes_and_the_lowest_stays(x: float, node: int) -> None:
    env = SliceEnv(NODES)
    assert env.action_space.shape == (4,)
    env.reset(seed=0)
    assert feature(env, "node") == [0.0, 1.0]
    env.step(np.array([0.1, 0.1, x, 0.0], np.float32))
    assert feature(env, "node") == [float(node), 1.0]
    assert feature(env, "available") == [[1.0, 2.0, 1.0][node], 2.0]


def test_feasible_shares_hold_for_each_node() -> None:
    env = SliceEnv(NODES)
    env.reset(seed=0)
    env.step(np.array([1, 1, 0, 0], np.float32))  # 4 GPUs each, asked of one and of two
    assert feature(env, "share") == [1.0, 2.0]
    env.step(np.array([1, 1, 0.5, 0], np.float32))  # both on y
    assert feature(env, "share") == [1.0, 1.0]


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [(ELASTIC, "shares"), (NODES, "shares"), (MIG, "shares"), (MIG, "slices")],
    ids=["elastic", "nodes", "mig", "slices"],
)
def test_batch_is_its_single_environments(scenario: Scenario, kind: str) -> None:
    batch = SliceVectorEnv(3, scenario, actions=kind)
    single = [SliceEnv(scenario, actions=kind) for _ in range(3)]
    flat, _ = batch.reset(seed=5)
    assert [env.reset(seed=5 + b)[0].tolist() for b, env in enumerate(single)] == flat.tolist()
    batch.action_space.seed(1)
    for _ in range(5):
        actions = batch.action_space.sample()
        flat, rewards, *_ = batch.step(actions)
        for b, env in enumerate(single):
            own, reward, *_ = env.step(actions[b])
            assert (own.tolist(), reward) == (flat[b].tolist(), rewards[b])


def test_a_node_beyond_the_last_is_the_last_however_far() -> None:
    scenario = dataclasses.replace(NODES, agents=(Agent("a", 2.0, cold_start_s=1.0), AGENTS[1]))
    run = simulate(
        scenario,
        Tape.from_calls([], [], [], horizon_s=6.0),
        np.full((6, 4), [0.1, 0.1, 1e19, -1.0]),
    )
    assert run.records["node"][:, 0].tolist() == [2] * 6
    assert run.cold_starts.tolist() == [1, 0]  # it moved once


def test_a_unit_is_ready_when_it_is_due_whatever_the_rounding() -> None:
    # 12 · 0.1 + 0.1 is 1.3000000000000003 in binary, after the decision at 13 · 0.1 = 1.3.
    elastic = Elastic(min_gpus=1.0, provision_s=0.1)
    scenario = Scenario(AGENTS[:1], gpus=2.0, interval_s=0.1, horizon_s=2.0, elastic=elastic)
    sizes = np.where(np.arange(20) < 12, 1.0, 2.0)
    schedule = np.stack([np.full(20, 2.0), sizes], axis=1)
    run = simulate(scenario, Tape.from_calls([], [], [], horizon_s=2.0), schedule)
    assert run.records["share"][11:15, 0].tolist() == [1.0, 1.0, 2.0, 2.0]


def test_a_model_as_large_as_the_pool_fits_into_all_of_its_units() -> None:
    # 3 · 0.7 is 2.0999999999999996 in binary.
    elastic = Elastic(min_gpus=2.1, unit_gpus=0.7)
    agent = Agent("a", 1.0, memory_mb=10)
    scenario = Scenario((agent,), gpus=2.1, horizon_s=1.0, pool_memory_mb=10, elastic=elastic)
    run = simulate(scenario, Tape.from_calls([], [], [], horizon_s=1.0), [[1.0]])
    assert run.records["status"].tolist() == [[layout.WARM]]


def test_live_pictures_show_the_pool_of_the_interval() -> None:
    env = SliceEnv(ELASTIC, render_mode="rgb_array")
    env.reset(seed=0)
    for size in (1.0, 0.25, 0.75):
        env.step(np.array([0, 0, size], np.float32))
    assert env._renderer is not None
    assert [frame.capacity for frame in env._renderer._frames][1:] == [4.0, 1.0, 3.0]


# ---- slices ------------------------------------------------------------------------------------


def test_slices_are_rows_of_the_partitions() -> None:
    env = SliceEnv(MIG, actions="slices")
    vectors = MIG.partitions.vectors
    assert env.action_space == gym.spaces.Discrete(len(vectors))
    env.reset(seed=0)
    for row in (0, len(vectors) // 2, len(vectors) - 1):
        env.step(row)
        assert np.array_equal(7 * env.observation().share, vectors[row, : MIG.n_agents])


def test_masks_exclude_what_needs_a_lost_slice() -> None:
    env = SliceEnv(MIG, actions="slices")
    change = np.array([(1, layout.BLOCKED, 0, 1.0)], layout.CHANGE)  # memory slice 0, from 5 s on
    tape = dataclasses.replace(
        Tape.from_calls([0], [1.0], [0.0], horizon_s=MIG.horizon_s), changes=change
    )
    env.reset(options={"tape": tape})
    assert env.action_masks().all()
    env.step(0)
    vectors = MIG.partitions.vectors[:, :4].tolist()
    mask = env.action_masks()
    # 4g and 7g start at slice 0 only; 3g has its start 4 left, and only one can be there.
    for vector, possible in zip(vectors, mask.tolist(), strict=True):
        if 4 in vector or 7 in vector or vector.count(3) > 1:
            assert not possible
        if sum(slices > 0 for slices in vector) <= 1 and max(vector) <= 3:
            assert possible
    env.step(vectors.index([4, 0, 0, 0]))  # cannot be cut: the nearest that can is
    assert env.observation().share[0] == 3 / 7


def test_lost_slice_destroys_the_instance_on_it() -> None:
    env = SliceEnv(MIG, actions="slices")
    change = np.array([(2, layout.BLOCKED, 0, 2.0**7)], layout.CHANGE)  # the last memory slice
    tape = dataclasses.replace(
        Tape.from_calls([0], [1.0], [0.0], horizon_s=MIG.horizon_s), changes=change
    )
    env.reset(options={"tape": tape})
    vectors = MIG.partitions.vectors[:, :4].tolist()
    both = vectors.index([3, 3, 0, 0])  # 3g at 0 and at 4: agent 1's covers the last slice
    env.step(both)
    assert env.observation().status.tolist() == [3, 2, 0, 0]
    env.step(both)
    assert env.observation().status.tolist() == [3, 0, 0, 0]


def test_gymnasium_finds_the_masks() -> None:
    env = gym.make("slicegym/Mig-v0", actions="slices")
    env.reset(seed=0)
    assert env.get_wrapper_attr("action_masks")().dtype == np.bool_


@pytest.mark.slow
def test_maskable_ppo_trains_on_slices() -> None:
    import sb3_contrib  # loads torch: only where the slow tests run

    env = gym.make("slicegym/Mig-v0", actions="slices")
    model = sb3_contrib.MaskablePPO("MlpPolicy", env, n_steps=64, batch_size=64, n_epochs=1, seed=0)
    model.learn(128)
    flat, _ = env.reset(seed=0)
    masks = env.get_wrapper_attr("action_masks")()
    action, _ = model.predict(flat, action_masks=masks, deterministic=True)
    assert masks[action]


# ---- what is refused ---------------------------------------------------------------------------


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="actions must be 'shares' where the pool is not part"):
        SliceEnv("bursty", actions="slices")
    with pytest.raises(ConfigError, match=r"actions must be one of .*'cuts'"):
        SliceEnv(MIG, actions="cuts")
    with pytest.raises(ConfigError, match="make the environment with actions='slices'"):
        SliceEnv(MIG).action_masks()
    env = SliceEnv(MIG, actions="slices")
    env.reset(seed=0)
    for action in (-1, len(MIG.partitions.vectors), [0]):
        with pytest.raises(ValueError, match="partitions that can be cut"):
            env.step(action)
    with pytest.raises(TypeError, match=r"whole numbers of partitions, got 1\.5"):
        env.step(1.5)
    env = SliceEnv(ELASTIC)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"shape \(3,\), as docs/platform.md .* or \(2,\)"):
        env.step(np.zeros(4))
    with pytest.raises(ValueError, match="finite"):
        env.step(np.array([0.1, 0.1, np.nan]))
    env = SliceEnv(NODES)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="finite"):
        env.step(np.array([0.1, 0.1, np.inf, 0.0]))
    simulator = Simulator(ELASTIC)
    with pytest.raises(
        ValueError, match=r"= \(1, 2\), or that of whole requests, \(1, 3\), got \(4"
    ):
        simulator.step(np.zeros(4))
