"""What runs and curves are called in TensorBoard, the same in evaluation and in training.

Curves of one name lie in one chart, so that a name says what is drawn and never who decided:

    SPLIT/reward, SPLIT/latency_p95_s …      means over the suite's blocks
    episodes/reward, episodes/cost_usd …     of each episode
    decisions/reward, decisions/cost_term …  of each decision of one episode
    share/AGENT, queue/AGENT                 of each decision of one episode
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

BOUND = "bound"
EPISODES, DECISIONS = "episodes", "decisions"
REWARD_AND_TERMS = ("reward", "latency_term", "cost_term", "idle_term")
# Numbers of a row that are no figure of the allocator's.
NO_FIGURES = ("seed",)


def tag(group: str, name: str) -> str:
    """Return the name of a curve."""
    return f"{group}/{name}"


def figures(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a row, or of one allocator's summary, that are drawn."""
    return {
        key: float(value)
        for key, value in values.items()
        if isinstance(value, (int, float)) and "." not in key and key not in NO_FIGURES
    }


def run_names(specs: Iterable[str]) -> dict[str, str]:
    """Return a name for each allocator that a folder can have, no two alike."""
    names: dict[str, str] = {}
    for spec in specs:
        plain = base = re.sub(r"[^\w.=-]+", "_", spec).strip(".") or "_"
        number = 2
        while plain.casefold() in {name.casefold() for name in names.values()}:
            plain, number = f"{base}-{number}", number + 1
        names[spec] = plain
    return names
