"""Parameters of allocators: how they are written, which values a file may give, what tuning draws.

The parameters of an allocator are the fields of its dataclass that its constructor takes; those of
any other class are its own affair.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ..envs.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from ..envs.spec import Scenario


class Range(NamedTuple):
    """Where tuning draws a number from: uniformly, or uniformly in its logarithm, ends included.

    Of a field that holds whole numbers it draws whole ones.
    """

    name: str
    low: float
    high: float
    log: bool = False

    @property
    def ends(self) -> tuple[float, ...]:
        """Values that the allocator has to take for the range to make sense."""
        return (self.low, self.high)

    def holds(self, value: Any) -> bool:
        """Whether the value can be drawn."""
        return bool(self.low <= value <= self.high)


class Choice(NamedTuple):
    """Words or truth values that tuning chooses one of."""

    name: str
    options: tuple[str | bool, ...]

    @property
    def ends(self) -> tuple[str | bool, ...]:
        """Values that the allocator has to take for the choice to make sense."""
        return self.options

    def holds(self, value: Any) -> bool:
        """Whether the value can be drawn."""
        return value in self.options


def field_types(cls: type) -> dict[str, type]:
    """Return names and types of the fields that a dataclass is built from; empty for others."""
    if not dataclasses.is_dataclass(cls):
        return {}
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def field_defaults(cls: type) -> dict[str, object]:
    """Return the defaults of those fields."""
    return {name: getattr(cls, name) for name in field_types(cls)}


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


def check_type(field: str, value: object, kind: type) -> None:
    """Check that a value read from a file has the type of its field; bounds are the class's.

    Raises:
        TypeError: It has not; a whole number is a float, too, and truth values are no numbers.
    """
    accepted = (int, float) if kind is float else (kind,)
    if type(value) not in accepted:
        words = {float: "a number", int: "a whole number", bool: "true or false", str: "a string"}
        raise TypeError(f"{field} must be {words.get(kind, kind.__name__)}, got {value!r}")


def check_truth(field: str, value: object) -> None:
    """Check a field that is true or false."""
    check_type(field, value, bool)


def guaranteeable(
    scenario: Scenario, name: str, way_out: str = "lower it or enlarge the pool"
) -> None:
    """Check that the minimum shares fit into the pool.

    Raises:
        ConfigError: They sum to more.
    """
    minimum = float(scenario.min_share.sum())
    # The paper's minima add up to the pool, give or take a rounding.
    if minimum > scenario.gpus * (1.0 + 1e-12):
        raise ConfigError(
            f"min_share of all agents must sum to at most gpus = {scenario.gpus:g} where {name} "
            f"guarantees it, got {minimum:g}; {way_out}"
        )
