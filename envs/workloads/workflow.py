"""Tasks that fan out and join: plan, ask specialists side by side, bring their answers together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from .. import checks
from ..errors import ConfigError, did_you_mean
from ..kinds import construct, nested
from ..tape import CallGraph, Tape
from .base import STREAMS, WORKLOADS, Episode, Floats, Stream, Workload
from .compose import MAX_CALLS
from .randomness import keyed, label_key
from .work import WORK, Constant, Work

if TYPE_CHECKING:
    from ..spec import Scenario

Ints = NDArray[np.int32]

# One key per thing that is drawn: another probability moves no arrival, another work no branch.
TASKS, BRANCHES, THINK, WORKS = (
    label_key(f"workflow/{name}") for name in ("tasks", "branches", "think", "work")
)


@WORKLOADS("workflow")
@dataclass(frozen=True, kw_only=True)
class Workflow(Workload):
    """One plan call, each specialist with its own probability, one aggregate call after all.

    A task whose plan asks no specialist goes straight from the plan to the aggregate. Every call
    but the plan is released a think time after the last call that it waits for; think times are
    exponential.

    Attributes:
        tasks: When tasks come: a synthetic stream.
        plan: Agent of the first call.
        specialists: (agent, probability that a task asks it), in the order of their calls.
        aggregate: Agent of the last call; by default the one that plans.
        think_s: Mean think or tool time before each call that follows another [s].
        work: Work of the calls.
        suite_episodes: Episodes of a split's suite.
    """

    tasks: Stream = field(metadata=nested(STREAMS))
    plan: str
    specialists: tuple[tuple[str, float], ...]
    aggregate: str | None = None
    think_s: float = 0.0
    work: Work = field(default=Constant(), metadata=nested(WORK))
    suite_episodes: int = 16

    has_graphs: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.tasks.clock is not None:
            raise ConfigError("tasks must be a synthetic stream, got a replay; use kind `sessions`")
        if getattr(self.tasks, "work", Constant()) != Constant():
            raise ConfigError("tasks.work has no effect; give the workload's own `work` instead")
        checks.text("plan", self.plan)
        if self.aggregate is not None:
            checks.text("aggregate", self.aggregate)
        for agent, probability in self.specialists:
            checks.number(f"specialists.{agent}", probability, at_least=0, at_most=1)
        checks.number("think_s", self.think_s, at_least=0)
        checks.integer("suite_episodes", self.suite_episodes, at_least=1, at_most=100_000)

    @classmethod
    def from_mapping(cls, content: Mapping[str, object], at: str) -> Workflow:
        """Build it from its mapping, `specialists` being `{agent: probability}`."""
        values = dict(content)
        if "specialists" in values:
            asked = checks.mapping(f"{at}.specialists", values["specialists"])
            values["specialists"] = tuple(asked.items())
        return construct(cls, values, at)

    def check(self, scenario: Scenario) -> None:
        """Raise `ConfigError` for agents that the scenario does not have, or absurd rates."""
        known = scenario.agent_names
        for name in (self.plan, self.aggregate or self.plan, *dict(self.specialists)):
            if name not in known:
                raise ConfigError(
                    f"workload must name agents of scenario {scenario.name!r}, got {name!r}"
                    f"{did_you_mean(name, known)}"
                )
        calls = 2 + sum(probability for _, probability in self.specialists)
        expected = calls * self.tasks.mean_rate(scenario.horizon_s) * scenario.horizon_s
        if expected > MAX_CALLS:
            raise ConfigError(
                f"workload.tasks must make at most {MAX_CALLS:g} calls an episode, got "
                f"{expected:g}; lower the rate or the horizon"
            )

    @property
    def is_random(self) -> bool:
        """Whether two episodes differ."""
        sure = all(probability in (0, 1) for _, probability in self.specialists)
        return self.tasks.is_random or self.work.is_random or self.think_s > 0 or not sure

    def tape(self, scenario: Scenario, episode: Episode) -> Tape:
        """Return the tape of an episode: a pure function of its arguments."""
        horizon_s = float(scenario.horizon_s)
        opened, _ = self.tasks.arrivals(keyed(episode.seed, TASKS), 0.0, horizon_s)
        rng = keyed(episode.seed, BRANCHES)
        probabilities = np.array([probability for _, probability in self.specialists])
        asked = rng.random((opened.size, probabilities.size)) < probabilities
        cast, routing = _cast(self, scenario.agent_names)
        on = np.ones((opened.size, probabilities.size + 2), dtype=bool)
        on[:, 1:-1] = asked
        agent = np.broadcast_to(cast, on.shape)[on]
        graph = fan_out(asked.sum(axis=1, dtype=np.int32), probabilities.size)
        first = graph.n_predecessors == 0
        release = np.full(agent.size, np.nan)
        release[first] = opened
        delay = self.think_s * keyed(episode.seed, THINK).standard_exponential(agent.size)
        np.copyto(graph.delay, delay, where=~first)
        work = self.work.draw(keyed(episode.seed, WORKS), agent.size)
        return Tape(agent, work, release, horizon_s, graph, routing)

    def mean_rates(self, scenario: Scenario) -> Floats:
        """Return the expected calls per second of every agent in training, shape (N,) [1/s]."""
        per_task, _ = expected_calls(self, scenario.agent_names)
        return per_task * self.tasks.mean_rate(scenario.horizon_s)


def fan_out(asked: Ints, most: int) -> CallGraph:
    """Build the graphs of tasks with these numbers of specialists, without a loop; delays are 0.

    The calls of a task stand together: the plan, its specialists, the aggregate. So the plan's
    successors are the calls after it, the aggregate alone where there is no specialist.

    Args:
        asked: Specialists of each task, shape (tasks,).
        most: Largest number of specialists that a task can have.
    """
    length = asked + np.int32(2)
    task = np.repeat(np.arange(asked.size, dtype=np.int32), length)
    last = np.cumsum(length, dtype=np.int32) - np.int32(1)
    plan = last - asked - np.int32(1)
    after_plan = np.maximum(asked, np.int32(1))
    n_predecessors = np.ones(task.size, dtype=np.int32)
    n_predecessors[plan], n_predecessors[last] = 0, after_plan
    n_successors = np.ones(task.size, dtype=np.int32)
    n_successors[plan], n_successors[last] = after_plan, 0
    pointer = np.zeros(task.size + 1, dtype=np.int32)
    np.cumsum(n_successors, out=pointer[1:])
    place = np.arange(1, max(most, 1) + 1, dtype=np.int32)
    targets = np.concatenate(
        (plan[:, None] + place, np.broadcast_to(last[:, None], (asked.size, place.size))), axis=1
    )
    is_edge = np.concatenate((place <= after_plan[:, None], place <= asked[:, None]), axis=1)
    return CallGraph(task, n_predecessors, np.zeros(task.size), pointer, targets[is_edge])


def expected_calls(workflow: Workflow, agents: tuple[str, ...]) -> tuple[Floats, Floats]:
    """Return the expected calls of a task to each agent, (N,), and the edges between, (N, N).

    An edge into a call that waits for k others counts 1/k, so that the edges into an agent add up
    to its calls that follow others. Given that specialist j is asked, k − 1 others are asked with
    it, a sum of independent Bernoulli numbers: the edge from j expects p_j · E[1/k].
    """
    plan = agents.index(workflow.plan)
    aggregate = agents.index(workflow.aggregate or workflow.plan)
    calls, edges = np.zeros(len(agents)), np.zeros((len(agents), len(agents)))
    calls[plan] += 1
    calls[aggregate] += 1
    probabilities = [probability for _, probability in workflow.specialists]
    edges[plan, aggregate] += math.prod(1 - p for p in probabilities)
    for j, (name, probability) in enumerate(workflow.specialists):
        others = np.ones(1)  # probabilities of 0, 1, … others
        for i, other in enumerate(probabilities):
            if i != j:
                others = np.convolve(others, (1 - other, other))
        expert = agents.index(name)
        calls[expert] += probability
        edges[plan, expert] += probability
        share = float(np.sum(others / np.arange(1, others.size + 1)))
        edges[expert, aggregate] += probability * share
    return calls, edges


@lru_cache(maxsize=64)
def _cast(workflow: Workflow, agents: tuple[str, ...]) -> tuple[Ints, Floats]:
    """Agent of each place in a task, (specialists + 2,), and the routing matrix, (N, N)."""
    names = [workflow.plan, *dict(workflow.specialists), workflow.aggregate or workflow.plan]
    cast = np.array([agents.index(name) for name in names], dtype=np.int32)
    calls, edges = expected_calls(workflow, agents)
    routing = np.divide(edges, calls[:, None], out=np.zeros_like(edges), where=calls[:, None] > 0)
    for array in (cast, routing):
        array.setflags(write=False)
    return cast, routing
