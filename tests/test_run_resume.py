"""Runs that were cut: nothing is lost, nothing is done twice, and no other run goes on in them."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from slicegym.envs.errors import ConfigError
from slicegym.eval.engines import Workers
from slicegym.eval.output import flatten
from slicegym.eval.results import load_results
from slicegym.eval.runs import cells
from slicegym.eval.runs.tables import TIMES, read_whole
from slicegym.eval.session import evaluate

from .test_eval_cli import SCENARIO

SPECS = ["static", "demand"]
N_KILLS = 22
# Forks once for each line that it reads, and plays in the child; so a kill comes at any moment of
# the run and not of Python's start.
NURSERY = """
import os, sys
from pathlib import Path
from slicegym.eval.session import evaluate
evaluate("paper-train", ["static"], bound=False, quiet=True)
print("ready", flush=True)
for line in sys.stdin:
    out = Path(line.strip())
    child = os.fork()
    if not child:
        evaluate(sys.argv[1], sys.argv[2].split(","), None, out, bound=False, quiet=True,
                 resume=True)
        os._exit(0)
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(status, flush=True)
"""
WITH_WORKERS = """
import sys
from pathlib import Path
from slicegym.eval.engines import Workers
from slicegym.eval.session import evaluate
if __name__ == "__main__":
    Workers.patience_s = 0.0
    evaluate(sys.argv[1], sys.argv[2].split(","), None, Path(sys.argv[3]), bound=False,
             quiet=True, resume=True, engine=Workers(2))
