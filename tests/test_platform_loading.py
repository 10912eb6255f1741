"""Nodes and elastic pools in scenario files: what they stand for, and all that is refused."""

from typing import Any

import pytest

from slicegym.envs import Agent, ConfigError, Scenario
from slicegym.envs.loading import parse_scenario
from slicegym.envs.platform import Elastic, Node

AGENT = {"name": "a", "throughput": 2}
TYPED = {"name": "x", "gpu": "A10G", "count": 2}
PLAIN = {"name": "y", "gpus": 1, "speed": 3, "price": 5, "memory_mb": 7}
INLINE = {"memory_mb": 1000, "speed": 4, "price_per_gpu_hour": 2}


def parse(*agents: dict[str, Any], **changes: Any) -> Scenario:
    return parse_scenario({"agents": list(agents or (AGENT,)), **changes})


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


def test_an_elastic_pool() -> None:
    elastic = {"min_gpus": 2, "unit_gpus": 4, "provision_s": 30}
    made = parse(pool={"gpu": "T4", "count": 8}, elastic=elastic)
    assert made.elastic == Elastic(min_gpus=2, unit_gpus=4, provision_s=30)
    assert made.gpus == 8
    assert parse(elastic={}).elastic == Elastic()
    assert parse(elastic=None).elastic is None
