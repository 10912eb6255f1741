"""What runs independent jobs: the one seam between this package and where its work is done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Self

RETRIES = 3  # of a job whose process or machine was lost; errors of the job itself are not retried


@dataclass(frozen=True)
class Answer:
    """What came of one job.

    Attributes:
        place: The job's among the tasks.
        value: What the function returned; None where it raised.
        error: What it raised, or that its process was lost too often; None where it returned.
    """

    place: int
    value: Any = None
    error: Exception | None = None


class Engine(ABC):
    """Runs functions of modules on picklable arguments, elsewhere, as a context manager.

    Attributes:
        jobs: How many run at the same time.
        patience_s: For how long work is better done here than handed out [s].
    """

    jobs: int
    patience_s: ClassVar[float]

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    @abstractmethod
    def as_completed(
        self,
        function: Callable[..., Any],
        tasks: Sequence[tuple[Any, ...]],
        *,
        shared: tuple[Any, ...] = (),
        traces: Mapping[str, str] | None = None,
    ) -> Iterator[Answer]:
        """Yield what comes of `function(*task, *shared)` of each task, in the order they end.

        A job whose process or machine is lost is run again, up to `RETRIES` times.

        Args:
            function: A function of a module, so that it can be sent.
            tasks: Its arguments, small ones; those expected to take longest first.
            shared: More arguments, the same for all: they are sent once to each machine.
            traces: Sums of the traces that a worker must have, by name.
        """

    def map(
        self,
        function: Callable[..., Any],
        tasks: Sequence[tuple[Any, ...]],
        *,
        shared: tuple[Any, ...] = (),
        traces: Mapping[str, str] | None = None,
    ) -> Iterator[Any]:
        """Yield `function(*task, *shared)` of each task, in the order of the tasks.

        Raises:
            ChildProcessError: A job's process was lost again and again.
            Exception: Whatever `function` raises; of several errors, that of the first task.
        """
        early: dict[int, Answer] = {}
        due = 0
        for answer in self.as_completed(function, tasks, shared=shared, traces=traces):
            early[answer.place] = answer
            while due in early:
                answer = early.pop(due)
                if answer.error is not None:
                    raise answer.error
                yield answer.value
                due += 1
