"""Machines in scenario files: `pool`, `nodes`, `elastic` and `tokens`, and all that is refused."""

from dataclasses import replace
from typing import Any

import pytest

from slicegym.envs import Agent, ConfigError, Scenario
from slicegym.envs.gpus import gpu_types
from slicegym.envs.loading import parse_scenario
from slicegym.envs.platform import Elastic, Node

AGENT = {"name": "a", "throughput": 2}
TYPED = {"name": "x", "gpu": "A10G", "count": 2}
PLAIN = {"name": "y", "gpus": 1, "speed": 3, "price": 5, "memory_mb": 7}
INLINE = {"memory_mb": 1000, "speed": 4, "price_per_gpu_hour": 2}
TOKENS = {"prompt": 1200, "output": 300, "prefill_per_s": 4000, "decode_per_s": 1000}


def parse(*agents: dict[str, Any], **changes: Any) -> Scenario:
    return parse_scenario({"agents": list(agents or (AGENT,)), **changes})


# ---- pool --------------------------------------------------------------------------------------


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


def test_an_elastic_pool() -> None:
    elastic = {"min_gpus": 2, "unit_gpus": 4, "provision_s": 30}
    made = parse(pool={"gpu": "T4", "count": 8}, elastic=elastic)
    assert made.elastic == Elastic(min_gpus=2, unit_gpus=4, provision_s=30)
    assert made.gpus == 8
    assert parse(elastic={}).elastic == Elastic()
    assert parse(elastic=None).elastic is None


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
        ({"throughput_on": "H100", "nodes": [PLAIN]}, ConfigError, "throughput_on has no effect"),
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


# ---- nodes and elastic pools -------------------------------------------------------------------


def test_nodes_are_their_expansion_by_hand() -> None:
    made = parse(AGENT, {**AGENT, "name": "b", "node": "x"}, nodes=[PLAIN, TYPED], cross_node_s=0.5)
    assert made == Scenario(
        agents=(Agent("a", 2), Agent("b", 2, node="x")),
        nodes=(
            Node("y", gpus=1, speed=3, price=5, memory_mb=7),
            Node("x", gpus=2, speed=1, price=1.212, memory_mb=49152),
        ),
        cross_node_s=0.5,
    )
    assert made.gpus == 3
    assert made.price_per_gpu_hour == pytest.approx((5 + 2 * 1.212) / 3)


def test_nodes_of_types_relative_to_that_of_the_throughputs() -> None:
    nodes = [{"name": "x", "gpu": "H100", "count": 2}, {"name": "y", "gpu": INLINE, "count": 3}]
    made = parse(nodes=nodes, throughput_on="T4")
    assert made.agents == (Agent("a", 2),)  # what differs is the nodes' speed
    fast, own = made.nodes
    assert fast == Node("x", 2, speed=5.58 / 0.53, price=6.88, memory_mb=163840)
    assert own == Node("y", 3, speed=4 / 0.53, price=2, memory_mb=3000)
    assert parse(nodes=[TYPED], throughput_on="A10G") == parse(nodes=[TYPED])