"""


@pytest.fixture
def suite(tmp_path: Path) -> str:
    (tmp_path / "small.yaml").write_text(SCENARIO)
    return f"{tmp_path / 'small.yaml'}-train"


def run(suite: str, out: Path, *, specs: list[str] | None = None, **options: Any) -> dict[str, Any]:
    return evaluate(suite, specs or SPECS, None, out, bound=False, quiet=True, **options)


def timeless(out: Path) -> list[dict[str, str]]:
    columns, lines = read_whole(out / "rows.csv")
    rows = [dict(zip(columns, line, strict=True)) for line in lines]
    return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]


def everything(out: Path) -> dict[str, Any]:
    """All that a run leaves, but for times."""
    found: dict[str, Any] = {"rows": timeless(out), "agents": (out / "agents.csv").read_bytes()}
    return found | {path.name: path.read_bytes() for path in (out / "episodes").iterdir()}


@pytest.fixture
def whole(suite: str, tmp_path: Path) -> Path:
    run(suite, tmp_path / "whole")
    return tmp_path / "whole"


def cut_copy(whole: Path, out: Path, rows: int, agents: int | None = None) -> Path:
    """A folder as a kill leaves it, its tables cut behind so many bytes."""
    shutil.copytree(whole, out)
    (out / "summary.json").unlink()
    (out / "UNFINISHED").touch()
    os.truncate(out / "rows.csv", rows)
    if agents is not None:
        os.truncate(out / "agents.csv", agents)
    return out


def test_rows_cut_anywhere_are_completed_and_none_is_played_twice(
    suite: str, whole: Path, tmp_path: Path
) -> None:
    size = (whole / "rows.csv").stat().st_size
    written = (whole / "rows.csv").read_bytes()
    for n in [0, 1, 100, *random.Random(0).sample(range(200, size), 8), size - 1, size]:
        out = cut_copy(whole, tmp_path / f"cut-{n}", n)
        run(suite, out, resume=True)
        assert everything(out) == everything(whole)
        kept = written[: written.rfind(b"\n", 0, n) + 1]
        if kept.count(b"\n") > 1:  # the times of a row that was played again would differ
            assert (out / "rows.csv").read_bytes().startswith(kept)
        assert not (out / "UNFINISHED").exists()
        assert load_results(out).families == ("small",)


def test_a_row_without_its_agents_or_its_episode_is_played_again(
    suite: str, whole: Path, tmp_path: Path
) -> None:
    size = (whole / "rows.csv").stat().st_size
    agents = (whole / "agents.csv").stat().st_size
    for name, lines in (("some", agents // 2), ("none", 0)):
        out = cut_copy(whole, tmp_path / name, size, lines)
        run(suite, out, resume=True)
        assert everything(out) == everything(whole)
    out = cut_copy(whole, tmp_path / "episode", size)
    (out / "episodes" / "small-001-000.npz").unlink()
    (out / "episodes" / ".small-001-000.npz.abcd").touch()
    run(suite, out, resume=True)
    assert everything(out) == everything(whole)


def test_on_a_missing_folder_it_begins_and_on_a_finished_one_it_does_nothing(
    suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    first = run(suite, out, resume=True)
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    monkeypatch.setattr(cells, "play_job", None)
    again = run(suite, out, resume=True)
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before
    assert again["summary"] == json.loads(json.dumps(first["summary"])) | {"split": "train"}
    assert list(map(flatten, again["rows"])) == list(map(flatten, first["rows"]))


def test_a_folder_that_was_cut_before_its_manifest_is_begun(suite: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "UNFINISHED").touch()
    (out / ".manifest.json.x3f").touch()
    run(suite, out, resume=True)
    assert len(load_results(out).rows) == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"specs": ["static", "fair"]}, r"allocators\[1\] was 'demand' and is 'fair'"),
        ({"specs": ["static", "demand:drain_s=4"]}, r"allocators\[1\] was 'demand' and is"),
        ({"series": "all"}, "series was 'first' and is 'all'"),
        ({"heldout": True}, r"parts\[0\].split was 'train' and is 'heldout'"),
        ({"scenario": True}, r"parts\[0\].scenario.gpus was 2 and is 3"),
        ({"version": True}, "versions.numpy was '0.1' and is"),
    ],
)
def test_another_run_does_not_go_on_in_a_folder(
    suite: str, whole: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    out = cut_copy(whole, tmp_path / "out", 500)
    if change.pop("heldout", False):
        suite = suite.replace("-train", "-heldout")
    if change.pop("scenario", False):
        (tmp_path / "small.yaml").write_text(SCENARIO.replace("gpus: 2", "gpus: 3"))
    if change.pop("version", False):
        manifest = json.loads((out / "manifest.json").read_text())
        manifest["versions"]["numpy"] = "0.1"
        (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match=message):
        run(suite, out, resume=True, **change)
    assert (out / "rows.csv").stat().st_size == 500


def test_what_is_no_folder_of_a_run_is_left_alone(
    suite: str, whole: Path, tmp_path: Path, refuse: Any
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").touch()
    with pytest.raises(ConfigError, match="holds something else and no"):
        run(suite, other, resume=True)
    with pytest.raises(ConfigError, match="is a file; name another"):
        run(suite, other / "thesis.tex", resume=True)
    assert "--resume needs the folder" in refuse("run", "--suite", suite, "--resume")
    with pytest.raises(ConfigError, match="or go on with the run in it by --resume"):
        run(suite, whole)


def test_rows_of_another_cell_and_changed_ones_are_refused(
    suite: str, whole: Path, tmp_path: Path
) -> None:
    text = (whole / "rows.csv").read_text()
    for name, changed, message in (
        ("swapped", text.replace(",static,", ",demand,", 1), "must be of"),
        ("longer", text + text.partition("\n")[2], "at most 6 rows, got 12"),
        ("quoted", text.replace("small,static", '"small",static', 1), "was changed"),
        ("number", text.replace(",-", ",minus ", 1), "must hold a number"),
        ("cells", text.replace(",static,", ",static,,", 1), "cells in line 2"),
    ):
        out = cut_copy(whole, tmp_path / name, 0)
        (out / "rows.csv").write_text(changed)
        with pytest.raises(ConfigError, match=message):
            run(suite, out, resume=True)


def test_one_process_writes(suite: str, whole: Path, tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    out = cut_copy(whole, tmp_path / "out", 500)
    with (out / "UNFINISHED").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another process is at it"):
            run(suite, out, resume=True)


@pytest.mark.slow
def test_rows_are_the_same_whatever_the_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Workers, "patience_s", 0.0)
    (tmp_path / "two.yaml").write_text(
        "parts: [{scenario: paper, split: train}, {scenario: bursty, split: train, episodes: 3}]"
    )
    found = []
    for jobs in (1, 2, 3):
        run(str(tmp_path / "two.yaml"), tmp_path / str(jobs), engine=Workers(jobs))
        found.append(everything(tmp_path / str(jobs)))
    assert len(found[0]["rows"]) == 4 * len(SPECS)
    assert found[0] == found[1] == found[2]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_random_times_and_resumed_the_rows_are_the_same(tmp_path: Path) -> None:
    specs = "static,demand,round_robin"
    whole = tmp_path / "whole"
    run("bursty-train", whole, specs=specs.split(","))
    command = [sys.executable, "-c", NURSERY, "bursty-train", specs]
    rng = random.Random(5)
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as nursery:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        assert nursery.stdout.readline() == "ready\n"
        kills, begun_again, n_runs = 0, 0, 0
        while kills < N_KILLS:
            out = tmp_path / f"killed-{n_runs}"
            n_runs += 1
            is_over = False
            while not is_over:
                print(out, file=nursery.stdin, flush=True)
                child = int(nursery.stdout.readline())
                before = (out / "rows.csv").read_bytes() if (out / "rows.csv").exists() else b""
                time.sleep(rng.uniform(0.0, 0.3))
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                status = int(nursery.stdout.readline())
                assert status in (0, signal.SIGKILL)
                is_over = status == 0
                kills += not is_over
                kept = before[: before.rfind(b"\n") + 1]
                begun_again += kept.count(b"\n") > 1
                assert (out / "rows.csv").exists() or not before
                if kept.count(b"\n") > 1:
                    assert (out / "rows.csv").read_bytes().startswith(kept)
            assert everything(out) == everything(whole)
        nursery.stdin.close()
    assert begun_again >= 5  # most of the kills came amid the rows


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
@pytest.mark.parametrize("kind", ["SIGKILL", "SIGINT"])
def test_a_run_in_several_processes_is_resumed_and_leaves_none_behind(
    tmp_path: Path, kind: str
) -> None:
    specs = "static,demand"
    out, script = tmp_path / "out", tmp_path / "run.py"
    script.write_text(WITH_WORKERS)
    command = [sys.executable, str(script), "bursty-train", specs, str(out)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (out / "rows.csv").exists() or (out / "rows.csv").stat().st_size < 1000:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(getattr(signal, kind))
    process.wait(timeout=60)
    while has_processes(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    run("bursty-train", out, specs=specs.split(","), resume=True)
    run("bursty-train", tmp_path / "whole", specs=specs.split(","))
    assert everything(out) == everything(tmp_path / "whole")


def has_processes(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
