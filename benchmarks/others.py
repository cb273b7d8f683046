"""The other commands: `runbook --help`, and `runbook locks` on folders of any size."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.server import INSIDE, Server

GOAL_HELP = 0.120  # seconds
GOAL_LOCKS = 1.0  # seconds, for 10,000 files
LOCKS = "/var/lib/mailman/locks"


def startup(runs: int) -> dict[str, float]:
    """Seconds of `runbook --help`, and of a Python that does nothing, in turns."""
    script = Path(sys.executable).with_name("runbook")
    commands = {
        "`runbook --help`": [str(script), "--help"],
        "`python -c pass`": [sys.executable, "-c", "pass"],
    }
    times: dict[str, list[float]] = {what: [] for what in commands}
    for _ in range(runs):
        for what, command in commands.items():
            started = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            times[what].append(time.perf_counter() - started)
    return {what: statistics.median(taken) for what, taken in times.items()}


def locks(server: Server, files: int, runs: int) -> float:
    """Seconds of `runbook locks` on a folder of `files` files, all of a process that is gone.

    For programs or for a person, whichever takes longer.
    """
    program = INSIDE / "lockfiles.py"
    server.inside(program, LOCKS, str(files))
    try:
        times = [(server.runbook("locks"), server.runbook_text("locks")) for _ in range(runs)]
        return max(statistics.median(taken) for taken in zip(*times, strict=True))
    finally:
        server.shell(f"find {LOCKS}/ -mindepth 1 -delete")


def machine() -> str:
    """The machine in a line: what processor, how many, how much memory."""
    model = "an unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return (
        f"{os.cpu_count()} × {model}, {memory:.0f} GiB of memory,"
        f" {os.uname().sysname} {os.uname().release.split('-')[0]},"
        f" Python {sys.version.split()[0]} here"
    )
