"""Other processes: results in order, errors, and that none is left over."""

import multiprocessing as mp
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from slicegym.envs.errors import ConfigError
from slicegym.eval.engines.local import Workers, default_jobs

INTERRUPTED = """
import sys, time
from slicegym.eval.engines.local import Workers
if __name__ == "__main__":
    try:
        with Workers(2) as workers:
            begun = [workers.start(time.sleep, 600) for _ in range(2)]
            print("begun", flush=True)
            begun[0].result()
    except KeyboardInterrupt:
        sys.exit(130)
"""


def test_one_job_stays_in_this_process() -> None:
    with Workers(1) as workers:
        assert list(workers.map(os.getpid, [(), ()])) == [os.getpid()] * 2


def test_results_come_in_order_from_other_processes_which_end() -> None:
    before = mp.active_children()
    with Workers(2) as workers:
        assert list(workers.map(pow, [(i, 2) for i in range(5)])) == [0, 1, 4, 9, 16]
        assert os.getpid() not in workers.map(os.getpid, [(), ()])
        with pytest.raises(ValueError, match="invalid literal"):
            list(workers.map(int, [("1",), ("x",)]))
        with pytest.raises(ChildProcessError, match="fewer with --jobs"):
            list(workers.map(os._exit, [(1,), (1,)]))
        assert list(workers.map(pow, [(2, 2), (3, 2)], shared=(5,))) == [4, 4]
    assert mp.active_children() == before


# A process evaluates it: the first time that it comes to the job it is lost.
ONCE_LOST = """
(lambda mark: mark.exists() or (mark.touch(), __import__("os")._exit(1)))(
    __import__("pathlib").Path({mark!r})
) and {place}
"""


def test_a_lost_process_takes_no_job_along(tmp_path: Path) -> None:
    tasks = [
        (ONCE_LOST.format(mark=str(tmp_path / str(place)), place=place).strip(),)
        if place % 3 == 1
        else (str(place),)
        for place in range(7)
    ]
    with Workers(2) as workers:
        assert list(workers.map(eval, tasks)) == list(range(7))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "4"]


@pytest.mark.parametrize("jobs", [0, -1])
def test_no_process_is_refused(jobs: int) -> None:
    with pytest.raises(ConfigError, match="jobs must lie in"):
        Workers(jobs)


def test_default_jobs_are_as_many_as_cores_and_at_most_eight() -> None:
    assert 1 <= default_jobs() <= 8


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_ctrl_c_ends_all_at_once_and_quietly() -> None:
    command = [sys.executable, "-c", INTERRUPTED]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
