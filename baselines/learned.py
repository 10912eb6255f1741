"""A trained policy as an allocator: numbers from safetensors, run in NumPy, without torch.

A policy is two files of one folder. `policy.json` says what the numbers mean (`Header`);
`policy.safetensors` holds, for layer i, `i.weight` (outputs, inputs) and `i.bias` (outputs,),
float32. Neither can run code, and both are checked against each other before anything is decided.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import load as load_tensors

from ..envs import checks
from ..envs.errors import ConfigError
from ..envs.kernel.observe import EXTRA_COLUMNS
from ..envs.observation import N_FEATURES, SCHEMA, Encoding, n_features
from .action_map import ACTION_MAPS
from .base import Allocator, Shares, register

if TYPE_CHECKING:
    from ..envs.observation import Observation
    from ..envs.spec import Scenario

Weights = NDArray[np.float32]
Layer = tuple[Weights, Weights]  # weight (outputs, inputs), bias (outputs,)

FORMAT = "slicegym-policy-1"
HEADER_FILE, WEIGHTS_FILE = "policy.json", "policy.safetensors"
MAX_HEADER_BYTES = 64_000
MAX_LAYERS = 16
MAX_PARAMETERS = 50_000_000
ROOM = 100_000  # bytes that a safetensors file may hold besides its numbers

ACTIVATIONS: Mapping[str, Callable[[Weights], Weights]] = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, np.float32(0.0)),
}


@dataclass(frozen=True)
class Header:
    """What the numbers of a policy mean.

    Attributes:
        format: Of the two files; `FORMAT`.
        observation: Schema of the flat observation that the policy was trained on.
        scenario: Name of the scenario that it was trained on; others with as many agents are fine.
        n_agents: N.
        n_features: Features of one agent; the network's input has N times as many.
        layers: Sizes from input to output.
        activation: After every layer but the last.
        action: Name of the action map, which makes shares of the output.
        weights_sha256: Sum of `policy.safetensors`.
    """

    format: str
    observation: str
    scenario: str
    n_agents: int
    n_features: int
    layers: tuple[int, ...]
    activation: str
    action: str
    weights_sha256: str

    def __post_init__(self) -> None:
        checks.one_of("format", self.format, [FORMAT])
        self._check_observation()
        checks.text("scenario", self.scenario)
        checks.text("weights_sha256", self.weights_sha256)
        checks.one_of("activation", self.activation, ACTIVATIONS)
        checks.one_of("action", self.action, ACTION_MAPS)
        self._check_layers()

    def _check_observation(self) -> None:
        checks.integer("n_features", self.n_features, at_least=1)
        most = N_FEATURES + len(EXTRA_COLUMNS)
        if self.observation != SCHEMA or not N_FEATURES <= self.n_features <= most:
            raise ConfigError(
                f"observation must be {SCHEMA!r} with {N_FEATURES} to {most} features, as this "
                f"version has it, got {self.observation!r} with {self.n_features!r}; train the "
                "policy again, or install the version that it was trained with"
            )

    def _check_layers(self) -> None:
        checks.integer("n_agents", self.n_agents, at_least=1)
        if not isinstance(self.layers, (list, tuple)) or not 2 <= len(self.layers) <= MAX_LAYERS:
            raise ConfigError(f"layers must be 2 to {MAX_LAYERS} sizes, got {self.layers!r}")
        sizes = [checks.integer("layers", size, at_least=1) for size in self.layers]
        object.__setattr__(self, "layers", tuple(sizes))
        ends = (self.n_agents * self.n_features, ACTION_MAPS[self.action].n_actions(self.n_agents))
        if (sizes[0], sizes[-1]) != ends:
            raise ConfigError(
                f"layers must begin with {ends[0]} features and end with {ends[1]} actions for "
                f"{self.n_agents} agents, got {sizes[0]} and {sizes[-1]}"
            )
        if self.n_parameters > MAX_PARAMETERS:
            raise ConfigError(
                f"layers must have at most {MAX_PARAMETERS} parameters, got {self.n_parameters}"
            )

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor by name."""
        found: dict[str, tuple[int, ...]] = {}
        for i, (inputs, outputs) in enumerate(pairwise(self.layers)):
            found[f"{i}.weight"] = (outputs, inputs)
            found[f"{i}.bias"] = (outputs,)
        return found

    @property
    def n_parameters(self) -> int:
        """Numbers in all tensors."""
        return sum(math.prod(shape) for shape in self.shapes.values())


