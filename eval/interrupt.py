"""Ctrl-C where it must not cut an operation in two."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hold_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C wait until the block has ended.

    Python raises KeyboardInterrupt between any two instructions, those of `queue.Queue` among them.
    A queue that was cut there may keep its lock, or wake nobody at the next `put`: TensorBoard's
    writer, which hands its events to a thread through one, then closes two minutes later or never.

    A handler does it and no mask: what the main thread blocks reaches it through another thread.
    """
    if threading.current_thread() is not threading.main_thread():  # Ctrl-C never arrives there
        yield
        return
    pressed = False

    def note(*_: object) -> None:
        nonlocal pressed
        pressed = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed:
            signal.raise_signal(signal.SIGINT)
