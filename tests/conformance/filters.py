"""Where a replay may differ from its recording, and why: one rule for one field of one step.

A rule takes what may differ out of what was recorded and out of what is seen now, before the two
are compared. On GNU Mailman in a recorded version only the rules that apply EVERYWHERE are used. A
rule of the stand-in that turns out not to be needed is a failure, and so is a rule for a step that
the recordings do not have.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable
from dataclasses import dataclass


class Where(enum.Enum):
    STANDIN = "on the stand-in"
    OTHER_RELEASE = "on a release that was not recorded"
    EVERYWHERE = "on every Mailman"


@dataclass(frozen=True)
class Rule:
    scenario: str
    step: int
    field: str
    where: Where
    reason: str
    change: Callable[[str], str]

    def __str__(self) -> str:
        return f"{self.scenario}[{self.step}] {self.field}: {self.reason}"


def without_standin_line(stdout: str) -> str:
    """The first line alone, provided that the second one says what it is."""
    first, newline, rest = stdout.partition("\n")
    return first + newline if rest.startswith("This is a stand-in for Mailman 2") else stdout


def without_version(stdout: str) -> str:
    words, colon, _version = stdout.partition(": ")
    return words + colon


def without_missing_file(stderr: str) -> str:
    return stderr.replace("grep: /tmp/hold.out: No such file or directory\n", "")


def without_place_of_getpass(stderr: str) -> str:
    return re.sub(r"^/\S+/getpass\.py:\d+: ", "getpass.py: ", stderr)


def without_order(stdout: str) -> str:
    return "".join(sorted(stdout.splitlines(keepends=True)))


def without_data_version(stdout: str) -> str:
    shown = json.loads(stdout)
    shown.pop("data_version")
    return json.dumps(shown, sort_keys=True) + "\n"


RULES = [
    Rule(
        "members_and_version",
        0,
        "stdout",
        Where.STANDIN,
        "The stand-in says in a second line that it is one.",
        without_standin_line,
    ),
    Rule(
        "members_and_version",
        0,
        "stdout",
        Where.OTHER_RELEASE,
        "Another release has another number.",
        without_version,
    ),
    Rule(
        "newlist",
        27,
        "stdout",
        Where.OTHER_RELEASE,
        "data_version counts the layouts of a list's state; most releases have a new one.",
        without_data_version,
    ),
    Rule(
        "locks",
        1,
        "stderr",
        Where.EVERYWHERE,
        "Whether grep looks before the shell has made the file is chance; the recordings differ.",
        without_missing_file,
    ),
    Rule(
        "newlist",
        4,
        "stderr",
        Where.EVERYWHERE,
        "Where Python's getpass.py is, and the line that warns, depend on Python's own release.",
        without_place_of_getpass,
    ),
    # With ext4, each file system that is made has an order of its own.
    *(
        Rule(
            "remove_members",
            step,
            "stdout",
            Where.EVERYWHERE,
            "Lists come in the order of the directory, which is the file system's.",
            without_order,
        )
        for step in (5, 6, 9)
    ),
]


def rules_for(where: set[Where], scenario: str) -> list[Rule]:
    return [rule for rule in RULES if rule.scenario == scenario and rule.where in where]
