"""A trained policy as an allocator: numbers from safetensors, run without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ..envs.errors import ConfigError
from ..envs.kernel.batch import encode_batch
from ..envs.observation import n_features, raw_columns
from .base import Allocator, Shares, allocator_class, make_allocator, register
from .compiled import rule
from .policy.files import read_policy
from .policy.header import Header, encoding
from .policy.networks import ACTIVATIONS, Tensors, Weights, packed

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from ..envs.observation import Encoding, Observation
    from ..envs.spec import Scenario


class Policy:
    """A network with what its numbers mean.

    Args:
        header: What they mean.
        tensors: By the names in `header.shapes`, float32.
    """

    def __init__(self, header: Header, tensors: Tensors) -> None:
        self.header, self._tensors = header, tensors
        self._forward = header.kind.forward
        parameters = packed(tensors, header.shapes)
        self._arguments = parameters, np.array(header.sizes), ACTIVATIONS[header.activation]

    def __reduce__(self) -> tuple[Any, ...]:
        """Be sent as numbers alone: another process has compiled code of its own."""
        return type(self), (self.header, self._tensors)

    def actions(self, features: Weights) -> Shares:
        """Return the deterministic actions, shape (B, n) in [-1, 1], float64.

        Args:
            features: Of every agent, shape (B, N, features), float32, the base allocator's share
                last where there is one (`with_base`).
        """
        outputs: Weights = self._forward(features, *self._arguments)
        return outputs.astype(np.float64).clip(-1.0, 1.0)


def with_base(flat: Weights, base: Shares | None, encoded: Encoding) -> Weights:
    """Return the features that a policy decides by, shape (B, N, features).

    Args:
        flat: Flat observations, shape (B, N · features).
        base: Request of the base allocator, shares first, (B, N) or (B, n_requests) [GPU]; `None`
            without one.
        encoded: What the observations were encoded with.
    """
    features = flat.reshape(len(flat), len(encoded.constants), -1)
    if base is None:
        return features
    found: Weights = _beside(features, base, encoded.unit)
    return found


@rule
def _beside(features: Weights, base: Shares, unit: float) -> Weights:
    batch, n, columns = features.shape
    found = np.empty((batch, n, columns + 1), np.float32)
    found[:, :, :columns] = features
    for b in range(batch):
        for i in range(n):
            found[b, i, columns] = base[b, i] / (base[b, i] + unit)
    return found


def make_base(spec: str) -> Allocator:
    """Return an allocator that a policy may correct.

    Raises:
        ConfigError: There is none of the name, it sees the future, or it is a policy itself.
    """
    kind = allocator_class(spec.partition(":")[0].strip())
    if kind.trained or not kind.causal:
        raise ConfigError(f"base must name a causal rule, not a policy, got {spec!r}; try demand")
    return make_allocator(spec)


@register("learned")
class Learned(Allocator):
    """A policy trained by `slicegym-train`, from its folder: `learned:DIR`, or `ppo:DIR`."""

    beyond_linear = "runs a network"
    needs_file = True
    trained = True

    def __init__(self, policy: Policy, folder: Path | Traversable | None = None) -> None:
        """Take a policy in memory, and the folder that it was read from.

        Raises:
            ConfigError: Its header names a base allocator that there is not.
        """
        self.policy, self.folder = policy, folder
        self._base = make_base(policy.header.base) if policy.header.base else None
        self._scenario: Scenario | None = None

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Load the policy of a folder.

        Raises:
            ConfigError: No folder, or not a whole and sound policy in it.
        """
        if not text:
            raise ConfigError(
                "allocator 'learned' needs the folder of a trained policy: learned:DIR, for "
                "example learned:runs/azure after `slicegym-train azure`"
            )
        return cls(load_policy(Path(text)), Path(text))

    @classmethod
    def examples(cls) -> tuple[str, ...]:
        """None: there is no policy before one is trained."""
        return ()

    def parameters(self) -> dict[str, Any]:
        """Return what tells the policy from others: where it was trained, and its weights' sum."""
        header = self.policy.header
        return {"scenario": header.scenario, "base": header.base, "sha256": header.weights_sha256}

    def reset(self, scenario: Scenario) -> None:
        """Work out the scenario's constants.

        Raises:
            ConfigError: It has another number of agents than the policy, or other columns.
        """
        header = self.policy.header
        if scenario.n_agents != header.n_agents and not header.kind.any_agents:
            raise ConfigError(
                f"the policy of scenario {header.scenario!r} must get {header.n_agents} agents, "
                f"got the {scenario.n_agents} of {scenario.name!r}; train one on that scenario"
            )
        if n_features(scenario) != header.n_features:
            raise ConfigError(
                f"the policy of scenario {header.scenario!r} must get {header.n_features} features "
                f"an agent, got the {n_features(scenario)} of {scenario.name!r}; train one on that "
                "scenario"
            )
        if self._base is not None:
            self._base.reset(scenario)
        self._encoding = encoding(scenario, header.network)
        self._scenario = scenario
        # Compiled before the first decision is timed.
        nothing = np.zeros((1, scenario.n_agents, len(raw_columns(scenario))))
        self._shares(nothing, nothing[..., 0].copy())

    def allocate(self, observation: Observation) -> Shares:
        """Return the shares that the policy asks for."""
        scenario = observation.scenario
        if scenario is not self._scenario:
            self.reset(scenario)
        base = None
        if self._base is not None:
            base = self._base.allocate(observation)
            base = base.reshape(-1, base.shape[-1])
        raw = observation.raw
        shares = self._shares(raw.reshape(-1, *raw.shape[-2:]), base)
        return shares.reshape(*raw.shape[:-2], -1)

    def _shares(self, raw: Shares, base: Shares | None) -> Shares:
        """Return the shares for raw observations, (B, N, columns)."""
        assert self._scenario is not None
        scale, constants = self._encoding.scale, self._encoding.constants
        flat = np.empty((len(raw), scale.size + constants.size), np.float32)
        encode_batch(raw, scale, constants, flat)  # NumPy would take longer than the network does
        features = with_base(flat, base if self._base else None, self._encoding)
        actions = self.policy.actions(features)
        return self.policy.header.action_map.shares(actions, base, self._scenario)


def load_policy(folder: Path | Traversable) -> Policy:
    """Load and check the policy of a folder.

    Raises:
        ConfigError: A file is missing, cut, changed, too large or not what its header says.
    """
    return Policy(*read_policy(folder))
