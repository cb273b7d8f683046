"""Ends what takes too long, wherever it is: in a regular expression, or waiting for a host."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class TooLongError(Exception):
    """It was not over in time."""


@contextmanager
def limited(seconds: float, *, of_processor: bool = False) -> Iterator[None]:
    """Raise TooLongError after `seconds`, or that much processor time.

    In the main thread alone: it takes a signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    number, timer = signal.SIGALRM, signal.ITIMER_REAL
    if of_processor:
        number, timer = signal.SIGVTALRM, signal.ITIMER_VIRTUAL

    def stop(signum: int, frame: object) -> None:
        raise TooLongError

    before = signal.signal(number, stop)
    signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        signal.setitimer(timer, 0)
        signal.signal(number, before)
