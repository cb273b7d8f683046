"""The pages, built; and what was run of them, written down."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from runbooks.book.whose import whose
from runbooks.sphinxext.verification import VERIFICATION, Record
from tests.page import recording, walk
from tests.page.pages import Page
from tests.support.spare import spares as spares
from tests.support.ssh import ssh_boxes as ssh_boxes

# Compose gives it to the containers, which are started when all tests are collected.
os.environ["MAILMAN_HOSTNAME"] = whose().server.hostname

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "doc" / "source"
BUILD = ROOT / "build"


def sphinx(
    source: Path, output: Path, *options: str, builder: str = "html"
) -> subprocess.CompletedProcess[str]:
    """Build pages with every warning an error."""
    doctrees = output.parent / "doctrees"
    return subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-q", "-W", "-n", "--keep-going", "-b", builder),
            *("-d", str(doctrees), *options, str(source), str(output)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def built() -> Path:
    """The site in ``build/html``, as it is published."""
    done = sphinx(SOURCE, BUILD / "html")
    assert done.returncode == 0, done.stderr
    return BUILD / "html"


@pytest.fixture(scope="session")
def lists_page(built: Path) -> Page:
    return Page(built, "lists")


@pytest.fixture
def write_records(
    request: pytest.FixtureRequest, lists_page: Page
) -> Callable[[Sequence[Record]], None]:
    """Adds what a test ran to ``build/verification.json``, whatever becomes of the test.

    With ``--record`` also to ``doc/records.json``.
    """

    def write(records: Sequence[Record]) -> None:
        with (BUILD / f"{VERIFICATION}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            walk.add_records(BUILD / VERIFICATION, records)
            if request.config.getoption("--record"):
                for line in recording.record(recording.PATH, records, lists_page):
                    # Goes with the test's report to whoever sums up, in whichever process.
                    request.node.user_properties.append((recording.PROPERTY, line))

    return write


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What was recorded, and which procedures have changed since."""
    reports = [report for group in terminalreporter.stats.values() for report in group]
    lines = [
        line
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, line in report.user_properties
        if name == recording.PROPERTY
    ]
    for line in [*lines, *recording.outdated(recording.PATH)]:
        terminalreporter.write_line(line)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the package, the pages, and the figures that are on them, to change."""
    for folder in ("runbooks", "doc", "benchmarks"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    return tmp_path


def copy_project(folder: Path) -> None:
    """All of the project that its tests need, with its links as they are."""
    for name in ("runbooks", "doc", "benchmarks", "docker", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    for name in ("CHANGELOG.md", "conftest.py", "pyproject.toml", "README.md", "tox.ini"):
        shutil.copy(ROOT / name, folder)


def in_copy(copy: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a module of Python in a copy of the project, and of its own code."""
    return subprocess.run(
        [sys.executable, "-B", "-m", *words],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def build_in(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Build the pages of a copy, from the package of the copy."""
    return subprocess.run(
        [
            *(sys.executable, "-B", "-m", "sphinx", "-q", "-W", "-n", "--keep-going"),
            *("-b", "html", "-d", "build/doctrees", "doc/source", "build/html"),
        ],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )
