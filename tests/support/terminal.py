"""A command on a terminal: what it shows, and a person who types."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pyte

from runbooks.testing.page.reader import environment_of_a_reader, on_terminal

#: Seconds until what is waited for has to be there.
PATIENCE = 60


class Terminal:
    """``runbook``, run on a terminal."""

    def __init__(self, arguments: Sequence[str], columns: int = 200, **variables: str) -> None:
        self.screen = pyte.Screen(columns, 2000)
        self.stream = pyte.ByteStream(self.screen)
        environment = environment_of_a_reader(variables)
        words = [sys.executable, "-m", "runbooks", *arguments]
        self.pid, self.terminal = on_terminal(words, environment, self.screen, Path.cwd())
        #: what was seen when something was last waited for
        self._seen = 0

    @property
    def text(self) -> str:
        """Everything that stands on the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display).strip("\n")

    def until(self, text: str) -> str:
        """Wait until `text` is shown below what was waited for before; what is there by then."""
        deadline = time.monotonic() + PATIENCE
        while True:
            shown = self.text
            at = shown.find(text, self._seen)
            if at >= 0:
                new, self._seen = shown[self._seen : at + len(text)], at + len(text)
                return new
            assert self._hear(deadline), f"{text!r} is not shown:\n{shown[self._seen :]}"

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode() + b"\n")

    def interrupt(self) -> None:
        """Type Ctrl-C."""
        os.write(self.terminal, b"\x03")

    def end(self) -> int:
        """Wait until it has ended; its exit status."""
        deadline = time.monotonic() + PATIENCE
        while self._hear(deadline):
            pass
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _hear(self, deadline: float) -> bool:
        """Take in what is shown next; whether there was anything before the end, or in time."""
        patience = max(0, deadline - time.monotonic())
        if not select.select([self.terminal], [], [], patience)[0]:
            return False
        try:
            data = os.read(self.terminal, 65536)
        except OSError:  # Linux: the other side has closed it
            return False
        self.stream.feed(data)
        return bool(data)
