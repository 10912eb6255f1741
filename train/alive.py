"""Which trials of a study are being run: locks that die with the process that holds them.

A file beside the study is locked byte by byte, so that a process that is killed, however hard,
leaves nothing to clean up. Where Python has no `fcntl`, on Windows, a study has one process, and
whatever it finds running is taken for dead.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Alive:
    """The locks of one process; byte 0 is for one at a time, byte 1 + n for trial n.

    Args:
        path: The file that is locked; it stays empty.

    Raises:
        OSError: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self._own: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()  # which gives all locks back

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other process is in here."""
        if fcntl is not None:
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, 0)
        try:
            yield
        finally:
            if fcntl is not None:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, 0)

    def claim(self, trial: int) -> None:
        """Say that this process runs a trial, until the process or this object ends."""
        self._own.add(trial)
        if fcntl is not None:
            fcntl.lockf(self._file, fcntl.LOCK_EX, 1, 1 + trial)

    def runs(self, trial: int) -> bool:
        """Whether some process runs a trial."""
        if trial in self._own or fcntl is None:
            return trial in self._own
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 1 + trial)
        except OSError:
            return True
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, 1 + trial)
        return False
