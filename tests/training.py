"""A scenario and a configuration that train in a second, shared by the tests of training."""

SCENARIO = {
    "agents": [
        {"name": "a", "throughput": 4, "cold_start_s": 2, "keep_alive_s": 3, "footprint": 0.25},
        {"name": "b", "throughput": 2, "priority": 2, "footprint": 0.25},
    ],
    "gpus": 2,
    "horizon_s": 20,
    "reference_rate": 2,
    "workload": {
        "kind": "streams",
        "suite_episodes": 3,
        "streams": {
            "a": {"kind": "poisson", "rate": 2, "work": {"kind": "exponential"}},
            "b": {"kind": "poisson", "rate": 1},
        },
    },
}
TINY = {
    "n_envs": 8,
    "n_steps": 16,
    "batch_size": 64,
    "n_epochs": 2,
    "net_arch": (16, 16),
    "total_timesteps": 1024,
    "eval_every": 256,
    "baselines": ("static", "demand"),
}


def files(folder):
    """Return the names of what lies in a folder."""
    return {path.name for path in folder.iterdir()}
