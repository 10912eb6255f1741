"""Faults: what goes wrong in a scenario, drawn into its tapes (docs/platform.md, "Faults").

Every module of this package registers its kinds when it is imported, and all of them are imported
here: a new kind of fault is one new file.
"""

from __future__ import annotations

import importlib
import pkgutil

from .base import FAULTS, Fault
from .drawing import build_faults, check_faults, with_faults

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["FAULTS", "Fault", "build_faults", "check_faults", "with_faults"]
