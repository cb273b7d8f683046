"""Recordings of a Mailman 2, and how what a Mailman does now is compared with them.

A recording was reduced before it was kept, so what is compared with it is reduced the same way:

* the process id and the number at the end of a claim's name are written `PID.SEQ`;
* a traceback is reduced to the last line of standard error (`traceback`), and `stderr` is what came
  before it. What a program says after its traceback is therefore that last line: `Finalizing`;
* where standard error was too long to keep, a usage text or a traceback of more than a few lines,
  there is only its last line (`stderr_last_line`), and `stderr_is_usage` when it was known to be a
  usage text;
* a command that was still waiting after 12 seconds was stopped (`timed_out`). What follows starts
  with an empty lock folder: that is how the scenario `withlist` of 2.2.0 goes on.

Which of these reductions was made is read from the recording: nothing else in it is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from filters import Rule

HERE = Path(__file__).resolve().parent
TIMEOUT = 12  # seconds, as recorded
PUPPET_SECONDS = 120  # Puppet is slow to start, on a busy machine above all
TRACEBACK = "Traceback (most recent call last):\n"

# Scenarios that are a table instead of a list of commands.
TABLES = ("attributes", "patterns")
# Scenarios that need a host with several sites.
SEVERAL_SITES = ("several_sites",)
# Scenarios that need Puppet.
PUPPET = ("puppet_maillist",)


class Output(Protocol):
    """What a command did."""

    @property
    def rc(self) -> int: ...
    @property
    def stdout(self) -> str: ...
    @property
    def stderr(self) -> str: ...
    @property
    def timed_out(self) -> bool: ...


@dataclass(frozen=True)
class Step:
    """One recorded command: number `number` of its scenario, counted from 0."""

    scenario: str
    number: int
    argv: list[str]
    user: str | None
    stdin: str | None
    result: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.scenario}[{self.number}] {' '.join(self.argv)}"

    @property
    def shows_state(self) -> bool:
        """Whether its output is that of our own scripts, which show state and nothing else."""
        words = {word.partition(".")[0] for word in self.argv}
        return "withlist" in self.argv and bool(words & {"hold", "inside", "show"})

    @property
    def patience(self) -> float:
        """Seconds to wait for it: as when it was recorded, more for what waits for no lock."""
        return PUPPET_SECONDS if self.scenario in PUPPET else TIMEOUT


@dataclass(frozen=True)
class Difference:
    """A field of a step's result that is not as recorded."""

    step: Step
    field: str
    recorded: Any
    now: Any

    def __str__(self) -> str:
        return (
            f"{self.step}\n"
            f"    {self.field} recorded: {self.recorded!r}\n"
            f"    {self.field} now:      {self.now!r}"
        )

    @property
    def is_behaviour(self) -> bool:
        """Whether it is more than words: those may differ between two releases of a series."""
        if self.field == "traceback":
            return (self.recorded is None) != (self.now is None)
        if self.field == "stdout":
            return self.step.shows_state
        return self.field in ("rc", "timed_out")


@dataclass(frozen=True)
class Recording:
    """Everything that was recorded of one version."""

    version: str
    scenarios: dict[str, Any]

    def steps(self, scenario: str) -> list[Step]:
        return [
            Step(
                scenario, number, step["argv"], step.get("user"), step.get("stdin"), step["result"]
            )
            for number, step in enumerate(self.scenarios[scenario])
        ]


def recordings() -> dict[str, Recording]:
    """The recordings by their version."""
    found = {}
    for path in sorted((HERE / "recordings").glob("vectors-*.json")):
        version = path.stem.partition("-")[2]
        found[version] = Recording(version, json.loads(path.read_text("utf-8"))["scenarios"])
    return found


def recording_for(version: str) -> Recording:
    """The recording to replay on a Mailman of this version: its own, or its series'."""
    known = recordings()
    if version in known:
        return known[version]
    series = version.split(".")[:2]
    for recorded, recording in known.items():
        if recorded.split(".")[:2] == series:
            return recording
    raise LookupError(f"no recording of Mailman {version}: there are {', '.join(known)}")


def scenario_names() -> set[str]:
    """The scenarios that are lists of commands."""
    names = {name for recording in recordings().values() for name in recording.scenarios}
    return names - set(TABLES)


def anonymous(text: str) -> str:
    """`text` with the process ids and numbers in the names of claims taken out."""
    return re.sub(r"(\.lock\.[^\s/]+?)\.\d+\.\d+", r"\1.PID.SEQ", text)


def reduce(recorded: dict[str, Any], output: Output) -> dict[str, Any]:
    """What a command did, in the form that `recorded` has."""
    stderr = anonymous(output.stderr)
    lines = stderr.splitlines()
    reduced: dict[str, Any] = {
        "rc": None if output.timed_out else output.rc,
        "stdout": anonymous(output.stdout),
        "stderr": stderr,
    }
    if output.timed_out:
        reduced["timed_out"] = True
    if "stderr_last_line" in recorded:
        reduced["stderr"] = None
        reduced["stderr_last_line"] = lines[-1] if lines else ""
        # False says no more than that the recorder did not see one.
        reduced["stderr_is_usage"] = recorded["stderr_is_usage"] and "usage:" in stderr.lower()
    elif TRACEBACK in stderr:
        reduced["stderr"] = stderr.partition(TRACEBACK)[0]
        reduced["traceback"] = lines[-1]
    return reduced


def differences(step: Step, output: Output, rules: list[Rule]) -> Iterator[Difference]:
    """What a command did otherwise than recorded, where no rule lets it."""
    reduced = reduce(step.result, output)
    for field in sorted(set(step.result) | set(reduced)):
        recorded, now = step.result.get(field), reduced.get(field)
        for rule in rules:
            if (rule.step, rule.field) == (step.number, field) and None not in (recorded, now):
                recorded, now = rule.change(recorded), rule.change(now)
        if recorded != now:
            yield Difference(step, field, step.result.get(field), reduced.get(field))
