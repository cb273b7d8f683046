"""What is measured: the images that the tests use; and how a measuring is interrupted."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from runbooks.testing.containers import engine as engines
from runbooks.testing.containers import images, selection
from runbooks.testing.containers.box import BoxError
from runbooks.testing.containers.selection import Subject

if TYPE_CHECKING:
    from docker import DockerClient

#: What `subjects` raises: with one line for a person.
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


@contextlib.contextmanager
def subjects(
    chosen: Sequence[str], say: Callable[[str], None]
) -> Iterator[tuple[DockerClient, list[Subject]]]:
    """The images to measure on, and the engine that has them, which is ended if it was started.

    `chosen`: each as the tests' ``--mailman-image``; if there is none, as the tests choose without
    it. Raises one of `Trouble`.
    """
    engine = engines.obtain(say)
    try:
        os.environ.update(engine.environment)
        found = [
            subject
            for option in chosen or (None,)
            for subject in selection.choose(option, engine, say).values()
        ]
        with engines.reached() as client:
            yield client, found
    finally:
        engine.stop()
