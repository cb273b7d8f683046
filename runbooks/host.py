"""A host as testinfra reaches it: run an on-host program there and hear its events.

testinfra knows how to run a command on a machine of any kind; here that command is
always the same few lines that read a program from standard input. No address, list
name or path becomes part of a command line.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from runbooks.errors import BadInputError, HostError, LostError
from runbooks.onhost import LAUNCHER, LAUNCHER_WITHOUT_INPUT, Program, as_argument

Event = dict[str, Any]

_MARK = b"@@runbook "

#: Connections whose commands have a standard input, and what makes it so.
_INPUT_FLAG = {
    "local": None,
    "ssh": None,
    "chroot": None,
    "lxc": None,
    "docker": ("docker exec ", "docker exec -i "),
    "podman": ("podman exec ", "podman exec -i "),
    "kubectl": (" exec ", " exec -i "),
    "openshift": (" exec ", " exec -i "),
}

#: Linux takes no argument longer than this, in bytes (MAX_ARG_STRLEN is 128 KiB).
_LONGEST_ARGUMENT = 120_000


@dataclass
class Traffic:
    """What was sent to a host: commands, and bytes each way."""

    commands: int = 0
    sent: int = 0
    received: int = 0


@dataclass
class Host:
    """A list server, named as testinfra names it.

    `spec`: ``local://``, ``ssh://root@lists.example.org``, ``docker://ID``,
    ``ansible://lists?ansible_inventory=…`` or ``practice:DIR``. A ``mailman=DIR``
    in the query (``ssh://lists?mailman=/opt/mailman/bin``) says where Mailman's
    programs are when they are in none of the usual places.
    """

    spec: str
    traffic: Traffic = field(default_factory=Traffic)

    def __post_init__(self) -> None:
        if not self.spec or any(ord(c) < 32 for c in self.spec):
            raise BadInputError(
                f"the host {self.spec!r} is not a name: try ssh://root@lists.example.org"
            )
        self.practice_dir: str | None = None
        if self.spec.startswith("practice:"):
            self.practice_dir = os.path.abspath(self.spec.removeprefix("practice:"))
            if not os.path.isfile(os.path.join(self.practice_dir, "bin", "withlist")):
                raise HostError(
                    f"{self.practice_dir} is no practice site: make one with"
                    f" 'runbook practice new {shlex.quote(self.practice_dir)}'"
                )
        elif "://" not in self.spec:
            raise BadInputError(
                f"the host {self.spec!r} does not say how to reach it: try ssh://{self.spec},"
                " docker://ID, local:// or practice:DIR"
            )
        parts = urlsplit("local://" if self.practice_dir else self.spec)
        machine = parts.netloc.rpartition("@")[2]
        if parts.netloc.startswith("-") or machine.startswith("-"):
            raise BadInputError(
                f"the host {self.spec!r} starts with '-', which ssh would take for an option"
            )
        if parts.scheme != "local" and not machine:
            raise BadInputError(
                f"the host {self.spec!r} names no machine: try {parts.scheme}://NAME"
            )
        self.name = machine or "local"
        self.mailman_dirs: tuple[str, ...] = tuple(parse_qs(parts.query).get("mailman", ()))
        if self.practice_dir:
            self.name = "practice"
            self.mailman_dirs = (os.path.join(self.practice_dir, "bin"),)

    @property
    def option(self) -> str:
        """What to write after ``runbook`` to mean this host: nothing for this machine."""
        return "" if self.spec == "local://" else f" --host {shlex.quote(self.spec)}"

    # -- running ------------------------------------------------------------------------

    def run(
        self,
        program: Program,
        interpreter: str,
        on_event: Callable[[Event], None] | None = None,
        secret: bytes = b"",
    ) -> list[Event]:
        """Run `program` under `interpreter` (a shell word or script that ends in exec).

        Returns the program's events when `on_event` is None; otherwise each goes there
        as it comes, and the list is empty. Ctrl-C asks the program to stop after what it
        has in hand and raises KeyboardInterrupt when it has. `secret` follows the program
        on standard input and appears in no argument.

        Raises HostError when nothing answered, LostError when the program began and was
        not heard to end.
        """
        events: list[Event] = []
        listener = on_event or events.append
        self.traffic.commands += 1
        piped = self._piped()
        if piped is None:
            if secret:
                raise HostError(
                    f"{self.spec}: this kind of connection cannot pass a password on; use ssh://"
                )
            self._run_at_once(program, interpreter, listener)
        else:
            self._run_piped(program, interpreter, listener, secret, *piped)
        return events

    def _backend(self) -> Any:
        try:
            import testinfra

            backend = testinfra.get_host("local://" if self.practice_dir else self.spec).backend
            if backend.get_connection_type() == "ansible" and not backend.force_ansible:
                inner = backend.ansible_runner.get_host(
                    backend.host,
                    ssh_config=backend.ssh_config,
                    ssh_identity_file=backend.ssh_identity_file,
                )
                if inner is not None:
                    inner.backend.sudo = inner.backend.sudo or backend.sudo
                    inner.backend.sudo_user = inner.backend.sudo_user or backend.sudo_user
                    return inner.backend
        except (RuntimeError, ImportError, OSError, KeyError, TypeError, ValueError) as e:
            raise HostError(f"{self.spec}: {_one_line(e)}") from e
        return backend

    def _piped(self) -> tuple[Any, tuple[str, str] | None] | None:
        backend = self._backend()
        kind = backend.get_connection_type()
        if kind not in _INPUT_FLAG:
            return None
        return backend, _INPUT_FLAG[kind]

    def _run_piped(
        self,
        program: Program,
        interpreter: str,
        listener: Callable[[Event], None],
        secret: bytes,
        backend: Any,
        flag: tuple[str, str] | None,
    ) -> None:
        packed = program.pack(watch_input=True)
        command = _local_command(
            backend, f"{interpreter} -c {shlex.quote(LAUNCHER)} {len(packed)}", flag
        )
        self.traffic.sent += len(command) + len(packed) + len(secret)
        # ssh asks for a passphrase on the terminal of this session; the others are
        # kept out of reach of the Ctrl-C that a terminal sends to everything.
        ssh = backend.get_connection_type() == "ssh"
        child = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=not ssh,
            preexec_fn=_ignore_interrupts if ssh else None,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        complaints: deque[bytes] = deque(maxlen=200)
        drain = threading.Thread(target=complaints.extend, args=(child.stderr,), daemon=True)
        drain.start()
        heard = _Heard(listener)
        interrupted = False
        try:
            try:
                # A command that ended before it read all of its program explains
                # itself on its standard error.
                with contextlib.suppress(BrokenPipeError):
                    child.stdin.write(packed + secret)
                    child.stdin.flush()
                self._listen(child.stdout, heard)
            except KeyboardInterrupt:
                interrupted = True
                # The program stops when its input ends; what it says until then counts.
                child.stdin.close()
                self._listen(child.stdout, heard)
        except BaseException:
            child.kill()
            raise
        finally:
            with contextlib.suppress(OSError):
                child.stdin.close()
            child.wait()
            drain.join(timeout=5)
            child.stdout.close()
        if interrupted:
            raise KeyboardInterrupt
        heard.check(self, child.returncode, b"".join(complaints).decode("utf-8", "replace"))

    def _listen(self, lines: Any, heard: _Heard) -> None:
        for line in lines:
            self.traffic.received += len(line)
            heard(line)

    def _run_at_once(
        self, program: Program, interpreter: str, listener: Callable[[Event], None]
    ) -> None:
        argument = as_argument(program.pack(watch_input=False))
        if len(argument) > _LONGEST_ARGUMENT:
            raise HostError(f"{self.spec}: too much to say for this kind of connection; use ssh://")
        command = f"{interpreter} -c {shlex.quote(LAUNCHER_WITHOUT_INPUT)} {argument}"
        self.traffic.sent += len(command)
        try:
            result = self._backend().run(command)
        # testinfra's backends raise what their libraries raise: anything.
        except Exception as e:
            raise HostError(f"{self.spec}: {_one_line(e)}") from e
        self.traffic.received += len(result.stdout_bytes)
        heard = _Heard(listener)
        for line in result.stdout_bytes.splitlines():
            heard(line)
        heard.check(self, result.rc, result.stderr)


class _Heard:
    """Sorts the lines that came back: events from noise, and whether the end was among them."""

    def __init__(self, listener: Callable[[Event], None]) -> None:
        self.listener = listener
        self.noise: deque[str] = deque(maxlen=20)
        self.any = False
        self.ended = False
        self.failed: Event | None = None

    def __call__(self, line: bytes) -> None:
        before, mark, text = line.partition(_MARK)
        if not mark or before.strip():
            self.noise.append(line.decode("utf-8", "replace").rstrip())
            return
        event = cast(Event, json.loads(text))
        self.any = True
        if event.get("event") == "end":
            self.ended = True
        elif event.get("event") == "failed":
            self.failed = event
        else:
            self.listener(event)

    def check(self, host: Host, status: int, complaints: str) -> None:
        """Raise unless the program was heard to end well."""
        if self.failed:
            raise LostError(f"{host.name}: the program on the host failed: {self.failed['error']}")
        if self.ended:
            return
        said = [line.strip() for line in complaints.splitlines() if line.strip()] or [*self.noise]
        why = said[-1] if said else f"exit status {status}"
        if self.any:
            raise LostError(
                f"{host.name}: the connection was lost before the work was done ({why});"
                " the same command run again completes it"
            )
        raise HostError(f"{host.spec}: {why}")


def _local_command(backend: Any, command: str, flag: tuple[str, str] | None) -> str:
    """What testinfra would run on this machine to run `command` on the host.

    Every backend that reaches a host through a local program hands the whole command
    line to its `run_local`; it is taken there, and nothing is run.
    """
    taken: list[str] = []

    def take(template: str, *args: str) -> Any:
        if flag:
            template = template.replace(*flag, 1)
        taken.append(backend.quote(template, *args))
        return backend.result(0, b"", b"", b"")

    kept = backend.run_local
    backend.run_local = take
    try:
        backend.run(command)
    finally:
        backend.run_local = kept
    return taken[0]


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
