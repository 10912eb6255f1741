"""Registries of things that a YAML mapping names by its `kind`: streams, work, trace formats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields
from typing import Any, Generic, TypeVar

from . import checks
from .errors import ConfigError

T = TypeVar("T")


class Kinds(Generic[T]):
    """The frozen dataclasses registered under one noun, built from mappings with a `kind`.

    Every class checks its own values in `__post_init__` and speaks of its fields by their bare
    names; `build` puts the path in front, so that an error reads `workload.streams.nlp.rate …`.
    """

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._known: dict[str, type[T]] = {}

    def __call__(self, kind: str) -> Callable[[type[T]], type[T]]:
        """Return a decorator that registers a class under `kind`; a second one is an error."""

        def register(cls: type[T]) -> type[T]:
            if kind in self._known:
                other = self._known[kind].__name__
                raise ValueError(
                    f"{self.noun} kind {kind!r} must be registered once, got {cls.__name__} after "
                    f"{other}; rename one"
                )
            self._known[kind] = cls
            return cls

        return register

    def names(self) -> tuple[str, ...]:
        """Kinds registered so far, sorted."""
        return tuple(sorted(self._known))

    def kind_of(self, thing: T) -> str:
        """Return the kind that the class of `thing` is registered under.

        Raises:
            TypeError: It is not registered.
        """
        for kind, cls in self._known.items():
            if type(thing) is cls:
                return kind
        raise TypeError(
            f"{self.noun} {thing!r} must be of a registered kind; decorate its class with one"
        )

    def build(self, content: object, at: str) -> T:
        """Build the object that the mapping `content`, standing at path `at`, describes.

        Raises:
            ConfigError: No or an unknown kind, an unknown or missing key, a value out of range.
            TypeError: A value of the wrong type.
        """
        values = checks.mapping(at, content)
        if "kind" not in values:
            raise ConfigError(
                f"{at} lacks the required key 'kind'; add one of {', '.join(self.names())}"
            )
        kind = checks.one_of(f"{at}.kind", values["kind"], self.names())
        return build(self._known[kind], {k: v for k, v in values.items() if k != "kind"}, at)


def nested(kinds: Kinds[Any]) -> dict[str, Kinds[Any]]:
    """Return the metadata of a dataclass field whose value `kinds` builds from a mapping."""
    return {"kinds": kinds}


def build(cls: type[T], content: Mapping[str, object], at: str) -> T:
    """Build a dataclass from a mapping of its fields, strictly; a `from_mapping` of its own wins.

    Raises:
        ConfigError: An unknown or missing key, a value out of range.
        TypeError: A value of the wrong type.
    """
    custom = getattr(cls, "from_mapping", None)
    if custom is not None:
        made: T = custom(content, at)
        return made
    return construct(cls, content, at)


def construct(cls: type[T], content: Mapping[str, object], at: str) -> T:
    """Build a dataclass from the values of its fields, those of `nested` fields from mappings."""
    known = {f.name: f for f in fields(cls) if f.init}  # type: ignore[arg-type]
    required = [
        name for name, f in known.items() if f.default is MISSING and f.default_factory is MISSING
    ]
    checks.keys(at, content, known, required)
    values = dict(content)
    for name, value in content.items():
        kinds = known[name].metadata.get("kinds")
        if kinds is not None and value is not None:
            values[name] = kinds.build(value, f"{at}.{name}")
    with prefixed(at):
        return cls(**values)


@contextmanager
def prefixed(at: str) -> Iterator[None]:
    """Put the path `at` in front of the field that an error raised inside speaks of."""
    try:
        yield
    except (ConfigError, TypeError) as error:
        raise type(error)(f"{at}.{error}") from error
