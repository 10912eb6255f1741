"""The page of chosen charts, TensorBoard's "Custom Scalars": what to look at, in what order."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .tags import DECISIONS, EPISODES, tag

# Titles of charts, and the figures in each.
CHARTS = {
    "reward": ("reward",),
    "latency term": ("latency_term",),
    "cost term": ("cost_term",),
    "idle term": ("idle_term",),
    "latency: 50 %, 95 %, 99 % [s]": ("latency_p50_s", "latency_p95_s", "latency_p99_s"),
    "Little's mean latency, open tasks in it [s]": ("little_latency_s",),
    "cost [$]": ("cost_usd",),
    "utilization": ("utilization",),
}
TERMS = tuple(CHARTS)[:4]

# Titles of categories, in each titles of charts, for each expressions that its curves' names match.
Layout = dict[str, dict[str, list[str]]]


def of_suite(split: str) -> Layout:
    """Return the charts of means over a suite, which training draws over timesteps."""
    charts = {"score": ("score",), **CHARTS}
    order = ["reward", "score", *list(charts)[2:]]
    return {
        f"{split}: means over the suite": {
            title: [exactly(tag(split, figure)) for figure in charts[title]] for title in order
        }
    }


def of_episodes() -> Layout:
    """Return the charts over the episodes of a suite."""
    return {
        "Episode by episode": {
            title: [exactly(tag(EPISODES, figure)) for figure in names]
            for title, names in CHARTS.items()
        }
    }


def of_decisions(agents: Iterable[str]) -> Layout:
    """Return the charts over the decisions of one episode, one for each agent among them."""
    agents = list(agents)
    return {
        "One episode, decision by decision": {
            title: [exactly(tag(DECISIONS, CHARTS[title][0]))] for title in TERMS
        },
        "Shares of that episode [GPU]": {a: [exactly(tag("share", a))] for a in agents},
        "Queues of that episode [calls]": {a: [exactly(tag("queue", a))] for a in agents},
    }


def exactly(name: str) -> str:
    """Return the expression that this name alone matches."""
    return f"^{re.escape(name)}$"
