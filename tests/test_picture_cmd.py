"""The command `picture`: one episode becomes a PNG, and what cannot be drawn is refused."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from matplotlib.colors import to_rgb
from PIL import Image

from slicegym.envs.panels import COLOURS
from slicegym.eval import picture_cmd

TUNED = Path(__file__).parents[1] / "configs" / "allocators" / "demand.yaml"
SCENARIO = """
agents:
  - {name: busy, throughput: 4, footprint: 0.1}
  - {name: silent, throughput: 4, footprint: 0.1}
horizon_s: 20
workload:
  kind: streams
  streams:
    busy: {kind: poisson, rate: 2}
    silent: {kind: poisson, rate: 0}
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(SCENARIO)
    return "mine.yaml"


@pytest.fixture
def refuse(cli, tmp_path):
    """Run `picture` on what must be refused and return the one line that says why."""

    def run(*arguments):
        before = sorted(tmp_path.iterdir())
        status, out, err = cli("picture", *arguments)
        assert (status, out) == (2, "")
        assert err.startswith("slicegym-eval: error: ")
        assert err.count("\n") == 1
        assert sorted(tmp_path.iterdir()) == before
        return err

    return run


def area(path, colour):
    """Pixels of an agent's colour, which is drawn flat where its share and its lifecycle are."""
    pixels = np.asarray(Image.open(path).convert("RGB"), dtype=float)
    return int((np.abs(pixels - 255 * np.array(to_rgb(colour))).max(axis=-1) < 6).sum())


def test_agents_that_hold_capacity_are_seen(cli, mine, tmp_path):
    status, out, err = cli("picture", mine, "--allocator", "never_warm", "--out", "mine.png")
    assert (status, err) == (0, "")
    assert "in the mean of 20 intervals" in out
    assert max(map(len, out.splitlines())) <= 80
    with Image.open("mine.png") as image:
        assert (image.format, image.size) == ("PNG", (960, 640))
    legend = area("mine.png", COLOURS[1])  # the silent agent is cold throughout: its legend alone
    assert 0 < legend < 0.1 * area("mine.png", COLOURS[0])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.png", "mine.yaml"]


def test_episodes_and_allocators_differ(cli, mine):
    drawn = []
    for options in ([], ["--episode", 1], ["--split", "train"], ["--allocator", "static"]):
        assert cli("picture", mine, *options, "--out", "mine.png")[0] == 0
        with Image.open("mine.png") as image:
            drawn.append(np.asarray(image.convert("RGB"))[90:].tobytes())  # the titles left out
    assert len(set(drawn)) == 4


def test_the_same_command_draws_the_same_picture(cli, mine, tmp_path):
    for _ in range(2):
        cli("picture", mine, "--out", "mine.png")
        drawn = (tmp_path / "mine.png").read_bytes()
    cli("picture", mine, "--out", "again.png")
    assert (tmp_path / "again.png").read_bytes() == drawn
    assert len(drawn) < 120_000


def test_demand_is_the_tuned_one():
    tuned = yaml.safe_load(TUNED.read_text())["bursty"]["parameters"]
    spelled_out = "demand:" + ",".join(f"{key}={value}" for key, value in tuned.items())
    runs = [
        picture_cmd.play_episode("bursty", "validation", 0, allocator)
        for allocator in ("demand", spelled_out, "demand:keep_warm_s=60")
    ]
    np.testing.assert_array_equal(runs[0].shares, runs[1].shares)
    assert not np.array_equal(runs[0].shares, runs[2].shares)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--out", "mine.jpg"), "--out must end in .png, got 'mine.jpg'"),
        (("--out", "no/mine.png"), "its folder no does not exist; create it first"),
        ((), "--out"),
        (("--out", "x.png", "--split", "test"), "--split must be one of train, validation"),
        (("--out", "x.png", "--allocator", "demmand"), "(did you mean 'demand'?)"),
        (("--out", "x.png", "--episode", "16"), "--episode must be at most 15, the last of"),
        (("--out", "x.png", "--episode", "-1"), "--episode"),
    ],
)
def test_refusals(refuse, mine, options, message):
    assert message in refuse(mine, *options)


def test_unknown_scenarios(refuse):
    assert "(did you mean 'bursty'?)" in refuse("burstly", "--out", "x.png")


def test_nothing_half_written_stays(refuse, mine, monkeypatch):
    def full(figure):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(picture_cmd, "png", full)
    assert "No space left" in refuse(mine, "--out", "x.png")


def test_help_has_examples(cli):
    status, out, _ = cli("picture", "--help")
    assert status == 0
    assert "slicegym-eval picture" in out.partition("Examples:")[2]
    assert max(map(len, out.splitlines())) <= 80
