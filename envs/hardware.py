"""What a scenario file says about its machines: `pool`, `nodes`, `elastic` (docs/platform.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from . import checks
from .agent import Agent
from .errors import ConfigError
from .gpus import DEFAULT, GpuType, gpu_type
from .platform import Elastic, Node

KEYS = ("pool", "throughput_on")  # of a scenario file, beside the fields of a scenario
DECIDED_BY_POOL = ("nodes", "gpus", "price_per_gpu_hour", "pool_memory_mb")
MAX_COUNT = 65_536


def with_hardware(content: Mapping[str, Any]) -> dict[str, Any]:
    """Replace `pool`, `throughput_on`, `nodes` and `elastic` by the scenario's own values.

    Args:
        content: A scenario file's keys, its `agents` as a tuple of `Agent`.

    Raises:
        ConfigError: Values out of range, an unknown GPU type, keys that exclude each other.
        TypeError: A value of the wrong type.
    """
    values = dict(content)
    throughput_on = gpu_type(values.pop("throughput_on", DEFAULT), "throughput_on")
    if "throughput_on" in content and not _names_types(content):
        raise ConfigError(
            f"throughput_on has no effect without a pool or nodes of a GPU type, got "
            f"{content['throughput_on']!r}; remove it"
        )
    if "pool" in values:
        _refuse(values, DECIDED_BY_POOL, "pool", "decides")
        values |= _pool(values.pop("pool"), values, throughput_on)
    if "nodes" in values:
        values["nodes"] = _nodes(values["nodes"], throughput_on)
    if values.get("nodes"):
        _refuse(values, ("gpus", "price_per_gpu_hour"), "nodes", "decide")
    if values.get("elastic") is not None:
        values["elastic"] = _elastic(values["elastic"])
    return values


def _names_types(content: Mapping[str, Any]) -> bool:
    nodes = content.get("nodes")
    listed = nodes if isinstance(nodes, list) else []
    return "pool" in content or any(isinstance(node, Mapping) and "gpu" in node for node in listed)


def _pool(content: object, values: Mapping[str, Any], throughput_on: GpuType) -> dict[str, Any]:
    """Return what a pool of one GPU type decides, `values` being the rest of the scenario."""
    pool = checks.mapping("pool", content)
    checks.keys("pool", pool, ("gpu", "count"), required=("gpu", "count"))
    gpu = gpu_type(pool["gpu"], "pool.gpu")
    count = checks.integer("pool.count", pool["count"], at_least=1, at_most=MAX_COUNT)
    _check_partition(values.get("partition"), gpu)
    speed = gpu.speed / throughput_on.speed
    agents = tuple(_on_gpu(agent, gpu, speed) for agent in values["agents"])
    decided = {"agents": agents, "gpus": count, "price_per_gpu_hour": gpu.price_per_gpu_hour}
    if values.get("partition") is not None or any(agent.memory_mb for agent in agents):
        decided["pool_memory_mb"] = count * gpu.memory_mb
    return decided


def _check_partition(partition: object, gpu: GpuType) -> None:
    if partition is None or partition == gpu.mig:
        return
    if gpu.mig is None:
        raise ConfigError(
            f"partition must not stand beside pool.gpu {gpu.name!r}, which cannot be cut, got "
            f"{partition!r}; remove it"
        )
    raise ConfigError(
        f"partition must be {gpu.mig!r}, as pool.gpu {gpu.name!r} is cut, got {partition!r}"
    )


def _on_gpu(agent: Agent, gpu: GpuType, speed: float) -> Agent:
    """Return an agent with its throughput and its footprint on a GPU type."""
    footprint = agent.footprint
    if footprint is None and agent.memory_mb:
        footprint = agent.memory_mb / gpu.memory_mb
    return replace(agent, throughput=agent.throughput * speed, footprint=footprint)


def _nodes(content: object, throughput_on: GpuType) -> tuple[Node, ...]:
    if not isinstance(content, list):
        raise TypeError(f"nodes must be a list of mappings, got {content!r}")
    return tuple(_node(f"nodes[{i}]", entry, throughput_on) for i, entry in enumerate(content))


def _node(at: str, content: object, throughput_on: GpuType) -> Node:
    """Build a node from its fields, or from a GPU type and a count."""
    entry: Mapping[str, Any] = checks.mapping(at, content)
    own = [f.name for f in fields(Node)]
    checks.keys(at, entry, [*own, "gpu", "count"], required=("name",))
    if "gpu" not in entry and "count" not in entry:
        checks.keys(at, entry, own, required=("gpus",))
        return Node(**entry)
    _refuse(entry, own[1:], "gpu and count", "decide", at=f"{at}.")
    checks.keys(at, entry, entry, required=("gpu", "count"))
    gpu = gpu_type(entry["gpu"], f"{at}.gpu")
    count = checks.integer(f"{at}.count", entry["count"], at_least=1, at_most=MAX_COUNT)
    return Node(
        name=entry["name"],
        gpus=count,
        speed=gpu.speed / throughput_on.speed,
        price=gpu.price_per_gpu_hour,
        memory_mb=count * gpu.memory_mb,
    )


def _elastic(content: object) -> Elastic:
    elastic: Mapping[str, Any] = checks.mapping("elastic", content)
    checks.keys("elastic", elastic, [f.name for f in fields(Elastic)])
    return Elastic(**elastic)


def _refuse(
    values: Mapping[str, Any], keys: Iterable[str], beside: str, verb: str, at: str = ""
) -> None:
    for key in keys:
        if key in values:
            raise ConfigError(
                f"{at}{key} must not stand beside {beside}, which {verb} it; remove it"
            )
