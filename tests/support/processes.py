"""Processes of this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from tests.support.waiting import wait_for


def start(*argv: str, **options: Any) -> subprocess.Popen[bytes]:
    """A process whose command can be read.

    ``Popen`` returns while the kernel is still loading the program. Until that is done, which takes
    long on a busy machine, ``/proc/PID/cmdline`` is empty.
    """
    process = subprocess.Popen(argv, **options)
    command = Path(f"/proc/{process.pid}/cmdline")
    wait_for(lambda: process.poll() is not None or bool(command.read_bytes()))
    return process


def descendants(pid: int) -> list[int]:
    """The processes below a process, youngest first."""
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [int(word) for task in tasks for word in (task / "children").read_text().split()]
    except OSError:
        return []
    return [one for child in children for one in (*descendants(child), child)]


def is_running(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