def test_nodes_have_the_defaults_of_the_code() -> None:
    assert parse(nodes=[{"name": "x", "gpus": 2}]).nodes == (Node("x", 2),)
    assert parse(nodes=[], gpus=3) == parse(gpus=3)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"nodes": None}, TypeError, "nodes must be a list of mappings, got None"),
        ({"nodes": TYPED}, TypeError, "nodes must be a list of mappings, got {'name': 'x'"),
        ({"nodes": ["x"]}, TypeError, r"nodes\[0\] must be a mapping of keys to values, got 'x'"),
        ({"nodes": [{}]}, ConfigError, r"nodes\[0\] lacks the required key 'name'; add it"),
        (
            {"nodes": [PLAIN, {"name": "x"}]},
            ConfigError,
            r"nodes\[1\] lacks the required key 'gpus'; add it",
        ),
        (
            {"nodes": [{"name": "x", "gpu": "T4"}]},
            ConfigError,
            r"nodes\[0\] lacks the required key 'count'; add it",
        ),
        (
            {"nodes": [{"name": "x", "count": 2}]},
            ConfigError,
            r"nodes\[0\] lacks the required key 'gpu'; add it",
        ),
        (
            {"nodes": [{**PLAIN, "memory": 3}]},
            ConfigError,
            r"nodes\[0\] has an unknown key 'memory' \(did you mean 'memory_mb'\?\)",
        ),
        (
            {"nodes": [{**TYPED, "gpu": "A10"}]},
            ConfigError,
            r"nodes\[0\]\.gpu must be one of .*, got 'A10' \(did you mean 'A10G'\?\)",
        ),
        (
            {"nodes": [{**TYPED, "gpu": {**INLINE, "memory_mb": -1}}]},
            ConfigError,
            r"nodes\[0\]\.gpu\.memory_mb must be greater than 0, got -1\.0",
        ),
        (
            {"nodes": [{**TYPED, "gpu": {**INLINE, "price_per_gpu_hour": 0}}]},
            ConfigError,
            r"node 'x': price must be greater than 0, got 0\.0",
        ),
        (
            {"nodes": [{**TYPED, "count": 0}]},
            ConfigError,
            r"nodes\[0\]\.count must lie in \[1, 65536\], got 0",
        ),
        (
            {"nodes": [{**TYPED, "count": True}]},
            TypeError,
            r"nodes\[0\]\.count must be a whole number, got True",
        ),
        (
            {"nodes": [{**PLAIN, "gpus": True}]},
            TypeError,
            "node 'y': gpus must be a number, got True",
        ),
        (
            {"nodes": [{**PLAIN, "speed": float("nan")}]},
            ConfigError,
            "node 'y': speed must be a finite number, got nan",
        ),
        (
            {"nodes": [{**TYPED, "name": 5}]},
            TypeError,
            r"node\.name must be a string, got 5 \(int\)",
        ),
        ({"nodes": [TYPED, TYPED]}, ConfigError, "nodes must have unique names, got 'x' twice"),
        (
            {"nodes": [TYPED], "gpus": 2},
            ConfigError,
            "gpus must not stand beside nodes, which decide it; remove it",
        ),
        (
            {"nodes": [TYPED], "price_per_gpu_hour": 1.212},
            ConfigError,
            "price_per_gpu_hour must not stand beside nodes, which decide it; remove it",
        ),
        (
            {"nodes": [TYPED], "pool_memory_mb": 5},
            ConfigError,
            "pool_memory_mb must not stand beside nodes, got 5; remove one",
        ),
        (
            {"nodes": [TYPED], "elastic": {}},
            ConfigError,
            r"elastic must not stand beside nodes, got Elastic\(.*\); remove one",
        ),
        ({"cross_node_s": -1}, ConfigError, r"cross_node_s must be at least 0, got -1\.0"),
        ({"elastic": 3}, TypeError, "elastic must be a mapping of keys to values, got 3"),
        (
            {"elastic": {"min": 1}},
            ConfigError,
            r"elastic has an unknown key 'min' \(did you mean 'min_gpus'\?\)",
        ),
        (
            {"elastic": {"unit_gpus": 0}},
            ConfigError,
            r"elastic\.unit_gpus must be greater than 0, got 0\.0",
        ),
        (
            {"elastic": {"provision_s": True}},
            TypeError,
            r"elastic\.provision_s must be a number, got True",
        ),
        (
            {"elastic": {"min_gpus": 2}},
            ConfigError,
            r"elastic\.min_gpus must be at most gpus = 1, got 2",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_refused_nodes_and_elastic_pools(changes: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        parse(**changes)


@pytest.mark.parametrize("key", ["gpus", "speed", "price", "memory_mb"])
def test_what_a_type_decides_must_not_stand_beside_it(key: str) -> None:
    with pytest.raises(
        ConfigError,
        match=rf"^nodes\[0\]\.{key} must not stand beside gpu and count, which decide it; rem",
    ):
        parse(nodes=[{**TYPED, key: 1}])


# ---- tokens ------------------------------------------------------------------------------------


def test_tokens_are_throughput_and_prefill() -> None:
    # 0.3 s of reading and 0.3 s of writing.
    (batched,) = parse(
        {"name": "a", "service": "batched", "tokens": TOKENS, "half_batch": 8}
    ).agents
    assert batched.throughput == pytest.approx(5 / 3)
    assert batched.prefill == pytest.approx(0.5)
    assert replace(batched, throughput=1, prefill=0) == Agent(
        "a", 1, service="batched", half_batch=8
    )


def test_tokens_without_batches_are_throughput_alone() -> None:
    for service in ({}, {"service": "fcfs"}):
        (agent,) = parse({"name": "a", "tokens": TOKENS, **service}).agents
        assert agent == Agent("a", agent.throughput)
        assert agent.throughput == pytest.approx(5 / 3)


def test_tokens_on_another_gpu() -> None:
    made = parse({"name": "a", "tokens": TOKENS}, pool={"gpu": "H100", "count": 1})
    assert made.throughput.tolist() == pytest.approx([5.58 * 5 / 3])


@pytest.mark.parametrize(
    ("agent", "error", "message"),
    [
        (
            {"tokens": TOKENS, "throughput": 2},
            ConfigError,
            r"agents\[0\]\.throughput must not stand beside tokens, which decide it; remove it",
        ),
        (
            {"tokens": TOKENS, "prefill": 0.5, "service": "batched"},
            ConfigError,
            r"agents\[0\]\.prefill must not stand beside tokens, which decide it; remove it",
        ),
        (
            {"tokens": None},
            TypeError,
            r"agents\[0\]\.tokens must be a mapping of keys to values, got None",
        ),
        (
            {"tokens": {"prompt": 1, "output": 1, "prefill_per_s": 1}},
            ConfigError,
            r"agents\[0\]\.tokens lacks the required key 'decode_per_s'; add it",
        ),
        (
            {"tokens": {**TOKENS, "outputs": 1}},
            ConfigError,
            r"agents\[0\]\.tokens has an unknown key 'outputs' \(did you mean 'output'\?\)",
        ),
        (
            {"tokens": {**TOKENS, "prefill_per_s": 0}},
            ConfigError,
            r"agents\[0\]\.tokens\.prefill_per_s must be greater than 0, got 0\.0",
        ),
        (
            {"tokens": {**TOKENS, "prompt": 0, "output": 0}},
            ConfigError,
            r"agents\[0\]\.tokens\.prompt/prefill_per_s \+ output/decode_per_s must be greater",
        ),
        (
            {"tokens": {**TOKENS, "prompt": True}},
            TypeError,
            r"agents\[0\]\.tokens\.prompt must be a number, got True",
        ),
        (
            {"token": TOKENS},
            ConfigError,
            r"agents\[0\] has an unknown key 'token' \(did you mean 'tokens'\?\)",
        ),
        (
            {"tokens": TOKENS, "half_batch": 8},
            ConfigError,
            "agent 'a': half_batch and prefill must be 0 unless service is 'batched', got 8 and 0;",
        ),
        (
            {"tokens": TOKENS, "service": "batchd"},
            ConfigError,
            r"agent 'a': service must be one of fcfs, batched, got 'batchd' \(did you mean",
        ),
        ({}, ConfigError, r"agents\[0\] lacks the required key 'throughput'; add it"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_refused_tokens(agent: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        parse({"name": "a", **agent})


def test_parsing_leaves_the_mapping_as_it_was() -> None:
    content: dict[str, Any] = {
        "agents": [{"name": "a", "tokens": TOKENS, "memory_mb": 5}],
        "pool": {"gpu": "T4", "count": 2},
        "elastic": {"min_gpus": 1},
        "throughput_on": "L4",
    }
    before = repr(content)
    assert parse_scenario(content) == parse_scenario(content)
    assert repr(content) == before
