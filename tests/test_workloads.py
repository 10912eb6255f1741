"""Workloads: reproducible tapes and independent streams."""

import math
import pickle
from typing import Any

import numpy as np
import pytest

from slicegym.envs.errors import ConfigError
from slicegym.envs.loading import load_scenario
from slicegym.envs.spec import Agent, Scenario
from slicegym.envs.workloads import SEEDS, SPLITS, Episode, build_workload
from slicegym.envs.workloads.randomness import keyed, label_key


def scenario(workload: Any, *names: str, horizon_s: float = 60.0) -> Scenario:
    agents = tuple(Agent(name, throughput=10.0) for name in names)
    built = build_workload(workload) if isinstance(workload, dict) else workload
    return Scenario(agents, horizon_s=horizon_s, workload=built)


def streams(**entries: Any) -> dict[str, Any]:
    return {"kind": "streams", "streams": entries}


def test_keyed_is_philox_with_that_key_from_the_start() -> None:
    for seed, key in ((0, 0), (5, 2**64 - 1), (2_999_999, label_key("nlp/0"))):
        fresh = np.random.Generator(np.random.Philox(key=seed + (key << 64)))
        expected = fresh.random(5), fresh.integers(0, 9, 3), fresh.standard_exponential(4)
        for _ in range(2):  # again: a used generator restarts
            rng = keyed(seed, key)
            got = rng.random(5), rng.integers(0, 9, 3), rng.standard_exponential(4)
            assert all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))


def test_streams_of_different_labels_and_seeds_are_uncorrelated() -> None:
    drawn = [
        keyed(seed, label_key(name)).random(20_000).copy()
        for seed in (0, 1)
        for name in ("a/0", "a/1", "b/0")
    ]
    correlation = np.corrcoef(drawn) - np.eye(6)
    assert np.max(np.abs(correlation)) < 4.5 / math.sqrt(20_000)


BOTH = streams(
    a={
        "kind": "on_off",
        "rate_on": 20.0,
        "mean_on_s": 5.0,
        "mean_off_s": 10.0,
        "work": {"kind": "exponential"},
    },
    b={"kind": "poisson", "rate": 4.0},
)


def same(one: Any, other: Any) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("agent", "work", "release")
    )


def test_an_episode_is_one_tape_and_seeds_differ() -> None:
    world = scenario(BOTH, "a", "b")
    workload = build_workload(BOTH)
    first = workload.tape(world, Episode("train", 3))
    workload.tape(world, Episode("train", 4))
    assert same(first, workload.tape(world, Episode("train", 3)))
    assert same(first, pickle.loads(pickle.dumps(workload)).tape(world, Episode("train", 3)))
    assert not same(first, workload.tape(world, Episode("train", 4)))
    assert first.horizon_s == 60.0


def test_adding_or_reordering_agents_moves_no_stream() -> None:
    more = streams(c={"kind": "poisson", "rate": 9.0}, **BOTH["streams"])
    two = build_workload(BOTH).tape(scenario(BOTH, "a", "b"), Episode("train", 3))
    three = build_workload(more).tape(scenario(more, "b", "c", "a"), Episode("train", 3))
    for old, new in ((0, 2), (1, 0)):
        assert np.array_equal(two.release[two.agent == old], three.release[three.agent == new])
        assert np.array_equal(two.work[two.agent == old], three.work[three.agent == new])


def test_a_list_superposes_streams() -> None:
    one = {"kind": "poisson", "rate": 5.0}
    single, double = streams(a=one), streams(a=[one, one])
    tapes = [
        build_workload(content).tape(scenario(content, "a"), Episode("train", 1))
        for content in (single, double)
    ]
    first = tapes[0].release
    assert np.array_equal(tapes[1].release[: first.size], first)  # the first stream is as it was
    rest = tapes[1].release[first.size :]
    assert rest.size > 0
    assert not np.array_equal(rest[:50], first[:50])


def test_an_agent_may_have_no_calls() -> None:
    content = streams(a=[], b=[])
    tape = build_workload(content).tape(scenario(content, "a", "b"), Episode("train", 1))
    assert tape.n_calls == 0


def test_splits_are_disjoint_ranges_of_seeds() -> None:
    world = scenario(BOTH, "a", "b")
    workload, rng = build_workload(BOTH), np.random.default_rng(0)
    for split in SPLITS:
        first, end = SEEDS[split]
        assert all(first <= workload.sample(world, split, rng).seed < end for _ in range(100))
        suite = workload.suite(world, split)
        assert [episode.seed for episode in suite] == list(range(first, first + 16))
        assert len({episode.block for episode in suite}) == 16
    edges = [edge for split in SPLITS for edge in SEEDS[split]]
    assert edges == sorted(edges)


def test_what_is_not_random_has_one_episode() -> None:
    world = load_scenario("paper")
    assert world.workload is not None
    assert not world.workload.is_random
    assert [len(world.workload.suite(world, split)) for split in SPLITS] == [1, 1, 1]
    one, other = (world.workload.tape(world, Episode("train", seed)) for seed in (0, 9))
    assert same(one, other)


@pytest.mark.parametrize("split", ["held-out", "test", ""])
def test_unknown_splits(split: str) -> None:
    world = scenario(BOTH, "a", "b")
    workload = build_workload(BOTH)
    for action in (
        lambda: workload.suite(world, split),
        lambda: workload.sample(world, split, np.random.default_rng(0)),
        lambda: Episode(split, 0),
    ):
        with pytest.raises(ConfigError, match="split must be one of train, validation, heldout"):
            action()


@pytest.mark.parametrize(("split", "seed"), [("heldout", 5), ("train", -1), ("train", 1_000_000)])
def test_an_episode_keeps_to_the_seeds_of_its_split(split: str, seed: int) -> None:
    with pytest.raises(ConfigError, match=r"episode\.seed must lie in \["):
        Episode(split, seed)


def test_streams_and_agents_must_match() -> None:
    with pytest.raises(ConfigError, match=r"got 'vison'.*did you mean 'vision'"):
        scenario(streams(vison=[]), "vision")
    with pytest.raises(ConfigError, match="every agent of scenario 'custom', got none for 'b'"):
        scenario(streams(a=[]), "a", "b")


def test_absurd_rates_are_refused_before_they_fill_the_memory() -> None:
    with pytest.raises(ConfigError, match=r"at most 5e.07 calls an episode, got 6e.10"):
        scenario(streams(a={"kind": "poisson", "rate": 1e9}), "a")
