"""What the benchmark runs: systems, distinct tapes, and the same queue in other libraries.

Tapes are distinct because a branch predictor learns a few that repeat, and flatters the result.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..envs.agent import Agent
from ..envs.loading import load_scenario, parse_scenario
from ..envs.simulator import Simulator
from ..envs.spec import Scenario
from ..envs.tape import Tape

Floats = NDArray[np.float64]

# CPU time: what else the machine is doing does not count. On an idle machine it is the wall's.
clock = time.process_time

PAPER_RATES = (80.0, 40.0, 45.0, 25.0)
MM1_RATE, MM1_THROUGHPUT = 700.0, 1000.0
# plan → specialists with these probabilities → aggregate, which is the planner again.
SPECIALISTS = (0.6, 0.3, 0.5)
THINK_S = 2.0
GRAPH_TASKS_PER_S = 40.0


def paper_system(n_tapes: int, rng: np.random.Generator) -> tuple[Scenario, list[Tape]]:
    """The paper's agents, pool and rates, with Poisson arrivals so that tapes differ."""
    scenario = load_scenario("paper")
    tapes = [poisson_tape(PAPER_RATES, 1.0, scenario.horizon_s, rng) for _ in range(n_tapes)]
    return scenario, tapes


def mm1_system(n_tapes: int, rng: np.random.Generator) -> tuple[Scenario, list[Tape]]:
    """One M/M/1 queue at load 0.7."""
    scenario = Scenario((Agent("server", throughput=MM1_THROUGHPUT),), name="mm1")
    tapes = [poisson_tape((MM1_RATE,), None, scenario.horizon_s, rng) for _ in range(n_tapes)]
    return scenario, tapes


def poisson_tape(
    rates: Sequence[float], work: float | None, horizon_s: float, rng: np.random.Generator
) -> Tape:
    """Independent Poisson calls for each agent, with constant work or (None) exponential."""
    counts = rng.poisson(np.asarray(rates) * horizon_s)
    release = np.concatenate([np.sort(rng.uniform(0, horizon_s, n)) for n in counts])
    agent = np.repeat(np.arange(len(rates), dtype=np.int32), counts)
    works = rng.exponential(size=len(agent)) if work is None else np.full(len(agent), work)
    return Tape.independent(agent, works, release, horizon_s)


def graph_system(n_tapes: int, rng: np.random.Generator) -> tuple[Scenario, list[Tape]]:
    """Fan-out to specialists, think time, join: a load of about 0.6 on four GPUs."""
    throughput = (120.0, 60.0, 80.0, 40.0)
    agents = tuple(Agent(f"agent{i}", throughput=t) for i, t in enumerate(throughput))
    scenario = Scenario(agents, gpus=4.0, name="graph")
    return scenario, [graph_tape(scenario.horizon_s, rng) for _ in range(n_tapes)]


def graph_tape(horizon_s: float, rng: np.random.Generator) -> Tape:
    """Poisson tasks: a plan, some specialists after it, and an aggregation after those."""
    agent: list[int] = []
    release: list[float] = []
    task: list[int] = []
    predecessors: list[list[int]] = []
    opened = np.sort(rng.uniform(0, horizon_s, rng.poisson(GRAPH_TASKS_PER_S * horizon_s)))
    asked = rng.random((len(opened), len(SPECIALISTS))) < SPECIALISTS
    for index, (at, who) in enumerate(zip(opened, asked, strict=True)):
        plan = len(agent)
        team = [int(i) + 1 for i in np.flatnonzero(who)]
        agent += [0, *team, 0]
        release += [at, *(THINK_S for _ in team), 0.0]
        task += [index] * (len(team) + 2)
        after = list(range(plan + 1, plan + 1 + len(team))) or [plan]
        predecessors += [[], *([plan] for _ in team), after]
    work = rng.exponential(size=len(agent))
    return Tape.from_calls(agent, work, release, task, predecessors, horizon_s=horizon_s)


def small_calls_scenario() -> Scenario:
    """Four agents and 4.8 calls per step together, for steps of environments."""
    names = ("coordinator", "nlp", "vision", "reasoning")
    agents = [
        {"name": name, "throughput": rate, "footprint": 0.5, "cold_start_s": 5, "keep_alive_s": 10}
        for name, rate in zip(names, (6, 3, 4, 2), strict=True)
    ]
    streams = {n: {"kind": "poisson", "rate": 1.2, "work": {"kind": "exponential"}} for n in names}
    return parse_scenario(
        {
            "name": "small-calls",
            "agents": agents,
            "gpus": 4.0,
            "horizon_s": 300.0,
            "workload": {"kind": "streams", "streams": streams},
        }
    )


def crowd(n_calls: int) -> tuple[Scenario, Tape]:
    """One agent whose calls all wait from the start: the queue is as long as the tape."""
    scenario = Scenario((Agent("server", throughput=1.2 * n_calls / 100),), name="crowd")
    release = np.zeros(n_calls)
    return scenario, Tape.independent(np.zeros(n_calls, np.int32), np.ones(n_calls), release, 100.0)


def kernel_seconds(scenario: Scenario, tape: Tape, force_graph: bool = False) -> tuple[float, int]:
    """Play a tape in the compiled kernel under equal shares.

    Returns:
        Seconds that it took, loading the tape and reading the results left out, and the calls
        completed.
    """
    graph = force_graph or not tape.is_independent
    simulator = Simulator(scenario, graph=graph, capacity=tape.n_calls)
    simulator.load(0, tape)
    share = scenario.gpus / scenario.n_agents
    schedule = np.full((scenario.n_intervals, scenario.n_agents), share)
    begun = clock()
    records, _ = simulator.play(schedule)
    return clock() - begun, int(records["completions"].sum())


def simpy_seconds(release: Floats, service: Floats) -> tuple[float, float]:
    """Run a queue with one server in SimPy, written as its tutorial does.

    Returns:
        Seconds that it took, and the calls' mean latency [s].

    Raises:
        ImportError: SimPy is not installed.
    """
    simpy = importlib.import_module("simpy")
    environment = simpy.Environment()
    server = simpy.Resource(environment, capacity=1)
    latencies: list[float] = []

    def call(duration: float) -> Iterator[Any]:
        begun = environment.now
        with server.request() as turn:
            yield turn
            yield environment.timeout(duration)
        latencies.append(environment.now - begun)

    gaps = np.diff(release, prepend=0.0)

    def source() -> Iterator[Any]:
        for gap, duration in zip(gaps.tolist(), service.tolist(), strict=True):
            yield environment.timeout(gap)
            environment.process(call(duration))

    environment.process(source())
    begun = clock()
    environment.run()
    return clock() - begun, float(np.mean(latencies))


def ciw_seconds(release: Floats, service: Floats) -> tuple[float, float]:
    """Run the same queue in Ciw.

    Returns:
        Seconds that it took, and the calls' mean latency [s].

    Raises:
        ImportError: Ciw is not installed.
    """
    ciw = importlib.import_module("ciw")
    gaps = np.diff(release, prepend=0.0)
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential([*gaps.tolist(), np.inf])],
        service_distributions=[ciw.dists.Sequential(service.tolist())],
        number_of_servers=[1],
    )
    simulation = ciw.Simulation(network)
    begun = clock()
    simulation.simulate_until_max_customers(len(release), method="Finish")
    seconds = clock() - begun
    records = simulation.get_all_records()
    return seconds, float(np.mean([r.exit_date - r.arrival_date for r in records]))
