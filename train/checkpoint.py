"""Checkpoints to go on from: safetensors and JSON, so that reading one cannot run code.

A run that goes on from one ends with the same bytes as a run that was never cut, on the same
machine with as many threads of torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from stable_baselines3 import PPO

from ..envs import checks
from ..envs.errors import ConfigError
from .export import write_bytes
from .state import learner_state, restore_learner

CHECKPOINT_FILE = "checkpoint.safetensors"
FORMAT = "slicegym-checkpoint-2"
MAX_CHECKPOINT_BYTES = 10_000_000_000
# What is noted of a new run: timesteps of the last evaluation, those from which on the next is due,
# timesteps and reward of the best policy, and the time that it took [s].
NEW_NOTES: Mapping[str, Any] = {"timesteps": None, "next": 0, "best": None, "wall_s": 0.0}
BETWEEN = "/"  # in the name of a tensor, between the keys that lead to it
DAMAGE = (safetensors.SafetensorError, LookupError, TypeError, ValueError, RuntimeError)


def save_checkpoint(folder: Path, model: PPO, notes: Mapping[str, Any]) -> None:
    """Write a model between two updates, and the notes with it: whole or not at all."""
    write_bytes(folder / CHECKPOINT_FILE, pack({"learner": learner_state(model), "notes": notes}))


def load_checkpoint(folder: Path, model: PPO) -> dict[str, Any]:
    """Put a checkpoint into a new model and return its notes.

    Raises:
        ConfigError: There is none, or it is damaged or of another run.
    """
    path = folder / CHECKPOINT_FILE
    try:
        if path.stat().st_size > MAX_CHECKPOINT_BYTES:
            raise ConfigError(f"it must hold at most {MAX_CHECKPOINT_BYTES} bytes, got more")
        state = unpack(path.read_bytes())
        restore_learner(model, state["learner"])
        notes = _checked(checks.mapping("notes", state["notes"]))
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror or error}; the run ended before its first "
            "checkpoint: start again in another folder"
        ) from error
    except DAMAGE as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} must be a checkpoint of this run: {reason:.300}") from error
    return notes


def _checked(notes: Mapping[str, Any]) -> dict[str, Any]:
    checks.keys("notes", notes, NEW_NOTES, required=NEW_NOTES)
    best, names = checks.mapping("notes.best", notes["best"]), ("timesteps", "reward")
    checks.keys("notes.best", best, names, required=names)
    checks.number("notes.best.reward", best["reward"])
    for name, value in (("best.timesteps", best["timesteps"]), *notes.items()):
        if name != "best":
            checks.number(f"notes.{name}", value, at_least=0)
    return dict(notes)


def pack(state: Mapping[str, Any]) -> bytes:
    """Return nested mappings as safetensors: arrays as tensors, the rest as JSON in the header."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}

    def rest(mapping: Mapping[str, Any], place: str) -> dict[str, Any]:
        left = {}
        for key, value in mapping.items():
            if isinstance(value, np.ndarray):
                arrays[place + key] = np.asarray(value, order="C")
            elif isinstance(value, Mapping):
                left[key] = rest(value, place + key + BETWEEN)
            else:
                left[key] = value
        return left

    text = json.dumps({"format": FORMAT, **rest(state, "")}, allow_nan=False)
    return save_arrays(arrays, metadata={"state": text})  # several would come in random order


def unpack(data: bytes) -> dict[str, Any]:
    """Return what `pack` was given.

    Raises:
        SafetensorError, LookupError, TypeError, ValueError, RuntimeError: It is something else.
    """
    size = int.from_bytes(data[:8], "little")
    arrays = load_arrays(data)  # checks the size too
    header = json.loads(data[8 : 8 + size])["__metadata__"]
    state = dict(checks.mapping("state", json.loads(header["state"])))
    found = state.pop("format", None)
    if found != FORMAT:
        raise ConfigError(
            f"format must be {FORMAT!r}, got {found!r:.60}; another version wrote it, so that this "
            "one cannot go on from it: start again in another folder"
        )
    for name, array in arrays.items():
        *places, key = name.split(BETWEEN)
        inner: Any = state
        for place in places:
            inner = inner[place]
        inner[key] = array
    return state
