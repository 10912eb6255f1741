"""Random instances: scenarios, tapes of call graphs, and shares that change every interval.

Two families, because outcomes hang on ties, and ties on equal float64 times:

* Exact: every number is a small dyadic fraction and every rate a power of two, so that all
  event times are computed without rounding, whatever the order of the operations. Ties of every
  kind are frequent and real, and outcomes and times must agree to the last bit.
* Rough: works, releases, delays and durations are continuous. A completion ties with another
  event with probability zero, so that no rounding can flip an outcome, and times must agree to
  1e-9 s. Ties by construction remain (calls released together and at multiples of the interval,
  durations that are multiples of it where it is dyadic): these are exact in any arithmetic.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from slicegym.envs import Agent, Scenario, Weights

from .case import Call, Case, number_of_intervals


@dataclass(frozen=True)
class Options:
    """What an instance may contain."""

    graphs: bool = True
    limits: bool = True
    memory: bool = True
    pauses: bool = True
    max_tasks: int = 20


class Exact:
    """Dyadic numbers; see the module's docstring."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.interval = rng.choice([0.25, 0.5, 1.0, 2.0])
        self.gpus = rng.choice([1.0, 1.0, 2.0])
        self.quantum = rng.choice([2.0**-6, 2.0**-6, 0.125, 0.25]) * self.gpus
        self.concurrency = rng.choice([[1], [1, 2, 4]])
        self.nothing = rng.choice([0.0, 0.1, 0.4])
        # A coarse grid makes ties the rule: completions, ends and releases on decisions.
        self.grid = rng.choice([1.0, 0.5, 0.25]) * self.interval

    def throughput(self) -> float:
        return self.rng.choice([1.0, 2.0, 4.0, 8.0]) / self.interval

    def duration(self) -> float:
        return self.rng.choice([0.0, 0.0, 0.5, 1.0, 1.0, 2.0, 3.0, 5.0]) * self.grid

    def footprint(self) -> float | None:
        return self.rng.choice([None, 0.0, 0.125, 0.5])

    def short(self) -> float:
        """How much shorter the last interval is."""
        return self.rng.choice([0.0, 0.0, self.interval / 2, self.interval / 4])

    def work(self) -> float:
        return self.rng.choice([0.125, 0.25, 0.5, 0.5, 1.0, 1.0, 1.0, 1.5, 2.0])

    def time(self, horizon: float) -> float:
        """Release times on the grid; the horizon itself may be among them."""
        return self.rng.randint(0, int(horizon / self.grid)) * self.grid

    def shares(self, n: int) -> list[float]:
        """A request whose feasible shares are zero or powers of two.

        The pool is split by repeated halving. Some parts are dropped, or else all are asked for
        twice or four times over, which scaling takes back without rounding.
        """
        over = self.rng.choice([1.0, 1.0, 2.0, 4.0])
        parts = [self.gpus]
        for _ in range(self.rng.randint(0, min(n - 1, 8))):
            i = self.rng.randrange(len(parts))
            if parts[i] * over / 2 >= self.quantum:  # what is dropped could not be scaled back
                parts[i] /= 2
                parts.append(parts[i])
        nothing = [0.0, 0.0, -0.5, self.quantum / 2]
        if over == 1.0:
            parts = [
                p if self.rng.random() >= self.nothing else self.rng.choice(nothing) for p in parts
            ]
        request = [over * p for p in parts]
        request += [self.rng.choice(nothing) for _ in range(n - len(parts))]
        self.rng.shuffle(request)
        return request


