"""A plain simulator of one episode; `world` holds its rules, this file the clock and the books."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from .case import Case, number_of_intervals
from .parts import Snapshot
from .world import World


@dataclass
class PlainRun:
    """Everything that one episode showed. Lists over calls, intervals, or intervals x agents.

    `snapshots` are what was observed at the decisions, and what there was at the horizon. What the
    books say of the end of an interval is what the next decision sees, faults included.
    """

    released_at: list[float]
    started_at: list[float]
    completed_at: list[float]
    rejected: list[bool]
    shares: list[list[float]]
    snapshots: list[list[Snapshot]]
    nodes: list[list[int]]
    rented: list[float]
    area: list[list[float]]
    billed: list[list[float]]
    busy: list[list[float]]
    latency_term: list[float]
    cost_term: list[float]
    idle_term: list[float]
    rewards: list[float]
    cold_starts: list[int]
    dollars: list[float]
    crossings: list[int]
    """One number, of the whole episode."""


def play(case: Case, horizon_charge: bool = True) -> PlainRun:
    """Plays one episode from the first decision to the horizon."""
    scenario, world = case.scenario, World(case)
    n = number_of_intervals(scenario)
    run = PlainRun(*([] for _ in fields(PlainRun)))
    for k in range(n):
        start = k * scenario.interval_s
        end = (k + 1) * scenario.interval_s if k < n - 1 else scenario.horizon_s
        world.settle(starts=False)
        world.change(case.changes_at(k))
        run.snapshots.append(world.observe())
        world.decide(case.shares[k])
        run.shares.append([agent.share for agent in world.agents])
        run.nodes.append([agent.node for agent in world.agents])
        run.rented.append(world.platform.rented)
        world.settle(starts=True)  # what the decision itself made due at this instant
        world.run_until(end)
        if k == n - 1:
            world.settle(starts=False)  # completions at the horizon count
        close_interval(run, world, end - start, horizon_charge and k == n - 1)
    run.snapshots.append(world.observe())
    return fill(run, world)


def close_interval(run: PlainRun, world: World, length: float, charge: bool) -> None:
    """The three terms of one interval, with the horizon charge in the last."""
    scenario = world.scenario
    area = sum(a / agent.priority for a, agent in zip(world.area, scenario.agents, strict=True))
    billed, busy = sum(world.billed), sum(world.busy)
    if scenario.elastic:  # the pool's own bill takes the place of the agents'
        billed = run.rented[-1] * length
    run.dollars.append(billed * scenario.price_per_gpu_hour / 3600)
    if charge:
        for task, opened in enumerate(world.opened):
            if math.isnan(opened) or not math.isnan(world.closed[task]):
                continue
            area += world.weight[task] * scenario.reference_latency_s
            for job in world.members[task]:
                left = world.work_left(job) + job.decode
                needed = left / world.agents[job.call.agent].throughput
                billed += needed
                busy += needed
    w = scenario.weights
    latency = area / length / (scenario.reference_rate * scenario.reference_latency_s)
    cost = billed / (scenario.gpus * length)
    idle = (billed - busy) / (scenario.gpus * length)
    run.latency_term.append(latency)
    run.cost_term.append(cost)
    run.idle_term.append(idle)
    run.rewards.append(-(w.latency * latency + w.cost * cost + w.idle * idle))
    run.area.append(world.area)
    run.billed.append(world.billed)
    run.busy.append(world.busy)
    world.clear_areas()


def fill(run: PlainRun, world: World) -> PlainRun:
    run.released_at = [job.released for job in world.jobs]
    run.started_at = [job.started for job in world.jobs]
    run.completed_at = [job.completed for job in world.jobs]
    run.rejected = [job.rejected for job in world.jobs]
    run.cold_starts = [agent.cold_starts for agent in world.agents]
    run.crossings = [world.crossings]
    return run
