"""What an allocator is, and the registry that every caller finds it through.

A new allocator is one file in this folder:

    @register("half")
    class Half(Allocator):
        def allocate(self, observation: Observation) -> Shares:
            return np.full(observation.queue.shape, observation.scenario.gpus / 2)
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..envs.errors import ConfigError, did_you_mean, unknown_name

if TYPE_CHECKING:
    from ..envs.observation import Observation
    from ..envs.spec import Scenario

Shares = NDArray[np.float64]


class Range(NamedTuple):
    """Where tuning draws one parameter from: uniformly, or uniformly in its logarithm."""

    name: str
    low: float
    high: float
    log: bool = False


class Allocator(ABC):
    """Decides shares from what a platform could measure, once per decision interval.

    An allocator keeps nothing between decisions but constants of the scenario, unless `reset`
    clears it: then one instance can play any number of episodes, alone or in a batch.

    Attributes:
        name: Name in the registry, set by `register`.
        causal: Whether it decides from the observation alone; a bound that reads the tape says no.
        search_space: Parameters that tuning may choose; empty where there is nothing to tune.
    """

    name: ClassVar[str] = ""
    causal: ClassVar[bool] = True
    search_space: ClassVar[tuple[Range, ...]] = ()

    def reset(self, scenario: Scenario) -> None:  # noqa: B027 - most allocators need no preparation
        """Prepare for an episode of `scenario`; called before its first decision.

        Raises:
            ConfigError: The allocator cannot keep its promises in this scenario.
        """

    @abstractmethod
    def allocate(self, observation: Observation) -> Shares:
        """Return the shares wanted until the next decision.

        Args:
            observation: Arrays over agents, (N,) or (B, N); never written to.

        Returns:
            A new float64 array of the same shape [GPU]: finite and at least 0. The simulator's
            feasibility step scales it down where it sums to more than the pool.
        """

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Build one from what follows the colon in `name:text`, here `field=value,field=value`."""
        return cls(**parse_fields(cls.name, text, field_types(cls)))

    @classmethod
    def examples(cls) -> tuple[str, ...]:
        """Texts for `make_allocator` on which the contract tests run; none if it needs a file."""
        return (cls.name,)


AnyAllocator = TypeVar("AnyAllocator", bound="type[Allocator]")

_REGISTRY: dict[str, type[Allocator]] = {}


def register(*names: str) -> Callable[[AnyAllocator], AnyAllocator]:
    """Register an allocator class under a name, and under further ones as aliases.

    Raises:
        ConfigError: A name is taken.
    """

    def decorate(cls: AnyAllocator) -> AnyAllocator:
        for name in names:
            if name in _REGISTRY:
                raise ConfigError(
                    f"allocator name {name!r} must be unique; {_REGISTRY[name]} has it"
                )
            _REGISTRY[name] = cls
        cls.name = names[0]
        return cls

    return decorate


def names() -> tuple[str, ...]:
    """Names of every registered allocator, aliases left out."""
    _import_all()
    return tuple(sorted(name for name, cls in _REGISTRY.items() if cls.name == name))


def allocator_class(name: str) -> type[Allocator]:
    """Return the class registered under `name`.

    Raises:
        UnknownNameError: Nothing is; the message names the nearest known one.
    """
    _import_all()
    if name not in _REGISTRY:
        raise unknown_name("allocator", name, _REGISTRY)
    return _REGISTRY[name]


def make_allocator(spec: str) -> Allocator:
    """Build an allocator from `name`, `name:field=value,field=value` or `learned:DIR`.

    Raises:
        ConfigError: Unknown name or field, or a value that the field may not have.
    """
    name, colon, text = spec.strip().partition(":")
    cls = allocator_class(name)
    if colon and not text:
        raise ConfigError(
            f"allocator {spec!r} has nothing behind the colon; write {name!r} or name:x=1"
        )
    return cls.from_text(text)


def _import_all() -> None:
    """Import every module of this folder, so that a new file is found without a list to edit."""
    package = __package__ or ""
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")


def parse_fields(name: str, text: str, types: Mapping[str, type]) -> dict[str, object]:
    """Read `field=value,field=value` by the types of the fields that allocator `name` has."""
    values: dict[str, object] = {}
    for item in text.split(",") if text else ():
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not value:
            raise ConfigError(f"allocator {name!r} takes parameters as field=value, got {item!r}")
        if key not in types:
            hint = did_you_mean(key, types) if types else " (it takes none)"
            raise ConfigError(f"allocator {name!r} has no parameter {key!r}{hint}")
        if key in values:
            raise ConfigError(f"allocator {name!r} got the parameter {key!r} twice; keep one")
        values[key] = _convert(f"{name}.{key}", value, types[key])
    return values


def field_types(cls: type) -> dict[str, type]:
    """Return names and types of a dataclass's fields; empty for any other class."""
    if not dataclasses.is_dataclass(cls):
        return {}
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _convert(field: str, value: str, kind: type) -> object:
    if kind is bool:
        if value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise ConfigError(f"{field} must be true or false, got {value!r}")
    try:
        return kind(value)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ConfigError(f"{field} must be {what}, got {value!r}") from None
