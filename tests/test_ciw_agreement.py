"""The package against Ciw, a queueing-network library, at constant shares on warm agents.

Ciw is fed the tape's own inter-arrival and service times, in order. At a constant share an agent
is a queue with c servers of rate T·g/c; without a cold start it is warm at 0. Ciw adds up its
inter-arrival times, so that its clock is the tape's only to rounding: agreement is to 1e-9 s.
"""

from __future__ import annotations

import ciw
import numpy as np
import pytest

from slicegym.envs import Agent, Scenario, Tape, simulate


def ciw_times(
    arrivals: list[list[float]], services: list[list[float]], servers: list[int], tandem: bool
) -> list[np.ndarray]:
    """Per node: arrival, start and exit of every customer, (customers, 3), by arrival."""
    n = len(servers)
    following = [[float(tandem and j == i + 1) for j in range(n)] for i in range(n)]
    network = ciw.create_network(
        arrival_distributions=[
            ciw.dists.Sequential([*np.diff(times, prepend=0.0).tolist(), float("inf")])
            if len(times)
            else None
            for times in arrivals
        ],
        service_distributions=[ciw.dists.Sequential(times) for times in services],
        number_of_servers=servers,
        routing=following,
    )
    simulation = ciw.Simulation(network, exact=False)
    simulation.simulate_until_max_time(1e6)
    records = simulation.get_all_records()
    return [
        np.array(
            sorted(
                (r.arrival_date, r.service_start_date, r.service_end_date)
                for r in records
                if r.node == node + 1
            )
        )
        for node in range(n)
    ]


@pytest.mark.parametrize("concurrency", [1, 2, 5])
@pytest.mark.parametrize("service", ["exponential", "constant"])
def test_queue_of_c_servers_agrees_with_ciw(concurrency: int, service: str) -> None:
    rng = np.random.default_rng(concurrency)
    share, throughput, n = 0.75, 4.0, 3_000
    release = np.cumsum(rng.exponential(1 / 2.6, n))  # load 0.87
    work = rng.exponential(1.0, n) if service == "exponential" else np.ones(n)
    horizon = release[-1] + 500.0
    scenario = Scenario(
        agents=(Agent("a", throughput=throughput, concurrency=concurrency),), horizon_s=horizon
    )
    tape = Tape.from_calls(np.zeros(n, int), work, release, horizon_s=horizon)
    run = simulate(scenario, tape, np.full((scenario.n_intervals, 1), share))
    seconds = work * concurrency / (throughput * share)
    (expected,) = ciw_times([release.tolist()], [seconds.tolist()], [concurrency], tandem=False)
    ours = np.stack([run.released_at, run.started_at, run.completed_at], axis=1)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-9)


def test_agents_beside_each_other_agree_with_ciw() -> None:
    rng = np.random.default_rng(7)
    shares, throughputs, servers = [0.25, 0.5, 0.25], [4.0, 3.0, 10.0], [1, 2, 3]
    n, horizon = 1_000, 3_000.0
    agent = np.repeat([0, 1, 2], n)
    release = np.concatenate([np.cumsum(rng.exponential(1 / r, n)) for r in (0.8, 1.2, 2.0)])
    work = rng.lognormal(-0.5, 1.0, 3 * n)
    scenario = Scenario(
        agents=tuple(
            Agent(f"a{i}", throughput=throughputs[i], concurrency=servers[i]) for i in range(3)
        ),
        horizon_s=horizon,
    )
    tape = Tape.from_calls(agent, work, release, horizon_s=horizon)
    run = simulate(scenario, tape, np.tile(shares, (scenario.n_intervals, 1)))
    seconds = [work[agent == i] * servers[i] / (throughputs[i] * shares[i]) for i in range(3)]
    expected = ciw_times(
        [release[agent == i].tolist() for i in range(3)],
        [s.tolist() for s in seconds],
        servers,
        tandem=False,
    )
    ours = np.stack([run.released_at, run.started_at, run.completed_at], axis=1)
    for i in range(3):
        np.testing.assert_allclose(ours[agent == i], expected[i], rtol=0, atol=1e-9)


def test_tandem_of_call_graphs_agrees_with_ciw() -> None:
    # Two agents in a row, one server each: a task is a call to the first and then to the second,
    # and arrivals at the second keep the order of the tape, in which Ciw draws its services.
    rng = np.random.default_rng(11)
    n = 2_000
    release = np.cumsum(rng.exponential(1.0, n))
    work = rng.exponential(1.0, (n, 2))
    horizon = release[-1] + 500.0
    scenario = Scenario(
        agents=(Agent("first", throughput=2.5), Agent("second", throughput=3.0)), horizon_s=horizon
    )
    tape = Tape.from_calls(
        agent=np.tile([0, 1], n),
        work=work.ravel(),
        release=np.stack([release, np.zeros(n)], axis=1).ravel(),
        task=np.repeat(np.arange(n), 2),
        predecessors=[list(p) for i in range(n) for p in ((), (2 * i,))],
        horizon_s=horizon,
    )
    run = simulate(scenario, tape, np.full((scenario.n_intervals, 2), 0.5))
    seconds = [(work[:, 0] / 1.25).tolist(), (work[:, 1] / 1.5).tolist()]
    expected = ciw_times([release.tolist(), []], seconds, [1, 1], tandem=True)
    ours = np.stack([run.released_at, run.started_at, run.completed_at], axis=1)
    for i in range(2):
        np.testing.assert_allclose(ours[i::2], expected[i], rtol=0, atol=1e-9)
