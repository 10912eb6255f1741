"""Replay: an episode is a window of its split, and of nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicegym.envs.errors import ConfigError, TraceError
from slicegym.envs.loading import load_scenario
from slicegym.envs.spec import Scenario
from slicegym.envs.traces import load_trace
from slicegym.envs.workloads import SPLITS, Episode, Workload

from .miniatures import (
    SPLITS as WINDOWS,
)
from .miniatures import (
    T0,
    azure,
    calls,
    mooncake,
    table,
    write_azure_scenario,
    write_scenario,
    write_trace,
)


def load(path: Path) -> tuple[Scenario, Workload]:
    world = load_scenario(path)
    assert world.workload is not None
    return world, world.workload


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Scenario, Workload]:
    """Two agents replaying two traces on one clock, in episodes of 20 s."""
    return load(write_azure_scenario(tmp_path))


def arrivals(tmp_path: Path, name: str, start_s: float, horizon_s: float) -> np.ndarray:
    times = load_trace(str(tmp_path / f"{name}.yaml")).arrival_s
    return times[(times >= start_s) & (times < start_s + horizon_s)] - start_s


def test_suites_are_blocks_of_the_windows(pair: tuple[Scenario, Workload], tmp_path: Path) -> None:
    world, workload = pair
    blocks = {split: [e.block for e in workload.suite(world, split)] for split in SPLITS}
    assert blocks == {
        "train": ["mini 0-20", "mini 20-40", "mini 40-60"],
        "validation": ["mini 70-90", "mini 90-110"],
        "heldout": ["mini 120-140", "mini 140-160", "mini 160-180", "mini 180-200"],
    }
    for split in SPLITS:
        first = WINDOWS[split][0]
        for j, episode in enumerate(workload.suite(world, split)):
            tape = workload.tape(world, episode)
            for i, name in enumerate(("nlp", "reasoning")):
                expected = arrivals(tmp_path, name, first + 20.0 * j, 20.0)
                assert np.array_equal(tape.release[tape.agent == i], expected)


@pytest.mark.parametrize("split", SPLITS)
def test_training_draws_stay_inside_their_window(
    pair: tuple[Scenario, Workload], tmp_path: Path, split: str
) -> None:
    world, workload = pair
    rng = np.random.default_rng(0)
    times = {n: load_trace(str(tmp_path / f"{n}.yaml")).arrival_s for n in ("nlp", "reasoning")}
    starts = []
    for _ in range(200):
        tape = workload.tape(world, workload.sample(world, split, rng))
        found = [
            match_start(tape.release[tape.agent == i], times[name])
            for i, name in enumerate(("nlp", "reasoning"))
        ]
        assert found[0] == pytest.approx(found[1])  # one clock, one start
        starts.append(found[0])
    low, high = WINDOWS[split]
    assert min(starts) >= low - 1e-6
    assert max(starts) <= high - 20.0 + 1e-6
    room = high - low - 20.0
    assert np.mean(starts) == pytest.approx(low + room / 2, abs=4 * room / np.sqrt(12 * 200))


def match_start(release: np.ndarray, times: np.ndarray) -> float:
    """Where in the trace these releases were cut from."""
    windows = np.lib.stride_tricks.sliding_window_view(np.diff(times), 5)
    found = np.flatnonzero(np.all(np.abs(windows - np.diff(release[:6])) < 1e-9, axis=1))
    assert found.size == 1, "not a cut of the trace"
    return float(times[found[0]] - release[0])


def test_an_episode_is_one_tape(pair: tuple[Scenario, Workload]) -> None:
    world, workload = pair
    one, two, other = (workload.tape(world, Episode("train", seed)) for seed in (3, 3, 4))
    assert np.array_equal(one.release, two.release)
    assert np.array_equal(one.work, two.work)
    assert not np.array_equal(one.release, other.release)
    assert workload.is_random


@pytest.mark.parametrize("start_s", [-0.5, 40.5, float("nan")])
def test_an_episode_must_lie_inside_its_window(
    pair: tuple[Scenario, Workload], start_s: float
) -> None:
    world, workload = pair
    with pytest.raises(ConfigError, match=r"episode.start_s must lie in \[0, 40\] for the train"):
        workload.tape(world, Episode("train", 0, start_s=start_s))


def test_a_horizon_longer_than_the_window_is_refused(tmp_path: Path) -> None:
    message = r"horizon_s must be at most 60 s, the train window of clock 'mini' \(0–60 s\), got 61"
    with pytest.raises(ConfigError, match=message):
        load(write_azure_scenario(tmp_path, horizon_s=61.0))
    world, workload = load(write_azure_scenario(tmp_path, horizon_s=50.0))
    checks: list[Callable[[], object]] = [
        lambda: workload.suite(world, "validation"),
        lambda: workload.tape(world, Episode("validation", 1_000_000)),
    ]
    for check in checks:
        with pytest.raises(ConfigError, match="must be at most 40 s, the validation window"):
            check()


def test_clocks_move_against_each_other_in_training_and_together_in_suites(
    tmp_path: Path,
) -> None:
    first = write_trace(tmp_path, "first", azure(calls(0)))
    second = write_trace(
        tmp_path,
        "second",
        mooncake(calls(1, first_s=0.0)),
        format={"kind": "mooncake", "jitter_s": 3.0},
        clock="other",
        splits={"train": [0, 100], "validation": [110, 140], "heldout": [150, 200]},
    )
    streams = {
        "a": {"kind": "replay", "trace": str(first)},
        "b": {"kind": "replay", "trace": str(second)},
        "c": {"kind": "poisson", "rate": 2.0},
    }
    world, workload = load(write_scenario(tmp_path, streams))
    suite = workload.suite(world, "heldout")
    assert [e.block for e in suite] == [
        "mini 120-140 + other 150-170",
        "mini 140-160 + other 170-190",
    ]
    tape = workload.tape(world, suite[1])
    assert np.array_equal(tape.release[tape.agent == 0], arrivals(tmp_path, "first", 140.0, 20.0))
    assert np.array_equal(tape.release[tape.agent == 1], arrivals(tmp_path, "second", 170.0, 20.0))
    times = [load_trace(str(path)).arrival_s for path in (first, second)]
    offsets = set()
    for seed in range(20):
        tape = workload.tape(world, Episode("train", seed))
        at = [match_start(tape.release[tape.agent == i], times[i]) for i in range(2)]
        offsets.add(round(at[1] - at[0], 3))
    assert len(offsets) == 20


def test_replayed_arrivals_may_have_drawn_work(tmp_path: Path) -> None:
    path = str(write_trace(tmp_path, "mini", azure(calls())))
    streams = {"a": {"kind": "replay", "trace": path, "work": {"kind": "constant"}}}
    world, workload = load(write_scenario(tmp_path, streams))
    assert np.all(workload.tape(world, Episode("train", 0)).work == 1.0)


def csv_world(tmp_path: Path, **changes: Any) -> tuple[Scenario, Workload]:
    rows = [(t / 2, "ab"[t % 2], 1.0 + t % 2) for t in range(240)]
    path = tmp_path / "calls.csv"
    path.write_bytes(table(rows))
    return load(write_scenario(tmp_path, workload={"kind": "table", "trace": str(path)}, **changes))


def test_a_plain_csv_drives_all_agents(tmp_path: Path) -> None:
    world, workload = csv_world(tmp_path)
    suite = workload.suite(world, "train")
    assert len(suite) == 3  # 60 % of 119.5 s
    tape = workload.tape(world, suite[1])
    assert np.all(tape.work == np.where(tape.agent == 0, 1.0, 2.0))
    assert sorted(tape.release) == pytest.approx(np.arange(40) / 2)
    drawn = workload.sample(world, "heldout", np.random.default_rng(0))
    assert workload.tape(world, drawn).n_calls in (39, 40, 41)


def test_a_csv_may_name_fewer_agents_but_no_strangers(tmp_path: Path) -> None:
    agents = [{"name": name, "throughput": 1.0} for name in ("a", "b", "idle")]
    world, workload = csv_world(tmp_path, agents=agents)
    assert set(workload.tape(world, Episode("train", 0)).agent) == {0, 1}
    with pytest.raises(TraceError, match=r"must hold calls of the scenario's agents, got 'b'"):
        csv_world(tmp_path, agents=agents[:1])


def test_a_table_needs_names(tmp_path: Path) -> None:
    path = str(write_trace(tmp_path, "mini", azure(calls()), format={"kind": "azure", "t0": T0}))
    with pytest.raises(TraceError, match="must name the agent of every call; use `replay`"):
        load(write_scenario(tmp_path, workload={"kind": "table", "trace": path}))


def test_an_unknown_trace_is_named_when_the_scenario_loads(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown trace 'azure_con' .*did you mean 'azure_conv'"):
        load(write_scenario(tmp_path, {"a": {"kind": "replay", "trace": "azure_con"}}))


def test_a_scenario_loads_without_its_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("SLICEGYM_TRACES", "SLICEGYM_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path))
    world, workload = load_scenario("azure"), load_scenario("azure").workload
    assert workload is not None
    blocks = [[e.block for e in workload.suite(world, split)] for split in SPLITS]
    assert blocks == [
        ["azure 0-360", "azure 360-720", "azure 720-1080", "azure 1080-1440"],
        ["azure 1740-2100"],
        ["azure 2280-2640", "azure 2640-3000", "azure 3000-3360"],
    ]
