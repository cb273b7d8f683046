"""Does what a reader of the page does: pastes commands into a shell, and answers questions."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import secrets
import select
import shlex
import signal
import struct
import sys
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyte

from runbooks import expected
from tests.support.box import Box

#: Seconds for one command.
PATIENCE = 60


@dataclass(frozen=True)
class Printed:
    """What a command printed, standard error included, and its exit status (None: no end)."""

    text: str
    status: int | None


def by_hand(box: Box, commands: list[str]) -> list[Printed]:
    """Paste commands one after the other into one shell of root on the list server.

    One shell, so that a variable that one command sets is there for the next. Standard input is
    empty: a command that asks for something the page does not mention is left without an answer.
    """
    mark = secrets.token_hex(8)
    script = "".join(
        f"eval {shlex.quote(command)} < /dev/null 2>&1\nprintf '\\n{mark} %s\\n' $?\n"
        for command in commands
    )
    done = box.sh(script, timeout=PATIENCE * max(1, len(commands)))
    texts = re.split(rf"\n{mark} (\d+)\n", done.stdout)
    found = [
        Printed(text, int(status)) for text, status in zip(texts[::2], texts[1::2], strict=False)
    ]
    if len(found) < len(commands):
        # The shell ended: what the command said until then is the rest.
        ended = "did not end" if done.timed_out else "ended the shell"
        found.append(Printed(texts[-1] + done.stderr + f"({ended})\n", None))
    found += [Printed("(not run: the shell had ended)\n", None)] * (len(commands) - len(found))
    return found


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
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "PYTEST_"))}
    environment = {**inherited, "TERM": "xterm", "LC_ALL": "C.UTF-8", "PATH": path, **environment}
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "CI"):
        environment.pop(name, None)
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execve("/bin/sh", ["/bin/sh", "-c", command], environment)
    try:
        fcntl.ioctl(
            terminal, termios.TIOCSWINSZ, struct.pack("HHHH", screen.lines, screen.columns, 0, 0)
        )
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


def _line_of_cursor(screen: pyte.Screen) -> str:
    line = screen.buffer[screen.cursor.y]
    return "".join(line[column].data for column in range(screen.cursor.x))


def _text(screen: pyte.Screen) -> str:
    return "\n".join(line.rstrip() for line in screen.display).strip("\n")
