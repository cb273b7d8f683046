"""A list server to measure on: a container with two processors and as many lists as wanted."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import ROOT, command
from benchmarks.command import Done, MeasureError
from runbooks.onhost import LAUNCHER
from runbooks.testing.containers import running
from runbooks.testing.containers.box import PROGRAMS, Box
from runbooks.testing.containers.running import Process
from runbooks.testing.containers.selection import Subject

if TYPE_CHECKING:
    from docker import DockerClient

INSIDE = Path(__file__).with_name("inside")
FILL = ROOT / "tests" / "faults" / "inside" / "fill.py"
LISTS = "/var/lib/mailman/lists"
TEMPLATE = "list-00000"
PROCESSORS = 2
LABELS = {"mailman2-runbooks": "bench"}
RUN_SECONDS = 600  # for a command that is not measured

#: In the command line of each of our processes on the host, and of Mailman's withlist.
OURS = LAUNCHER.splitlines()[1]
WITHLIST = "withlist"
WITHLIST_ALL = f"{PROGRAMS}/withlist -q -a -r original.ban"
RUNBOOK = [sys.executable, "-m", "runbooks"]


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


def processors() -> list[int]:
    """Those that a server may use."""
    return sorted(os.sched_getaffinity(0))[:PROCESSORS]


class Server:
    """A container with a Mailman 2, one site, and lists of one size.

    `options` are those of the Docker SDK.
    """

    def __init__(self, client: DockerClient, subject: Subject, **options: Any) -> None:
        self.mailman = subject.mailman
        self.options = {"cpuset_cpus": ",".join(map(str, processors())), **options}
        self.container = running.start(client, subject.image.id, LABELS, **self.options)
        self._lists = self._members = 0
        try:
            self._box = Box.prepare(self.container, "single", subject.mailman)
            self.spec = self._box.spec
            self._box.put(f"{PROGRAMS}/original.py", (INSIDE / "original.py").read_bytes())
            # As root, who may keep what Python compiles.
            self._run([*self.mailman.interpreter, "-m", "compileall", "-q", PROGRAMS], check=False)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove the container."""
        running.remove(self.container)

    def _run(
        self,
        argv: list[str],
        user: str | None = None,
        stdin: bytes | None = None,
        check: bool = True,
    ) -> str:
        """A command that is not measured: its output."""
        done = self._box.run(argv, user=user, stdin=stdin, timeout=RUN_SECONDS)
        if check and done.rc:
            raise MeasureError(f"{argv[0]}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def shell(self, script: str) -> str:
        return self._run(["sh", "-c", script])

    # -- lists

    def have(self, lists: int, members: int) -> None:
        """Have `lists` lists of `members` members: those there are, and copies of the first."""
        if members != self._members or lists < self._lists:
            self.shell(f"rm -rf {LISTS}/* /var/lib/mailman/runbook")
            self._lists, self._members = 0, members
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
        return self._run([f"{PROGRAMS}/{program}", *arguments], user="list", stdin=stdin)

    def inside(self, program: Path, *arguments: str, stdin: bytes | None = None) -> str:
        """Run a program of ours in the container, as Mailman's user."""
        code = program.read_text(encoding="utf-8")
        argv = [*self.mailman.interpreter, "-B", "-c", code, *arguments]
        return self._run(argv, user="list", stdin=stdin)

    # -- what is measured: seconds

    def ban(self, *addresses: str, expected: str = "banned") -> float:
        """`runbook ban`, which has to say `expected` of every list."""
        return self._checked({expected: self._lists}, "ban", *addresses, "--yes")

    def banned_by_all(self, address: str, expected: str = "refuses") -> float:
        """`runbook banned`, which has to say `expected` of every list."""
        return self._checked({expected: self._lists}, "banned", address)

    def locks(self, stale: int) -> float:
        """`runbook locks`, for a program or a person, whichever takes longer.

        Both have to find so many stale locks.
        """
        shown = self._runbook(RUNBOOK, "locks", form=())
        if shown.stdout.count(" stale ") != stale:
            raise MeasureError(f"runbook locks: not {stale} stale locks: {shown.stdout[-300:]}")
        return max(shown.seconds, self._checked({"stale": stale}, "locks"))

    def _checked(self, expected: dict[str, int], *arguments: str) -> float:
        done = self._runbook(RUNBOOK, *arguments)
        summary = json.loads(done.stdout.splitlines()[-1])["summary"]
        if {what: number for what, number in summary.items() if number} != expected:
            raise MeasureError(f"runbook {arguments[0]}: {summary}, and not {expected}")
        return done.seconds

    def _runbook(
        self, runbook: list[str], *arguments: str, form: tuple[str, ...] = ("--json",)
    ) -> Done:
        done = command.run([*runbook, *arguments, "--host", self.spec, *form])
        # `locks` says with 1 that there are stale ones.
        if done.status and (done.status, arguments[0]) != (1, "locks"):
            raise MeasureError(f"runbook {arguments[0]}: {done.words()}")
        return done

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
        # As somebody would type it, with the program, by which `runbook` gets there too.
        done = command.run(["docker", "exec", "-u", "list", self.container.id, "sh", "-c", script])
        if done.status:
            raise MeasureError(f"by hand: {done.words()}")
        return done.seconds

    def processor_time(self) -> float:
        """Seconds of processor time that everything on the server has used until now."""
        for file, unit in (("cpu.stat", 1e6), ("cpuacct/cpuacct.usage", 1e9)):
            script = f"cat /sys/fs/cgroup/{file} 2>/dev/null || true"
            words = self.shell(script).split()
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
        watch = Process(self.container, [*self.mailman.interpreter, "-B", "-c", program])
        found: dict[str, Any] = {}
        watch.send(marker.encode("ascii") + b"\n")
        if watch.line() != b"ready\n":
            raise MeasureError(f"memory.py: {watch.errors.decode('utf-8', 'replace').strip()}")
        try:
            yield found
            watch.send(b"end\n")
            found.update(json.loads(watch.line()))
        finally:
            watch.close()
