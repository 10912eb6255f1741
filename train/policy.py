"""The network that PPO trains: two small towers, one for the actions and one for the value."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn

from ..baselines.action_map import ACTION_MAPS
from .config import TrainConfig

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}


def policy_arguments(config: TrainConfig) -> dict[str, Any]:
    """Return what `PPO(policy_kwargs=…)` takes."""
    return {
        "net_arch": list(config.net_arch),
        "activation_fn": ACTIVATIONS[config.activation],
        "log_std_init": config.log_std_init,
    }


def start_equal(policy: ActorCriticPolicy, config: TrainConfig, n_agents: int) -> None:
    """Make the first policy ask for `start_share` of the pool, shared out equally.

    Without it each agent would ask for half of the pool. With three agents or more that sums to
    so much that the simulator's scaling hides what a single action changes.
    """
    fractions = np.full(n_agents, config.start_share / n_agents)
    actions = ACTION_MAPS[config.action].actions(fractions)
    with torch.no_grad():
        policy.action_net.bias.copy_(torch.as_tensor(actions))  # type: ignore[operator]


def linear_layers(policy: ActorCriticPolicy) -> list[nn.Linear]:
    """Return the layers from a flat observation to the mean of the actions, in order."""
    hidden = [layer for layer in policy.mlp_extractor.policy_net if isinstance(layer, nn.Linear)]
    assert isinstance(policy.action_net, nn.Linear)
    return [*hidden, policy.action_net]
