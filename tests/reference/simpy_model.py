"""The same model in SimPy: a process per call and per deployment, SimPy's own clock and queue.

Nothing is shared with the plain simulator beyond the instance itself, and the structure is
another one: servers are a `simpy.Resource`, calls walk through their lives as processes, and
deployments wake them. The order at one instant is SimPy's event priority. The pool's memory,
the bill and the reward are left out.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import simpy

from .case import Case, number_of_intervals

# Priorities at one instant. SimPy's own NORMAL = 1 carries consequences within a stage, so that
# they are settled before the next stage begins; within a stage calls go in their tape's order.
COMPLETIONS, ENDS, RELEASES, DECISION = 1_000, 2_000_000, 3_000_000, 9_000_000

Steps = Generator[simpy.Event, Any, None]


class Stage(simpy.Event):
    """An event `delay` seconds from now, at its place in the order of that instant."""

    def __init__(self, env: simpy.Environment, delay: float, priority: int) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        env.schedule(self, priority=priority, delay=delay)  # type: ignore[arg-type]


class Deployment:
    """One agent: its servers, and whether they may work."""

    def __init__(self, model: Model, index: int) -> None:
        self.model, self.env = model, model.env
        self.agent = model.case.scenario.agents[index]
        self.servers = simpy.Resource(self.env, capacity=self.agent.concurrency)
        self.share = 0.0
        self.cold = True
        self.warm = False
        self.paused = False
        self.n_pauses = 0
        self.n_waiting = 0
        self.new_share = self.env.event()
        self.changed = self.env.event()
        self.env.process(self.lifecycle())

    @property
    def rate(self) -> float:
        """Work per second of one server."""
        if not self.warm or self.paused:
            return 0.0
        return self.agent.throughput * self.share / self.agent.concurrency

    def wake(self) -> None:
        """Tells every call that the rate may have changed."""
        event, self.changed = self.changed, self.env.event()
        event.succeed()

    def decide(self, share: float) -> None:
        """Takes a new share, and the pause that a change of it brings."""
        scenario = self.model.case.scenario
        changed = abs(share - self.share) > scenario.share_quantum
        if changed and not self.cold and scenario.reconfigure_s > 0:
            self.n_pauses += 1
            self.paused = True
            self.env.process(self.resume(self.n_pauses, scenario.reconfigure_s))
        self.share = share
        event, self.new_share = self.new_share, self.env.event()
        event.succeed()
        self.wake()

    def resume(self, pause: int, seconds: float) -> Steps:
        """Ends a pause, unless another one has begun since."""
        yield Stage(self.env, seconds, ENDS)
        if pause == self.n_pauses:
            self.paused = False
            self.wake()

    def lifecycle(self) -> Steps:
        """Cold, loading, warm, kept alive, cold again."""
        while True:
            while self.share == 0:
                yield self.new_share
            self.cold = False
            yield from self.load()
            self.warm = self.share > 0
            self.wake()
            while self.warm:
                while self.share > 0:
                    yield self.new_share
                yield from self.cool()
            self.cold = True

    def load(self) -> Steps:
        """Lasts until the load's end or a zero share, whatever other shares come between."""
        if self.agent.cold_start_s > 0:
            loaded = Stage(self.env, self.agent.cold_start_s, ENDS)
            while self.share > 0 and not loaded.processed:
                yield loaded | self.new_share

    def cool(self) -> Steps:
        """Lasts until the keep-alive's end or a positive share."""
        if self.agent.keep_alive_s > 0:
            cooled = Stage(self.env, self.agent.keep_alive_s, ENDS)
            while self.share == 0 and not cooled.processed:
                yield cooled | self.new_share
        self.warm = self.share > 0


@dataclass
class Life:
    """Times of one call [s]; nan where it did not happen."""

    released: float = math.nan
    started: float = math.nan
    completed: float = math.nan
    rejected: bool = False


