"""The networks in torch: the policy's, twins of `baselines/policy/networks.py`, and the value's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

ACTIVATIONS: Mapping[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}


class MlpActor(nn.Module):
    """Dense layers from all features of all agents, (B, N, inputs), to all actions, (B, N·k)."""

    def __init__(
        self, n_agents: int, inputs: int, hidden: Sequence[int], outputs: int, activation: str
    ) -> None:
        super().__init__()
        sizes = (n_agents * inputs, *hidden)
        self.hidden = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        self.head = nn.Linear(sizes[-1], n_agents * outputs)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        """Return the means of the actions."""
        x = x.flatten(1)
        for layer in self.hidden:
            x = self.activation(layer(x))
        found: Tensor = self.head(x)
        return found


class EquivariantActor(nn.Module):
    """One small network for every agent beside a summary of all, (B, N, inputs) to (B, N·k).

    Agents whose features are all zero are not there (`MixedVecEnv`), and count for nothing.
    """

    def __init__(
        self, n_agents: int, inputs: int, hidden: Sequence[int], outputs: int, activation: str
    ) -> None:
        super().__init__()
        encoded, *decoded = hidden
        self.encoder = nn.Linear(inputs, encoded)
        self.context = nn.Linear(2 * encoded, decoded[0], bias=False)
        self.decoder = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(hidden))
        self.head = nn.Linear(decoded[-1], outputs)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        """Return the means of the actions."""
        here = present(x)
        x = self.activation(self.encoder(x))
        first, *others = self.decoder
        x = self.activation(first(x) + self.context(_pooled(x, here)).unsqueeze(1))
        for layer in others:
            x = self.activation(layer(x))
        found: Tensor = self.head(x).flatten(1)
        return found


class MlpValue(nn.Module):
    """Dense layers from all features, (B, N, inputs), and the outlook, (B, columns), to a value."""

    def __init__(
        self, n_agents: int, inputs: int, outlook: int, hidden: Sequence[int], activation: str
    ) -> None:
        super().__init__()
        sizes = (n_agents * inputs + outlook, *hidden)
        self.layers = _dense(sizes, activation)
        self.head = nn.Linear(sizes[-1], 1)

    def forward(self, x: Tensor, outlook: Tensor) -> Tensor:
        """Return the values, (B, 1)."""
        found: Tensor = self.head(self.layers(torch.cat([x.flatten(1), outlook], -1)))
        return found


class PooledValue(nn.Module):
    """The mean and the largest of what is made of each agent, and the outlook, to a value."""

    def __init__(
        self, n_agents: int, inputs: int, outlook: int, hidden: Sequence[int], activation: str
    ) -> None:
        super().__init__()
        size = 2 * hidden[-1]
        self.each = _dense((inputs, size, size), activation)
        self.all = _dense((2 * size + outlook, size, size), activation)
        self.head = nn.Linear(size, 1)

    def forward(self, x: Tensor, outlook: Tensor) -> Tensor:
        """Return the values, (B, 1)."""
        pooled = _pooled(self.each(x), present(x))
        found: Tensor = self.head(self.all(torch.cat([pooled, outlook], -1)))
        return found


def present(x: Tensor) -> Tensor | None:
    """Return which agents are there, (B, N), from their features; None where all are."""
    here = (x != 0.0).any(-1)
    return None if bool(here.all()) else here


def _pooled(x: Tensor, here: Tensor | None) -> Tensor:
    if here is None:
        return torch.cat([x.mean(1), x.amax(1)], -1)
    away = ~here.unsqueeze(-1)
    mean = x.masked_fill(away, 0.0).sum(1) / here.sum(1, keepdim=True)
    return torch.cat([mean, x.masked_fill(away, -torch.inf).amax(1)], -1)


def _dense(sizes: Sequence[int], activation: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for pair in pairwise(sizes):
        layers += [nn.Linear(*pair), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers)


ACTORS = {"mlp": MlpActor, "equivariant": EquivariantActor}
VALUES = {"mlp": MlpValue, "equivariant": PooledValue}
