"""A container with a Mailman 2, as a test sees it."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbooks.testing.containers import engine as engines
from runbooks.testing.containers.running import Process, remove

if TYPE_CHECKING:
    from docker.models.containers import Container

SERVANT = Path(__file__).with_name("inside.py").read_bytes()
LAYOUTS = Path(__file__).with_name("layouts")
README = "runbooks/testing/containers/README.md"
PROGRAMS = "/usr/lib/mailman/bin"
ANSWER_SECONDS = 60  # for what the servant does by itself
ASK_SECONDS = 60  # for an image to say which Mailman it has

SITES: dict[str, dict[str, str | None]] = {
    "single": {"mailman": None},
    "multi": {"openstack": "/srv/mailman/openstack", "zuul": "/srv/mailman/zuul"},
}


class BoxError(Exception):
    """The container, not the thing under test, is in trouble."""


@dataclass(frozen=True)
class Result:
    """What a command did.

    `rc` is 128 plus the signal's number if a signal ended it, 127 if it could not be started.
    Text is decoded as UTF-8; bytes that are not UTF-8 come as surrogates.
    """

    rc: int
    stdout: str
    stderr: str
    timed_out: bool = False


class Servant:
    """One inside.py in a container, and the line to it. Serves one request at a time."""

    def __init__(self, container: Container, interpreter: tuple[str, ...]) -> None:
        # Read from standard input and not given as an argument, which `pgrep -f` would search.
        loader = (
            "import os\n"
            "code = b''\n"
            f"while len(code) < {len(SERVANT)}:\n"
            f"    code += os.read(0, {len(SERVANT)} - len(code))\n"
            "exec(compile(code, 'box-servant', 'exec'))"
        )
        self.process = Process(container, [*interpreter, "-B", "-c", loader])
        with contextlib.suppress(OSError):  # ask() tells why
            self.process.send(SERVANT)

    def ask(self, patience: float, operation: str, **arguments: Any) -> dict[str, Any]:
        """One request and its answer. ConnectionError: the servant is gone."""
        request = json.dumps({"operation": operation, **arguments}).encode("ascii") + b"\n"
        answer = b""
        try:
            self.process.send(request)
            answer = self.process.line(patience)
        except TimeoutError:
            self.close()
            raise BoxError(f"no answer to {operation} within {patience:.0f} s") from None
        except ConnectionError:
            pass
        except BaseException:
            # A test that took too long was interrupted: the answer that is still to come would be
            # taken for that to the next request.
            self.close()
            raise
        if not answer.endswith(b"\n"):
            self.close()
            words = self.process.errors.decode("utf-8", "replace").strip()
            raise ConnectionError(words or "the servant in the container has ended")
        result: dict[str, Any] = json.loads(answer)
        if "problem" in result:
            raise BoxError(f"{operation}: {result['problem']}")
        return result

    def alive(self) -> bool:
        """Whether it answers. That its line is open says less: one just killed is still shown."""
        try:
            self.ask(ANSWER_SECONDS, "ping")
        except (BoxError, OSError):
            return False
        return True

    def close(self) -> None:
        self.process.close()


@dataclass(frozen=True)
class Mailman:
    """What a container answers when it is asked which Mailman it has.

    `version` is the number in `output`, what the program `version` printed. `interpreter` is the
    command on the programs' first line, `python` its version, as in "2.7".
    """

    version: str
    output: str
    interpreter: tuple[str, ...]
    python: str

    @property
    def is_standin(self) -> bool:
        return "stand-in" in self.output


# What the tests themselves use, and every image therefore has to have.
TOOLS = ("hostname", "pgrep", "pkill", "ps", "sudo", "tar")

# One answer for each line. The variable is for images whose mm_cfg.py wants to know the site.
ASK = f"""
for tool in {" ".join(TOOLS)}; do command -v $tool > /dev/null || lacking="$lacking $tool"; done
[ -z "$lacking" ] || {{ echo "lacking$lacking"; exit 0; }}
set -e
line=$(head -n 1 {PROGRAMS}/version)
echo "$line"
${{line#??}} -c 'import sys; print("%d.%d" % sys.version_info[:2])'
MAILMAN_SITE_DIR=/ {PROGRAMS}/version
"""


def ask_mailman(image: str) -> Mailman:
    """Ask an image which Mailman it has. BoxError when it has none in Debian's layout."""
    with engines.reached() as client:
        asked = client.containers.create(
            image,
            ["-c", ASK],
            entrypoint="sh",
            user="root",
            network_mode="none",
            # Whatever the engine does with other logs, this one is to be read here.
            log_config={"type": "json-file"},
        )
        try:
            asked.start()
            status = asked.wait(timeout=ASK_SECONDS)["StatusCode"]
            answer, errors = (
                asked.logs(stdout=out, stderr=not out).decode("utf-8", "surrogateescape")
                for out in (True, False)
            )
        finally:
            remove(asked)
    if status != 0:
        raise BoxError(f"asked for its Mailman, {image} said: {(errors or answer).strip()}")
    lines = answer.split("\n")
    if lines[0].startswith("lacking "):
        lacking = lines[0].partition(" ")[2].replace(" ", ", ")
        raise BoxError(f"{image} lacks {lacking}, which an image has to have: see {README}")
    if len(lines) < 3 or not lines[0].startswith("#!"):
        raise BoxError(f"{PROGRAMS}/version in {image} answered {lines!r}")
    output = "\n".join(lines[2:]).strip()
    # Using Mailman version: 2.1.39
    version = output.partition(":")[2].split()
    if not version:
        raise BoxError(f"{PROGRAMS}/version in {image} printed {output!r}")
    return Mailman(version[0], output, tuple(lines[0][2:].split()), lines[1])


class Box:
    """A container with a Mailman 2.

    It is lent to one test after another; `reset()` takes it back to where it was after the site
    layout was laid over it. Commands may be run from several threads at once.
    """

    def __init__(self, container: Container, layout: str, mailman: Mailman) -> None:
        self.container = container
        self.id: str = container.id
        self.spec = f"docker://{self.id}"
        self.layout = layout
        self.mailman = mailman
        self.version = mailman.version
        self.python = mailman.python
        self.is_standin = mailman.is_standin
        self.sites = dict(SITES[layout])
        # Remembers what clean means, and runs the commands of a test that runs one at a time.
        self._keeper = self._new_servant()
        self._keeper_lock = threading.Lock()
        self._memory: dict[str, Any] | None = None
        # Further servants, for commands that are run at the same time.
        self._idle: list[Servant] = []
        self._idle_lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Box {self.version} python{self.python} {self.layout} {self.id[:12]}>"

    @classmethod
    def prepare(cls, container: Container, layout: str, mailman: Mailman) -> Box:
        """Lay a site layout over a new container, and remember that state as the clean one."""
        script = (LAYOUTS / f"{layout}.sh").read_bytes()
        box = cls(container, layout, mailman)
        done = box.run(["sh", "-s"], stdin=script)
        if done.rc != 0:
            raise BoxError(f"the layout {layout} in the new container: {done.stderr.strip()}")
        # An image may come with the site list, or with lists that somebody has tried it with.
        for site in box.sites:
            for folder in ("lists", "locks", "archives/private", "archives/public"):
                emptied = box.run(
                    ["find", "-H", f"{box.prefix(site)}/{folder}", "-mindepth", "1", "-delete"]
                )
                if emptied.rc != 0:
                    raise BoxError(f"the new container: {emptied.stderr.strip()}")
        # Or a test would seem to have added what Python compiles when Mailman first runs. Not all
        # of a release needs to compile under this Python.
        compile_all = ("-m", "compileall", "-q", PROGRAMS, str(Path(PROGRAMS).parent / "Mailman"))
        box.run([*mailman.interpreter, *compile_all], timeout=180)
        for site in box.sites:
            done = box.run([f"{PROGRAMS}/list_lists"], env=box.environment(site))
            if done.rc != 0:
                raise BoxError(f"list_lists in the new container: {done.stderr}")
        box._memory = box._ask_keeper("snapshot")
        return box

    def prefix(self, site: str) -> str:
        """The folder that has a site's `lists`, `locks`, `logs` and so on."""
        return self.sites[site] or "/var/lib/mailman"

    def environment(self, site: str) -> dict[str, str]:
        """The variables with which Mailman's programs work on a site."""
        directory = self.sites[site]
        return {} if directory is None else {"MAILMAN_SITE_DIR": directory}

    def run(
        self,
        argv: list[str],
        user: str | None = None,
        env: dict[str, str] | None = None,
        stdin: str | bytes | None = None,
        timeout: float = 60,
    ) -> Result:
        """Run a command in `/`, as root or another user, and wait for it for `timeout` seconds.

        A command that takes longer is killed, with everything it has started. What it leaves in
        the background runs on until the next reset.
        """
        request = {
            "argv": [encode(word) for word in argv],
            "user": user,
            "env": [(encode(name), encode(value)) for name, value in (env or {}).items()],
            "stdin": None if stdin is None else encode(stdin),
            "timeout": timeout,
        }
        with self._servant() as servant:
            try:
                answer = servant.ask(timeout + ANSWER_SECONDS, "run", **request)
            except ConnectionError as problem:
                raise BoxError(f"while {argv[0]} ran: {problem}") from None
        return Result(
            rc=answer["rc"],
            stdout=base64.b64decode(answer["stdout"]).decode("utf-8", "surrogateescape"),
            stderr=base64.b64decode(answer["stderr"]).decode("utf-8", "surrogateescape"),
            timed_out=answer["timed_out"],
        )

    def sh(
        self,
        script: str,
        user: str | None = None,
        env: dict[str, str] | None = None,
        stdin: str | bytes | None = None,
        timeout: float = 60,
    ) -> Result:
        """Run a shell script."""
        return self.run(["sh", "-c", script], user=user, env=env, stdin=stdin, timeout=timeout)

    def put(
        self, path: str, text: str | bytes, mode: int = 0o644, owner: str = "root:root"
    ) -> None:
        """Write a file; its folder has to exist."""
        self._ask_keeper("put", path=encode(path), data=encode(text), mode=mode, owner=owner)

    def read(self, path: str) -> str:
        """The text of a file."""
        return self.read_bytes(path).decode("utf-8", "surrogateescape")

    def read_bytes(self, path: str) -> bytes:
        return base64.b64decode(self._ask_keeper("read", path=encode(path))["data"])

    def changes(self) -> dict[str, str]:
        """What differs from the clean state: {path: "added" | "changed" | "removed"}.

        Of every folder that a procedure may touch: /etc, /home, /opt, /root, /run, /srv, /tmp,
        /var, /usr/lib/mailman, /usr/local, /dev/shm, without what belongs to Debian's packages. A
        file counts as changed when its content, mode or owner is not what it was.
        """
        found = self._ask_keeper("changes")["changes"]
        return {
            base64.b64decode(path).decode("utf-8", "surrogateescape"): what for path, what in found
        }

    def reset(self) -> None:
        """Back to the clean state: processes, files, links, modes, owners. Read back."""
        self._ask_keeper("reset")
        self._drop_idle()

    def close(self) -> None:
        self._drop_idle()
        self._keeper.close()

    def _new_servant(self) -> Servant:
        return Servant(self.container, self.mailman.interpreter)

    @contextlib.contextmanager
    def _servant(self) -> Iterator[Servant]:
        """A servant for this thread alone."""
        if self._keeper_lock.acquire(blocking=False):
            try:
                self._revive_keeper()
                yield self._keeper
            finally:
                self._keeper_lock.release()
            return
        with self._idle_lock:
            servant = self._idle.pop() if self._idle else None
        if servant is None or not servant.alive():
            servant = self._new_servant()
        yield servant
        with self._idle_lock:
            self._idle.append(servant)

    def _drop_idle(self) -> None:
        with self._idle_lock:
            idle, self._idle = self._idle, []
        for servant in idle:
            servant.close()

    def _revive_keeper(self) -> None:
        """A test may end every process that it can, and the servants with them."""
        if self._keeper.alive():
            return
        self._keeper.close()
        self._keeper = self._new_servant()
        if self._memory is not None:
            try:
                self._keeper.ask(ANSWER_SECONDS, "adopt", **self._memory)
            except ConnectionError as problem:
                raise BoxError(f"the container of {self!r} is gone: {problem}") from None

    def _ask_keeper(self, operation: str, **arguments: Any) -> dict[str, Any]:
        with self._keeper_lock:
            self._revive_keeper()
            try:
                return self._keeper.ask(ANSWER_SECONDS, operation, **arguments)
            except ConnectionError:
                # It died unnoticed. Nothing that these operations do is wrong to do again.
                self._revive_keeper()
                try:
                    return self._keeper.ask(ANSWER_SECONDS, operation, **arguments)
                except ConnectionError as problem:
                    raise BoxError(f"{operation}: {problem}") from None


def encode(text: str | bytes) -> str:
    """Text as UTF-8, surrogates as the bytes they stand for, in base64."""
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return base64.b64encode(data).decode("ascii")


def shell_of(box: Box) -> Callable[[str], str]:
    """A shell of root in a container, with which `runbooks.mailman.truth` asks what is true."""

    def run(command: str) -> str:
        done = box.sh(command)
        if done.rc != 0:
            raise BoxError(f"{command}: {done.stderr.strip()}")
        return done.stdout

    return run
