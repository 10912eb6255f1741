"""First guesses for a scenario around a user's calls."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

from slicegym.envs.errors import TraceError
from slicegym.envs.loading import load_scenario
from slicegym.envs.traces import load_spec
from slicegym.envs.traces.importing import Columns, Imported, import_calls
from slicegym.eval.cli import main
from slicegym.eval.trace_files import Names, write
from slicegym.eval.trace_scenario import episode_length, guess, interval, quoted, rounded_down

PAGE = Path(__file__).parents[1] / "docs" / "your-trace.md"


def calls_at(folder: Path, times, agents=None) -> Imported:
    rows = [f"{t!r},{agents[i] if agents else 'a'}" for i, t in enumerate(map(float, times))]
    (folder / "log.csv").write_text("\n".join(["t_s,a", *rows]) + "\n")
    return import_calls(folder / "log.csv", Columns(time="t_s", agent="a"))


@pytest.mark.parametrize("span_s", [0.05, 3.0, 47.0, 700.0, 9e3, 3e5])
def test_every_split_holds_an_episode(tmp_path, span_s):
    calls = calls_at(tmp_path, np.linspace(0, span_s, 300))
    found = guess(calls)
    names = Names.beside(tmp_path / "my.yaml")
    write(names, calls, found, title="a test", command="none")
    world = load_scenario(tmp_path / "my.yaml")
    assert world.workload is not None
    for split in ("train", "validation", "heldout"):
        assert len(world.workload.suite(world, split)) >= 1
    windows = dict(load_spec(str(tmp_path / "my.trace.yaml")).splits)
    assert windows["train"][1] == pytest.approx(0.6 * span_s, rel=0.02, abs=1)
    assert windows["heldout"][1] >= calls.arrival_s[-1]
    assert 20 <= world.n_intervals <= 7200


@pytest.mark.parametrize(
    ("room", "rate", "horizon"),
    [
        (3600, 10.0, 300),  # five minutes
        (36_000, 0.1, 5000),  # 500 calls
        (690, 10.0, 230),  # a third of the window
        (100, 10.0, 100),  # all of it
        (0.5, 10.0, 0.5),
    ],
)
def test_horizons(room, rate, horizon):
    assert episode_length(((0, 9), (0, room), (0, room + 1)), rate) == horizon


@pytest.mark.parametrize(("horizon", "expected"), [(300, 1), (10, 0.5), (3, 0.1), (86_400, 10)])
def test_intervals(horizon, expected):
    assert interval(horizon) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(239.9, 230), (0.0123, 0.012), (7, 7), (0.3, 0.3), (1e6, 1e6)]
)
def test_two_digits(value, expected):
    assert rounded_down(value) == expected


def test_throughputs_by_hand(tmp_path):
    """Of 120 s 72 are training: 36 calls of a with work 1 and 12 of b with work 3.

    Σ λ·m = (36·1 + 12·3)/72 = 1, so a call of work 1 takes 2 GPU-seconds of the 0.5 · 4.
    """
    rows = [f"{t},a,1" for t in np.arange(0.0, 72.0, 2.0)]
    rows += [f"{t},b,3" for t in np.arange(1.0, 72.0, 6.0)]
    rows += ["100,a,50", "120,b,7"]
    (tmp_path / "log.csv").write_text("\n".join(["t_s,a,w", *rows]))
    columns = Columns(time="t_s", agent="a", work="w")
    found = guess(import_calls(tmp_path / "log.csv", columns))
    assert found.splits == ((0, 72), (72, 96), (96, 120))
    assert found.rate == pytest.approx([0.5, 1 / 6])
    assert found.throughput == pytest.approx([1 / 2, 1 / 6], rel=1e-3)
    assert found.min_share == pytest.approx([0.25, 0.75], abs=1e-3)


def test_a_training_window_with_one_call_or_none(tmp_path):
    calls = calls_at(tmp_path, [0.0, *range(10_000, 10_100)])
    assert guess(calls).rate == pytest.approx([1 / guess(calls).splits[0][1]])
    late = Imported(**{**vars(calls), "arrival_s": calls.arrival_s[1:], "agent": calls.agent[1:]})
    with pytest.raises(TraceError, match="the training window, the first 6059 s, must hold calls"):
        guess(late)


@pytest.mark.parametrize(
    "name", ["nlp", "a b", "null", "yes", "1", "1e3", "a: b", "#x", "ü", "'", '"', "x-1", "🎈", "~"]
)
def test_names_survive_yaml(name):
    assert yaml.safe_load(f"{{name: {quoted(name)}, x: 1}}") == {"name": name, "x": 1}


def test_many_agents_with_odd_names(tmp_path):
    agents = [f"{'#:,&*!|>%@`'[i % 11]}{i} – $x$" for i in range(200)]
    rows = [f'{t},"{agents[t % 200]}"' for t in range(4000)]
    (tmp_path / "log.csv").write_text("\n".join(["t_s,a", *rows]))
    calls = import_calls(tmp_path / "log.csv", Columns(time="t_s", agent="a"))
    names = Names.beside(tmp_path / "my.yaml")
    write(names, calls, guess(calls), title="a\n b: c", command="x\n y: z")
    assert set(load_scenario(tmp_path / "my.yaml").agent_names) == set(agents)


def test_the_page_shows_what_works(tmp_path, monkeypatch, capsys):
    """Runs the page's blocks in their order, commands too."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert [language for language, _ in blocks] == ["python", "sh", "py"]
    for language, text in blocks:
        if language != "sh":
            exec(compile(text, str(PAGE), "exec"), {})
            continue
        for line in text.splitlines():
            with pytest.raises(SystemExit) as ended:
                main(shlex.split(line)[1:])
            assert ended.value.code == 0, capsys.readouterr().err
    assert "demand" in capsys.readouterr().out
