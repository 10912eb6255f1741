"""What is seen of the plain simulator at a decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .parts import LOADING, NEVER, WARM, Agent, Snapshot

if TYPE_CHECKING:
    from .world import World


def snapshot(world: World, agent: Agent) -> Snapshot:
    oldest = min((world.jobs[i].released for i in agent.waiting), default=world.now)
    platform = world.platform
    return Snapshot(
        status=agent.status,
        share=agent.share,
        queue=len(agent.waiting),
        in_service=len(agent.serving),
        arrivals=agent.arrivals,
        completions=agent.completions,
        rejected=agent.rejections,
        oldest_wait_s=world.now - oldest,
        ready_in_s=until_ready(agent, world.now),
        keep_alive_left_s=until_cold(agent, world.now),
        pause_left_s=agent.resume_at - world.now if agent.paused else 0.0,
        node=agent.node,
        available=platform.capacity(platform.machines[agent.node]),
        ordered=platform.ordered,
        health=agent.health,
    )


def until_ready(agent: Agent, now: float) -> float:
    """A cold agent shows how long a load takes now, in a storm too."""
    if agent.status == WARM:
        return 0.0
    return agent.ready_at - now if agent.status == LOADING else agent.load_s


def until_cold(agent: Agent, now: float) -> float:
    if agent.status != WARM:
        return 0.0
    return agent.cold_at - now if agent.cold_at < NEVER else agent.keep_alive_s
