"""The state and the rules of the plain simulator: objects, and every event found by looking.

It is written from docs/model.md section by section, to be read beside it (what docs/platform.md
adds is in `platform` and `batched`), and shares no line with the compiled kernel. It looks at
everything at every event, so it is slow and has nothing that could go stale. Where the text is
silent the choice is written next to the code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .case import Case, Change
from .parts import COLD, LOADING, NEVER, WAITING, WARM, Agent, Job, Snapshot
from .platform import Platform
from .seen import snapshot


class World:
    """The state of one episode and the rules that change it."""

    def __init__(self, case: Case) -> None:
        self.scenario = scenario = case.scenario
        self.agents = [
            Agent(
                throughput=a.throughput,
                concurrency=a.concurrency,
                queue_limit=a.queue_limit,
                cold_start_s=a.cold_start_s,
                keep_alive_s=a.keep_alive_s,
                footprint=scenario.share_quantum if a.footprint is None else a.footprint,
                memory_mb=a.memory_mb,
                batched=a.service == "batched",
                half_batch=a.half_batch,
                prefill=a.prefill,
            )
            for a in scenario.agents
        ]
        self.platform = Platform(scenario, self.agents)
        self.crossings = 0
        self.jobs = [Job(call, call.work, len(call.predecessors)) for call in case.calls]
        for job in self.jobs:
            if not job.call.predecessors:
                self.plan_release(job, job.call.release)
        n_tasks = 1 + max((call.task for call in case.calls), default=-1)
        self.members = [[j for j in self.jobs if j.call.task == t] for t in range(n_tasks)]
        self.opened = [math.nan] * n_tasks
        self.closed = [math.nan] * n_tasks
        self.weight = [math.nan] * n_tasks
        self.first_agent = [0] * n_tasks
        self.task_rejected = [False] * n_tasks
        self.now = 0.0
        self.clear_areas()

    def clear_areas(self) -> None:
        self.area = [0.0 for _ in self.agents]
        self.billed = [0.0 for _ in self.agents]
        self.busy = [0.0 for _ in self.agents]

    # ---- time ----------------------------------------------------------------------------------

    def advance(self, until: float) -> None:
        """Lets time pass in which nothing happens."""
        passed = until - self.now
        for task, first in enumerate(self.first_agent):
            if not math.isnan(self.opened[task]) and math.isnan(self.closed[task]):
                self.area[first] += passed
        for i, agent in enumerate(self.agents):
            self.billed[i] += passed * agent.billed * agent.price
            self.busy[i] += passed * agent.busy * agent.price
        self.now = until

    def next_event(self) -> float:
        """The next time at which something is due."""
        times = [job.completes_at for job in self.jobs]
        times += [job.due for job in self.jobs]
        times += [t for a in self.agents for t in (a.ready_at, a.cold_at)]
        times += [a.resume_at for a in self.agents if a.paused]
        return min(times, default=NEVER)

    def run_until(self, end: float) -> None:
        """Everything strictly before `end`, then the clock at `end`."""
        while self.next_event() < end:
            self.advance(self.next_event())
            self.settle(starts=True)
        self.advance(end)

    def settle(self, starts: bool) -> None:
        """Order at one instant: completions, ends, releases, until nothing is due."""
        while self.next_event() <= self.now:
            self.completions(starts)
            self.ends(starts)
            self.releases(starts)
            if starts:  # calls of a batch are as fast as it is full
                self.set_rates()

    # ---- (1) completions -----------------------------------------------------------------------

    def completions(self, starts: bool) -> None:
        for index, job in enumerate(self.jobs):
            if job.completes_at > self.now:
                continue
            if job.decode > 0:
                self.begin_decoding(index, job)
                continue
            self.complete(index, job)
            if starts:
                self.start_waiting(self.agents[job.call.agent])

    def begin_decoding(self, index: int, job: Job) -> None:
        self.agents[job.call.agent].prefilling.remove(index)
        job.remaining, job.decode = job.decode, 0.0
        job.rate, job.completes_at = 0.0, NEVER

    def complete(self, index: int, job: Job) -> None:
        agent = self.agents[job.call.agent]
        agent.serving.remove(index)
        if index in agent.prefilling:
            agent.prefilling.remove(index)  # a call that is all prefill
        agent.completions += 1
        job.completed, job.completes_at, job.remaining = self.now, NEVER, 0.0
        task = job.call.task
        if self.task_rejected[task]:
            return  # calls in service finish, unreleased ones are never released
        for other in self.members[task]:
            if index in other.call.predecessors:
                other.missing -= 1
                if other.missing == 0:
                    crosses = agent.node != self.agents[other.call.agent].node
                    self.crossings += crosses
                    wait = other.call.delay + (self.scenario.cross_node_s if crosses else 0.0)
                    self.plan_release(other, self.now + wait)
        if all(not math.isnan(member.completed) for member in self.members[task]):
            self.closed[task] = self.now

    # ---- (2) ends of loading, keep-alive and pauses --------------------------------------------

    def ends(self, starts: bool) -> None:
        for agent in self.agents:
            if agent.ready_at <= self.now:
                agent.status, agent.ready_at = WARM, NEVER
            if agent.cold_at <= self.now:
                agent.status, agent.cold_at = COLD, NEVER
            if agent.paused and agent.resume_at <= self.now:
                agent.paused = False
        if starts:  # at a decision, waiting loads are looked at after the new shares
            self.admit_loads()
            self.start_all()

    def admit_loads(self) -> None:
        """In agent order, each waiting load that fits beside what is loading or warm."""
        for agent in self.agents:
            if agent.status != WAITING or not self.platform.has_room(agent):
                continue
            if agent.load_s > 0:
                agent.status, agent.ready_at = LOADING, self.now + agent.load_s
                agent.cold_starts += 1
            else:
                agent.status = WARM

    # ---- (3) releases --------------------------------------------------------------------------

    def plan_release(self, job: Job, at: float) -> None:
        if at < self.scenario.horizon_s:
            job.due = at

    def releases(self, starts: bool) -> None:
        due = [index for index, job in enumerate(self.jobs) if job.due <= self.now]
        for index in due:
            if self.jobs[index].due <= self.now:  # not withdrawn by a rejection just now
                self.release(index, starts)

    def release(self, index: int, starts: bool) -> None:
        job = self.jobs[index]
        job.due, job.released = NEVER, self.now
        agent, task = self.agents[job.call.agent], job.call.task
        agent.arrivals += 1
        if math.isnan(self.opened[task]):
            self.opened[task] = self.now
            self.first_agent[task] = job.call.agent
            self.weight[task] = 1.0 / self.scenario.agents[job.call.agent].priority
        can_start = (
            starts and agent.works and not agent.waiting and len(agent.serving) < agent.concurrency
        )
        full = agent.queue_limit is not None and len(agent.waiting) >= agent.queue_limit
        if full and not can_start:
            job.rejected = True
            agent.rejections += 1
            self.reject_task(task)
            return
        agent.waiting.append(index)
        if can_start:
            self.start_waiting(agent)

    def reject_task(self, task: int) -> None:
        self.task_rejected[task] = True
        for agent in self.agents:
            for index in [i for i in agent.waiting if self.jobs[i].call.task == task]:
                agent.waiting.remove(index)
                agent.rejections += 1
                self.jobs[index].rejected = True
        for job in self.members[task]:
            job.due = NEVER

    # ---- service -------------------------------------------------------------------------------

    def start_all(self) -> None:
        for agent in self.agents:
            self.start_waiting(agent)

    def start_waiting(self, agent: Agent) -> None:
        """First come first served into idle servers."""
        while agent.works and agent.waiting and len(agent.serving) < agent.concurrency:
            index = agent.waiting.pop(0)
            agent.serving.append(index)
            job = self.jobs[index]
            job.started = self.now
            prefill = agent.prefill * job.remaining
            if prefill > 0:
                agent.prefilling.append(index)
                job.remaining, job.decode = prefill, job.remaining - prefill

    def set_rates(self) -> None:
        for agent in self.agents:
            for index in agent.serving:
                self.set_rate(self.jobs[index], agent.rate(index))

    def set_rate(self, job: Job, rate: float) -> None:
        """Work in progress survives any change; nothing is recomputed where nothing changed."""
        if rate == job.rate:
            return
        job.remaining = self.work_left(job)
        job.rate, job.since = rate, self.now
        job.completes_at = self.now + job.remaining / rate if rate > 0 else NEVER

    def work_left(self, job: Job) -> float:
        """Of its phase."""
        if job.rate == 0.0 or not math.isnan(job.completed):
            return job.remaining
        return max(0.0, job.remaining - job.rate * (self.now - job.since))

    # ---- decisions -----------------------------------------------------------------------------

    def change(self, changes: Sequence[Change]) -> None:
        """What goes wrong at this decision, before it is observed."""
        self.platform.change(changes, self.now)

    def observe(self) -> list[Snapshot]:
        """What is seen at a decision; the counters of the interval start anew."""
        seen = [snapshot(self, agent) for agent in self.agents]
        for agent in self.agents:
            agent.arrivals = agent.completions = agent.rejections = 0
        return seen

    def decide(self, request: Sequence[float]) -> None:
        """The pool, then new shares, then loads into free memory, then starts."""
        shares = self.platform.request(request, self.now)
        for agent, share in zip(self.agents, shares, strict=True):
            self.change_share(agent, share)
        self.admit_loads()
        self.start_all()
        self.set_rates()

    def change_share(self, agent: Agent, share: float) -> None:
        changed = abs(share - agent.share) > self.scenario.share_quantum
        if changed and agent.status != COLD and self.scenario.reconfigure_s > 0:
            agent.paused, agent.resume_at = True, self.now + self.scenario.reconfigure_s
        if share > 0:
            agent.cold_at = NEVER
            if agent.status == COLD:
                agent.status = WAITING  # for memory; admitted at once where it fits
        elif agent.status in (WAITING, LOADING):
            agent.status, agent.ready_at = COLD, NEVER
        elif agent.status == WARM and agent.cold_at == NEVER:
            agent.cold_at = self.now + agent.keep_alive_s
            if agent.keep_alive_s == 0:
                agent.status, agent.cold_at = COLD, NEVER
        agent.share = share
