"""Laws that hold on every run: random scenarios, tapes and shares, drawn by hypothesis.

The laws are checked on what the package reports alone, with no other simulator beside it; the
agreement with one, event by event, is in `test_plain_agreement`. The fast tests take hundreds of
instances, those marked slow thousands.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicegym.envs import simulate

from .reference.case import Case
from .reference.judges import Outcome, by_general_path, by_kernel
from .reference.strategies import exact_cases, rough_cases

Law = Callable[[Case, Outcome], None]

ANY = st.one_of(rough_cases(), rough_cases(graphs=False), exact_cases(), exact_cases(graphs=False))
UNLIMITED = st.one_of(
    rough_cases(limits=False, memory=False), exact_cases(limits=False, memory=False)
)


# ---- what the laws need to know of a run -------------------------------------------------------


def lengths(case: Case) -> np.ndarray:
    """Lengths of the intervals, (K,) [s]."""
    return case.scenario.interval_ends - case.scenario.decision_times


def agents_of(case: Case) -> np.ndarray:
    return np.array([call.agent for call in case.calls], dtype=int)


@dataclass(frozen=True)
class Task:
    """A task that opened: its calls, weight ω, and times [s]; not closed is nan."""

    calls: list[int]
    weight: float
    opened: float
    closed: float


def tasks_of(case: Case, run: Outcome) -> list[Task]:
    """Every task that opened, put together from the times of its calls."""
    by_task: dict[int, list[int]] = {}
    for index, call in enumerate(case.calls):
        by_task.setdefault(call.task, []).append(index)
    opened = [c for c in by_task.values() if not np.isnan(run.released_at[c]).all()]
    return [task_of(calls, case, run) for calls in opened]


def task_of(calls: list[int], case: Case, run: Outcome) -> Task:
    released = run.released_at[calls]
    first = calls[int(np.nanargmin(released))]
    weight = case.scenario.agents[case.calls[first].agent].weight
    return Task(calls, weight, np.nanmin(released), run.completed_at[calls].max())


# ---- the laws ----------------------------------------------------------------------------------


def calls_are_conserved(case: Case, run: Outcome) -> None:
    """Released = completed + waiting + in service + rejected, at every decision and agent."""
    released, completed, rejected = (
        np.cumsum(run.seen[name], axis=0) for name in ("arrivals", "completions", "rejected")
    )
    inside = run.seen["queue"] + run.seen["in_service"]
    np.testing.assert_array_equal(released, completed + rejected + inside)


def books_agree_with_the_times_of_calls(case: Case, run: Outcome) -> None:
    """What was seen at the decisions is what the times of the calls say."""
    agents = agents_of(case)
    for k, at in enumerate(case.scenario.decision_times):
        for i in range(case.scenario.n_agents):
            mine = agents == i
            counts = [
                np.count_nonzero(mine & (times <= at))
                for times in (run.released_at, run.completed_at)
            ]
            seen = [run.seen[name][: k + 1, i].sum() for name in ("arrivals", "completions")]
            assert counts == seen
            started = mine & (run.started_at < at)  # nothing starts before the decision is taken
            assert run.seen["in_service"][k, i] == np.count_nonzero(
                started & ~(run.completed_at <= at)
            )


def times_are_in_order(case: Case, run: Outcome) -> None:
    """Released, then started, then completed; rejected calls were released and never started."""
    assert np.all(np.isnan(run.started_at) | (run.started_at >= run.released_at))
    assert np.all(np.isnan(run.completed_at) | (run.completed_at > run.started_at))
    assert np.all(run.released_at[~np.isnan(run.released_at)] < case.scenario.horizon_s)
    assert np.all(run.completed_at[~np.isnan(run.completed_at)] <= case.scenario.horizon_s)
    assert not np.isnan(run.released_at[run.rejected]).any()
    assert np.isnan(run.started_at[run.rejected]).all()


def service_is_first_come_first_served(case: Case, run: Outcome) -> None:
    """Starts go by release (ties by index); none starts while an earlier one goes on waiting."""
    agents = agents_of(case)
    for i in range(case.scenario.n_agents):
        mine = np.flatnonzero((agents == i) & ~np.isnan(run.released_at) & ~run.rejected)
        by_release = mine[np.argsort(run.released_at[mine], kind="stable")]
        starts = np.nan_to_num(run.started_at[by_release], nan=np.inf)
        assert np.all(starts[:-1] <= starts[1:])


def calls_follow_their_predecessors(case: Case, run: Outcome) -> None:
    """A call is released its delay after the last predecessor, unless its task was rejected."""
    rejected_tasks = {case.calls[i].task for i in np.flatnonzero(run.rejected)}
    for index, call in enumerate(case.calls):
        due = call.release
        if call.predecessors:
            due = max(run.completed_at[p] for p in call.predecessors) + call.delay
            due = np.nan if np.isnan(run.completed_at[list(call.predecessors)]).any() else due
        if due < case.scenario.horizon_s and call.task not in rejected_tasks:
            assert run.released_at[index] == pytest.approx(due, rel=0, abs=1e-9)
        elif call.task not in rejected_tasks:
            assert np.isnan(run.released_at[index])


def little_s_law(case: Case, run: Outcome) -> None:
    """Area under the weighted number of tasks in system = sum of their weighted times there."""
    scenario = case.scenario
    reference = scenario.reference_rate * scenario.reference_latency_s
    area = np.sum(run.latency_term * lengths(case)) * reference
    times = sum(
        task.weight * (np.nan_to_num(task.closed, nan=scenario.horizon_s) - task.opened)
        for task in tasks_of(case, run)
    )
    assert area == pytest.approx(times, rel=1e-9, abs=1e-12)


def nothing_idle_is_busy_and_nothing_busy_is_free(case: Case, run: Outcome) -> None:
    """0 <= busy <= billed; what was worked is the work of the calls, T work per GPU-second."""
    assert np.all(run.busy >= 0)
    assert np.all(run.busy <= run.billed + 1e-9)
    agents = agents_of(case)
    work = np.array([call.work for call in case.calls])
    for i in range(case.scenario.n_agents):
        worked = run.busy[:, i].sum() * case.scenario.throughput[i]
        assert worked >= work[(agents == i) & ~np.isnan(run.completed_at)].sum() - 1e-9
        assert worked <= work[(agents == i) & ~np.isnan(run.started_at)].sum() + 1e-9


def reward_is_the_weighted_sum_of_its_terms(case: Case, run: Outcome) -> None:
    w, scenario = case.scenario.weights, case.scenario
    expected = -(w.latency * run.latency_term + w.cost * run.cost_term + w.idle * run.idle_term)
    np.testing.assert_allclose(run.rewards, expected, rtol=1e-9, atol=1e-9)
    pool = scenario.gpus * lengths(case)
    np.testing.assert_allclose(run.cost_term, run.billed.sum(axis=1) / pool, rtol=1e-9, atol=1e-9)
    idle = (run.billed - run.busy).sum(axis=1) / pool
    np.testing.assert_allclose(run.idle_term, idle, rtol=1e-9, atol=1e-9)


def shares_are_feasible(case: Case, run: Outcome) -> None:
    """Non-negative, within the pool, zero where asked for less than the quantum."""
    asked = case.requested()
    assert np.all(run.shares >= 0)
    assert np.all(run.shares.sum(axis=1) <= case.scenario.gpus * (1 + 1e-12))
    np.testing.assert_array_equal(run.shares == 0, asked < case.scenario.share_quantum)


def no_server_idles_while_a_call_waits(case: Case, run: Outcome) -> None:
    """Work conservation, from the times alone; for instances without limits and memory.

    From the moment an agent can serve in an interval to the interval's end, min(c, calls in
    system) servers are at work, which gives its busy GPU-seconds.
    """
    scenario, agents = case.scenario, agents_of(case)
    before = np.zeros(scenario.n_agents)
    for k, at in enumerate(scenario.decision_times):
        share = run.shares[k]
        paused = run.seen["pause_left_s"][k].copy()
        changed = np.abs(share - before) > scenario.share_quantum
        paused[changed & (run.seen["status"][k] != 0)] = scenario.reconfigure_s
        begin = at + np.maximum(paused, run.seen["ready_in_s"][k])
        for i, agent in enumerate(scenario.agents):
            spells = [
                (released, np.nan_to_num(completed, nan=np.inf))
                for released, completed in zip(
                    run.released_at[agents == i], run.completed_at[agents == i], strict=True
                )
                if released < scenario.interval_ends[k]
            ]
            used = used_servers(spells, begin[i], scenario.interval_ends[k], agent.concurrency)
            assert run.busy[k, i] == pytest.approx(used * share[i] / agent.concurrency, abs=1e-9)
        before = share


def used_servers(spells: list[tuple[float, float]], begin: float, end: float, c: int) -> float:
    """Integral of min(c, number in system) from begin to end."""
    cuts = sorted({begin, end, *(t for spell in spells for t in spell if begin < t < end)})
    if begin >= end:
        return 0.0
    return sum(
        (b - a) * min(c, sum(r <= a and b <= done for r, done in spells))
        for a, b in itertools.pairwise(cuts)
    )


LAWS: list[Law] = [
    calls_are_conserved,
    books_agree_with_the_times_of_calls,
    times_are_in_order,
    service_is_first_come_first_served,
    calls_follow_their_predecessors,
    little_s_law,
    nothing_idle_is_busy_and_nothing_busy_is_free,
    reward_is_the_weighted_sum_of_its_terms,
    shares_are_feasible,
]


def hold(case: Case) -> None:
    """Every law, on the path that the tape calls for and on the general one."""
    for play in (by_kernel, by_general_path):
        run = play(case, horizon_charge=False)
        for law in LAWS:
            law(case, run)


# ---- the tests ---------------------------------------------------------------------------------


@settings(max_examples=150)
@given(case=ANY)
def test_every_law_holds_on_every_run(case: Case) -> None:
    hold(case)


@pytest.mark.slow
@settings(max_examples=2_000)
@given(case=ANY)
def test_every_law_holds_on_thousands_of_runs(case: Case) -> None:
    hold(case)


@settings(max_examples=75)
@given(case=ANY)
def test_tasks_are_conserved_in_the_metrics(case: Case) -> None:
    """Opened = completed + open + rejected, and all of them are in Little's mean latency."""
    run = simulate(case.scenario, case.tape(), case.requested())
    opened = tasks_of(case, by_kernel(case))
    books = run.metrics
    assert len(opened) == books["completed"] + books["open"] + books["rejected"]
    completed = [task for task in opened if not np.isnan(task.closed)]
    assert len(completed) == books["completed"]
    rejected = {case.calls[index].task for index in np.flatnonzero(run.rejected)}
    assert len(rejected) == books["rejected"]
    closed = [np.nan_to_num(task.closed, nan=case.scenario.horizon_s) for task in opened]
    times = np.array(closed) - np.array([task.opened for task in opened])
    if len(opened):
        assert books["little_latency_s"] == pytest.approx(times.mean(), rel=1e-9)
        assert run.records["area"].sum() == pytest.approx(times.sum(), rel=1e-9)


