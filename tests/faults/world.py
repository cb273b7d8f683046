"""Lists in a container, what they hold, and the command `runbook` run on them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

from runbooks.onhost import LAUNCHER
from runbooks.testing.containers.box import PROGRAMS, Box
from runbooks.testing.containers.running import Process
from tests.support.processes import descendants

INSIDE = Path(__file__).with_name("inside")

#: What the command line of each of our processes on a host has in it.
MARKER = LAUNCHER.splitlines()[1]

#: What a list's folder may hold when nobody is at work.
STATE = {"config.pck", "config.pck.last"}

#: What each list is made with.
MEMBERS = 20
EARLIER = "earlier@example.com"


@cache
def inside(name: str) -> str:
    """A program for the container."""
    return (INSIDE / f"{name}.py").read_text(encoding="utf-8")


def python(box: Box, program: str, *arguments: str) -> list[str]:
    """The command that runs one of our programs for the container."""
    return [*box.mailman.interpreter, "-B", "-c", inside(program), *arguments]


def mailman(box: Box, site: str, program: str, *arguments: str, stdin: str | None = None) -> str:
    """Run one of Mailman's programs as its user; its output."""
    done = box.run(
        [f"{PROGRAMS}/{program}", *arguments],
        user="list",
        env=box.environment(site),
        stdin=stdin,
    )
    assert done.rc == 0, done
    return done.stdout


@dataclass(frozen=True)
class Name:
    """A list of a site."""

    site: str
    list: str


def populate(box: Box, number: int) -> list[Name]:
    """Make `number` lists, divided among the sites, each with members, bans and settings."""
    made: list[Name] = []
    sites = list(box.sites)
    for place, site in enumerate(sites):
        names = [f"list-{n:04}" for n in range(place, number, len(sites))]
        template, rest = names[0], names[1:]
        mailman(box, site, "newlist", "-q", template, "admin@example.com", "secret")
        members = "".join(f"member{n}.{template}@example.net\n" for n in range(MEMBERS))
        mailman(box, site, *ADD_MEMBERS, template, stdin=members)
        settings = (
            f"description = 'The list {template}'\n"
            f"max_message_size = 77\n"
            f"ban_list = ['{EARLIER}', '^spam.{template}.*@example\\\\.com$']\n"
        )
        box.put("/tmp/settings", settings)
        mailman(box, site, "config_list", "-i", "/tmp/settings", template)
        box.run(["rm", "/tmp/settings"])
        asked = {"folder": f"{box.prefix(site)}/lists", "template": template, "names": rest}
        done = box.run(python(box, "fill"), user="list", stdin=json.dumps(asked))
        assert done.rc == 0, done
        made += [Name(site, name) for name in names]
    return made


ADD_MEMBERS = ("add_members", "-r", "-", "-w", "n", "-a", "n")


@dataclass(frozen=True)
class State:
    """What a list holds."""

    bans: tuple[str, ...]
    #: a hash of everything but the ban list
    rest: str
    members: tuple[str, ...]
    nonmembers: tuple[str, ...]


@dataclass
class Seen:
    """What all lists of a box hold, and what is wrong with any."""

    states: dict[Name, State] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    #: files in the folders of lists that are no list's state
    strays: list[str] = field(default_factory=list)


def see(box: Box) -> Seen:
    """Read every list, its file by itself first and then as Mailman loads it."""
    seen = Seen()
    for site in box.sites:
        done = box.run(python(box, "states"), user="list", env=box.environment(site), timeout=120)
        assert done.rc == 0, done
        for name, found in json.loads(done.stdout).items():
            label = f"{name} of {site}"
            seen.strays += [f"{label}: {stray}" for stray in sorted(set(found["files"]) - STATE)]
            if "error" in found["file"]:
                seen.wrong.append(f"{label}: config.pck: {found['file']['error']}")
            if "error" in found["loaded"]:
                seen.wrong.append(f"{label}: does not load: {found['loaded']['error']}")
            elif found["file"] != found["loaded"]:
                seen.wrong.append(f"{label}: what Mailman loads is not what the file holds")
            else:
                held = {key: _frozen(value) for key, value in found["file"].items()}
                seen.states[Name(site, name)] = State(**cast(Any, held))
    return seen


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


# What is left behind


def lock_files(box: Box) -> list[str]:
    """Every file in the lock folders."""
    return [
        f"{site}: {name}"
        for site in box.sites
        for name in box.run(["ls", "-A", f"{box.prefix(site)}/locks"]).stdout.split()
    ]


