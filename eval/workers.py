"""Other processes for work that falls into independent parts, ended at once with this one."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from ..envs import checks

MOST_BY_DEFAULT = 8  # each may hold a linear program in memory


def default_jobs() -> int:
    """Return how many cores this process may use, at most `MOST_BY_DEFAULT`."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(cores, MOST_BY_DEFAULT)


class Workers:
    """Processes that are started when they are first needed, and stay until the end.

    They are spawned, so that no thread of this process can be caught in a fork; a script that
    uses more than one must therefore guard its own start by `if __name__ == "__main__"`.

    Args:
        jobs: How many; with 1, `map` works in this process.

    Raises:
        TypeError, ConfigError: `jobs` is no whole number of at least 1.
    """

    def __init__(self, jobs: int = 1) -> None:
        self.jobs = checks.integer("jobs", jobs, at_least=1)
        self._pool: ProcessPoolExecutor | None = None
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is None:
            return
        if error is not None:  # what is under way is of no use to anybody then
            for process in set(mp.active_children()) - set(self._before):
                process.terminate()
        self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """Yield `function(*task)` of each task, in the order of the tasks.

        Args:
            function: A function of a module, so that it can be sent.
            tasks: Its arguments, picklable.

        Raises:
            ChildProcessError: A process was ended from outside, for want of memory, say.
            Exception: Whatever `function` raises.
        """
        if self.jobs == 1 or len(tasks) == 1:
            yield from (function(*task) for task in tasks)
            return
        futures = [self.start(function, *task) for task in tasks]
        try:
            yield from (future.result() for future in futures)
        except BrokenProcessPool as error:
            raise ChildProcessError(
                "a worker process was ended from outside, perhaps for want of memory; try fewer "
                "with --jobs"
            ) from error

    def start(self, function: Callable[..., Any], *task: Any) -> Future[Any]:
        """Begin `function(*task)` in another process, for results that are wanted later."""
        pool = self._started()
        with _interrupts_held_back():
            return pool.submit(function, *task)

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._before = mp.active_children()
            # This starts multiprocessing's own helper too, which lets Ctrl-C through again.
            self._pool = ProcessPoolExecutor(self.jobs, mp.get_context("spawn"), _begin)
        return self._pool


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Hold Ctrl-C back for a moment, where that exists: processes started in it never see one."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    """Leave Ctrl-C to the parent, and never outlive it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = mp.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
