"""Pictures and texts of an episode: they show what happened, whatever the number of agents."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from slicegym.envs import Agent, Observation, Run, Scenario, Simulator, Tape, simulate
from slicegym.envs.panels import COLOURS
from slicegym.envs.render import HISTORY, Renderer, plot_run, plot_runs
from slicegym.envs.timeline import Frame, Timeline

Floats = NDArray[np.float64]

TERMS = {"time_s": 1.0, "latency_term": 0.25, "cost_term": 0.5, "idle_term": 0.125, "reward": -0.9}


def make(n: int, **changes: object) -> Scenario:
    agents = tuple(
        Agent(f"agent {i}", throughput=3.0, cold_start_s=1.5, keep_alive_s=2.5, memory_mb=1.0)
        for i in range(n)
    )
    fields = {"gpus": 2.0, "horizon_s": 20.5, "pool_memory_mb": max(1.0, 0.75 * n)} | changes
    return Scenario(agents=agents, **fields)  # type: ignore[arg-type]


def calls(scenario: Scenario, per_agent: int, seed: int = 0) -> Tape:
    rng = np.random.default_rng(seed)
    n = per_agent * scenario.n_agents
    agents = np.arange(n) % scenario.n_agents
    release = rng.uniform(0, scenario.horizon_s, n).round(1)
    return Tape.from_calls(agents, rng.exponential(size=n), release, horizon_s=scenario.horizon_s)


def chains(scenario: Scenario, n: int) -> Tape:
    """Tasks of two calls each, with think time between them."""
    rng = np.random.default_rng(3)
    second = np.arange(2 * n) % 2 == 1
    release = np.where(second, 0.5, rng.uniform(0, scenario.horizon_s, 2 * n).round(1))
    return Tape.from_calls(
        rng.integers(scenario.n_agents, size=2 * n),
        rng.exponential(size=2 * n),
        release,
        np.arange(2 * n) // 2,
        [[call - 1] if follows else [] for call, follows in enumerate(second)],
        horizon_s=scenario.horizon_s,
    )


def schedule(scenario: Scenario) -> Floats:
    """Shares that come, change and go."""
    rng = np.random.default_rng(7)
    shape = (scenario.n_intervals, scenario.n_agents)
    return rng.uniform(0, 1, shape) * (rng.uniform(size=shape) < 0.7)


def observe(simulator: Simulator) -> Observation:
    seen = simulator.observe()
    return Observation(simulator.scenario, seen.decision[0], seen.raw[0])


def observations(scenario: Scenario, tape: Tape, shares: Floats) -> Iterator[Observation]:
    simulator = Simulator(scenario, graph=not tape.is_independent, capacity=tape.n_calls)
    simulator.load(0, tape)
    yield observe(simulator)
    for row in shares:
        simulator.step(row)
        yield observe(simulator)


def shown(scenario: Scenario, tape: Tape, shares: Floats) -> Renderer:
    renderer = Renderer(scenario)
    first, *others = observations(scenario, tape, shares)
    renderer.reset(first)
    for observation in others:
        renderer.record(observation, TERMS)
    return renderer


def count(picture: NDArray[np.uint8], colour: str) -> int:
    rgb = np.round(255 * np.array(to_rgb(colour)))
    return int(np.all(np.abs(picture - rgb) <= 1, axis=-1).sum())


# ---- the picture -------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3, 40])
def test_pictures_have_one_size(n: int) -> None:
    scenario = make(n)
    renderer = Renderer(scenario)
    first, *others = observations(scenario, calls(scenario, 20), schedule(scenario))
    renderer.reset(first)
    pictures = [renderer.rgb()]
    for observation in others:
        renderer.record(observation, TERMS)
    pictures.append(renderer.rgb())
    assert {(p.shape, p.dtype) for p in pictures} == {((640, 960, 3), np.dtype(np.uint8))}
    assert not np.array_equal(pictures[0], pictures[1])
    assert np.array_equal(pictures[1], renderer.rgb())
    assert pictures[1].flags.writeable


def test_areas_are_the_shares() -> None:
    # From 0.5 to 1.25 and to 0.25 GPU: one gains three times the pixels that the other loses. What
    # else has an agent's colour, legend, lines and lifecycle, stays.
    scenario = make(2, horizon_s=20.0, pool_memory_mb=None)
    tape = Tape.from_calls([], [], [], horizon_s=20.0)
    even, uneven = (
        shown(scenario, tape, np.tile(row, (20, 1))).rgb() for row in ([0.5, 0.5], [1.25, 0.25])
    )
    first, second = (count(even, COLOURS[i]) for i in (0, 1))
    assert second == pytest.approx(first, rel=0.1)
    gained, lost = count(uneven, COLOURS[0]) - first, second - count(uneven, COLOURS[1])
    assert gained == pytest.approx(3 * lost, rel=0.1)


def test_picture_forgets_what_is_older_than_its_history() -> None:
    scenario = make(2, horizon_s=200.0)
    tape = Tape.from_calls([], [], [], horizon_s=200.0)
    shares = np.zeros((200, 2))
    shares[:, 0], shares[:20, 1] = 1.0, 1.0
    early, late = (shown(scenario, tape, shares[:k]).rgb() for k in (HISTORY, 20 + HISTORY + 3))
    assert count(early, COLOURS[1]) > 2_000
    assert count(late, COLOURS[1]) < 500  # its legend


def test_names_are_no_mathematics() -> None:
    agents = (Agent("$x^{$", throughput=1.0), Agent("a\nb\x1b[31m" + "c" * 90, throughput=1.0))
    scenario = Scenario(agents=agents, horizon_s=3.0, name="$_{")
    tape = Tape.from_calls([0, 1], [1, 1], [0.0, 0.5], horizon_s=3.0)
    renderer = shown(scenario, tape, np.full((3, 2), 0.5))
    assert renderer.rgb().shape == (640, 960, 3)
    assert "\x1b" not in renderer.ansi()
    assert renderer.ansi().count("\n") == 5


def test_a_note_has_a_line_of_its_own() -> None:
    scenario = make(1)
    run = simulate(scenario, calls(scenario, 5), schedule(scenario))
    lines = [text.get_text() for text in plot_run(run, note="by $5").texts]
    assert any(line.startswith("by $5\non average: reward") for line in lines)


def test_drawing_touches_no_pyplot_and_importing_no_matplotlib() -> None:
    code = """
