"""GPU types: what a machine of each kind has, how fast it is and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

# The module, not its names: it reads scenario files, which name GPU types.
from . import checks, loading
from .errors import ConfigError, did_you_mean
from .kinds import construct
from .mig import SPEED

DEFAULT = "A10G"  # what throughputs are of, where nothing is said


@dataclass(frozen=True, kw_only=True)
class GpuType:
    """A kind of GPU that can be rented.

    Attributes:
        name: What it is called.
        memory_mb: Memory of one GPU [MB].
        speed: How fast it serves, relative to an A10G.
        price_per_gpu_hour: Price of one GPU [$/h].
        mig: Kind of `Scenario.partition` that it can be cut by; `None` where it cannot.

    Raises:
        TypeError: A value of the wrong type.
        ConfigError: A value out of its range.
    """

    name: str = "custom"
    memory_mb: float
    speed: float
    price_per_gpu_hour: float
    mig: str | None = None

    def __post_init__(self) -> None:
        checks.text("name", self.name)
        checks.number("memory_mb", self.memory_mb, above=0)
        checks.number("speed", self.speed, above=0)
        checks.number("price_per_gpu_hour", self.price_per_gpu_hour, at_least=0)
        if self.mig is not None:
            checks.one_of("mig", self.mig, SPEED)


@cache
def gpu_types() -> Mapping[str, GpuType]:
    """Return the types of `configs/gpus.yaml` by name, in its order."""
    file = resources.files(f"{__package__.rsplit('.', 1)[0]}.configs") / "gpus.yaml"
    types = {}
    for name, content in loading.read_yaml(file).items():
        at = f"gpus.{name}"
        types[name] = construct(GpuType, {"name": name, **checks.mapping(at, content)}, at)
    return MappingProxyType(types)


def gpu_type(content: object, at: str = "gpu") -> GpuType:
    """Return the type of this name, or the one that a mapping of its fields describes.

    Args:
        content: Name or mapping.
        at: Where it stands, for errors.

    Raises:
        TypeError: Neither a name nor a mapping, or a value of the wrong type.
        ConfigError: An unknown name, an unknown or missing key, a value out of range.
    """
    if isinstance(content, Mapping):
        return construct(GpuType, checks.mapping(at, content), at)
    if not isinstance(content, str):
        raise TypeError(
            f"{at} must be the name of a GPU type or a mapping of its fields, got {content!r}"
        )
    types = gpu_types()
    if content not in types:
        # Of an A100 there are several: any of them is meant rather than an H100.
        begun = [name for name in types if content and name.startswith(content)]
        hint = did_you_mean(content, begun or types)
        raise ConfigError(f"{at} must be one of {', '.join(types)}, got {content!r}{hint}")
    return types[content]
