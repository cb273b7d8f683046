"""The servers to measure on: the images that the tests use, one container for each."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Generator, Iterator
from typing import Any

from benchmarks.server import Server
from runbooks.testing.containers import engine as engines
from runbooks.testing.containers import images, selection
from runbooks.testing.containers.box import BoxError

#: What `servers` raises: with one line for a person.
Trouble = (engines.EngineError, images.ImageError, BoxError)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """End on SIGINT and SIGTERM with KeyboardInterrupt, so that everything is put away.

    Only on the first: the keyboard sends one to every process, and tox sends another.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)

    def interrupt(number: int, frame: Any) -> None:
        for further in numbers:
            signal.signal(further, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def servers(image: str | None, say: Callable[[str], None]) -> Generator[Server]:
    """A server for each image, one after the other; it is removed when the next is asked for.

    `image` as the tests' ``--mailman-image``. Close it: that removes the last, and ends an engine
    that was started for it. Raises one of `Trouble`.
    """
    engine = engines.obtain(say)
    try:
        os.environ.update(engine.environment)
        with engines.reached() as client:
            for subject in selection.choose(image, engine, say).values():
                server = Server(client, subject)
                try:
                    yield server
                finally:
                    server.close()
    finally:
        engine.stop()
