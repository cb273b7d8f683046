"""Builds pages as they are published."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


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