class Policy:
    """A small network in NumPy.

    Args:
        header: What the numbers mean.
        layers: Weight and bias of each layer, float32.
    """

    def __init__(self, header: Header, layers: Sequence[Layer]) -> None:
        self.header = header
        self.action_map = ACTION_MAPS[header.action]
        self._activation = ACTIVATIONS[header.activation]
        self._layers = [(np.ascontiguousarray(weight.T), bias) for weight, bias in layers]

    def actions(self, flat: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the deterministic actions, shape (..., n) in [-1, 1].

        Args:
            flat: Flat observations, shape (..., N · features), float32.
        """
        # A product per environment, whatever the batch: one large product would sum in an order
        # that depends on the batch's size.
        x = flat[..., np.newaxis, :]
        *hidden, (weight, bias) = self._layers
        for w, b in hidden:
            x = self._activation(x @ w + b)
        mean: NDArray[np.float32] = (x @ weight + bias)[..., 0, :]
        return mean.clip(np.float32(-1.0), np.float32(1.0))


@register("learned", "ppo")
class Learned(Allocator):
    """A policy trained by `slicegym-train`, from its folder: `learned:DIR`, or `ppo:DIR`."""

    beyond_linear = "runs a network"

    def __init__(self, policy: Policy) -> None:
        """Take a policy in memory."""
        self.policy = policy
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
        return cls(load_policy(Path(text)))

    @classmethod
    def examples(cls) -> tuple[str, ...]:
        """None: there is no policy before one is trained."""
        return ()

    def reset(self, scenario: Scenario) -> None:
        """Work out the scenario's constants.

        Raises:
            ConfigError: It has another number of agents than the policy, or other columns.
        """
        header = self.policy.header
        if scenario.n_agents != header.n_agents:
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
        self._encoding = Encoding.of(scenario)
        self._scenario = scenario

    def allocate(self, observation: Observation) -> Shares:
        """Return the shares that the policy asks for."""
        scenario = observation.scenario
        if scenario is not self._scenario:
            self.reset(scenario)
        actions = self.policy.actions(self._encoding.flat(observation))
        fractions = self.policy.action_map.fractions(actions.astype(np.float64))
        shares: Shares = fractions * scenario.gpus
        return shares


def load_policy(folder: Path) -> Policy:
    """Load and check the policy of a folder.

    Raises:
        ConfigError: A file is missing, cut, changed, too large or not what its header says.
    """
    if not (folder / HEADER_FILE).is_file() or not (folder / WEIGHTS_FILE).is_file():
        what = (
            "is not there" if not folder.is_dir() else f"must hold {HEADER_FILE} and {WEIGHTS_FILE}"
        )
        raise ConfigError(
            f"the policy's folder {folder} {what}; name the output folder of a `slicegym-train` run"
        )
    header = _read_header(folder / HEADER_FILE)
    return Policy(header, _read_layers(folder / WEIGHTS_FILE, header))


def _read_header(path: Path) -> Header:
    data = _read(path, MAX_HEADER_BYTES)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path} must be JSON, got {str(error) or 'too deep a nesting'}"
        ) from None
    names = [field.name for field in fields(Header)]
    values: Mapping[str, Any] = checks.mapping(str(path), content)
    checks.keys(str(path), values, names, required=names)
    try:
        return Header(**values)
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _read_layers(path: Path, header: Header) -> list[Layer]:
    data = _read(path, 4 * header.n_parameters + ROOM)
    got = hashlib.sha256(data).hexdigest()
    if got != header.weights_sha256:
        raise ConfigError(
            f"{path} must have the sha256 {header.weights_sha256!r} that its {HEADER_FILE} names, "
            f"got {got}: one of the two was cut or changed; train again, or copy both again"
        )
    try:
        tensors = load_tensors(data)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"{path} must be a safetensors file: {error}") from None
    if set(tensors) != set(header.shapes):
        named = f"{', '.join(header.shapes)}, got {', '.join(sorted(tensors))}"
        raise ConfigError(f"{path} must hold the tensors {named}")
    for name, shape in header.shapes.items():
        _check_tensor(f"{path}: {name}", tensors[name], shape)
    return [(tensors[f"{i}.weight"], tensors[f"{i}.bias"]) for i in range(len(header.layers) - 1)]


def _check_tensor(name: str, tensor: NDArray[Any], shape: tuple[int, ...]) -> None:
    if tensor.dtype != np.float32 or tensor.shape != shape:
        raise ConfigError(
            f"{name} must be float32 of shape {shape}, got {tensor.dtype} of shape {tensor.shape}"
        )
    if not np.isfinite(tensor).all():
        raise ConfigError(
            f"{name} must hold finite numbers; it has {tensor[~np.isfinite(tensor)][0]}"
        )


def _read(path: Path, at_most: int) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(at_most + 1)
    except OSError as error:
        _unreadable(path, error)
    if len(data) > at_most:
        raise ConfigError(f"{path} must hold at most {at_most} bytes, got more")
    return data


def _unreadable(path: Path, error: OSError) -> NoReturn:
    raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
