"""The pages, built; and what was run of them, written down."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from runbooks.sphinxext.verification import VERIFICATION, Record
from tests.page import walk
from tests.page.pages import Page

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
def write_records() -> Callable[[Sequence[Record]], None]:
    """Adds what a test ran to ``build/verification.json``, whatever becomes of the test."""

    def write(records: Sequence[Record]) -> None:
        with (BUILD / f"{VERIFICATION}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            walk.add_records(BUILD / VERIFICATION, records)

    return write


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the package, the pages, and the figures that are on them, to change."""
    for folder in ("runbooks", "doc", "benchmarks"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


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
