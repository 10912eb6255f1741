"""Files of a run that hold numbers: the finished policy, and checkpoints to go on from.

Both are safetensors: no file that is read here can run code.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from safetensors.numpy import save as save_arrays
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy

from ..baselines.learned import FORMAT, HEADER_FILE, WEIGHTS_FILE, Header, Policy
from ..envs.errors import ConfigError
from ..envs.observation import N_FEATURES, SCHEMA
from ..envs.spec import Scenario
from .config import TrainConfig
from .policy import linear_layers

CHECKPOINT_FILE = "checkpoint.safetensors"
MAX_CHECKPOINT_BYTES = 1_000_000_000

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
    sizes = [scenario.n_agents * N_FEATURES]
    for i, layer in enumerate(linear_layers(policy)):
        arrays[f"{i}.weight"] = layer.weight.detach().numpy().copy()
        arrays[f"{i}.bias"] = layer.bias.detach().numpy().copy()
        sizes.append(layer.out_features)
    header = Header(
        format=FORMAT,
        observation=SCHEMA,
        scenario=scenario.name,
        n_agents=scenario.n_agents,
        n_features=N_FEATURES,
        layers=tuple(sizes),
        activation=config.activation,
        action=config.action,
        weights_sha256=hashlib.sha256(save_arrays(arrays)).hexdigest(),
    )
    return header, arrays


def save_checkpoint(folder: Path, model: PPO, state: Mapping[str, Any]) -> None:
    """Write weights, optimiser and `state` (JSON) in one move: whole or not at all."""
    tensors = {f"policy.{k}": v.contiguous() for k, v in model.policy.state_dict().items()}
    for i, moments in model.policy.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": v.contiguous() for k, v in moments.items()}
    data = save_tensors(tensors, metadata={"state": json.dumps(dict(state))})
    write_bytes(folder / CHECKPOINT_FILE, data)


def load_checkpoint(folder: Path, model: PPO) -> dict[str, Any]:
    """Put a checkpoint's weights and optimiser into a model and return its state.

    Raises:
        ConfigError: There is none, or it is damaged or of another network.
    """
    path = folder / CHECKPOINT_FILE
    try:
        if path.stat().st_size > MAX_CHECKPOINT_BYTES:
            raise ConfigError(f"{path} must hold at most {MAX_CHECKPOINT_BYTES} bytes, got more")
        tensors = load_tensors(path.read_bytes())
        with safetensors.safe_open(path, framework="pt") as file:
            state: dict[str, Any] = json.loads(file.metadata()["state"])
        _restore(model, tensors)
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror or error}; the run ended before its first "
            "checkpoint: start again in another folder"
        ) from error
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, ConfigError):
            raise
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} must be a checkpoint of this network: {reason:.300}") from error
    return state


def _restore(model: PPO, tensors: Mapping[str, torch.Tensor]) -> None:
    weights = {k.removeprefix("policy."): v for k, v in tensors.items() if k.startswith("policy.")}
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise ValueError("its tensors must hold finite numbers")
    model.policy.load_state_dict(weights)
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, place, key = name.split(".")
            moments.setdefault(int(place), {})[key] = tensor
    optimizer = model.policy.optimizer
    for i, parameter in enumerate(optimizer.param_groups[0]["params"]):
        if i in moments and moments[i]["exp_avg"].shape != parameter.shape:
            raise ValueError(f"optimiser state {i} must have the shape {tuple(parameter.shape)}")
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": moments, "param_groups": groups})


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
