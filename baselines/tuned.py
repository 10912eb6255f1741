"""Values that were tuned for an allocator, by scenario: `configs/allocators/NAME.yaml`.

    azure:                 # name of the scenario
      parameters: {target: 0.42, window_s: 3.1}
      tuned: {command: …, split: train, …}    # where they come from; see `slicegym-eval tune`

A parameter that an entry leaves out has its default.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from ..envs import checks
from ..envs.errors import ConfigError
from ..envs.loading import read_yaml, shipped
from .parameters import check_type, field_types

FOLDER = "allocators"
Values = Mapping[str, Any]


@functools.cache
def tuned_values(cls: type[Any]) -> Mapping[str, Values]:
    """Return the tuned values of an allocator class by scenario; empty where no file is shipped.

    Raises:
        ConfigError: An unknown key, or a value that the class does not take.
    """
    files = shipped(FOLDER)
    if cls.name not in files:
        return {}
    file = f"configs/{FOLDER}/{cls.name}.yaml"
    return {
        scenario: _checked(cls, f"{file}: {scenario}", entry)
        for scenario, entry in read_yaml(files[cls.name]).items()
    }


def _checked(cls: type[Any], at: str, entry: object) -> Values:
    """Return the values of an entry that the class has accepted."""
    try:
        content = checks.mapping(at, entry)
        checks.keys(at, content, ("parameters", "tuned"), required=("parameters",))
        values = checks.mapping(f"{at}.parameters", content["parameters"])
        types = field_types(cls)
        checks.keys(f"{at}.parameters", values, types)
        for name, value in values.items():
            check_type(f"{cls.name}.{name}", value, types[name])
        cls(**values)
    except (ConfigError, TypeError) as error:
        message = str(error) if str(error).startswith(at) else f"{at}: {error}"
        raise ConfigError(message) from None
    return values
