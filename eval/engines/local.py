"""Other processes of this machine for independent jobs, ended at once with this one."""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from ...envs import checks
from .base import RETRIES, Answer, Engine

MOST_BY_DEFAULT = 8  # each may hold a linear program in memory


def default_jobs() -> int:
    """Return how many cores this process may use, at most `MOST_BY_DEFAULT`."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(cores, MOST_BY_DEFAULT)


class Workers(Engine):
    """Processes that are started when they are first needed, and stay until the end.

    They are spawned, so that no thread of this process can be caught in a fork; a script that
    uses more than one must therefore guard its own start by `if __name__ == "__main__"`.

    Args:
        jobs: How many; with 1, jobs run in this process.

    Raises:
        TypeError, ConfigError: `jobs` is no whole number of at least 1.
    """

    patience_s = 1.0  # as long as starting them takes

    def __init__(self, jobs: int = 1) -> None:
        self.jobs = checks.integer("jobs", jobs, at_least=1)
        # Each is a pool of its own: one that is killed takes no other's job along.
        self._pools: list[ProcessPoolExecutor] = []
        self._before: list[Any] | None = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:  # what is under way is of no use to anybody then
            for process in set(mp.active_children()) - set(self._before or ()):
                process.terminate()
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)

    def as_completed(
        self,
        function: Callable[..., Any],
        tasks: Sequence[tuple[Any, ...]],
        *,
        shared: tuple[Any, ...] = (),
        traces: Mapping[str, str] | None = None,
    ) -> Iterator[Answer]:
        """Yield what comes of the jobs; the traces are at hand, since this machine is the one."""
        if self.jobs == 1 or len(tasks) == 1:
            for place, task in enumerate(tasks):
                yield answer(place, function, *task, *shared)
            return
        waiting, losses = deque(range(len(tasks))), Counter[int]()
        idle = [self._pool(n) for n in range(min(self.jobs, len(tasks)))]
        running: dict[Future[Answer], tuple[int, ProcessPoolExecutor]] = {}
        while waiting or running:
            while waiting and idle:
                place, pool = waiting.popleft(), idle.pop()
                with _interrupts_held_back():
                    future = pool.submit(answer_afar, place, function, *tasks[place], *shared)
                running[future] = place, pool
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                place, pool = running.pop(future)
                try:
                    found = future.result()
                except BrokenProcessPool:
                    idle.append(self._replaced(pool))
                    losses[place] += 1
                    if losses[place] <= RETRIES:
                        waiting.appendleft(place)
                        continue
                    found = Answer(place, error=lost())
                except Exception as error:  # what cannot be sent
                    idle.append(pool)
                    found = Answer(place, error=error)
                else:
                    idle.append(pool)
                yield found

    def start(self, function: Callable[..., Any], *task: Any) -> Future[Any]:
        """Begin `function(*task)` in another process, for a result that is wanted later."""
        pool = self._pool(0)
        with _interrupts_held_back():
            return pool.submit(function, *task)

    def _pool(self, nth: int) -> ProcessPoolExecutor:
        if self._before is None:
            self._before = mp.active_children()
        while len(self._pools) <= nth:
            self._pools.append(_new_pool())
        return self._pools[nth]

    def _replaced(self, pool: ProcessPoolExecutor) -> ProcessPoolExecutor:
        pool.shutdown()
        self._pools[self._pools.index(pool)] = fresh = _new_pool()
        return fresh


def answer(place: int, function: Callable[..., Any], *arguments: Any) -> Answer:
    """Return what comes of a function, its error too."""
    try:
        return Answer(place, function(*arguments))
    except Exception as error:
        return Answer(place, error=error)


def answer_afar(place: int, function: Callable[..., Any], *arguments: Any) -> Answer:
    """Return what comes of a function in another process, with where in it an error was raised."""
    found = answer(place, function, *arguments)
    if found.error is not None:
        found.error.add_note("".join(traceback.format_exception(found.error)))
    return found


def lost() -> ChildProcessError:
    """Return the error of a job that never came back."""
    return ChildProcessError(
        f"a job's process was ended from outside {RETRIES + 1} times, perhaps for want of memory; "
        "try fewer with --jobs"
    )


def _new_pool() -> ProcessPoolExecutor:
    # This starts multiprocessing's own helper too, which lets Ctrl-C through again.
    return ProcessPoolExecutor(1, mp.get_context("spawn"), _begin)


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