class Rough:
    """Continuous numbers; see the module's docstring."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.interval = rng.choice([1.0, 0.5, 0.25, 0.1, 0.7])
        self.gpus = rng.choice([1.0, rng.uniform(0.5, 8.0)])
        self.quantum = rng.choice([1e-3, 0.05, 0.2]) * self.gpus
        self.concurrency = [1, 2, 3, 4]
        self.nothing = rng.choice([0.0, 0.1, 0.4])

    def throughput(self) -> float:
        return self.rng.uniform(1.0, 20.0) / self.gpus

    def duration(self) -> float:
        multiple = self.rng.randint(0, 3) * self.interval
        is_dyadic = self.interval in (1.0, 0.5, 0.25)
        either = [0.0, self.rng.uniform(0.0, 2.5 * self.interval)]
        return self.rng.choice([multiple, *either] if is_dyadic else either)

    def footprint(self) -> float | None:
        return self.rng.choice([None, 0.0, self.rng.uniform(0.0, self.gpus)])

    def short(self) -> float:
        """How much shorter the last interval is."""
        return self.rng.choice([0.0, self.rng.uniform(0.0, 0.9) * self.interval])

    def work(self) -> float:
        return self.rng.expovariate(1.0) + 1e-3

    def time(self, horizon: float) -> float:
        """Release times anywhere, or on a decision computed as decisions are."""
        decision = self.rng.randint(0, int(horizon / self.interval)) * self.interval
        return self.rng.choice([decision, self.rng.uniform(0.0, horizon)])

    def shares(self, n: int) -> list[float]:
        """Anything: zeros, negative and tiny ones, requests over the pool."""
        scale = self.rng.choice([0.5, 1.0, 3.0]) * self.gpus * 2 / n
        nothing = [0.0, 0.0, -self.rng.random(), self.quantum * self.rng.uniform(0.0, 0.99)]
        return [
            self.rng.uniform(self.quantum, scale)
            if self.rng.random() >= self.nothing
            else self.rng.choice(nothing)
            for _ in range(n)
        ]


Numbers = Exact | Rough


def build(numbers: Numbers, options: Options) -> Case:
    """One instance of a family."""
    rng = numbers.rng
    n = rng.choice([1, 1, 2, 3, 4, 20])
    k = rng.randint(1, 12)
    scenario = Scenario(
        agents=tuple(_agent(numbers, options, i) for i in range(n)),
        gpus=numbers.gpus,
        interval_s=numbers.interval,
        horizon_s=k * numbers.interval - numbers.short(),
        share_quantum=numbers.quantum,
        price_per_gpu_hour=rng.choice([1.0, 3600.0]),
        reconfigure_s=numbers.duration() if options.pauses and rng.random() < 0.5 else 0.0,
        pool_memory_mb=rng.choice([None, 4.0, 5.0]) if options.memory else None,
        reference_rate=rng.choice([1.0, 2.0]),
        reference_latency_s=rng.choice([1.0, 4.0]),
        weights=rng.choice([Weights(), Weights(latency=2.0, cost=0.5, idle=0.25)]),
    )
    steadiness = rng.choice([0.2, 0.7])
    shares = [numbers.shares(n) for _ in range(number_of_intervals(scenario))]
    for before, after in itertools.pairwise(shares):
        if rng.random() < steadiness:
            after[:] = before  # an unchanged share is neither a pause nor a new rate
    calls = _calls(numbers, options, scenario)
    return Case(scenario, tuple(calls), tuple(tuple(row) for row in shares))


def _agent(numbers: Numbers, options: Options, index: int) -> Agent:
    rng = numbers.rng
    return Agent(
        name=f"agent{index}",
        throughput=numbers.throughput(),
        priority=rng.choice([1.0, 2.0, 4.0]),
        footprint=numbers.footprint(),
        memory_mb=float(rng.randint(0, 4)),
        cold_start_s=rng.choice([0.0, numbers.duration()]),
        keep_alive_s=numbers.duration(),
        concurrency=rng.choice(numbers.concurrency),
        queue_limit=rng.choice([None, None, None, 0, 1, 2, 3]) if options.limits else None,
    )


def _calls(numbers: Numbers, options: Options, scenario: Scenario) -> list[Call]:
    rng = numbers.rng
    calls: list[Call] = []
    times = [numbers.time(scenario.horizon_s) for _ in range(3)]
    many = options.max_tasks * (1 if len(scenario.agents) < 5 else 3)
    for task in range(rng.randint(0, many)):
        # Bursts: a few instants take many tasks.
        at = rng.choice([rng.choice(times), numbers.time(scenario.horizon_s)])
        first = len(calls)
        for index in range(first, first + (rng.randint(1, 5) if options.graphs else 1)):
            before = [p for p in range(first, index) if rng.random() < 0.45]
            agent, work = rng.randrange(len(scenario.agents)), numbers.work()
            if before:
                call = Call(agent, work, task, delay=numbers.duration(), predecessors=tuple(before))
            else:
                later = numbers.time(scenario.horizon_s) if rng.random() < 0.3 else at
                call = Call(agent, work, task, release=later)
            calls.append(call)
    return _in_any_order(calls, rng)


def _in_any_order(calls: list[Call], rng: random.Random) -> list[Call]:
    """Renames calls, so that neither time nor the graph goes by index; tasks go by their calls."""
    order = list(range(len(calls)))
    rng.shuffle(order)
    name = {old: new for new, old in enumerate(order)}
    tasks = {task: new for new, task in enumerate(dict.fromkeys(calls[i].task for i in order))}
    return [
        replace(
            calls[old],
            task=tasks[calls[old].task],
            predecessors=tuple(sorted(name[p] for p in calls[old].predecessors)),
        )
        for old in order
    ]


def exact_cases(**options: bool | int) -> st.SearchStrategy[Case]:
    """Dyadic instances, which hypothesis draws and shrinks number by number."""
    return _cases(st.randoms(use_true_random=False), Exact, options)


def rough_cases(**options: bool | int) -> st.SearchStrategy[Case]:
    """Continuous instances by seed: hypothesis' own floats would be round, and tie."""
    return _cases(st.integers(0, 2**48).map(random.Random), Rough, options)


def _cases(
    sources: st.SearchStrategy[random.Random],
    family: Callable[[random.Random], Numbers],
    options: dict[str, bool | int],
) -> st.SearchStrategy[Case]:
    chosen = Options(**options)  # type: ignore[arg-type]
    return sources.map(lambda rng: build(family(rng), chosen))
