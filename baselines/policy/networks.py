"""The networks that a policy may be: from the features of agents to their actions, compiled.

They sum in an order that does not depend on how many environments are decided for at once.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..compiled import rule

Weights = NDArray[np.float32]
Tensors = Mapping[str, Weights]

LINEAR, RELU, TANH = range(3)
ACTIVATIONS: Mapping[str, int] = {"tanh": TANH, "relu": RELU}


@rule
def _dense(
    x: Weights, parameters: Weights, place: int, outputs: int, biased: bool, activation: int
) -> Weights:
    """Return a layer of x, (rows, outputs), whose parameters begin at a place."""
    inputs = x.shape[1]
    found = np.zeros((x.shape[0], outputs), np.float32)
    for i in range(x.shape[0]):
        for o in range(outputs if biased else 0):
            found[i, o] = parameters[place + inputs * outputs + o]
        for f in range(inputs):
            row, value = place + f * outputs, x[i, f]
            for o in range(outputs):
                found[i, o] += value * parameters[row + o]
        for o in range(outputs):
            if activation == RELU:
                found[i, o] = max(found[i, o], np.float32(0.0))
            elif activation == TANH:
                found[i, o] = math.tanh(found[i, o])
    return found


@rule
def _mlp(x: Weights, parameters: Weights, sizes: NDArray[np.int64], activation: int) -> Weights:
    """Return the outputs, (B, sizes[-1]), of features, (B, N, inputs)."""
    found = np.empty((x.shape[0], sizes[-1]), np.float32)
    for b in range(x.shape[0]):
        h, place = x[b].copy().reshape(1, sizes[0]), 0
        for k in range(1, len(sizes)):
            how = LINEAR if k == len(sizes) - 1 else activation
            h = _dense(h, parameters, place, sizes[k], True, how)
            place += (sizes[k - 1] + 1) * sizes[k]
        found[b] = h[0]
    return found


@rule
def _equivariant(
    x: Weights, parameters: Weights, sizes: NDArray[np.int64], activation: int
) -> Weights:
    """Return the outputs, (B, N · sizes[-1]), of features, (B, N, inputs)."""
    n, encoded, decoded = x.shape[1], sizes[1], sizes[2]
    found = np.empty((x.shape[0], n * sizes[-1]), np.float32)
    summary = np.empty((1, 2 * encoded), np.float32)
    for b in range(x.shape[0]):
        h = _dense(x[b], parameters, 0, encoded, True, activation)
        place = (sizes[0] + 1) * encoded
        for o in range(encoded):
            summary[0, o], summary[0, encoded + o] = np.float32(0.0), h[0, o]
            for i in range(n):
                summary[0, o] += h[i, o]
                summary[0, encoded + o] = max(summary[0, encoded + o], h[i, o])
            summary[0, o] /= np.float32(n)
        context = _dense(summary, parameters, place, decoded, False, LINEAR)[0]
        place += 2 * encoded * decoded
        # The summary joins before the first activation: as if it were a part of the bias.
        first = parameters[place : place + (encoded + 1) * decoded].copy()
        first[encoded * decoded :] += context
        h = _dense(h, first, 0, decoded, True, activation)
        place += len(first)
        for k in range(3, len(sizes)):
            how = LINEAR if k == len(sizes) - 1 else activation
            h = _dense(h, parameters, place, sizes[k], True, how)
            place += (sizes[k - 1] + 1) * sizes[k]
        found[b] = h.reshape(n * sizes[-1])
    return found


class Network(ABC):
    """A kind of network.

    Attributes:
        any_agents: Whether one network serves any number of agents.
        forward: The compiled function: features (B, N, inputs), parameters, sizes, activation.
    """

    any_agents: ClassVar[bool]
    forward: ClassVar[Callable[..., Any]]

    @staticmethod
    @abstractmethod
    def sizes(n_agents: int, inputs: int, hidden: tuple[int, ...], outputs: int) -> tuple[int, ...]:
        """Return the sizes from input to output.

        Args:
            n_agents: N.
            inputs: Features of one agent.
            hidden: Sizes of the hidden layers.
            outputs: Actions of one agent.
        """

    @staticmethod
    @abstractmethod
    def shapes(sizes: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Return the shape of each tensor by name, in the order in which they are used.

        A layer `x` is `x.weight`, (outputs, inputs), and `x.bias`, (outputs,).
        """


def _layer(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


class Mlp(Network):
    """Dense layers from all features of all agents to all actions: for one N and one order."""

    any_agents: ClassVar[bool] = False
    forward = staticmethod(_mlp)

    @staticmethod
    def sizes(n_agents: int, inputs: int, hidden: tuple[int, ...], outputs: int) -> tuple[int, ...]:
        """All agents' features, hidden layers, all agents' actions."""
        return (n_agents * inputs, *hidden, n_agents * outputs)

    @staticmethod
    def shapes(sizes: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """Hidden layers are `hidden.i`, the last one is the `head`."""
        found: dict[str, tuple[int, ...]] = {}
        for i, (before, after) in enumerate(pairwise(sizes[:-1])):
            found |= _layer(f"hidden.{i}", before, after)
        return found | _layer("head", *sizes[-2:])


class Equivariant(Network):
    """The same small network for every agent, beside a summary of all of them (deep sets).

    With φ the activation and agents' features x_i,

        e_i = φ(E x_i),   c = C [mean_i e_i, max_i e_i],   z_i = φ(D_0 e_i + c),
        z_i ← φ(D_k z_i) for the further hidden layers,   outputs_i = H z_i,

    which gives permuted agents permuted actions, whatever N is (Zaheer et al. 2017, "Deep Sets").
    """

    any_agents: ClassVar[bool] = True
    forward = staticmethod(_equivariant)

    @staticmethod
    def sizes(n_agents: int, inputs: int, hidden: tuple[int, ...], outputs: int) -> tuple[int, ...]:
        """One agent's features, the encoder's size, those of the decoder, one agent's actions."""
        return (inputs, *hidden, outputs)

    @staticmethod
    def shapes(sizes: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        """`encoder`, `context` (which has no bias), `decoder.i`, `head`."""
        found = _layer("encoder", *sizes[:2]) | {"context.weight": (sizes[2], 2 * sizes[1])}
        for i, (before, after) in enumerate(pairwise(sizes[1:-1])):
            found |= _layer(f"decoder.{i}", before, after)
        return found | _layer("head", *sizes[-2:])


NETWORKS: Mapping[str, type[Network]] = {"mlp": Mlp, "equivariant": Equivariant}


def packed(tensors: Tensors, names: Mapping[str, Any]) -> Weights:
    """Return all tensors in one array, in the order of `names`, weights as (inputs, outputs)."""
    return np.concatenate([tensors[name].T.ravel() for name in names])
