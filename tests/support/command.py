"""The command `runbook`, as whoever types it runs it, without a terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any, Protocol

from tests.support import preloaded


class Told(Protocol):
    """What a command printed."""

    @property
    def stdout(self) -> str: ...

    @property
    def stderr(self) -> str: ...


def runbook(spec: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run it for the host `spec`. `options`: of preloaded.run; `env` comes on top of ours."""
    done = preloaded.run(
        [*arguments, "--host", spec],
        env={**os.environ, **options.pop("env", {})},
        **({"stdin": subprocess.DEVNULL, "timeout": 60} | options),
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def started(spec: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start it for the host `spec`; what it prints, errors included, comes from its stdout."""
    return subprocess.Popen(
        [sys.executable, "-m", "runbooks", *arguments, "--host", spec],
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_id(done: Told) -> str:
    """The run that it says it has recorded."""
    found = re.search(r"recorded as (\S+) in", done.stdout)
    assert found, done.stdout + done.stderr
    return found[1]