import sys, numpy as np
from slicegym.envs import Agent, Scenario, Tape, simulate
from slicegym.envs.render import plot_run
scenario = Scenario(agents=(Agent("a", throughput=1.0),), horizon_s=2.0)
run = simulate(scenario, Tape.from_calls([0], [1], [0.0], horizon_s=2.0), np.ones((2, 1)))
assert "matplotlib" not in sys.modules
import matplotlib
names = [name for name in matplotlib.rcParams if name != "backend"]  # reading that loads pyplot
before = [matplotlib.rcParams[name] for name in names]
plot_run(run)
assert [matplotlib.rcParams[name] for name in names] == before
assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# ---- the text ----------------------------------------------------------------------------------


def test_text_of_a_small_instance() -> None:
    # b has a quarter of the pool; its calls, two since 0 and one since 1, wait for the load.
    agents = (Agent("a", throughput=1.0), Agent("b", throughput=1.0, cold_start_s=9.0))
    scenario = Scenario(agents=agents, gpus=4.0, horizon_s=10.0, name="small")
    tape = Tape.from_calls([1, 1, 1], [1, 1, 1], [0.0, 0.0, 1.0], horizon_s=10.0)
    renderer = Renderer(scenario)
    first, *others = observations(scenario, tape, np.tile([3.0, 1.0], (3, 1)))
    renderer.reset(first)
    assert renderer.ansi().splitlines()[1] == "no step yet"
    for observation in others:
        renderer.record(observation, TERMS)
    assert renderer.ansi().splitlines() == [
        "small   3.0 of 10.0 s",
        "reward -0.900   latency 0.250   cost 0.500   idle 0.125",
        "agent            share of 4 GPU                 queue waits [s]  status",
        "a                3.000 [###############.....]       0       0.0  warm",
        "b                1.000 [#####...............]       3       3.0  loading",
    ]


def test_text_shows_the_longest_queues_of_many() -> None:
    # Agent i has i calls waiting.
    scenario = make(20, horizon_s=4.0)
    agent = np.repeat(np.arange(20), np.arange(20))
    tape = Tape.from_calls(agent, np.ones(190), np.zeros(190), horizon_s=4.0)
    lines = shown(scenario, tape, np.zeros((2, 20))).ansi().splitlines()
    assert [line[:14].rstrip() for line in lines[3:19]] == [f"agent {i}" for i in range(4, 20)]
    assert lines[19] == "The 16 of 20 agents with the longest queues; 4 are not shown."


@pytest.mark.parametrize("n", [1, 16, 17, 300])
def test_text_fits_into_80_columns(n: int) -> None:
    scenario = make(n, gpus=3e6, horizon_s=12_345_678.9, interval_s=1e6, name="n" * 200)
    agent = np.arange(20 * n) % n
    tape = Tape.from_calls(agent, np.full(20 * n, 1e9), np.zeros(20 * n), horizon_s=12_345_678.9)
    shares = np.full((13, n), 3e6)
    lines = shown(scenario, tape, shares).ansi().splitlines()
    assert len(lines) == 3 + min(n, 16) + (n > 16)
    assert max(len(line) for line in lines) <= 80


# ---- misuse ------------------------------------------------------------------------------------


