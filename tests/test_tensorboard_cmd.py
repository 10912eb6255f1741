"""The command `tensorboard`: what it writes, and what it leaves alone."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from slicegym.eval.curves import events, picture
from slicegym.eval.results import load_results
from slicegym.eval.session import evaluate

from .two_families import make_results, read


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return make_results(tmp_path_factory.mktemp("results"))


@pytest.fixture
def mine(results, tmp_path):
    return Path(shutil.copytree(results, tmp_path / "results"))


def test_it_says_how_to_look(cli, mine):
    status, out, err = cli("tensorboard", mine)
    assert (status, err) == (0, "")
    folder = mine / "tensorboard"
    assert out.splitlines() == [
        f"8 runs in {folder}",
        f"All:  tensorboard --logdir {folder}",
        f"One of 2 families:  tensorboard --logdir {folder / 'small'}",
    ]
    assert sorted(p.name for p in folder.iterdir()) == ["other", "small", "written.json"]
    assert not list(mine.glob(".*"))
    load_results(mine)


def test_what_is_there_is_replaced_only_when_asked(cli, refuse, mine):
    cli("tensorboard", mine)
    before = sorted((mine / "tensorboard").rglob("*"))
    assert "must not exist yet, and it does" in refuse("tensorboard", mine)
    assert sorted((mine / "tensorboard").rglob("*")) == before
    assert cli("tensorboard", mine, "--overwrite")[0] == 0
    after = sorted((mine / "tensorboard").rglob("*"))
    assert len(after) == len(before)
    assert after != before  # event files are called by their time


def test_what_others_wrote_is_never_replaced(refuse, mine, tmp_path):
    (tmp_path / "precious").mkdir()
    for target in (tmp_path / "precious", mine, mine / "rows.csv"):
        error = refuse("tensorboard", mine, "--out", target, "--overwrite")
        assert "holds no written.json; name another folder by --out" in error
    assert (mine / "rows.csv").is_file()


def test_damaged_results_leave_nothing_behind(refuse, mine, tmp_path):
    (mine / "episodes" / "other-001-002.npz").write_bytes(b"no archive")
    out = tmp_path / "deep" / "curves"
    error = refuse("tensorboard", mine, "--out", out)
    assert "other-001-002.npz" in error
    assert "evaluate again into a new folder" in error
    assert list(out.parent.iterdir()) == []


def test_a_time_that_is_none(refuse, mine):
    content = json.loads((mine / "manifest.json").read_text())
    (mine / "manifest.json").write_text(json.dumps(content | {"started": "at noon"}))
    assert "started must be a time, got 'at noon'" in refuse("tensorboard", mine)


def test_a_folder_that_is_none_of_a_run(refuse, tmp_path):
    assert "must be the folder of a run" in refuse("tensorboard", tmp_path)
    assert "must be the folder of a run" in refuse("tensorboard", tmp_path / "nowhere")


def test_an_unfinished_run(refuse, mine):
    (mine / "UNFINISHED").write_text("")
    assert "is unfinished: end its run first" in refuse("tensorboard", mine)


def test_a_place_that_nothing_can_be_written_to(refuse, mine):
    error = refuse("tensorboard", mine, "--out", mine / "rows.csv" / "curves")
    assert f"cannot create {mine / 'rows.csv' / 'curves'}" in error


def test_bad_flags(refuse, mine):
    assert "--timesteps" in refuse("tensorboard", mine, "--timesteps", 0)
    assert "--until" in refuse("tensorboard", mine, "--until", 5)
    assert not (mine / "tensorboard").exists()


def test_without_tensorboard_it_says_what_to_install(refuse, mine, monkeypatch):
    monkeypatch.setattr(events.importlib.util, "find_spec", lambda name: None)
    assert "pip install tensorboard" in refuse("tensorboard", mine)


def test_no_series_no_decisions_and_no_pictures(tmp_path, scenario_file, cli):
    out = tmp_path / "bare"
    evaluate(
        f"{scenario_file}-validation", ["demand"], out=out, bound=False, quiet=True,
        series="none",
    )  # fmt: skip
    assert cli("tensorboard", out)[0] == 0
    found = read(out / "tensorboard" / "small" / "demand").Tags()
    assert {tag.partition("/")[0] for tag in found["scalars"]} == {"episodes", "validation"}
    assert found["images"] == []
    assert not (out / "tensorboard" / "small" / "bound").exists()


@pytest.mark.slow
def test_torch_is_not_needed(mine):
    code = (
        "import sys; from slicegym.eval.cli import run_app, app; "
        f"run_app(app, 'x', ['tensorboard', {str(mine)!r}]); "
        "assert not {'torch', 'stable_baselines3', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
    assert (mine / "tensorboard" / "written.json").is_file()


def test_the_first_episode_is_pictured(cli, mine):
    cli("tensorboard", mine)
    (image,) = read(mine / "tensorboard" / "small" / "static").Images("episode")
    assert (image.step, image.width, image.height) == (0, *picture.PIXELS)
    with Image.open(io.BytesIO(image.encoded_image_string)) as found:
        assert (found.format, found.size) == ("PNG", picture.PIXELS)
