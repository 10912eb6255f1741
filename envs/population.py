"""Many agents from a few numbers: a population drawn from a seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import checks
from .errors import ConfigError
from .kinds import build, construct
from .workloads.randomness import keyed, label_key

LARGEST = 65_536
KINDS = ("diurnal", "on_off", "poisson", "renewal")  # of streams that a mean rate decides
Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Population:
    """A seeded population of agents and the pool that they share.

    Every agent is drawn from random numbers of its own: the first 16 agents of 1,024 are the 16 of
    the small population, and so are their arrivals. A range [low, high] is drawn log-uniformly, so
    that few agents are large and many small.

    Attributes:
        size: Number of agents (N).
        seed: Decides all of them.
        load: Mean demand over the pool; the pool is the sum of the agents' demands over it.
        demand: Mean demand of an agent [GPU].
        throughput: Calls of mean work per second on one GPU (T) [1/s].
        min_rate: Calls of mean work per second that an agent's minimum share serves (R·T) [1/s].
        footprint: GPUs' worth of memory of a loaded model [GPU].
        cold_start_s: Loading time [s]; the larger the footprint, the longer.
        keep_alive_s: Keep-alive of every agent [s].
        concurrency: Calls in service at once, of every agent.
        priorities: An agent's priority is any of these.
        streams: (arrivals, weight): a stream without its rate, and how often agents have it.
    """

    size: int
    load: float
    demand: Range
    throughput: Range
    min_rate: float
    footprint: Range
    cold_start_s: Range
    keep_alive_s: float
    concurrency: int
    priorities: tuple[float, ...]
    streams: tuple[tuple[Mapping[str, Any], float], ...]
    seed: int = 0

    def __post_init__(self) -> None:
        checks.integer("size", self.size, at_least=1, at_most=LARGEST)
        checks.integer("seed", self.seed, at_least=0)
        checks.number("load", self.load, above=0)
        checks.number("min_rate", self.min_rate, at_least=0)
        for name in ("demand", "throughput", "footprint", "cold_start_s"):
            object.__setattr__(self, name, _range(name, getattr(self, name)))
        if not checks.listing("priorities", self.priorities) or not len(self.streams):
            raise ConfigError("priorities and streams must not be empty; add one of each")

    @classmethod
    def from_mapping(cls, content: Mapping[str, object], at: str) -> Population:
        """Build it from the `population:` mapping of a scenario file."""
        values = dict(content)
        if "streams" in values:
            values["streams"] = _streams(f"{at}.streams", values["streams"])
        if isinstance(values.get("priorities"), list):
            values["priorities"] = tuple(values["priorities"])  # type: ignore[arg-type]
        return construct(cls, values, at)

    def expand(self) -> dict[str, object]:
        """Return the keys of a scenario file that follow from the population."""
        agents, streams, demands = [], {}, []
        for i in range(self.size):
            agent, demand, stream = self._draw(f"agent-{i:04d}")
            agents.append(agent)
            demands.append(demand)
            streams[agent["name"]] = _at_rate(stream, demand * agent["throughput"])
        rates = [d * agent["throughput"] for d, agent in zip(demands, agents, strict=True)]
        return {
            "agents": agents,
            "gpus": math.fsum(demands) / self.load,
            "reference_rate": math.fsum(rates),
            "workload": {"kind": "streams", "streams": streams},
        }

    def _draw(self, name: str) -> tuple[dict[str, Any], float, Mapping[str, Any]]:
        """Draw an agent, its mean demand [GPU] and how its calls come."""
        rng = keyed(self.seed, label_key(f"population/{name}"))
        demand, throughput, size, priority, kind = rng.random(5).tolist()
        weights = np.cumsum([weight for _, weight in self.streams])
        stream = self.streams[int(np.searchsorted(weights, kind * weights[-1], side="right"))][0]
        speed = _between(self.throughput, throughput)
        agent = {
            "name": name,
            "throughput": speed,
            "min_share": float(f"{self.min_rate / speed:.2g}"),
            "priority": self.priorities[int(priority * len(self.priorities))],
            "footprint": _between(self.footprint, size),
            "cold_start_s": _between(self.cold_start_s, size),
            "keep_alive_s": self.keep_alive_s,
            "concurrency": self.concurrency,
        }
        return agent, _between(self.demand, demand), stream


def with_population(content: Mapping[str, object]) -> Mapping[str, object]:
    """Replace the key `population` of a scenario file by what it stands for.

    Raises:
        ConfigError: A population that cannot be drawn, or keys beside it that it decides.
        TypeError: A value of the wrong type.
    """
    mapping = checks.mapping("population", content["population"])
    drawn = build(Population, mapping, "population").expand()
    for key in (*drawn, "pool", "nodes"):
        if key in content:
            raise ConfigError(
                f"{key} must not stand beside population, which decides it; remove it"
            )
    return {key: value for key, value in content.items() if key != "population"} | drawn


def _between(bounds: Range, quantile: float) -> float:
    """Quantile of a log-uniform number, to four digits: what a person would write."""
    low, high = bounds
    return float(f"{low * (high / low) ** quantile:.4g}")


def _at_rate(stream: Mapping[str, Any], rate: float) -> Mapping[str, Any]:
    """Give a stream its mean rate, which bursts make up for pauses, and exponential work."""
    stream = {**stream, "work": {"kind": "exponential"}}
    if stream["kind"] != "on_off":
        return {**stream, "rate": rate}
    on = stream["mean_on_s"] / (stream["mean_on_s"] + stream["mean_off_s"])
    return {**stream, "rate_on": rate / on}


def _range(name: str, value: object) -> Range:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise TypeError(f"{name} must be a pair [low, high], got {value!r}")
    low = checks.number(f"{name}[0]", value[0], above=0)
    return low, checks.number(f"{name}[1]", value[1], at_least=low)


def _streams(at: str, content: object) -> tuple[tuple[Mapping[str, Any], float], ...]:
    if not isinstance(content, list):
        raise TypeError(f"{at} must be a list of streams with a weight, got {content!r}")
    found = []
    for i, entry in enumerate(content):
        where = f"{at}[{i}]"
        stream = dict(checks.mapping(where, entry))
        weight = checks.number(f"{where}.weight", stream.pop("weight", None), above=0)
        for key in ("rate", "rate_on", "work"):
            if key in stream:
                raise ConfigError(f"{where}.{key} follows from the population; remove it")
        if checks.one_of(f"{where}.kind", stream.get("kind"), KINDS) == "on_off":
            for key in ("mean_on_s", "mean_off_s"):
                checks.number(f"{where}.{key}", stream.get(key), above=0)
        found.append((stream, weight))
    return tuple(found)