class Model:
    """One episode."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.env = simpy.Environment()
        scenario = case.scenario
        n = number_of_intervals(scenario)
        # Nothing starts at the horizon either: it is the decision that never comes.
        self.decision_times = [k * scenario.interval_s for k in range(n)] + [scenario.horizon_s]
        self.n_decided = 0
        self.decided = self.env.event()
        self.deployments = [Deployment(self, i) for i in range(len(scenario.agents))]
        self.lives = [Life() for _ in case.calls]
        self.done = [self.env.event() for _ in case.calls]
        self.waiting: dict[int, simpy.Process] = {}
        self.rejected_tasks: set[int] = set()
        for at in self.decision_times[:-1]:
            Stage(self.env, at, DECISION).callbacks.append(self.decide)
        self.processes = [self.env.process(self.call(index)) for index in range(len(case.calls))]

    def run(self) -> list[Life]:
        """Runs to the horizon, what happens at it included."""
        self.env.run(until=Stage(self.env, self.case.scenario.horizon_s, DECISION))
        return self.lives

    def decide(self, _: simpy.Event) -> None:
        """New shares for everybody, then starts."""
        scenario, asked = self.case.scenario, self.case.shares[self.n_decided]
        shares = [g if g >= scenario.share_quantum and g > 0 else 0.0 for g in asked]
        if sum(shares) > scenario.gpus:
            factor = scenario.gpus / sum(shares)
            shares = [g * factor for g in shares]
        self.n_decided += 1
        for deployment, share in zip(self.deployments, shares, strict=True):
            deployment.decide(share)
        event, self.decided = self.decided, self.env.event()
        event.succeed()

    @property
    def deciding(self) -> bool:
        """Whether a decision is due at this instant: nothing starts before it."""
        return self.env.now == self.decision_times[self.n_decided]

    def call(self, index: int) -> Steps:
        """The life of one call: wait for others, think, queue, be served."""
        call, life = self.case.calls[index], self.lives[index]
        if call.predecessors:
            yield self.env.all_of([self.done[p] for p in call.predecessors])
        seconds = call.delay if call.predecessors else call.release
        yield Stage(self.env, seconds, RELEASES + index)
        if call.task in self.rejected_tasks or self.env.now >= self.case.scenario.horizon_s:
            return
        life.released = self.env.now
        deployment = self.deployments[call.agent]
        if self.is_full(deployment):
            self.reject(index)
            return
        with deployment.servers.request() as server:
            deployment.n_waiting += 1
            self.waiting[index] = self.processes[index]
            try:
                yield from self.wait(deployment, server)
            except simpy.Interrupt:
                life.rejected = True
                return
            finally:
                deployment.n_waiting -= 1
                del self.waiting[index]
            life.started = self.env.now
            yield from self.serve(deployment, index)
        life.completed = self.env.now
        self.done[index].succeed()

    def is_full(self, deployment: Deployment) -> bool:
        """Whether a call released now can neither start at once nor wait."""
        if deployment.agent.queue_limit is None:
            return False
        idle = deployment.servers.count < deployment.servers.capacity
        if idle and deployment.rate > 0 and not self.deciding:
            return False
        return deployment.n_waiting >= deployment.agent.queue_limit

    def reject(self, index: int) -> None:
        """Turns away a call, and with it whatever of its task waits."""
        self.lives[index].rejected = True
        task = self.case.calls[index].task
        self.rejected_tasks.add(task)
        for other, process in self.waiting.items():
            if self.case.calls[other].task == task:
                process.interrupt()

    def wait(self, deployment: Deployment, server: simpy.Event) -> Steps:
        """First for a server, then for it to work."""
        yield server
        while self.deciding or deployment.rate == 0:
            yield self.decided if self.deciding else deployment.changed

    def serve(self, deployment: Deployment, index: int) -> Steps:
        """Work in progress survives any change of the rate."""
        remaining = self.case.calls[index].work
        while True:
            rate, since = deployment.rate, self.env.now
            if rate == 0:
                yield deployment.changed
                continue
            finished = Stage(self.env, remaining / rate, COMPLETIONS + index)
            while deployment.rate == rate and not finished.processed:
                yield finished | deployment.changed
            if finished.processed:
                return
            remaining = max(0.0, remaining - rate * (self.env.now - since))


def play(case: Case) -> list[Life]:
    """Times of every call of one episode, by SimPy."""
    return Model(case).run()
