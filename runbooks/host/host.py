"""A host as testinfra reaches it: run an on-host program there and hear its events.

testinfra knows how to run a command on a machine of any kind; here that command is
always the same few lines that read programs from standard input. No address, list
name or path becomes part of a command line.
"""

from __future__ import annotations

import os
import re
import shlex
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from runbooks.book.whose import whose
from runbooks.errors import BadInputError, HostError, short
from runbooks.host.session import Heard, Json, Listener, Session, Traffic
from runbooks.onhost import LAUNCHER, LAUNCHER_WITHOUT_INPUT, OPTIONS, Program, server
from runbooks.refusals import CONTROL, END, Rule, check

#: Notices within a minute that the other end has gone.
_SSH_ARGUMENTS = "-o ServerAliveInterval=15 -o ServerAliveCountMax=3"

_SSH_UNATTENDED = " -o BatchMode=yes"

#: What no name of a machine has, and a shell on the way there would make something of.
_NOT_IN_A_NAME = "\x7f'\"`$;|&<>(){}\\!#*?" + "".join(map(chr, range(0x21)))


def _or_encoded(characters: str) -> str:
    """An expression for any of `characters`, as it is or with a percent sign.

    As it is neither # nor ? is in a name: they end it.
    """
    codes = [ord(one) for one in characters]
    plain = "".join(f"\\x{code:02x}" for code in codes if chr(code) not in "#?")
    hexadecimal = "|".join(f"{code:02x}" for code in codes)
    encoded = re.sub("[a-f]", lambda letter: f"[{letter[0]}{letter[0].upper()}]", hexadecimal)
    return f"(?:[{plain}]|%(?:{encoded}))"


_SCHEME = r"[A-Za-z][-+.A-Za-z0-9]*"
#: Up to the name of the machine; testinfra decodes ``%40`` before it splits.
_BEFORE_THE_NAME = rf"^(?!practice:){_SCHEME}://(?:[^/?#]*(?:@|%40))?"

#: What names no host. testinfra decodes ``%2d``, splits at an ``@`` and takes off a ``[``; whatever
#: then starts with ``-`` would be an option of ssh or docker.
HOST_RULES = (
    # urlsplit() would leave some of them out without a word.
    Rule(f"^{END}|{CONTROL}", "the host {text} is not a name: try " + whose().server.spec),
    Rule(
        rf"^(?!practice:)(?:[A-Za-z0-9_][-.A-Za-z0-9_]*@)?[A-Za-z0-9][-.A-Za-z0-9]*{END}",
        "the host {text} does not say how to reach it: try ssh://{given}, docker://ID, local://"
        " or practice:DIR",
    ),
    Rule(
        r"^(?!practice:)(?![\s\S]*://)",
        "the host {text} does not say how to reach it: try ssh://NAME, local:// or practice:DIR",
    ),
    Rule(
        rf"{_BEFORE_THE_NAME}{_or_encoded('[')}*{_or_encoded('-')}",
        "the host {text} has a name that starts with '-', which is an option",
    ),
    Rule(
        rf"^(?!practice:){_SCHEME}://[^/?#]*(?:{_or_encoded(_NOT_IN_A_NAME)}"
        r"|[^\x00-\x7f]|%[89A-Fa-f][0-9A-Fa-f])",
        "the host {text} has a character that no name has",
    ),
    Rule(
        rf"{_BEFORE_THE_NAME}(?<!local://)(?:[/?#]|{END})|^(?!practice:)(?!{_SCHEME}://)",
        "the host {text} names no machine: try {scheme}://NAME",
    ),
)

#: Linux takes no argument longer than this, in bytes (MAX_ARG_STRLEN is 128 KiB).
_LONGEST_ARGUMENT = 120_000


