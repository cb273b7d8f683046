"""The other commands: `runbook --help`, and `runbook locks` on folders of any size."""

from __future__ import annotations

import os
import statistics
import sys
from pathlib import Path

from benchmarks import command
from benchmarks.server import INSIDE, Server

LOCKS = "/var/lib/mailman/locks"
HELP, NOTHING = "`runbook --help`", "`python -c pass`"


def startup(runs: int) -> dict[str, float]:
    """Seconds of `runbook --help`, and of a Python that does nothing, in turns."""
    script = Path(sys.executable).with_name("runbook")
    commands = {HELP: [str(script), "--help"], NOTHING: [sys.executable, "-c", "pass"]}
    times: dict[str, list[float]] = {what: [] for what in commands}
    for _ in range(runs):
        for what, argv in commands.items():
            done = command.run(argv)
            if done.status:
                raise command.MeasureError(f"{what}: {done.words()}")
            times[what].append(done.seconds)
    return {what: statistics.median(taken) for what, taken in times.items()}


def locks(server: Server, files: int, runs: int) -> float:
    """Seconds of `runbook locks` on a folder of `files` files, all of a process that is gone."""
    program = INSIDE / "lockfiles.py"
    server.inside(program, LOCKS, str(files))
    try:
        return statistics.median(server.locks(files // 2) for _ in range(runs))
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
