"""The stand-in installed for every Python on PATH, and a fresh site for each test."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runbooks.standin import install
from tests.support.pythons import PYTHONS

# The site is picked as on a host with several, so that one installation serves all tests.
MM_CFG = """\
import os
from Mailman.Defaults import *

VAR_PREFIX = os.environ["MAILMAN_SITE_DIR"]
LIST_DATA_DIR = os.path.join(VAR_PREFIX, "lists")
LOCK_DIR = os.path.join(VAR_PREFIX, "locks")
LOG_DIR = os.path.join(VAR_PREFIX, "logs")
QUEUE_DIR = os.path.join(VAR_PREFIX, "qfiles")
DATA_DIR = os.path.join(VAR_PREFIX, "data")
PUBLIC_ARCHIVE_FILE_DIR = os.path.join(VAR_PREFIX, "archives", "public")
PRIVATE_ARCHIVE_FILE_DIR = os.path.join(VAR_PREFIX, "archives", "private")
DEFAULT_EMAIL_HOST = DEFAULT_URL_HOST = "lists.example.org"
GLOBAL_BAN_LIST = ["^global@"]
"""

# What every piece of code that the tests run starts with.
PREAMBLE = """\
from __future__ import print_function
import os, sys, time
import paths
from Mailman import Errors, LockFile, MailList, Utils, mm_cfg
"""


@dataclass
class Site:
    """A site of an installation, and the processes that a test started on it."""

    prefix: Path
    installation: Path
    python: str
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def answers_as_2_1(self) -> bool:
        return "2.7" in Path(self.python).name

    @property
    def locks(self) -> list[str]:
        return sorted(os.listdir(self.prefix / "locks"))

    def folder(self, name: str) -> Path:
        return self.prefix / "lists" / name

    def start(self, *argv: str, stdin: str | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            argv,
            env=dict(
                os.environ,
                MAILMAN_SITE_DIR=str(self.prefix),
                PYTHONPATH=str(self.installation / "bin"),
                PYTHONDONTWRITEBYTECODE="1",
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, program: str, *arguments: str, stdin: str = "", rc: int = 0) -> str:
        """Standard output of a program of Mailman, which has to end with status `rc`."""
        process = self.start(str(self.installation / "bin" / program), *arguments)
        stdout, stderr = process.communicate(stdin, timeout=30)
        assert process.returncode == rc, stderr
        return stdout

    def start_code(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        return self.start(self.python, "-c", PREAMBLE + code, *arguments)

    def code(self, code: str, *arguments: str) -> str:
        """What Python code prints, run as a script of an administrator would be."""
        process = self.start_code(code, *arguments)
        stdout, stderr = process.communicate(timeout=60)
        assert process.returncode == 0, stderr
        return stdout

    def new_list(self, name: str) -> None:
        self.run("newlist", "-q", name, "admin@example.com", "pw")

    def stop(self) -> None:
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture(scope="session")
def installations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An installation for each Python."""
    found = {}
    for name, python in PYTHONS.items():
        found[python] = tmp_path_factory.mktemp(name) / "mailman"
        install.install(str(found[python]), python=python, mm_cfg=MM_CFG)
    return found


@pytest.fixture(params=PYTHONS.values(), ids=PYTHONS)
def site(request: pytest.FixtureRequest, installations, tmp_path: Path) -> Iterator[Site]:
    install.make_site(str(tmp_path / "site"))
    made = Site(tmp_path / "site", installations[request.param], request.param)
    yield made
    made.stop()


@pytest.fixture
def sites(installations, tmp_path: Path) -> Iterator[list[Site]]:
    """One site, as the programs of each Python see it."""
    install.make_site(str(tmp_path / "site"))
    made = [Site(tmp_path / "site", folder, python) for python, folder in installations.items()]
    yield made
    for each in made:
        each.stop()