@dataclass
class Host:
    """A list server, named as testinfra names it.

    `spec`: ``local://``, ``ssh://root@lists.example.org``, ``docker://ID``,
    ``ansible://lists?ansible_inventory=…`` or ``practice:DIR``. A ``mailman=DIR``
    in the query (``ssh://lists?mailman=/opt/mailman/bin``) says where Mailman's
    programs are when they are in none of the usual places.

    Raises BadInputError for what names no host, HostError for a practice site that is
    not there. Nothing is connected to before the first `run`.
    """

    spec: str
    #: what was sent there so far
    traffic: Traffic = field(default_factory=Traffic)
    #: nobody is to be asked for a passphrase or a host key
    unattended: bool = False

    def __post_init__(self) -> None:
        self._session: Session | None = None
        self.practice_dir: str | None = None
        check(self.spec, HOST_RULES)
        if self.spec.startswith("practice:"):
            folder = os.path.expanduser(self.spec.removeprefix("practice:"))
            self._use_practice_site(os.path.abspath(folder))
            return
        try:
            parts = urlsplit(self.spec)
        except ValueError as e:
            raise BadInputError(f"the host {short(self.spec)} is not well formed: {e}") from None
        self.name = unquote(parts.netloc).rpartition("@")[2] or "local"
        self.mailman_dirs: tuple[str, ...] = tuple(parse_qs(parts.query).get("mailman", ()))

    def _use_practice_site(self, folder: str) -> None:
        if not os.path.isfile(os.path.join(folder, "bin", "withlist")):
            raise HostError(
                f"{short(folder)} is not a practice site; to make one:"
                f" runbook practice new {shlex.quote(folder)}"
            )
        self.practice_dir = folder
        self.name = "practice"
        self.mailman_dirs = (os.path.join(folder, "bin"),)

    @property
    def option(self) -> str:
        """What to write after ``runbook`` to mean this host: nothing where that is the default."""
        return option((self.spec,))

    def command(self, words: Sequence[str]) -> str:
        """``runbook`` with the arguments `words`, for this host: a line to be pasted."""
        return command(words, (self.spec,))

    @property
    def uses_terminal(self) -> bool:
        """Whether connecting may ask something on the terminal: a passphrase, a host key."""
        return self.spec.startswith(("ssh://", "ansible://"))

    def run(
        self,
        program: Program,
        interpreter: str,
        on_event: Listener | None = None,
        secret: bytes = b"",
    ) -> list[Json]:
        """Run `program` under `interpreter` (a shell word or script that ends in exec).

        Returns the program's events when `on_event` is None; otherwise each goes there
        as it comes, and the list is empty. Ctrl-C asks the program to stop after what it
        has in hand and raises KeyboardInterrupt when it has. `secret` follows the program
        on standard input and appears in no argument.

        The connection stays for the next program, which runs under the same interpreter.
        Raises HostError when nothing answered, LostError when the program began and was
        not heard to end.
        """
        events: list[Json] = []
        listener = on_event or events.append
        self.connect(interpreter)
        if self._session is not None:
            self._session.run(program, listener, secret)
        elif secret:
            raise HostError(
                f"{self.spec}: this kind of connection cannot pass a password on; use ssh://"
            )
        else:
            self._run_at_once(program, interpreter, listener)
        return events

    def connect(self, interpreter: str) -> None:
        """Begin to connect, unless that was done. Does not wait for the host.

        Whatever is done before the first `run` costs no time.
        """
        if self._session is None or not self._session.alive:
            self._session = self._connect(interpreter)

    def interrupt(self) -> None:
        """Ask the program that another thread runs to stop after what it has in hand, as Ctrl-C
        does; its `run` then raises KeyboardInterrupt."""
        if self._session is not None:
            self._session.interrupt()

    def kill(self) -> None:
        """Wait for it no longer."""
        if self._session is not None:
            self._session.child.kill()

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _connect(self, interpreter: str) -> Session | None:
        """A command that takes programs on standard input; None for connections without one."""
        backend = self._backend()
        kind = backend.get_connection_type()
        if kind not in _WAYS:
            return None
        launch = f"{interpreter} {OPTIONS} -c {shlex.quote(LAUNCHER)} {len(server())}"
        words = [*_WAYS[kind](backend), backend.get_command(launch)]
        session = Session(
            self.spec, words, self.traffic, terminal=kind == "ssh" and not self.unattended
        )
        weakref.finalize(self, session.close)
        return session

    def _backend(self) -> Any:
        try:
            import testinfra

            if self.practice_dir or self.spec == "local://":
                return testinfra.get_host("local://").backend
            if self.spec.startswith("ssh://"):
                arguments = _SSH_ARGUMENTS + _SSH_UNATTENDED * self.unattended
                return testinfra.get_host(self.spec, ssh_extra_args=arguments).backend
            backend = testinfra.get_host(self.spec).backend
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
        # testinfra imports the library of a kind of connection, and raises what that raises.
        except Exception as e:
            raise HostError(f"{self.spec}: {one_line(e)}") from e
        return backend

    def _run_at_once(self, program: Program, interpreter: str, listener: Listener) -> None:
        """Where there is no standard input: the program is an argument, and cannot be stopped."""
        argument = program.argument()
        if len(argument) > _LONGEST_ARGUMENT:
            raise HostError(
                f"{self.spec}: too much to send over this kind of connection; use ssh://"
            )
        launcher = shlex.quote(LAUNCHER_WITHOUT_INPUT)
        command = f"{interpreter} {OPTIONS} -c {launcher} {argument}"
        self.traffic.commands += 1
        self.traffic.sent += len(command)
        try:
            result = self._backend().run(command)
        # As above.
        except Exception as e:
            raise HostError(f"{self.spec}: {one_line(e)}") from e
        self.traffic.received += len(result.stdout_bytes)
        heard = Heard(listener)
        for line in result.stdout_bytes.split(b"\n"):
            heard(line)
        heard.check(self.spec, lambda: (result.stderr.strip().splitlines() or [""])[-1])


