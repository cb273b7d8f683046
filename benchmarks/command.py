"""Runs a command on this machine, and says how long it took."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

LONGEST = 2 * 3600  # seconds, after which a command is killed


class MeasureError(Exception):
    """A command that was to be measured did not do what it should."""


@dataclass(frozen=True)
class Done:
    """What a command did, in how many seconds, with how many of processor time on this machine."""

    status: int
    seconds: float
    work: float
    stdout: str
    stderr: str

    def words(self) -> str:
        """Its last words, in a line."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1] if lines else f"exit status {self.status}"


def run(
    argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Done:
    """Run a command to its end. An interrupt ends it with everything that it has started."""
    before, started = _work(), time.perf_counter()
    # An interrupt from the keyboard is for the measuring alone, which puts things away.
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=LONGEST)
        except BaseException as problem:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(problem, subprocess.TimeoutExpired):
                raise MeasureError(f"{argv[0]} took more than {LONGEST} s") from None
            raise
    seconds = time.perf_counter() - started
    return Done(process.returncode, seconds, _work() - before, stdout, stderr)


def _work() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
