"""Where independent jobs run: in processes of this machine, or on a Ray cluster.

Both fill one seam, `Engine`, and give the same answers in the same order.
"""

from __future__ import annotations

from ...envs.errors import ConfigError, unknown_name
from .base import Answer, Engine
from .local import Workers, default_jobs

LOCAL, RAY = ENGINES = ("local", "ray")

__all__ = ["ENGINES", "LOCAL", "RAY", "Answer", "Engine", "Workers", "default_jobs", "make_engine"]


def make_engine(name: str = LOCAL, jobs: int | None = None, address: str | None = None) -> Engine:
    """Return the engine of a name, to be entered.

    Args:
        name: `local` or `ray`.
        jobs: How many jobs at the same time; by default one a core.
        address: Of a running Ray cluster.

    Raises:
        ConfigError: An unknown name, an address that no engine asked for takes, or Ray is missing.
    """
    if name not in ENGINES:
        raise unknown_name("engine", name, ENGINES)
    if name == RAY:
        from .on_ray import RayEngine

        return RayEngine(jobs, address)
    if address is not None:
        raise ConfigError("--ray-address goes with --engine ray, and the engine is local; add it")
    return Workers(jobs or default_jobs())
