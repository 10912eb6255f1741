"""The scenarios that one run trains on: its own, a mixture of others, and random versions of all.

A policy that has seen several loads, cold starts and numbers of agents may serve what it has not
seen (domain randomisation: Tobin et al. 2017). Validation and evaluation play the run's own
scenario as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..envs.agent import Agent
from ..envs.errors import ConfigError, unknown_name
from ..envs.loading import load_scenario
from ..envs.spec import Scenario, Weights
from ..envs.workloads.compose import Streams
from ..eval.suite import Suite, load_suite
from .config import TrainConfig


def own_suite(config: TrainConfig, split: str) -> Suite:
    """Return the episodes of a split in a run's own scenario, with its agents and its weights.

    Raises:
        ConfigError: A scenario without a workload, or without the agents that are asked for.
        TraceError: A trace is absent or damaged.
    """
    suite = load_suite(f"{config.scenario}-{split}")
    scenario = weighted(config, with_agents(config.agents, suite.scenario))
    assert scenario.workload is not None
    episodes = tuple(scenario.workload.suite(scenario, split))
    return replace(suite, scenario=scenario, episodes=episodes)


def with_agents(names: Sequence[str], scenario: Scenario) -> Scenario:
    """Return a scenario with some of its agents alone, each with its own stream; all for no name.

    Raises:
        ConfigError: A name that is no agent's, or agents that call each other.
    """
    if not names:
        return scenario
    for name in names:
        if name not in scenario.agent_names:
            raise unknown_name("agent", name, scenario.agent_names)
    if not isinstance(scenario.workload, Streams):
        raise ConfigError(
            f"agents must be left out where agents call each other, as in {scenario.name!r}, got "
            f"{list(names)}"
        )
    agents = tuple(agent for agent in scenario.agents if agent.name in names)
    return replace(scenario, agents=agents, workload=scenario.workload.only(names))


def weighted(config: TrainConfig, scenario: Scenario) -> Scenario:
    """Return a scenario with the weights of the reward that a run asks for."""
    return replace(scenario, weights=Weights(*config.weights)) if config.weights else scenario


def worlds(config: TrainConfig, scenario: Scenario) -> list[Scenario]:
    """Return what a run trains on, its own scenario first, as it is.

    Args:
        config: Whose `mixture` is added; there are `variants` of each, of which the first is the
            scenario itself and the others are drawn from the run's seed.
        scenario: The run's own, with its weights.
    """
    others = [weighted(config, load_scenario(name)) for name in config.mixture]
    rng = np.random.default_rng(config.seed)
    return [
        one if version == 0 else _drawn(config, one, rng)
        for one in (scenario, *others)
        for version in range(config.variants)
    ]


def _drawn(config: TrainConfig, scenario: Scenario, rng: np.random.Generator) -> Scenario:
    """Return a scenario of another load, mix and cold starts.

    Calls come as they are: what varies is how fast they are served, by a factor for all agents
    (the load), another for each (the mix), and how long models take to load.
    """
    load = _factor(rng, config.vary_load)
    agents = []
    for agent in scenario.agents:
        speed = load * _factor(rng, config.vary_mix)
        cold = _factor(rng, config.vary_cold_start)
        agents.append(_changed(agent, speed, cold))
    return replace(scenario, agents=tuple(agents))


def _changed(agent: Agent, speed: float, cold: float) -> Agent:
    changes = {"throughput": agent.throughput * speed, "cold_start_s": agent.cold_start_s * cold}
    return replace(agent, **changes)  # type: ignore[arg-type]


def _factor(rng: np.random.Generator, most: float) -> float:
    """Draw a factor between 1/most and most, log-uniformly."""
    return float(most ** rng.uniform(-1.0, 1.0))
