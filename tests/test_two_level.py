"""The allocator that decides nodes too, on machines small enough to reason about."""

from __future__ import annotations

import numpy as np
import pytest

from slicegym.baselines import make_allocator
from slicegym.baselines.two_level import _Nodes, _place
from slicegym.envs import Agent, ConfigError, Node, Scenario, Simulator, Tape

SMALL = Node("small", gpus=1, speed=1, price=1, memory_mb=10)
FAST = Node("fast", gpus=1, speed=8, price=8, memory_mb=40)
# With drain_s = 1 and no rates, `demand` wants the calls in sight over T: 2 calls are 2/T GPUs.
PLAIN = "headroom=0,drain_s=1,service_s=100,foresight=0,floor=0,keep_warm_s=0"


def seen(agents: tuple[Agent, ...], nodes: tuple[Node, ...], calls: list[int], warm: bool = False):
    """Observation of agents with so many calls each, at time 0 or, all warm, at 3 s."""
    scenario = Scenario(agents, horizon_s=10.0, nodes=nodes)
    which = [i for i, n in enumerate(calls) for _ in range(n)]
    release = [3.0 if warm else 0.0] * len(which)
    simulator = Simulator(scenario)
    simulator.load(0, Tape.from_calls(which, [1.0] * len(which), release, horizon_s=10.0))
    for _ in range(3 if warm else 0):
        simulator.step(np.full(scenario.n_agents, 0.1))
    return simulator.observe()


def decided(observation, text: str = PLAIN) -> tuple[list[float], list[float]]:
    requests = make_allocator(f"two_level:{text}").allocate(observation)[0]
    n = observation.scenario.n_agents
    return requests[:n].tolist(), requests[n:].tolist()


def test_a_cold_agent_loads_where_it_is_cheapest() -> None:
    # Half a GPU is wanted. Small: max(0.5, footprint 0) · 1; fast: 0.0625 · 8 is as dear, and home
    # with its higher footprint decides: a footprint of 0.2 of the mean 25 MB is 5 MB, half of the
    # small node's memory (bill 0.5) and an eighth of the fast one's (bill 1).
    agent = Agent("a", 4.0, node="fast", memory_mb=5, footprint=0.2)
    shares, nodes = decided(seen((agent,), (SMALL, FAST), [2]))
    assert (shares, nodes) == ([0.5], [0.0])


def test_what_has_no_room_on_the_cheap_node_goes_to_the_roomy_one() -> None:
    agent = Agent("a", 4.0, node="small", memory_mb=5, footprint=0.2)
    shares, nodes = decided(seen((agent,), (SMALL, FAST), [6]))  # wants 1.5 GPUs of speed 1
    assert (shares, nodes) == ([1.5 / 8], [1.0])


def test_a_model_goes_where_it_fits() -> None:
    agent = Agent("a", 4.0, node="fast", memory_mb=20)
    assert decided(seen((agent,), (SMALL, FAST), [2]))[1] == [-1.0]


def test_agents_see_what_those_before_them_took() -> None:
    agents = tuple(Agent(name, 4.0, node="small", memory_mb=6) for name in "ab")
    shares, nodes = decided(seen(agents, (SMALL, FAST), [2, 2]))
    # 6 + 6 MB do not fit into 10: the second goes elsewhere.
    assert (shares, nodes) == ([0.5, 0.0625], [-1.0, 1.0])


@pytest.mark.parametrize(("patience", "node"), [(0.9, 1.0), (1.1, -1.0)])
def test_a_loaded_agent_leaves_a_node_when_its_backlog_is_overdue(
    patience: float, node: float
) -> None:
    # 8 calls of 1/4 s at speed 1 are 2 s of backlog, one cold start of 2 s.
    agent = Agent("a", 4.0, node="small", memory_mb=5, cold_start_s=2.0)
    observation = seen((agent,), (SMALL, FAST), [8], warm=True)
    assert observation.status.tolist() == [[3]]
    shares, nodes = decided(observation, f"{PLAIN},patience={patience}")
    assert nodes == [node]
    assert shares == ([2.0 / 8] if node == 1.0 else [2.0])


def test_without_nodes_it_is_demand() -> None:
    scenario = Scenario((Agent("a", 4.0), Agent("b", 2.0)), gpus=2.0, horizon_s=10.0)
    simulator = Simulator(scenario)
    simulator.load(0, Tape.from_calls([0, 1, 1], [1.0] * 3, [0.0] * 3, horizon_s=10.0))
    shares = make_allocator("two_level").allocate(simulator.observe())
    assert np.array_equal(shares, make_allocator("demand").allocate(simulator.observe()))


def test_a_single_node_s_speed_counts_too() -> None:
    observation = seen((Agent("a", 4.0),), (FAST,), [2])  # half a GPU of speed 1
    assert make_allocator(f"two_level:{PLAIN}").allocate(observation).tolist() == [[0.5 / 8]]


def test_nobody_leaves_an_overrun_node_for_one_that_is_overrun_more() -> None:
    # Node 0 lacks 0.6 GPUs and node 1 lacks 0.9; node 2 has room, and its memory is full.
    one, four = np.ones(3), np.ones(4)
    nodes = _Nodes(one, one, one, np.array([9.0, 9.0, 1.0]), np.zeros((4, 3)))
    wanted = np.array([[0.1, 1.5, 1.9, 0.1]])
    requests = _place(
        wanted,
        9 * np.ones((1, 4)),
        np.array([[0.0, 0, 1, 2]]),
        np.full((1, 4), 3),
        four,
        four,
        nodes,
    )
    assert requests[0, 4:].tolist() == [-1.0] * 4


def test_refusals() -> None:
    with pytest.raises(ConfigError, match=r"two_level\.patience must be greater than 0, got 0"):
        make_allocator("two_level:patience=0")
    with pytest.raises(ConfigError, match="no parameter 'patient'"):
        make_allocator("two_level:patient=1")
