"""What the tests of our own pages share, beside what every page's tests do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from runbooks.testing.page import building
from runbooks.testing.page.options import PLUGIN

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "doc" / "source"
BUILD = ROOT / "build"
RECORDS = ROOT / "doc" / "records.json"

sphinx = partial(building.sphinx, ROOT)


def pytest_configure(config: pytest.Config) -> None:
    # Not all files of tests here are those that every page has.
    config.pluginmanager.import_plugin(PLUGIN)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # What a file makes once (a copy of the project, a build, a browser) one worker makes.
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


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
    for name in ("runbooks", "doc", "benchmarks", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    for name in ("CHANGELOG.md", "conftest.py", "pyproject.toml", "README.md", "tox.ini"):
        shutil.copy(ROOT / name, folder)


def in_copy(copy: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a module of Python in a copy of the project, and of its own code."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def build_in(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Build the pages of a copy, from the package of the copy."""
    words = ("-b", "html", "-d", "build/doctrees", "doc/source", "build/html")
    return in_copy(checkout, "sphinx", "-q", "-W", "-n", "--keep-going", *words)