def test_nothing_to_show_before_reset() -> None:
    scenario = make(2)
    first = next(observations(scenario, calls(scenario, 1), schedule(scenario)))
    empty = Renderer(scenario)
    for show in (empty.ansi, empty.rgb, lambda: empty.record(first, TERMS)):
        with pytest.raises(RuntimeError, match="call reset first"):
            show()


def test_reset_forgets_the_last_episode() -> None:
    scenario = make(2)
    renderer = shown(scenario, calls(scenario, 20), schedule(scenario))
    first = next(observations(scenario, calls(scenario, 20), schedule(scenario)))
    fresh = Renderer(scenario)
    for each in (renderer, fresh):
        each.reset(first)
    assert renderer.ansi() == fresh.ansi()
    assert np.array_equal(renderer.rgb(), fresh.rgb())


def test_a_batch_is_refused() -> None:
    scenario = make(2)
    simulator = Simulator(scenario, batch=3)
    for b in range(3):
        simulator.load(b, calls(scenario, 2, seed=b))
    with pytest.raises(ValueError, match=r"one environment, its arrays of the shape \(2,\)"):
        Renderer(scenario).reset(simulator.observe())


# ---- whole runs --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["calls", "chains"])
def test_a_run_s_timeline_is_what_was_observed(kind: str) -> None:
    scenario = make(3)
    tape = calls(scenario, 40) if kind == "calls" else chains(scenario, 60)
    shares = schedule(scenario)
    frames = [Frame.of(observation) for observation in observations(scenario, tape, shares)]
    live = Timeline.of_frames(scenario, frames)
    past = Timeline.of_run(simulate(scenario, tape, shares))
    for name in ("edges", "share", "queue", "wait_s", "status", "lifecycle"):
        assert np.array_equal(getattr(live, name), getattr(past, name)), name
    assert np.allclose(live.asked, past.asked, rtol=1e-12, atol=0)
    assert set(np.unique(live.lifecycle)) == {0, 1, 2, 3}
    assert live.edges[-1] == 20.5


def test_a_load_is_shown_in_every_interval_that_it_touches() -> None:
    # Loading from 1 to 3.5.
    scenario = Scenario(agents=(Agent("a", throughput=1.0, cold_start_s=2.5),), horizon_s=6.0)
    tape = Tape.from_calls([], [], [], horizon_s=6.0)
    run = simulate(scenario, tape, np.array([[0.0], [1], [1], [1], [1], [1]]))
    assert Timeline.of_run(run).lifecycle[:, 0].tolist() == [0, 2, 2, 2, 3, 3]


@pytest.mark.parametrize(("cold_start_s", "shown"), [(5.0, 2), (2.0, 2), (0.0, 3)])
def test_a_load_within_one_interval_is_shown(cold_start_s: float, shown: int) -> None:
    agent = Agent("a", throughput=1.0, cold_start_s=cold_start_s)
    scenario = Scenario(agents=(agent,), horizon_s=15.0, interval_s=5.0)
    tape = Tape.from_calls([], [], [], horizon_s=15.0)
    run = simulate(scenario, tape, np.array([[0.0], [1], [1]]))
    assert Timeline.of_run(run).lifecycle[:, 0].tolist() == [0, shown, 3]


@pytest.fixture(scope="module")
def run() -> Run:
    scenario = make(3)
    return simulate(scenario, calls(scenario, 40), schedule(scenario))


def test_plot_run_draws_and_writes(run: Run, tmp_path: Path) -> None:
    figure = plot_run(run, tmp_path / "run.png")
    assert tuple(figure.get_size_inches() * figure.dpi) == (960, 640)
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    labels = [axis.get_ylabel() for axis in figure.axes]
    assert labels == ["share [GPU]", "queue [calls]", "oldest wait [s]", ""]


def test_plot_runs_shares_its_axes(run: Run, tmp_path: Path) -> None:
    idle = simulate(run.scenario, run.tape, np.zeros_like(run.shares))
    figure = plot_runs({"some": run, "none": idle}, tmp_path / "runs.png")
    some, none = figure.axes[:3], figure.axes[3:]
    for left, right in zip(some, none, strict=True):
        assert left.get_xlim() == right.get_xlim()
        assert left.get_ylim() == right.get_ylim()
    assert some[1].get_ylim()[1] > 10
    assert (tmp_path / "runs.png").read_bytes().startswith(b"\x89PNG")


def test_plot_runs_refuses_what_cannot_be_compared(run: Run) -> None:
    other = simulate(run.scenario, calls(run.scenario, 40, seed=1), run.shares)
    with pytest.raises(ValueError, match="one scenario and one tape to be compared; 'b' is"):
        plot_runs({"a": run, "b": other})
    with pytest.raises(ValueError, match="runs must be 2 to 4 to fit beside each other, got 1"):
        plot_runs({"a": run})
