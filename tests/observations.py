"""Observations made by hand, for tests of allocators."""

from typing import Any

import numpy as np

from slicegym.envs import Observation, Scenario
from slicegym.envs.kernel.observe import RAW_COLUMNS

COLUMN = {name: place for place, name in enumerate(RAW_COLUMNS)}


def seen(scenario: Scenario, decision: int = 0, **columns: Any) -> Observation:
    """One environment in which the named columns have these values, and the others 0."""
    raw = np.zeros((scenario.n_agents, len(RAW_COLUMNS)))
    for name, values in columns.items():
        raw[:, COLUMN[name]] = values
    return Observation(scenario, np.array(decision, dtype=np.int64), raw)
