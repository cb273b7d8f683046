"""A conversation with the on-host programs, under any Python, on this machine."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from runbooks.onhost import LAUNCHER, OPTIONS, Program, server


class Host:
    """A connection to this machine."""

    def __init__(self, python: str) -> None:
        self.process = subprocess.Popen(
            [python, *OPTIONS.split(), "-c", LAUNCHER, str(len(server()))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self.process.stdin.write(server())

    def send(self, parameters: dict[str, Any], secret: bytes = b"") -> None:
        """Have steps run."""
        program = Program("stepping", {**parameters, "secret": len(secret)})
        self.process.stdin.write(program.frame() + secret)

    def run(self, program: Program) -> list[dict[str, Any]]:
        """Run a program: its events."""
        self.process.stdin.write(program.frame())
        return self.events()

    def hear(self) -> dict[str, Any]:
        line = self.process.stdout.readline()
        assert line.startswith(b"@@runbook "), line
        event: dict[str, Any] = json.loads(line[len(b"@@runbook ") :])
        return event

    def events(self) -> list[dict[str, Any]]:
        found = []
        while (event := self.hear())["event"] != "end":
            found.append(event)
        return found

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
