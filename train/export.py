"""The finished policy as the two files that `learned` runs in NumPy."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as save_arrays
from stable_baselines3 import PPO

from ..baselines import make_allocator
from ..baselines.action_map import ACTION_MAPS
from ..baselines.learned import Policy
from ..baselines.policy.files import HEADER_FILE, WEIGHTS_FILE
from ..baselines.policy.header import FORMAT, Header
from ..envs.observation import SCHEMA, feature_places, n_features
from ..envs.spec import Scenario
from .config import TrainConfig
from .policy import AllocationPolicy


def numpy_policy(model: PPO, config: TrainConfig, scenario: Scenario) -> Policy:
    """Return the model's deterministic policy as it stands, in NumPy."""
    return Policy(*_exported(model, config, scenario))


def save_policy(folder: Path, model: PPO, config: TrainConfig, scenario: Scenario) -> None:
    """Write the two files that `learned:FOLDER` runs, replacing those of a worse policy."""
    header, arrays = _exported(model, config, scenario)
    write_bytes(folder / WEIGHTS_FILE, save_arrays(arrays))
    text = json.dumps(dataclasses.asdict(header), indent=2) + "\n"
    write_bytes(folder / HEADER_FILE, text.encode())


def _exported(
    model: PPO, config: TrainConfig, scenario: Scenario
) -> tuple[Header, dict[str, NDArray[np.float32]]]:
    assert isinstance(model.policy, AllocationPolicy)
    weights = model.policy.actor.state_dict()
    arrays = {name: tensor.numpy().copy() for name, tensor in weights.items()}
    first = next(iter(arrays.values()))  # an absent feature was 0 in training
    inputs = n_features(scenario) + ACTION_MAPS[config.action].corrects
    first.reshape(len(first), -1, inputs)[..., feature_places(scenario, config.without)] = 0.0
    header = Header(
        format=FORMAT,
        observation=SCHEMA,
        scenario=scenario.name,
        network=config.network,
        n_agents=scenario.n_agents,
        n_features=n_features(scenario),
        hidden=config.net_arch,
        activation=config.activation,
        action=config.action,
        base=pinned(config.base, scenario) if config.pinned else config.base,
        weights_sha256=hashlib.sha256(save_arrays(arrays)).hexdigest(),
    )
    return header, arrays


def pinned(base: str, scenario: Scenario) -> str:
    """Return an allocator's spec with every parameter that it has in a scenario.

    What is tuned later must not change what a policy corrects.
    """
    if not base:
        return base
    allocator = make_allocator(base)
    allocator.reset(scenario)
    values = {"tuned": False, **allocator.parameters()} if allocator.parameters() else {}
    text = ",".join(f"{name}={str(value).lower()}" for name, value in values.items())
    return ":".join(filter(None, (base.partition(":")[0], text)))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
