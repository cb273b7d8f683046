"""The servers to measure on: the images that the tests use, one container for each."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

from benchmarks.server import ROOT, Server

for folder in (ROOT, ROOT / "docker"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import engine as engines  # noqa: E402

from tests.support import selection  # noqa: E402


def servers(image: str | None, say: Callable[[str], None]) -> Iterator[Server]:
    """A server for each image, one after the other; it is removed when the next is asked for.

    `image` as the tests' ``--mailman-image``. Raises EngineError, ImageError, BoxError with
    one line for a person.
    """
    engine = engines.obtain(say)
    try:
        os.environ.update(engine.environment)
        for subject in selection.choose(image, engine, say).values():
            server = Server(subject.image.id, subject.mailman)
            try:
                yield server
            finally:
                server.close()
    finally:
        engine.stop()
