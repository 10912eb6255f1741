"""A training run has one writer: a second process that is set at its folder is refused."""

import errno
import re

import pytest

from slicegym.envs import ConfigError
from slicegym.eval.output import UNFINISHED, check_idle, leave_mark
from slicegym.train.ppo import train
from slicegym.train.seeds import train_all

fcntl = pytest.importorskip("fcntl")  # without it nothing is locked

REFUSED = "must have one writer, and another process is at it"


def test_a_run_holds_its_folder_until_it_ends(configured, tmp_path):
    seen = []

    def look(timesteps, reward):
        with pytest.raises(ConfigError, match=REFUSED):
            check_idle(tmp_path / "run")
        seen.append(timesteps)

    folder = train(configured(), tmp_path / "run", report=look).folder
    train(configured(total_timesteps=1280), folder, resume=True, report=look)
    assert seen == [0, 256, 512, 768, 1024, 1280]
    check_idle(folder)


def test_a_run_that_another_process_goes_on_with_is_refused(configured, tmp_path):
    def stop(timesteps, reward):
        if timesteps >= 512:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(configured(), tmp_path / "run", report=stop)
    before = (tmp_path / "run/manifest.json").read_bytes()
    with leave_mark(tmp_path / "run", ""):  # as another process would
        for begin in (
            lambda: train(configured(), tmp_path / "run", resume=True),
            lambda: list(train_all([(configured(), tmp_path / "run")], 1, quiet=True)),
        ):
            with pytest.raises(ConfigError, match=re.escape(f"{tmp_path / 'run'} {REFUSED}")):
                begin()
    assert (tmp_path / "run/manifest.json").read_bytes() == before
    assert train(configured(), tmp_path / "run", resume=True).timesteps == 1024


def test_a_run_before_its_first_checkpoint_is_not_taken_for_a_dead_one(configured, tmp_path):
    with leave_mark(tmp_path, ""), pytest.raises(ConfigError, match=REFUSED):
        list(train_all([(configured(), tmp_path)], 1, quiet=True))
    assert (tmp_path / UNFINISHED).exists()


def test_a_look_leaves_nothing_behind(tmp_path):
    check_idle(tmp_path)
    check_idle(tmp_path / "none")
    assert not list(tmp_path.iterdir())


def test_a_file_system_without_locks_is_written_to(monkeypatch, tmp_path):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with leave_mark(tmp_path, "mark"):
        check_idle(tmp_path)
    assert (tmp_path / UNFINISHED).read_text() == "mark"
