"""Policies of random numbers, written as training writes them, shared by the tests of policies."""

import hashlib
import json

import numpy as np
from safetensors.numpy import save as save_tensors

from slicegym.envs.observation import N_FEATURES, SCHEMA

N = 3
HEADER = {
    "format": "slicegym-policy-2",
    "observation": SCHEMA,
    "scenario": "custom",
    "network": "mlp",
    "n_agents": N,
    "n_features": N_FEATURES,
    "hidden": [8, 5],
    "activation": "tanh",
    "action": "direct",
    "base": "",
}
EQUIVARIANT = {
    "network": "equivariant",
    "hidden": [7, 6, 5],
    "activation": "relu",
    "action": "residual",
    "base": "demand:tuned=false,exponent=0.5",
}


def layer(name, inputs, outputs, rng):
    weight = rng.normal(0, 0.7, (outputs, inputs)).astype(np.float32)
    bias = rng.normal(0, 0.7, outputs).astype(np.float32)
    return {f"{name}.weight": weight, f"{name}.bias": bias}


def random_tensors(n=N, seed=0):
    """Return those of HEADER's network for n agents."""
    rng = np.random.default_rng(seed)
    tensors = layer("hidden.0", n * N_FEATURES, 8, rng) | layer("hidden.1", 8, 5, rng)
    return tensors | layer("head", 5, n, rng)


def equivariant_tensors(seed=26):
    """Return those of EQUIVARIANT's network; it opens some agents, closes some, scales the rest."""
    rng = np.random.default_rng(seed)
    tensors = layer("encoder", N_FEATURES + 1, 7, rng) | layer("decoder.0", 7, 6, rng)
    tensors |= layer("decoder.1", 6, 5, rng) | layer("head", 5, 1, rng)
    context = rng.normal(0, 0.7, (6, 14)).astype(np.float32)
    tensors["head.weight"] *= np.float32(0.3)
    return tensors | {"context.weight": context}


def write_policy(folder, tensors=None, data=None, **changes):
    """Write a policy whose header names the right sum, whatever else is wrong with it."""
    header = {**HEADER, **changes}
    if data is None:
        data = save_tensors(random_tensors() if tensors is None else tensors)
    folder.mkdir(exist_ok=True)
    (folder / "policy.safetensors").write_bytes(data)
    header.setdefault("weights_sha256", hashlib.sha256(data).hexdigest())
    header = {key: value for key, value in header.items() if value != "left out"}
    (folder / "policy.json").write_text(json.dumps(header))
    return folder
