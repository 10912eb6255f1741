"""The world: scenarios, tapes, workloads, the simulator and the Gymnasium environments."""

from .errors import ConfigError, TraceError, UnknownNameError
from .loading import load_scenario
from .observation import Observation
from .run import Run, simulate
from .simulator import Simulator
from .spec import Agent, Scenario, Weights
from .tape import Tape

__all__ = [
    "Agent",
    "ConfigError",
    "Observation",
    "Run",
    "Scenario",
    "Simulator",
    "Tape",
    "TraceError",
    "UnknownNameError",
    "Weights",
    "load_scenario",
    "simulate",
]
