"""Builds pages as they are published."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runbooks.testing.settings import Settings


def sphinx(
    root: Path, source: Path, output: Path, *options: str, builder: str = "html"
) -> subprocess.CompletedProcess[str]:
    """Build pages with every warning an error. `root`: of the project."""
    doctrees = output.parent / "doctrees"
    return subprocess.run(
        [
            *(sys.executable, "-m", "sphinx", "-q", "-W", "-n", "--keep-going", "-b", builder),
            *("-d", str(doctrees), *options, str(source), str(output)),
        ],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


def build(page: Settings, output: Path) -> None:
    """Build the site, in a folder beside ``verification.json``: with what that has of it by now."""
    done = sphinx(page.root, page.source, output)
    assert done.returncode == 0, done.stderr


@contextmanager
def once(page: Settings, what: str, run: str) -> Iterator[bool]:
    """Lets one worker of a run do something while the others wait: whether it is this one."""
    page.build.mkdir(parents=True, exist_ok=True)
    with (page.build / f"{what}.once").open("a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        is_first = file.read() != run
        yield is_first
        if is_first:
            file.truncate(0)
            file.write(run)