@settings(max_examples=75)
@given(case=UNLIMITED)
def test_no_server_idles_while_a_call_waits(case: Case) -> None:
    for play in (by_kernel, by_general_path):
        no_server_idles_while_a_call_waits(case, play(case))


@pytest.mark.slow
@settings(max_examples=1_000)
@given(case=UNLIMITED)
def test_no_server_idles_while_a_call_waits_on_thousands_of_runs(case: Case) -> None:
    for play in (by_kernel, by_general_path):
        no_server_idles_while_a_call_waits(case, play(case))


@settings(max_examples=75)
@given(case=ANY)
def test_horizon_charge_is_what_is_left_to_pay(case: Case) -> None:
    for play in (by_kernel, by_general_path):
        bare, charged = play(case, horizon_charge=False), play(case, horizon_charge=True)
        horizon_charge_is_what_is_left_to_pay(case, bare, charged)


def horizon_charge_is_what_is_left_to_pay(case: Case, bare: Outcome, charged: Outcome) -> None:
    """It comes in the last interval, in latency and cost alone.

    The work of the tasks that opened was either done, which made agents busy, or is left.
    """
    scenario, opened = case.scenario, tasks_of(case, bare)
    latency = charged.latency_term - bare.latency_term
    cost = charged.cost_term - bare.cost_term
    assert not latency[:-1].any()
    assert not cost[:-1].any()
    np.testing.assert_allclose(charged.idle_term, bare.idle_term, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(charged.billed, bare.billed)
    np.testing.assert_array_equal(charged.busy, bare.busy)
    calls = [case.calls[index] for task in opened for index in task.calls]
    needed = sum(call.work / scenario.throughput[call.agent] for call in calls)
    charge = cost[-1] * scenario.gpus * lengths(case)[-1]
    assert charge == pytest.approx(needed - bare.busy.sum(), rel=1e-9, abs=1e-9)
    open_weight = sum(task.weight for task in opened if np.isnan(task.closed))
    charge = latency[-1] * scenario.reference_rate * lengths(case)[-1]
    assert charge == pytest.approx(open_weight, rel=1e-9, abs=1e-9)
