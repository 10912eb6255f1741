"""The scenarios that one run trains on: its own, a mixture of others, and random versions of all.

A policy that has seen several loads, cold starts and numbers of agents may serve what it has not
seen (domain randomisation: Tobin et al. 2017). Validation and evaluation play the run's own
scenario as it is.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..envs.agent import Agent
from ..envs.loading import load_scenario
from ..envs.spec import Scenario, Weights
from .config import TrainConfig


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
