"""Ctrl-C while TensorBoard's curves are written."""

import signal
import threading

import pytest
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from torch.utils.tensorboard.writer import SummaryWriter

from slicegym.eval.curves.events import EventFile
from slicegym.eval.interrupt import hold_ctrl_c
from slicegym.train.callbacks import LEARNER, Curves


@pytest.fixture
def written(monkeypatch):
    """What was written to the end, although Ctrl-C was pressed in the middle of each."""
    done = []

    def add_scalar(self, name, *args, **kwargs):
        signal.raise_signal(signal.SIGINT)
        done.append(name)

    monkeypatch.setattr(SummaryWriter, "add_scalar", add_scalar)
    return done


class TestCurves:
    def test_validation_figures_are_written_to_the_end(self, written, tmp_path):
        with Curves(tmp_path, [LEARNER]) as curves, pytest.raises(KeyboardInterrupt):
            curves.write(LEARNER, {"reward": -1.0, "latency": 0.5}, 0)
        assert len(written) == 2

    def test_what_the_learner_logs_is_written_to_the_end(self, written, tmp_path):
        with Curves(tmp_path, [LEARNER]) as curves:
            curves.logger.record("rollout/reward", -1.0)
            curves.logger.record("train/loss", 1.0)
            with pytest.raises(KeyboardInterrupt):
                curves.logger.dump(0)
        assert written == ["rollout/reward", "train/loss"]

    def test_writers_are_closed_to_the_end(self, monkeypatch, tmp_path):
        closed, close = [], SummaryWriter.close

        def interrupted_close(self):
            signal.raise_signal(signal.SIGINT)
            close(self)
            closed.append(self)

        curves = Curves(tmp_path, [LEARNER, "static"])
        monkeypatch.setattr(SummaryWriter, "close", interrupted_close)
        with pytest.raises(KeyboardInterrupt):
            curves.__exit__()
        assert len(closed) == 2


def test_an_event_of_an_evaluation_is_written_to_the_end(monkeypatch, tmp_path):
    done = []

    def add_event(self, event):
        signal.raise_signal(signal.SIGINT)
        done.append(event)

    with EventFile(tmp_path, time_s=0.0) as file:
        monkeypatch.setattr(EventFileWriter, "add_event", add_event)
        with pytest.raises(KeyboardInterrupt):
            file.scalars({"reward": -1.0}, step=0)
    assert len(done) == 1


class TestHoldCtrlC:
    def test_the_handler_before_is_back_afterwards(self):
        before = signal.getsignal(signal.SIGINT)
        with hold_ctrl_c():
            assert signal.getsignal(signal.SIGINT) is not before
        assert signal.getsignal(signal.SIGINT) is before

    def test_ctrl_c_that_somebody_ignores_stays_ignored(self):
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with hold_ctrl_c():
                signal.raise_signal(signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        finally:
            signal.signal(signal.SIGINT, before)

    def test_an_error_is_not_lost(self):
        def fail():
            with hold_ctrl_c():
                signal.raise_signal(signal.SIGINT)
                raise ValueError("disk full")

        with pytest.raises(KeyboardInterrupt) as caught:
            fail()
        assert isinstance(caught.value.__context__, ValueError)

    def test_other_threads_have_no_handlers_to_set(self):
        entered = []

        def enter():
            with hold_ctrl_c():
                entered.append(True)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        assert entered
