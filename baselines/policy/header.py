"""What the numbers of a trained policy mean: the content of `policy.json`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...envs import checks
from ...envs.errors import ConfigError
from ...envs.kernel.observe import EXTRA_COLUMNS
from ...envs.observation import N_FEATURES, SCHEMA, Encoding
from ..action_map import ACTION_MAPS, ActionMap
from .networks import ACTIVATIONS, NETWORKS, Network

if TYPE_CHECKING:
    from ...envs.spec import Scenario

FORMAT = "slicegym-policy-2"
MAX_HIDDEN = 14
MAX_PARAMETERS = 50_000_000


def encoding(scenario: Scenario, network: str) -> Encoding:
    """Return how a kind of network wants to see a scenario.

    One that serves any number of agents measures work and shares by an agent's equal part of the
    pool, so that what it sees of one agent does not depend on how many others there are.
    """
    parts = scenario.n_agents if NETWORKS[network].any_agents else 1
    return Encoding.of(scenario, scenario.gpus / parts)


@dataclass(frozen=True)
class Header:
    """What the numbers of a policy mean.

    Attributes:
        format: Of the two files; `FORMAT`.
        observation: Schema of the flat observation that the policy was trained on.
        scenario: Name of the scenario that it was trained on; others that fit are fine.
        network: Kind of network.
        n_agents: N that it was trained for; an equivariant network serves any.
        n_features: Features of one agent, without the base allocator's share.
        hidden: Sizes of the hidden layers.
        activation: After every hidden layer.
        action: Name of the action map, which makes shares of the output.
        base: Allocator whose shares it corrects, with its parameters; empty for none.
        weights_sha256: Sum of `policy.safetensors`.
    """

    format: str
    observation: str
    scenario: str
    network: str
    n_agents: int
    n_features: int
    hidden: tuple[int, ...]
    activation: str
    action: str
    base: str
    weights_sha256: str

    def __post_init__(self) -> None:
        checks.one_of("format", self.format, [FORMAT])
        self._check_observation()
        for name in ("scenario", "weights_sha256"):
            checks.text(name, getattr(self, name))
        for name, known in (
            ("network", NETWORKS),
            ("activation", ACTIVATIONS),
            ("action", ACTION_MAPS),
        ):
            checks.one_of(name, getattr(self, name), known)
        check_base(self.action, self.base)
        self._check_sizes()

    def _check_observation(self) -> None:
        checks.integer("n_features", self.n_features, at_least=1)
        most = N_FEATURES + len(EXTRA_COLUMNS)
        if self.observation != SCHEMA or not N_FEATURES <= self.n_features <= most:
            raise ConfigError(
                f"observation must be {SCHEMA!r} with {N_FEATURES} to {most} features, as this "
                f"version has it, got {self.observation!r} with {self.n_features!r}; train the "
                "policy again, or install the version that it was trained with"
            )

    def _check_sizes(self) -> None:
        checks.integer("n_agents", self.n_agents, at_least=1)
        object.__setattr__(self, "hidden", check_hidden("hidden", self.hidden, self.network))
        if self.n_parameters > MAX_PARAMETERS:
            raise ConfigError(
                f"hidden must give at most {MAX_PARAMETERS} parameters, got {self.n_parameters}"
            )

    @property
    def action_map(self) -> ActionMap:
        """Makes shares of the network's outputs."""
        return ACTION_MAPS[self.action]

    @property
    def kind(self) -> type[Network]:
        """Class of the network."""
        return NETWORKS[self.network]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the network's layers, from input to output."""
        inputs = self.n_features + self.action_map.corrects
        outputs = self.action_map.per_agent
        return self.kind.sizes(self.n_agents, inputs, self.hidden, outputs)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor by name."""
        return self.kind.shapes(self.sizes)

    @property
    def n_parameters(self) -> int:
        """Numbers in all tensors."""
        return sum(math.prod(shape) for shape in self.shapes.values())


def check_hidden(
    field: str, sizes: object, network: str, at_most: int = MAX_PARAMETERS
) -> tuple[int, ...]:
    """Check the sizes of hidden layers, and return them.

    Raises:
        TypeError: They are not a list of whole numbers.
        ConfigError: Too few or too many, or one out of range.
    """
    if not isinstance(sizes, (list, tuple)):
        raise TypeError(f"{field} must be a list, got {sizes!r} ({type(sizes).__name__})")
    least = 2 if network == "equivariant" else 0
    if not least <= len(sizes) <= MAX_HIDDEN:
        raise ConfigError(
            f"{field} must be {least} to {MAX_HIDDEN} sizes for the network {network!r}, "
            f"got {sizes!r}"
        )
    return tuple(checks.integer(field, size, at_least=1, at_most=at_most) for size in sizes)


def check_base(action: str, base: object) -> None:
    """Check that there is a base allocator where it is to be corrected, and none elsewhere.

    Raises:
        TypeError: The base is no text.
        ConfigError: One is missing, or one is too much.
    """
    if not isinstance(base, str):
        raise TypeError(f"base must be a string, got {base!r} ({type(base).__name__})")
    if ACTION_MAPS[action].corrects and not base:
        raise ConfigError(f"base must name the allocator that action {action!r} corrects, got none")
    if base and not ACTION_MAPS[action].corrects:
        raise ConfigError(
            f"base must be empty where action {action!r} corrects nothing, got {base!r}; "
            "leave it out, or set action to residual"
        )
