"""Practice sites for the tests that need no container."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runbooks.host.host import Host
from runbooks.mailman.installation import Installation, discover
from runbooks.practice.site import PracticeSite
from tests.support.practice import create
from tests.support.pythons import PYTHONS


@dataclass
class Sites:
    """A practice site as a test has it, as new, and the processes that the test left on it."""

    site: PracticeSite
    python: str
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.site.folder

    @property
    def spec(self) -> str:
        return self.site.spec

    @property
    def is_python_2(self) -> bool:
        return "2.7" in Path(self.python).name

    def installation(self) -> Installation:
        return discover(Host(self.spec))

    def prefix(self, site: str) -> Path:
        return self.site.site_dir(site)

    def list_folder(self, site: str, name: str) -> Path:
        return self.prefix(site) / "lists" / name

    def locks(self, site: str) -> list[str]:
        return sorted(os.listdir(self.prefix(site) / "locks"))

    def unlock(self) -> None:
        """Take the stale lock away that every practice site has."""
        for lock in self.folder.glob("srv/mailman/*/locks/*"):
            lock.unlink()

    def code(self, site: str, text: str, *arguments: str) -> str:
        """What Python code prints that runs beside Mailman's programs, under its Python."""
        process = self.start(site, text, *arguments)
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr
        return stdout

    def start(self, site: str, text: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [self.python, "-c", "import paths\n" + text, *arguments],
            env={
                **os.environ,
                "MAILMAN_SITE_DIR": str(self.prefix(site)),
                "PYTHONPATH": str(self.folder / "bin"),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def hold(self, site: str, name: str) -> subprocess.Popen[str]:
        """A process that holds the lock of a list."""
        process = self.start(
            site,
            "import sys, time\nfrom Mailman import MailList\n"
            "m = MailList.MailList(sys.argv[1], lock=1)\n"
            "sys.stdout.write('held\\n'); sys.stdout.flush(); time.sleep(600)\n",
            name,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    def bans(self, site: str, name: str) -> list[str]:
        """The ban list that is on the disk."""
        return eval(
            self.code(
                site,
                "import sys\nfrom Mailman import MailList\n"
                "print(repr(MailList.MailList(sys.argv[1], lock=0).ban_list))",
                name,
            )
        )

    def files(self) -> dict[str, tuple[int, int, int]]:
        """Every file with what a change of it would change.

        What Python compiles is left out: it keeps that where ``PYTHONDONTWRITEBYTECODE`` is unset.
        """
        found = {}
        for path in sorted(self.folder.rglob("*")):
            if "__pycache__" in path.parts or path.suffix == ".pyc":
                continue
            status = path.lstat()
            found[str(path)] = (status.st_ino, status.st_size, status.st_mtime_ns)
        return found


@pytest.fixture
def only_mailmanctl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For tests that start a mailmanctl or a runner, and those that want none on the machine."""
    with open(tmp_path_factory.getbasetemp().parent / "mailmanctl", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def make_sites(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Sites]:
    """A practice site for a Python, as new each time it is asked for. There may be several."""
    kept: dict[tuple[str, str], tuple[PracticeSite, Path]] = {}

    def make(python: str, name: str = "site") -> Sites:
        if (python, name) not in kept:
            parent = tmp_path_factory.mktemp("practice")
            site = create(parent / name, python)
            subprocess.run(["cp", "-a", site.folder, parent / "kept"], check=True)
            kept[python, name] = (site, parent / "kept")
        site, source = kept[python, name]
        shutil.rmtree(site.folder, ignore_errors=True)
        # With the hard links that a lock is made of.
        subprocess.run(["cp", "-a", source, site.folder], check=True)
        return Sites(site, python)

    return make


@pytest.fixture
def any_sites(make_sites: Callable[[str], Sites]) -> Iterator[Sites]:
    """A practice site for one of the Pythons."""
    made = make_sites(list(PYTHONS.values())[-1])
    yield made
    stop(made)


@pytest.fixture(params=PYTHONS.values(), ids=PYTHONS)
def every_sites(
    request: pytest.FixtureRequest, make_sites: Callable[[str], Sites]
) -> Iterator[Sites]:
    """A practice site for each Python."""
    made = make_sites(request.param)
    yield made
    stop(made)


#: The oldest and the newest: what differs between Pythons, differs between these.
EXTREMES = dict.fromkeys([next(iter(PYTHONS)), next(reversed(PYTHONS))])


@pytest.fixture(params=[PYTHONS[name] for name in EXTREMES], ids=EXTREMES)
def sites(request: pytest.FixtureRequest, make_sites: Callable[[str], Sites]) -> Iterator[Sites]:
    """A practice site for the oldest and the newest Python."""
    made = make_sites(request.param)
    yield made
    stop(made)


def stop(made: Sites) -> None:
    for process in made.started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()
