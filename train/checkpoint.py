"""Checkpoints to go on from: safetensors, so that reading one cannot run code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from stable_baselines3 import PPO

from ..envs.errors import ConfigError
from .export import write_bytes

CHECKPOINT_FILE = "checkpoint.safetensors"
MAX_CHECKPOINT_BYTES = 1_000_000_000
SCALE = ("mean", "var", "count")


def save_checkpoint(folder: Path, model: PPO, notes: Mapping[str, Any]) -> None:
    """Write a model between two updates, and `notes` (JSON) with it: whole or not at all.

    It holds weights, optimiser, timesteps and the statistics that rewards are scaled by.
    """
    tensors = {f"policy.{k}": v.contiguous() for k, v in model.policy.state_dict().items()}
    for i, moments in model.policy.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": v.contiguous() for k, v in moments.items()}
    state: dict[str, Any] = {"timesteps": model.num_timesteps, "notes": dict(notes)}
    env = model.get_vec_normalize_env()
    if env is not None:
        state["reward_scale"] = {name: float(getattr(env.ret_rms, name)) for name in SCALE}
    data = save_tensors(tensors, metadata={"state": json.dumps(state)})
    write_bytes(folder / CHECKPOINT_FILE, data)


def load_checkpoint(folder: Path, model: PPO) -> dict[str, Any]:
    """Put a checkpoint into a new model and return its notes.

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
        model.num_timesteps = int(state["timesteps"])
        env = model.get_vec_normalize_env()
        if env is not None:
            for name in SCALE:
                setattr(env.ret_rms, name, np.float64(state["reward_scale"][name]))
        notes: dict[str, Any] = state["notes"]
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror or error}; the run ended before its first "
            "checkpoint: start again in another folder"
        ) from error
    except ConfigError:
        raise
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} must be a checkpoint of this network: {reason:.300}") from error
    return notes


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
