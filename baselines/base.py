"""What an allocator is, and the registry that every caller finds it through.

A new allocator is one file in this folder:

    @register("half")
    class Half(Allocator):
        def allocate(self, observation: Observation) -> Shares:
            return np.full(observation.queue.shape, observation.scenario.gpus / 2)
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..envs.errors import ConfigError, unknown_name
from ..envs.loading import unsized
from .parameters import Choice as Choice
from .parameters import Range as Range
from .parameters import field_types, parse_fields
from .tuned import tuned_values

if TYPE_CHECKING:
    from ..envs.observation import Observation
    from ..envs.spec import Scenario

Shares = NDArray[np.float64]


class Allocator(ABC):
    """Decides shares from what a platform could measure, once per decision interval.

    An allocator keeps nothing between decisions but constants of the scenario, unless `reset`
    clears it: then one instance can play any number of episodes, alone or in a batch.

    Attributes:
        name: Name in the registry, set by `register`.
        causal: Whether it decides from the observation alone; a bound that reads the tape says no.
        search_space: Parameters that tuning may choose; empty where there is nothing to tune.
        beyond_linear: What makes a decision cost more than a few passes over the agents, such as
            "sorts"; empty for O(N), which `slicegym-eval bench` then holds to its targets.
        needs_file: Whether its name alone makes none: it wants a folder behind a colon.
        trained: Whether it runs a trained policy; another policy cannot correct such a one.
        folder: Where the trained policy was read that plays; None for a rule.
    """

    name: ClassVar[str] = ""
    causal: ClassVar[bool] = True
    search_space: ClassVar[tuple[Range | Choice, ...]] = ()
    beyond_linear: ClassVar[str] = ""
    needs_file: ClassVar[bool] = False
    trained: ClassVar[bool] = False
    folder: Path | Traversable | None = None

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

    def parameters(self) -> dict[str, Any]:
        """Return the values of its parameters by name; tuned ones are those of the last reset."""
        return {name: getattr(self, name) for name in field_types(type(self))}

    @classmethod
    def from_text(cls, text: str) -> Allocator:
        """Build one from what follows the colon in `name:text`, here `field=value,field=value`.

        Fields that the text leaves out have the values that were tuned for the scenario played,
        or with `tuned=false` their defaults.
        """
        types = field_types(cls)
        given = parse_fields(cls.name, text, {**types, "tuned": bool} if types else {})
        tuned = tuned_values(cls) if given.pop("tuned", True) else {}
        return Tuned(cls, given, tuned) if tuned else cls(**given)

    @classmethod
    def examples(cls) -> tuple[str, ...]:
        """Texts for `make_allocator` that play any scenario: the contract tests run on them."""
        return (cls.name,)


class Tuned(Allocator):
    """An allocator with what was tuned for the scenario that it plays, built anew at each `reset`.

    Args:
        kind: Class of the allocator.
        given: Fields that go before the tuned ones; what neither has is at its default.
        tuned: Tuned fields by the name of their scenario.

    Raises:
        ConfigError: A given value that its field may not have.
    """

    def __init__(
        self,
        kind: type[Any],
        given: Mapping[str, object],
        tuned: Mapping[str, Mapping[str, object]],
    ) -> None:
        self._kind, self._given, self._tuned = kind, given, tuned
        self._inner: Allocator = kind(**given)
        self._scenario: Scenario | None = None

    def reset(self, scenario: Scenario) -> None:
        """Look the scenario up and prepare the allocator that is meant there.

        Raises:
            ConfigError: It refuses the scenario, or a given value together with the tuned ones.
        """
        self._inner = self._for(unsized(scenario.name))
        self._inner.reset(scenario)
        self._scenario = scenario

    def _for(self, scenario: str) -> Allocator:
        values = self._tuned.get(scenario, {})
        try:
            built: Allocator = self._kind(**{**values, **self._given})
        except ConfigError as error:
            raise ConfigError(
                f"{error}, beside what was tuned for {scenario}; give more, or tuned=false"
            ) from None
        return built

    def parameters(self) -> dict[str, Any]:
        """Return those of the allocator that is meant in the scenario of the last reset."""
        return self._inner.parameters()

    def allocate(self, observation: Observation) -> Shares:
        """Return its shares."""
        if observation.scenario is not self._scenario:
            self.reset(observation.scenario)
        return self._inner.allocate(observation)


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
