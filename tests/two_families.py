"""A run of two families, with bounds, for tests of what is drawn from results."""

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from slicegym.eval.session import evaluate

from .training import SCENARIO

ALLOCATORS = ("static", "demand", "round_robin:quantum=2")
RUNS = {"static", "demand", "round_robin_quantum=2"}
SUITE = """
parts:
  - {scenario: small.yaml, split: validation}
  - {scenario: other.yaml, split: heldout, episodes: 2}
"""


def make_results(folder):
    """Evaluate into `folder / "results"`, and return it."""
    (folder / "small.yaml").write_text(yaml.safe_dump(SCENARIO))
    (folder / "other.yaml").write_text(yaml.safe_dump(SCENARIO | {"gpus": 3}))
    (folder / "suite.yaml").write_text(SUITE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLICEGYM_CACHE", str(folder / "cache"))
        evaluate(str(folder / "suite.yaml"), ALLOCATORS, out=folder / "results", quiet=True)
    return folder / "results"


def read(folder):
    """Read the event file of a run."""
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    found.Reload()
    return found
