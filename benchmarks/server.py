"""A list server to measure on: a container with two processors and as many lists as wanted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbooks.onhost import LAUNCHER
from tests.support.box import Mailman

ROOT = Path(__file__).resolve().parents[1]
INSIDE = Path(__file__).with_name("inside")
FILL = ROOT / "tests" / "faults" / "inside" / "fill.py"
LAYOUT = ROOT / "docker" / "layouts" / "single.sh"
PROGRAMS = "/usr/lib/mailman/bin"
LISTS = "/var/lib/mailman/lists"
TEMPLATE = "list-00000"
PROCESSORS = 2

#: In the command line of each of our processes on the host, and of Mailman's withlist.
OURS = LAUNCHER.splitlines()[1]
WITHLIST = "withlist"


class MeasureError(Exception):
    """A command that was to be measured did not do what it should."""


@dataclass(frozen=True)
class Cost:
    """What one run of a command took besides time."""

    #: KiB, here and on the host at most; on the host the sum over its processes
    here: int
    on_host: int
    processes: int
    #: commands sent to the host, and bytes each way
    commands: int
    sent: int
    received: int


class Server:
    """A container with a Mailman 2, one site, and lists of one size."""

    def __init__(self, image: str, mailman: Mailman) -> None:
        self.mailman = mailman
        processors = sorted(os.sched_getaffinity(0))[:PROCESSORS]
        self.processors = len(processors)
        self.id = docker(
            *("run", "--detach", "--init", "--hostname", "lists", "--network", "none"),
            *("--add-host", "lists:127.0.1.1", "--label", "mailman2-runbooks=bench"),
            *("--cpuset-cpus", ",".join(map(str, processors))),
            *("--user", "root", "--entrypoint", "sleep", image, "infinity"),
        ).strip()
        self.spec = f"docker://{self.id}"
        self._lists = 0
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        docker("exec", "-i", self.id, "sh", "-s", stdin=LAYOUT.read_bytes())
        self.empty()
        script = (INSIDE / "original.py").read_bytes()
        docker(*("exec", "-i", self.id, "sh", "-c", f"cat > {PROGRAMS}/original.py"), stdin=script)
        # Once as root, who may keep what Python compiles.
        docker("exec", self.id, f"{PROGRAMS}/list_lists")
        compiled = (*self.mailman.interpreter, "-m", "compileall", "-q")
        folder = str(Path(PROGRAMS).parent / "Mailman")
        docker("exec", self.id, "sh", "-c", '"$@" || true', "sh", *compiled, PROGRAMS, folder)

    def close(self) -> None:
        docker("rm", "--force", "--volumes", self.id)

    # -- lists

    def empty(self) -> None:
        """Remove all lists."""
        docker(
            "exec", self.id, "sh", "-c", f"rm -rf {LISTS}/* /var/lib/mailman/runbook", seconds=600
        )
        self._lists = 0

    def grow(self, lists: int, members: int) -> None:
        """Have `lists` lists of `members` members: those there are, and copies of the first."""
        if not self._lists:
            self._mailman("newlist", "-q", TEMPLATE, "admin@example.com", "secret")
            addresses = "".join(
                f"Member {n} <member{n}.{TEMPLATE}@example.net>\n" for n in range(members)
            )
            add = ("add_members", "-r", "-", "-w", "n", "-a", "n", TEMPLATE)
            self._mailman(*add, stdin=addresses.encode())
            self._lists = 1
        asked = {
            "folder": LISTS,
            "template": TEMPLATE,
            "names": [f"list-{n:05}" for n in range(self._lists, lists)],
        }
        self.inside(FILL, stdin=json.dumps(asked).encode())
        self._lists = lists

    def _mailman(self, program: str, *arguments: str, stdin: bytes | None = None) -> str:
        return docker(
            *("exec", "-i", "-u", "list", self.id, f"{PROGRAMS}/{program}", *arguments),
            stdin=stdin,
        )

    def inside(self, program: Path, *arguments: str, stdin: bytes | None = None) -> str:
        """Run a program of ours in the container, as Mailman's user."""
        return docker(
            *("exec", "-i", "-u", "list", self.id, *self.mailman.interpreter, "-B", "-c"),
            *(program.read_text(encoding="utf-8"), *arguments),
            stdin=stdin,
            seconds=600,
        )

    # -- what is measured: seconds

    def runbook(self, command: str, *arguments: str) -> float:
        """A run of `runbook COMMAND` on the server."""
        return self._runbook([sys.executable, "-m", "runbooks"], command, *arguments)[0]

    def ban(self, address: str, expected: str = "banned") -> float:
        """`runbook ban`, which has to say `expected` of every list."""
        runbook = [sys.executable, "-m", "runbooks"]
        seconds, output = self._runbook(runbook, "ban", address, "--yes")
        self._check(output, expected)
        return seconds

    def banned_by_all(self, address: str, expected: str = "refuses") -> float:
        """`runbook banned`, which has to say `expected` of every list."""
        seconds, output = self._runbook([sys.executable, "-m", "runbooks"], "banned", address)
        self._check(output, expected)
        return seconds

    def _check(self, output: str, expected: str) -> None:
        summary = json.loads(output.splitlines()[-1])["summary"]
        if summary.get(expected) != self._lists:
            raise MeasureError(f"{self._lists} lists should be {expected}: {summary}")

    def _runbook(self, runbook: list[str], *arguments: str) -> tuple[float, str]:
        command = [*runbook, *arguments, "--host", self.spec, "--json"]
        started = time.perf_counter()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        seconds = time.perf_counter() - started
        if done.returncode not in (0, 1) or (done.returncode and arguments[0] != "locks"):
            raise MeasureError(f"runbook {arguments[0]}: {done.stderr.strip() or done.stdout}")
        return seconds, done.stdout

    def original(self, address: str) -> float:
        """The page's own way: its script, for all lists in one process."""
        return self._by_hand(f"{WITHLIST_ALL} {address}")

    def loop(self, address: str) -> float:
        """A shell loop: one process of Mailman's for each list."""
        return self._by_hand(
            f"for list in $({PROGRAMS}/list_lists -b); do"
            f" {PROGRAMS}/withlist -q -r original.ban $list {address}; done"
        )

    def _by_hand(self, script: str) -> float:
        started = time.perf_counter()
        docker(*("exec", "-u", "list", self.id, "sh", "-c", script), seconds=3600)
        return time.perf_counter() - started

    def processor_time(self) -> float:
        """Seconds of processor time that everything on the server has used until now."""
        for file, unit in (("cpu.stat", 1e6), ("cpuacct/cpuacct.usage", 1e9)):
            script = f"cat /sys/fs/cgroup/{file} 2>/dev/null || true"
            words = docker("exec", self.id, "sh", "-c", script).split()
            if words:
                return int(words[1] if words[0] == "usage_usec" else words[0]) / unit
        raise MeasureError("the container does not say how much processor time it has used")

    # -- what is measured: memory, commands, bytes

    def measure(self, *arguments: str) -> Cost:
        """What a run of `runbook` takes besides time."""
        with tempfile.TemporaryDirectory() as folder:
            answer = Path(folder, "cost")
            measured = [sys.executable, "-m", "benchmarks.measured", str(answer)]
            with self.watched(OURS) as most:
                self._runbook(measured, *arguments)
            here = json.loads(answer.read_text())
        return Cost(
            here=here["kib"],
            on_host=most["kib"],
            processes=most["processes"],
            commands=here["commands"],
            sent=here["sent"],
            received=here["received"],
        )

    @contextmanager
    def watched(self, marker: str) -> Iterator[dict[str, Any]]:
        """The memory of processes on the host, filled in when the block ends."""
        program = (INSIDE / "memory.py").read_text(encoding="utf-8")
        watch = subprocess.Popen(
            [
                *("docker", "exec", "-i", self.id, *self.mailman.interpreter),
                *("-B", "-c", program, marker),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        found: dict[str, Any] = {}
        assert watch.stdout is not None
        watch.stdout.readline()
        try:
            yield found
        finally:
            found.update(json.loads(watch.communicate()[0]))


WITHLIST_ALL = f"{PROGRAMS}/withlist -q -a -r original.ban"


def docker(*arguments: str, stdin: bytes | None = None, seconds: float = 120) -> str:
    """A command of the Docker client that has to succeed: its output."""
    done = subprocess.run(
        ["docker", *arguments],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        timeout=seconds,
        # An interrupt from the keyboard is for the measuring alone, which then puts things away.
        start_new_session=True,
        check=False,
    )
    if done.returncode:
        words = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
        raise MeasureError(f"docker {arguments[0]}: {words}")
    return done.stdout.decode("utf-8", "replace")
