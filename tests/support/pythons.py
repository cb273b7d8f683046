"""The Pythons of this machine that Mailman's programs may run on."""

from __future__ import annotations

import shutil
import subprocess
import sys

#: Mailman 2.1 runs on 2.7, its continuation 2.2 on 3.9 and later.
NAMES = ("python2.7", *(f"python3.{minor}" for minor in range(9, 15)))


def _executable(name: str) -> str | None:
    """The interpreter itself: what is on PATH may be a version manager's shim, for none at all."""
    path = shutil.which(name)
    if path is None:
        return None
    done = subprocess.run(
        [path, "-c", "import sys; print(sys.executable)"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else None


#: Name to path. At least the Python that runs the tests.
PYTHONS: dict[str, str] = {name: path for name in NAMES if (path := _executable(name))} or {
    f"python3.{sys.version_info[1]}": sys.executable
}