def journal(box: Box) -> str:
    """Where the journal of the box is, unless its first site did not answer."""
    return journals(box)[0]


def journals(box: Box) -> list[str]:
    """Where a journal may be: with the first site that answered."""
    return [f"{box.prefix(site)}/runbook/journal.jsonl" for site in box.sites]


def left_over(box: Box, lists: list[Name]) -> list[str]:
    """What is in the container beyond the lists' state, Mailman's logs and the journal."""
    expected = {place for path in journals(box) for place in (path, os.path.dirname(path))}
    folders: list[str] = []
    for site in box.sites:
        prefix = box.prefix(site)
        folders += [f"{prefix}/logs/", f"{prefix}/archives/", "/var/log/mailman/"]
        # The folders that hold them change with what is in them.
        expected |= {f"{prefix}/{name}" for name in ("lists", "logs", "archives")}
    for name in lists:
        folder = f"{box.prefix(name.site)}/lists/{name.list}"
        expected |= {folder, *(f"{folder}/{file}" for file in STATE)}
    return [
        f"{what} {path}"
        for path, what in sorted(box.changes().items())
        if path not in expected and not path.startswith(tuple(folders))
    ]


def our_processes(box: Box) -> list[str]:
    """The processes of ours that run in the container."""
    listed = box.run(["ps", "-e", "-ww", "-o", "pid=,ppid=,args="]).stdout.splitlines()
    return [line for line in listed if MARKER in line]


def wait_until_quiet(box: Box, seconds: float = 20) -> list[str]:
    """Wait until none of our processes runs; those that still do."""
    deadline = time.monotonic() + seconds
    while (running := our_processes(box)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return running


# The command


@dataclass
class Done:
    """What a run of `runbook` said at its end."""

    rc: int
    stdout: str
    stderr: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines() if line.startswith("{")]

    @property
    def results(self) -> dict[Name, dict[str, Any]]:
        """What it says became of each list."""
        return {Name(one["site"], one["list"]): one for one in self.objects if "list" in one}

    def brief(self) -> str:
        return f"exit status {self.rc}, {self.stderr.strip()[-300:] or self.stdout[-300:]}"


class Run:
    """The command `runbook`, running."""

    def __init__(self, spec: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runbooks", *arguments, "--host", spec, "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def end(self, seconds: float = 90) -> Done:
        """Wait for its end."""
        try:
            stdout, stderr = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            stdout, stderr = self.process.communicate()
            stderr += f"\nit was still running after {seconds:.0f} s"
        return Done(self.process.returncode, stdout, stderr)

    def kill(self) -> bool:
        """SIGKILL for the command; whether it was still running."""
        running = self.process.poll() is None
        self.process.kill()
        return running

    def cut(self, *, outermost: bool = False) -> bool:
        """SIGKILL for what the command has started here, its connection; whether there was any.

        `outermost`: only for the process at its far end, as when a network is gone.
        """
        children = descendants(self.process.pid)
        for pid in children[:1] if outermost else children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(children)


def runbook(spec: str, *arguments: str, seconds: float = 90) -> Done:
    """Run the command to its end."""
    return Run(spec, *arguments).end(seconds)


@contextlib.contextmanager
def struck(box: Box, what: str, within: str, seconds: float) -> Iterator[Strike]:
    """Something in the container that is about to be killed: see inside/strike.py."""
    strike = Strike(box, what, within, seconds)
    try:
        yield strike
    finally:
        strike.close()


class Strike:
    """inside/strike.py in a container, waiting for its moment."""

    def __init__(self, box: Box, what: str, within: str, seconds: float) -> None:
        self.process = Process(box.container, python(box, "strike"))
        self.seconds = seconds
        order = {
            "journal": journal(box),
            "what": what,
            "within": within,
            "seconds": seconds,
            "marker": MARKER,
        }
        self._tell(json.dumps(order))
        assert self.process.line() == b"ready\n"

    def _tell(self, line: str) -> None:
        self.process.send(line.encode("ascii") + b"\n")

    def go(self) -> None:
        """The run begins now."""
        self._tell("go")

    def answer(self) -> list[int]:
        """Wait for the moment: what was killed in the container."""
        line = self.process.line(self.seconds + 60)
        return cast(list[int], json.loads(line)["struck"]) if line else []

    def close(self) -> None:
        self.process.close()
