"""Speed of training: `python -m slicegym.train.bench --json -`, run by `slicegym-eval bench`."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from ..envs.errors import ConfigError
from ..envs.loading import load_scenario
from ..eval.output import to_json, write_atomically
from .cli import require_libraries

# A small network on four agents. Large minibatches: a step of the optimiser costs the same time
# whether its minibatch holds 64 decisions or 1,000.
SETTING: dict[str, Any] = {
    "scenario": "bursty",
    "n_envs": 256,
    "n_steps": 64,
    "batch_size": 8192,
    "n_epochs": 2,
    "torch_threads": 1,
}
# Figure by the network that is trained: a plain one, and what the zoo is made of.
NETWORKS: dict[str, dict[str, Any]] = {
    "ppo_steps_per_s": {"net_arch": [64, 64]},
    "ppo_equivariant_steps_per_s": {
        "network": "equivariant",
        "net_arch": [32, 32, 32],
        "action": "residual",
        "base": "demand",
        "outlook": True,
    },
}
UPDATES = 4  # in one measurement


def measure(repeats: int) -> dict[str, Any]:
    """Return timesteps per second of PPO, rollouts and updates together, the best of the repeats.

    All is included that a training run does between two validations; compiling is not.
    """
    import torch

    figures = {name: _steps_per_s({**SETTING, **own}, repeats) for name, own in NETWORKS.items()}
    return {**figures, "setting": SETTING, "networks": NETWORKS, "torch": torch.__version__}


def _steps_per_s(setting: dict[str, Any], repeats: int) -> float:
    import torch

    from .config import TrainConfig
    from .ppo import make_env, make_model

    config = TrainConfig(**setting)
    torch.set_num_threads(config.torch_threads)
    scenario = load_scenario(config.scenario)
    model = make_model(config, make_env(config, scenario), scenario)
    model.learn(config.timesteps_per_update)
    timesteps = UPDATES * config.timesteps_per_update
    best = float("inf")
    for _ in range(repeats):
        begun = time.perf_counter()
        model.learn(timesteps, reset_num_timesteps=False)
        best = min(best, time.perf_counter() - begun)
    return timesteps / best


def main() -> int:
    """Print or write the figure; 2 and one line where it cannot be taken."""
    parser = argparse.ArgumentParser(prog="python -m slicegym.train.bench", description=__doc__)
    parser.add_argument("--json", metavar="FILE|-", default="-", help="where the figure goes")
    parser.add_argument("--quick", action="store_true", help="one measurement: a look")
    asked = parser.parse_args()
    try:
        require_libraries()
        text = to_json(measure(1 if asked.quick else 5))
        if asked.json == "-":
            sys.stdout.write(text)
        else:
            write_atomically(Path(asked.json), text)
    except (ConfigError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
