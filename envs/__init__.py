"""The world: scenarios, tapes, workloads, the simulator and the Gymnasium environments."""

from .agent import Agent
from .errors import ConfigError, TraceError, UnknownNameError
from .loading import load_scenario
from .observation import Observation
from .platform import Elastic, Node
from .run import Run, simulate
from .simulator import Simulator
from .spec import Scenario, Weights
from .tape import Tape

__all__ = [
    "Agent",
    "ConfigError",
    "Elastic",
    "Node",
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
