"""A pool of one GPU type in a scenario file: what it stands for, and all that is refused."""

from typing import Any

import pytest

from slicegym.envs import Agent, ConfigError, Scenario
from slicegym.envs.gpus import gpu_types
from slicegym.envs.loading import parse_scenario

AGENT = {"name": "a", "throughput": 2}
TYPED = {"name": "x", "gpu": "A10G", "count": 2}
INLINE = {"memory_mb": 1000, "speed": 4, "price_per_gpu_hour": 2}


def parse(*agents: dict[str, Any], **changes: Any) -> Scenario:
    return parse_scenario({"agents": list(agents or (AGENT,)), **changes})


def test_a_pool_is_its_expansion_by_hand() -> None:
    agents: list[dict[str, Any]] = [
        {"name": "plain", "throughput": 3},
        {"name": "model", "throughput": 2, "memory_mb": 20480},
        {"name": "own", "throughput": 1, "memory_mb": 40960, "footprint": 0.9},
        {"name": "null", "throughput": 1, "memory_mb": 81920, "footprint": None},
    ]
    made = parse(*agents, pool={"gpu": "H100", "count": 2}, horizon_s=7)
    # An H100 has 81,920 MB and 5.58 times the speed of an A10G.
    by_hand = [
        {"name": "plain", "throughput": 3 * 5.58},
        {"name": "model", "throughput": 2 * 5.58, "memory_mb": 20480, "footprint": 0.25},
        {"name": "own", "throughput": 5.58, "memory_mb": 40960, "footprint": 0.9},
        {"name": "null", "throughput": 5.58, "memory_mb": 81920, "footprint": 1.0},
    ]
    assert made == parse(
        *by_hand, gpus=2, price_per_gpu_hour=6.88, pool_memory_mb=163840, horizon_s=7
    )


def test_a_pool_without_models_has_no_memory() -> None:
    assert parse(pool={"gpu": "A10G", "count": 4}) == parse(gpus=4, price_per_gpu_hour=1.212)


def test_a_pool_of_the_type_that_throughputs_are_of_leaves_them_as_they_are() -> None:
    for name in gpu_types():
        made = parse(
            {"name": "a", "throughput": 0.1}, pool={"gpu": name, "count": 1}, throughput_on=name
        )
        assert made.agents == (Agent("a", 0.1),)


def test_throughputs_of_another_type() -> None:
    made = parse(pool={"gpu": "H100", "count": 1}, throughput_on="L4")  # 5.58 / 0.5
    assert made.throughput.tolist() == pytest.approx([2 * 11.16])
    made = parse(pool={"gpu": INLINE, "count": 3}, throughput_on={**INLINE, "speed": 8})
    assert made == parse({"name": "a", "throughput": 1}, gpus=3, price_per_gpu_hour=2)


def test_a_pool_that_is_cut_has_the_memory_of_its_gpu() -> None:
    made = parse(pool={"gpu": "A100-40", "count": 1}, partition="mig-a100")
    by_hand = {"gpus": 1, "price_per_gpu_hour": 2.745, "pool_memory_mb": 40960}
    assert made == parse({"name": "a", "throughput": 2 * 2.59}, partition="mig-a100", **by_hand)


BESIDE_POOL = {
    "gpus": 4,
    "price_per_gpu_hour": 1,
    "pool_memory_mb": 5,
    "nodes": [TYPED],
}


@pytest.mark.parametrize("key", BESIDE_POOL)
def test_what_a_pool_decides_must_not_stand_beside_it(key: str) -> None:
    with pytest.raises(
        ConfigError, match=f"^{key} must not stand beside pool, which decides it; remove it$"
    ):
        parse(pool={"gpu": "A10G", "count": 4}, **{key: BESIDE_POOL[key]})


@pytest.mark.parametrize("key", ["pool", "nodes"])
def test_a_population_decides_its_pool(key: str) -> None:
    population = {
        "size": 2,
        "load": 0.5,
        "demand": [0.1, 0.2],
        "throughput": [1, 2],
        "min_rate": 0.1,
        "footprint": [0.1, 0.2],
        "cold_start_s": [1, 2],
        "keep_alive_s": 1,
        "concurrency": 1,
        "priorities": [1],
        "streams": [{"weight": 1, "kind": "poisson"}],
    }
    assert parse_scenario({"population": population}).n_agents == 2
    with pytest.raises(
        ConfigError, match=f"^{key} must not stand beside population, which decides"
    ):
        parse_scenario({"population": population, key: []})