def option(specs: Sequence[str]) -> str:
    """What to write after ``runbook`` to mean these hosts."""
    if tuple(specs) == ("local://",) and not os.environ.get("RUNBOOK_HOST"):
        return ""
    return "".join(f" --host {shlex.quote(spec)}" for spec in specs)


def command(words: Sequence[str], specs: Sequence[str]) -> str:
    """``runbook`` with the arguments `words`, for these hosts: a line to be pasted."""
    # What follows -- is no option any more.
    end = words.index("--") if "--" in words else len(words)
    rest = f" {shlex.join(words[end:])}" if words[end:] else ""
    return f"runbook {shlex.join(words[:end])}{option(specs)}{rest}"


def _container(program: str) -> Callable[[Any], list[str]]:
    def words(backend: Any) -> list[str]:
        return [program, "exec", "-i", *_option("-u", backend.user), backend.name, *_SHELL]

    return words


def _pod(program: str) -> Callable[[Any], list[str]]:
    def words(backend: Any) -> list[str]:
        return [
            program,
            *_option("--kubeconfig", backend.kubeconfig),
            *_option("--context", getattr(backend, "context", None)),
            *_option("-n", backend.namespace),
            *_option("-c", backend.container),
            *("exec", "-i", backend.name, "--", *_SHELL),
        ]

    return words


def _ssh(backend: Any) -> list[str]:
    extra = backend.ssh_extra_args or ""
    said = extra.lower()
    words = ["sshpass", "-p", backend.host.password] if backend.host.password else []
    words += ["ssh", *shlex.split(extra)]
    words += [*_option("-F", backend.ssh_config), *_option("-i", backend.ssh_identity_file)]
    settings = {"User": backend.host.user, "Port": backend.host.port}
    if "connecttimeout" not in said:
        settings["ConnectTimeout"] = backend.timeout
    shared = "controlmaster" in said
    if backend.controlpersist and not shared:
        settings |= {"ControlMaster": "auto", "ControlPersist": f"{backend.controlpersist}s"}
        shared = True
    if shared and "controlpath" not in said:
        settings["ControlPath"] = backend.controlpath
    for name, value in settings.items():
        words += _option("-o", value and f"{name}={value}")
    return [*words, backend.host.name]


def _option(name: str, value: str | None) -> list[str]:
    return [name, value] if value else []


_SHELL = ("/bin/sh", "-c")

#: The connections whose commands have a standard input, by testinfra's names for them: what runs
#: a command there, which follows as one more argument.
_WAYS: dict[str, Callable[[Any], list[str]]] = {
    "local": lambda backend: [*_SHELL],
    "ssh": _ssh,
    "chroot": lambda backend: ["chroot", backend.name, *_SHELL],
    "lxc": lambda backend: ["lxc", "exec", backend.name, "--mode=non-interactive", "--", *_SHELL],
    "docker": _container("docker"),
    "podman": _container("podman"),
    "kubectl": _pod("kubectl"),
    "openshift": _pod("oc"),
}


def one_line(error: BaseException) -> str:
    """What testinfra, or a program that it has run, says went wrong."""
    text = str(error)
    # What testinfra says of a program of this machine that failed is its whole result.
    said = re.search(r"CommandResult\(.*_stderr=b(['\"])(.*?)(?:\\n)*\1\)", text, re.DOTALL)
    if said and said[2]:
        text = said[2].rpartition("\\n")[2]
    return " ".join(text.split()) or type(error).__name__
