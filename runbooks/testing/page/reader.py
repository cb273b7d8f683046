"""Does what a reader of the page does: pastes commands into a shell, and answers questions."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import secrets
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyte

from runbooks.book import expected
from runbooks.book.steps import Printed
from runbooks.book.whose import VARIABLE
from runbooks.testing.containers.box import Box

#: Seconds for one command.
PATIENCE = 60


class Shell:
    """A shell of root on the list server, into which commands are pasted one after the other.

    One shell, so that a variable that one command sets is there for the next. Standard input is
    empty: a command that asks for something the page does not mention is left without an answer.
    """

    def __init__(self, box: Box) -> None:
        self.process = subprocess.Popen(
            ["docker", "exec", "-i", "-w", "/", box.id, "sh"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *exception: object) -> None:
        # What a command left running in the container ends with the next reset.
        self.process.kill()
        self.process.communicate()

    def paste(self, command: str) -> Printed:
        """Run one command, and wait for its end."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        mark = secrets.token_hex(8)
        line = f"eval {shlex.quote(command)} < /dev/null 2>&1\nprintf '\\n{mark} %s\\n' $?\n"
        data, ended = b"", "ended the shell"
        try:
            self.process.stdin.write(line.encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            return Printed("(not run: the shell had ended)\n", None)
        deadline = time.monotonic() + PATIENCE
        while True:
            patience = max(0, deadline - time.monotonic())
            if not select.select([self.process.stdout], [], [], patience)[0]:
                ended = "did not end"
                self.process.kill()
                break
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                break
            data += more
            if found := re.search(rf"\n{mark} (\d+)\n".encode(), data):
                text = data[: found.start()].decode("utf-8", "surrogateescape")
                return Printed(text, int(found.group(1)))
        return Printed(f"{data.decode('utf-8', 'surrogateescape')}({ended})\n", None)


def on_terminal(
    words: list[str], environment: dict[str, str], screen: pyte.Screen, folder: Path
) -> tuple[int, int]:
    """Start a command on a terminal of the size of `screen`: its process id, and our end."""
    size = struct.pack("HHHH", screen.lines, screen.columns, 0, 0)
    child, terminal = pty.fork()
    if child == 0:
        # Here, where it is done before the command asks.
        fcntl.ioctl(0, termios.TIOCSWINSZ, size)
        os.chdir(folder)
        os.execve(words[0], words, environment)
    return child, terminal


def by_command(
    command: str,
    shows: str,
    environment: dict[str, str],
    folder: Path,
    always: Mapping[str, str] | None = None,
    screen: pyte.Screen | None = None,
) -> Printed:
    """Run a command line in a terminal, answering its questions as `shows` says.

    `always`: answers to questions that may come any number of times, by regular expressions.
    What comes back is what stands on the screen at the end, as a reader sees it.
    """
    screen = screen or pyte.Screen(200, 1000)
    stream = pyte.ByteStream(screen)
    questions = expected.answers(shows)
    said = -1
    environment = _of_a_reader(environment)
    child, terminal = on_terminal(["/bin/sh", "-c", command], environment, screen, folder)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            if not select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return Printed(f"{_text(screen)}\n(did not end)\n", None)
            try:
                data = os.read(terminal, 65536)
            except OSError:  # Linux: the other side has closed it
                break
            if not data:
                break
            stream.feed(data)
            line = _line_of_cursor(screen)
            if questions and re.search(f"{questions[0][0]}$", line):
                os.write(terminal, questions.pop(0)[1].encode() + b"\n")
            elif screen.cursor.y != said:
                for prompt, answer in (always or {}).items():
                    if re.search(f"{prompt}$", line):
                        said = screen.cursor.y
                        os.write(terminal, answer.encode() + b"\n")
    finally:
        os.close(terminal)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Printed(_text(screen), status)


@dataclass(frozen=True)
class Told:
    """What a command said with ``--json``, what it complained of, and its exit status."""

    objects: list[dict[str, Any]]
    complaint: str
    status: int


def without_terminal(command: str, environment: dict[str, str], folder: Path) -> Told:
    """Run a command line with ``--json``, without anybody to ask."""
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env=_of_a_reader(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    return Told(objects, done.stderr, done.returncode)


def environment_of_a_reader(variables: Mapping[str, str]) -> dict[str, str]:
    """What a reader's shell has in its environment, whoever runs the tests, and `variables`."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "PYTEST_"))}
    found = {**inherited, "TERM": "xterm", "LC_ALL": "C.UTF-8", **variables}
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "CI"):
        found.pop(name, None)
    return found


def _of_a_reader(environment: Mapping[str, str]) -> dict[str, str]:
    """What a reader's shell has in its environment who has installed ``runbook``."""
    found = environment_of_a_reader(environment)
    found["PATH"] = f"{Path(sys.executable).parent}:{found['PATH']}"
    # Of a page that is not the package's own, which says so where it says how to install it.
    if VARIABLE in os.environ:
        found[VARIABLE] = os.environ[VARIABLE]
    return found


def _line_of_cursor(screen: pyte.Screen) -> str:
    line = screen.buffer[screen.cursor.y]
    return "".join(line[column].data for column in range(screen.cursor.x))


def _text(screen: pyte.Screen) -> str:
    return "\n".join(line.rstrip() for line in screen.display).strip("\n")