@pytest.mark.parametrize(
    ("pool", "error", "message"),
    [
        (None, TypeError, "pool must be a mapping of keys to values, got None"),
        ("A10G", TypeError, "pool must be a mapping of keys to values, got 'A10G'"),
        ({}, ConfigError, "pool lacks the required key 'gpu'; add it"),
        ({"gpu": "A10G"}, ConfigError, "pool lacks the required key 'count'; add it"),
        (
            {"gpu": "A10G", "counts": 4},
            ConfigError,
            r"pool has an unknown key 'counts' \(did you mean 'count'\?\)",
        ),
        (
            {"gpu": "A10", "count": 4},
            ConfigError,
            r"pool\.gpu must be one of .*, got 'A10' \(did you mean 'A10G'\?\)",
        ),
        ({"gpu": 10, "count": 4}, TypeError, r"pool\.gpu must be the name of a GPU type or a map"),
        (
            {"gpu": {**INLINE, "speed": 0}, "count": 4},
            ConfigError,
            r"pool\.gpu\.speed must be greater than 0, got 0\.0",
        ),
        (
            {"gpu": {**INLINE, "gpus": 4}, "count": 4},
            ConfigError,
            r"pool\.gpu has an unknown key 'gpus'",
        ),
        ({"gpu": "T4", "count": 0}, ConfigError, r"pool\.count must lie in \[1, 65536\], got 0"),
        ({"gpu": "T4", "count": -1}, ConfigError, r"pool\.count must lie in \[1, 65536\], got -1"),
        (
            {"gpu": "T4", "count": 65_537},
            ConfigError,
            r"pool\.count must lie in \[1, 65536\], got 6",
        ),
        (
            {"gpu": "T4", "count": 10**400},
            ConfigError,
            r"pool\.count must lie in \[1, 65536\], got 1",
        ),
        ({"gpu": "T4", "count": 2.0}, TypeError, r"pool\.count must be a whole number, got 2\.0"),
        ({"gpu": "T4", "count": True}, TypeError, r"pool\.count must be a whole number, got True"),
        ({"gpu": "T4", "count": None}, TypeError, r"pool\.count must be a whole number, got None"),
        ({"gpu": "T4", "count": "2"}, TypeError, r"pool\.count must be a whole number, got '2'"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_refused_pools(pool: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        parse(pool=pool)


@pytest.mark.parametrize(
    ("gpu", "count", "partition", "message"),
    [
        (
            "A10G",
            1,
            "mig",
            "partition must not stand beside pool.gpu 'A10G', which cannot be cut, got 'mig'; rem",
        ),
        (
            "A100-80",
            1,
            "mig",
            "partition must be 'mig-a100', as pool.gpu 'A100-80' is cut, got 'mig'",
        ),
        ("H100", 1, "migg", "partition must be 'mig', as pool.gpu 'H100' is cut, got 'migg'"),
        ("H100", 2, "mig", "partition 'mig' cuts one GPU, so gpus must be 1, got 2"),
        (
            INLINE,
            1,
            "mig",
            "partition must not stand beside pool.gpu 'custom', which cannot be cut",
        ),
    ],
)
def test_refused_partitions(gpu: Any, count: int, partition: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        parse(pool={"gpu": gpu, "count": count}, partition=partition)


def test_a_model_that_is_too_large_for_the_pool_could_never_load() -> None:
    large = {**AGENT, "memory_mb": 40_000}
    assert parse(large, pool={"gpu": "A10G", "count": 2}).footprint[0] == 40_000 / 24_576
    with pytest.raises(
        ConfigError,
        match=r"^agent 'a': memory_mb must fit into pool_memory_mb = 24576, got 40000; it could",
    ):
        parse(large, pool={"gpu": "A10G", "count": 1})


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"throughput_on": "H100"},
            ConfigError,
            "throughput_on has no effect without a pool or nodes of a GPU type, got 'H100'; rem",
        ),
        (
            {"throughput_on": "H100", "nodes": [{"name": "y", "gpus": 1}]},
            ConfigError,
            "throughput_on has no effect",
        ),
        (
            {"throughput_on": "H10", "pool": {"gpu": "T4", "count": 1}},
            ConfigError,
            r"throughput_on must be one of .*, got 'H10' \(did you mean 'H100'\?\)",
        ),
        (
            {"throughput_on": None, "pool": {"gpu": "T4", "count": 1}},
            TypeError,
            "throughput_on must be the name of a GPU type or a mapping of its fields, got None",
        ),
        (
            {"pol": {"gpu": "T4", "count": 1}},
            ConfigError,
            r"scenario has an unknown key 'pol' \(did you mean 'pool'\?\)",
        ),
    ],
)
def test_refused_types_of_throughputs(changes: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        parse(**changes)


def test_parsing_leaves_the_mapping_as_it_was() -> None:
    content: dict[str, Any] = {
        "agents": [{"name": "a", "throughput": 1, "memory_mb": 5}],
        "pool": {"gpu": "T4", "count": 2},
        "elastic": {"min_gpus": 1},
        "throughput_on": "L4",
    }
    before = repr(content)
    assert parse_scenario(content) == parse_scenario(content)
    assert repr(content) == before
