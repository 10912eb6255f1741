"""What a clairvoyant could earn at most: a bound on the reward that no allocator can beat.

Given the whole tape, a linear program in which every run of the simulator, under any shares, is a
point that costs at most what the run costs; so its optimum is a bound. What a run is in it, and why
each row holds:

* *Share and service.* In an interval an agent serves at most T times its share, each call at most
  T·share/c, its own rate, and shares sum to at most what the pool has.
* *Memory.* A model is in memory for a whole interval or it does not count. It serves after loads
  that were completed, begun at a decision and cold_start_s before. A completed load is held for its
  time and a keep-alive, and memory outlasts each positive share by a keep-alive (left out where
  models can be driven out). Billed is at least the share, and the footprint while in memory; the
  footprint of an interval without service, while loading say, comes on top of shares that serve.
* *Calls.* None is served before its earliest start: its release or the fastest way along its call
  graph, and the end of a first load. None runs ahead of its predecessors. None is done by a time
  unless its agent was warm at some moment since its release.
* *Time in the system.* With F(t) the part served, a call is open for ∫(1 − F) dt, and while it is
  not done for ∫F dt too. Served at a rate of at most 1/p it has ∫F ≥ p·F(H)²/2 ≥ p·(F(H) − ½),
  which is added where p is longer than an interval. Otherwise it is open in its last interval for
  at least p, and for w·c/(T·g) at share g, of which the program has tangents. A task is open for as
  long as each of its calls and the fastest way on from there. What is left is open to the horizon
  and pays the charge; so are rejected tasks, which keeps the bound one under queue limits.

Where it is loose: parts of calls are served in any order, agents serve first come, first served;
shares and loads may be parts of an interval's and of a load; a call over many intervals counts as
if it had the whole pool throughout. Left out, which makes the bound looser and never wrong: pauses
(`reconfigure_s`), where MIG instances can be placed (their speed per share counts), the order in
which loads wait for memory, the way between nodes (a share counts times its machine's speed, at the
least price for that, wherever the agent is), whole units of an elastic pool, and memory lost to
faults. Large tapes are looked at more coarsely: calls of like work in groups, late service in
blocks that grow with a call's age, time in windows (`program.service.Detail`). Windows cost most
where the pool is overloaded for longer than one of them.

With `exact=True` loads, memory and being served are whole numbers, to the solver's tolerance of
1e-6: for small tapes.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..envs import checks
from ..envs.errors import ConfigError
from ..envs.simulator import Simulator
from ..envs.spec import Scenario
from ..envs.tape import Tape
from .bound_cache import cache_file, keep, recall, scenario_digest
from .program.build import build, choose
from .program.service import Detail
from .program.solve import SolverError, solve, solve_whole

__all__ = ["Bound", "SolverError", "clairvoyant_bound"]

MAX_EXACT = 2_000  # whole-numbered columns, agents times intervals times three


@dataclass(frozen=True)
class Bound:
    """A bound on the mean reward per interval, and the relaxed solution that it belongs to.

    Attributes:
        reward: No allocator's mean reward per interval is above it, horizon charge included.
        latency_term: Mean latency term of the relaxed solution; by itself it bounds nothing, and
            where that was put together from windows it is an indication only.
        cost_term: Mean cost term of it.
        idle_term: Mean idle term of it; reward = −Σ weight · term.
        relaxation: What was relaxed: `linear`, `windows` or `whole loads`.
        status: What the solver said.
        columns: Size of the program.
        solve_s: Time that it took to build and to solve [s].
    """

    reward: float
    latency_term: float
    cost_term: float
    idle_term: float
    relaxation: str
    status: str
    columns: int
    solve_s: float


def clairvoyant_bound(
    scenario: Scenario,
    tape: Tape,
    *,
    exact: bool = False,
    detail: Detail | None = None,
    time_limit_s: float = 600.0,
    use_cache: bool = True,
) -> Bound:
    """Bound the mean reward per interval of every allocator on a tape.

    Args:
        scenario: The system.
        tape: All calls, known beforehand.
        exact: Loads and memory as whole numbers, on small tapes.
        detail: How finely to look; by default as finely as the size allows in seconds.
        time_limit_s: For the solver [s].
        use_cache: Recall and keep the result in the user's cache folder, by tape and scenario.

    Raises:
        TypeError: Something else than a scenario and a tape.
        ConfigError: Tape and scenario do not go together, or too large a tape for `exact`.
        SolverError: The solver gave no optimum: there is no bound then, and no number.
    """
    _check(scenario, tape, exact)
    checks.number("time_limit_s", time_limit_s, above=0)
    chosen = detail or (Detail() if exact else choose(scenario, tape))
    file = _file(scenario, tape, exact, chosen)
    known = _recall(file) if use_cache else None
    if known is not None:
        return known
    bound = _compute(scenario, tape, exact, chosen, time_limit_s)
    if use_cache:
        keep(file, dataclasses.asdict(bound))
    return bound


def _file(scenario: Scenario, tape: Tape, exact: bool, detail: Detail) -> Path:
    return cache_file(tape.digest, scenario_digest(scenario), repr((detail, exact)))


def _recall(file: Path) -> Bound | None:
    values = recall(file, tuple(field.name for field in dataclasses.fields(Bound)))
    return None if values is None else Bound(**values)


def _compute(
    scenario: Scenario, tape: Tape, exact: bool, detail: Detail, time_limit_s: float
) -> Bound:
    begun = time.perf_counter()
    program = build(scenario, tape, detail)
    values = scenario.weights
    weights = np.array([values.latency, values.cost, values.idle])
    if exact:
        solution = solve_whole(program, weights, time_limit_s)
    else:
        solution = solve(program, weights, time_limit_s, detail.core, detail.look, detail.method)
    in_windows = 0 < detail.core < scenario.n_intervals
    latency, cost, idle = solution.terms.tolist()
    return Bound(
        reward=-solution.value,
        latency_term=latency,
        cost_term=cost,
        idle_term=idle,
        relaxation="whole loads" if exact else "windows" if in_windows else "linear",
        status=solution.status,
        columns=program.n_columns,
        solve_s=time.perf_counter() - begun,
    )


def _check(scenario: Scenario, tape: Tape, exact: bool) -> None:
    if not isinstance(scenario, Scenario):
        raise TypeError(f"scenario must be a Scenario, got {scenario!r}; load_scenario makes one")
    if not isinstance(tape, Tape):
        raise TypeError(f"tape must be a Tape, got {tape!r}; Tape.from_calls makes one")
    Simulator(scenario, graph=not tape.is_independent, capacity=tape.n_calls).load(0, tape)
    whole = 3 * scenario.n_agents * scenario.n_intervals
    if exact and whole > MAX_EXACT:
        raise ConfigError(
            f"exact takes at most {MAX_EXACT} whole numbers, 3 per agent and interval, got "
            f"{whole}; cut the horizon or leave exact out"
        )
