"""What the value network sees of the future: hand-walked tapes."""

import numpy as np
import pytest

from slicegym.envs import Agent, Scenario
from slicegym.envs.tape import Tape
from slicegym.train.outlook import AHEAD, Outlook

# One unit of work of agent a is half a GPU-second: an eighth of what the pool does in an interval.
WORLD = Scenario(
    agents=(Agent("a", throughput=2.0), Agent("b", throughput=1.0)),
    gpus=4.0,
    horizon_s=100.0,
    name="two",
)


def rates(outlook, decision):
    """Return work per interval and agent over the windows ahead, (windows, N), in pools."""
    x = outlook.columns(np.array([decision]))[0, :-1].reshape(len(AHEAD), -1)
    return x / (1 - x)


def test_calls_are_counted_in_the_windows_that_they_come_in():
    outlook = Outlook(WORLD, 1)
    calls = {"agent": [0, 0, 1], "work": [2.0, 1.0, 4.0], "release": [3.0, 12.5, 99.0]}
    outlook.load(0, Tape.from_calls(**calls, horizon_s=100.0))
    # After decision 3 the first call comes at once, the second within 10 intervals.
    first = np.array([2, 2, 3, 3, 3, 3]) / 8 / np.array(AHEAD)
    np.testing.assert_allclose(rates(outlook, 3)[:, 0], first, rtol=1e-4)
    np.testing.assert_allclose(rates(outlook, 4)[:2, 0], 0.0, atol=1e-7)
    np.testing.assert_allclose(rates(outlook, 20)[-1, 1], 4 / 4 / 80, rtol=1e-3)
    assert rates(outlook, 19)[-1, 1] == 0.0  # 80 intervals are not enough


def test_at_the_end_nothing_is_left():
    outlook = Outlook(WORLD, 1)
    tape = Tape.from_calls([0] * 100, [1.0] * 100, np.arange(100.0), horizon_s=100.0)
    outlook.load(0, tape)
    np.testing.assert_allclose(rates(outlook, 0)[:, 0], 1 / 8, rtol=1e-4)
    np.testing.assert_allclose(
        rates(outlook, 90)[:, 0], 1 / 8 * np.array([1, 1, 1, 1 / 2, 1 / 4, 1 / 8]), rtol=1e-4
    )
    left = [outlook.columns(np.array([k]))[0, -1] for k in (0, 80, 100)]
    np.testing.assert_allclose(left, [100 / 120, 1 / 2, 0])
    assert not outlook.columns(np.array([100])).any()


def test_a_call_that_follows_comes_when_nothing_waits():
    # a: 0 to 0.5 s and 5 to 6 s; b follows both after 1.2 s of thinking, so at 7.2 s.
    tape = Tape.from_calls(
        [0, 0, 1],
        [1.0, 2.0, 1.0],
        [0.0, 5.0, 1.2],
        task=[0, 0, 0],
        predecessors=[[], [], [0, 1]],
        horizon_s=100.0,
    )
    outlook = Outlook(WORLD, 2)
    outlook.load(1, tape)
    columns = outlook.columns(np.array([0, 7]))
    assert columns.shape == (2, outlook.size)
    assert not columns[0, :-1].any()  # no tape yet
    x = columns[1, :-1].reshape(len(AHEAD), 2)
    np.testing.assert_allclose(x[0] / (1 - x[0]), [0.0, 1 / 4 / 2], rtol=1e-4)
    assert np.isnan(tape.release[2])  # the tape is as it was


@pytest.mark.parametrize("decision", [0, 40, 100])
def test_all_lies_in_the_unit_interval(decision):
    outlook = Outlook(WORLD, 1)
    outlook.load(0, Tape.from_calls([0] * 500, [9.0] * 500, [1.0] * 500, horizon_s=100.0))
    x = outlook.columns(np.array([decision]))
    assert (x >= 0).all()
    assert (x < 1).all()
