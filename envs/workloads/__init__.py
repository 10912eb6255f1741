"""Workloads: where the tapes of a scenario come from.

Every module of this package registers its kinds when it is imported, and all of them are imported
here: a new kind of stream, work or workload is one new file.
"""

from __future__ import annotations

import importlib
import pkgutil

from .base import (
    SEEDS,
    SPLITS,
    STREAMS,
    WORKLOADS,
    Episode,
    Stream,
    Workload,
    build_workload,
)
from .work import WORK, Work

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "SEEDS",
    "SPLITS",
    "STREAMS",
    "WORK",
    "WORKLOADS",
    "Episode",
    "Stream",
    "Work",
    "Workload",
    "build_workload",
]
