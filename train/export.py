"""The finished policy as the two files that `learned` runs in NumPy."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as save_arrays
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy

from ..baselines.learned import FORMAT, HEADER_FILE, WEIGHTS_FILE, Header, Policy
from ..envs.observation import SCHEMA, n_features
from ..envs.spec import Scenario
from .config import TrainConfig
from .policy import linear_layers

Arrays = dict[str, np.ndarray[Any, np.dtype[np.float32]]]


def numpy_policy(model: PPO, config: TrainConfig, scenario: Scenario) -> Policy:
    """Return the model's deterministic policy as it stands, in NumPy."""
    header, arrays = _exported(model.policy, config, scenario)
    n_layers = len(header.layers) - 1
    return Policy(header, [(arrays[f"{i}.weight"], arrays[f"{i}.bias"]) for i in range(n_layers)])


def save_policy(folder: Path, model: PPO, config: TrainConfig, scenario: Scenario) -> None:
    """Write the two files that `learned:FOLDER` runs, replacing those of a worse policy."""
    header, arrays = _exported(model.policy, config, scenario)
    write_bytes(folder / WEIGHTS_FILE, save_arrays(arrays))
    text = json.dumps(dataclasses.asdict(header), indent=2) + "\n"
    write_bytes(folder / HEADER_FILE, text.encode())


def _exported(
    policy: ActorCriticPolicy, config: TrainConfig, scenario: Scenario
) -> tuple[Header, Arrays]:
    arrays: Arrays = {}
    sizes = [scenario.n_agents * n_features(scenario)]
    for i, layer in enumerate(linear_layers(policy)):
        arrays[f"{i}.weight"] = layer.weight.detach().numpy().copy()
        arrays[f"{i}.bias"] = layer.bias.detach().numpy().copy()
        sizes.append(layer.out_features)
    header = Header(
        format=FORMAT,
        observation=SCHEMA,
        scenario=scenario.name,
        n_agents=scenario.n_agents,
        n_features=n_features(scenario),
        layers=tuple(sizes),
        activation=config.activation,
        action=config.action,
        weights_sha256=hashlib.sha256(save_arrays(arrays)).hexdigest(),
    )
    return header, arrays


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
