"""A conversation with a host: programs go there over standard input, their events come back."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from runbooks.errors import HostError, LostError
from runbooks.onhost import Program, server

#: An event, as it comes: `runbooks.mailman.events` knows what each says.
Json = dict[str, object]
Listener = Callable[[Json], None]

_MARK = b"@@runbook "


@dataclass
class Traffic:
    """What was sent to a host: commands, and bytes each way."""

    commands: int = 0
    sent: int = 0
    received: int = 0


class Heard:
    """Sorts the lines that came back: events from noise, and whether the end was among them."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.noise: deque[str] = deque(maxlen=20)
        self.any = False
        self.ended = False
        self.failed: str | None = None

    def __call__(self, line: bytes) -> None:
        """Hear a whole line, without its line feed."""
        event = _event(line)
        if event is None:
            part, mark, rest = line.rpartition(_MARK)
            if not line.startswith(_MARK) and not (mark and _MARK.startswith(part)):
                self.noise.append(line.decode("utf-8", "replace").strip())
                return
            # A program was killed in the middle of an event. The next one is on the same line.
            self.failed = self.failed or "what it said was cut off"
            event = _event(mark + rest)
            if event is None:
                return
        self.any = True
        match event.get("event"):
            case "end":
                self.ended = True
            case "failed":
                self.failed = str(event["error"])
            case _:
                self.listener(event)

    def check(self, host: str, explanation: Callable[[], str]) -> None:
        """Raise unless the program was heard to end well."""
        if self.failed:
            raise LostError(f"{host}: the program on the host failed: {self.failed}")
        if self.ended:
            return
        said = explanation() or next((line for line in reversed(self.noise) if line), "")
        why = said or "it said nothing"
        if not self.any:
            raise HostError(f"{host}: {why}")
        raise LostError(f"{host}: the connection was lost before the work was done ({why})")


def _event(line: bytes) -> Json | None:
    """The event that a line is; None if it is none, or not a whole one."""
    if not line.startswith(_MARK):
        return None
    try:
        return cast(Json, json.loads(line[len(_MARK) :].decode("ascii")))
    except ValueError:
        return None


class Session:
    """One command to a host, which runs one program after the other there.

    `command` is a program of this machine and its arguments, the last of which becomes Mailman's
    Python there. With `terminal` it may ask for a passphrase on the terminal of this process, as
    ssh does. Raises HostError when this machine has no such program.
    """

    def __init__(self, host: str, command: list[str], traffic: Traffic, *, terminal: bool) -> None:
        self.host = host
        self.traffic = traffic
        traffic.commands += 1
        traffic.sent += len(command[-1])
        # What needs no terminal is kept out of reach of the Ctrl-C that a terminal sends to
        # everything: the program on the host is asked to stop, and ends what it has in hand.
        try:
            self.child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=not terminal,
                preexec_fn=_ignore_interrupts if terminal else None,
                bufsize=0,
            )
        except OSError as e:
            raise HostError(f"{host}: {command[0]}: {e.strerror}") from None
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.input, self.output = self.child.stdin, self.child.stdout
        self.complaints: deque[bytes] = deque(maxlen=200)
        self.drain = threading.Thread(
            target=self.complaints.extend, args=(self.child.stderr,), daemon=True
        )
        self.drain.start()
        self.lines: deque[bytes] = deque()
        #: the beginning of a line, which may be of megabytes: it is not copied for each piece
        self.rest = bytearray()
        self.answered = False
        self.interrupted = False
        self._send(server())

    @property
    def alive(self) -> bool:
        """Whether another program can be run."""
        return not self.input.closed and self.child.poll() is None

    def run(self, program: Program, listener: Listener, secret: bytes = b"") -> None:
        """Run `program`; each event goes to `listener` as it comes.

        Ctrl-C lets the program end what it has in hand, and raises KeyboardInterrupt then;
        a second one at once. Raises HostError when nothing answered, LostError when the
        program began and was not heard to end.
        """
        heard = Heard(listener)
        try:
            with self._interruptible():
                self._send(program.frame() + secret)
                self._listen(heard)
            if self.interrupted:
                raise KeyboardInterrupt
            heard.check(self.host, self._explanation)
        except BaseException:
            self.close(kill=True)
            raise
        if secret:
            # What the program has not read of it must not be taken for another program.
            self.close()

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """The first Ctrl-C ends the input, and thereby the program; what it says still counts."""
        if (
            threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        ):
            yield
            return

        def stop(signum: int, frame: object) -> None:
            # Before the first answer there is nothing to wait for but a connection.
            if self.interrupted or not self.answered:
                raise KeyboardInterrupt
            self.interrupted = True
            self._hang_up()

        signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt(self) -> None:
        """From another thread: what the first Ctrl-C does to the program that is run."""
        self.interrupted = True
        if self.answered:
            self._hang_up()
        else:
            self.child.kill()

    def _send(self, data: bytes) -> None:
        self.traffic.sent += len(data)
        # A command that ended before it read all of it explains itself on its standard error.
        with contextlib.suppress(OSError, ValueError):
            while data:
                data = data[self.input.write(data) :]

    def _listen(self, heard: Heard) -> None:
        """Hear the program to its end, or to that of the connection."""
        while True:
            while self.lines:
                heard(self.lines.popleft())
                if heard.ended:
                    return
            more = os.read(self.output.fileno(), 65536)
            if not more:
                if not self.rest.startswith(_MARK):  # an event that was cut off is none
                    heard(bytes(self.rest))
                self._hang_up()
                self.child.wait()
                return
            self.answered = True
            self.traffic.received += len(more)
            first, *lines = more.split(b"\n")
            self.rest += first
            if lines:
                self.lines.append(bytes(self.rest))
                self.lines.extend(lines[:-1])
                self.rest = bytearray(lines[-1])

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.input.close()

    def _explanation(self) -> str:
        """The last line that the command wrote to its standard error."""
        self.drain.join(timeout=5)
        lines = [line.decode("utf-8", "replace").strip() for line in self.complaints]
        return next((line for line in reversed(lines) if line), "")

    def close(self, kill: bool = False) -> None:
        """Let the command end, and wait for it."""
        self._hang_up()
        if kill:
            self.child.kill()
        self.child.wait()
        if not kill:
            # What was killed here may go on for a moment there, with its standard error.
            self.drain.join(timeout=5)
        self.output.close()


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
