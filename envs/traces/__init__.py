"""Real request traces: where they come from, how they are found, checked and read.

Every module of this package registers its format when it is imported, and all of them are imported
here: a new format is one new file, a new trace of a known format one YAML file.
"""

from __future__ import annotations

import importlib
import pkgutil

from .calls import FORMATS, Format, TraceCalls
from .registry import TraceSpec, load_spec, trace_names
from .trace import Trace, TraceStatus, load_trace, trace_status

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "FORMATS",
    "Format",
    "Trace",
    "TraceCalls",
    "TraceSpec",
    "TraceStatus",
    "load_spec",
    "load_trace",
    "trace_names",
    "trace_status",
]
