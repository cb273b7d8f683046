"""Calls of tox that a page names: the environments of tox.ini, and the options of their pytest."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from functools import cache

from tests.page.conftest import ROOT

#: In tox.ini: where a command gets what is given behind ``--``.
GIVEN = "{posargs}"

#: By what pytest knows that no person called it.
IN_CI = ("CI", "GITHUB_ACTIONS")


def fault(call: Sequence[str]) -> str | None:
    """What is wrong with a call of tox. What it gives to pytest has to choose some test."""
    match call:
        case ["tox"]:
            return None
        case ["tox", "-e", name] if name in environments():
            return None
        case ["tox", "-e", name, "--", *given] if name in environments():
            done = _pytest(name, *given, "--collect-only", "-q")
            if done is None:
                return f"{name} gives nothing on to a pytest"
            return f"pytest chooses no test by {shlex.join(given)}" if done.returncode else None
        case ["tox", "-e", name, *_]:
            return f"tox.ini has no environment {name!r}"
    return "is no call of tox that is known here"


def has_option(call: Sequence[str], option: str) -> bool:
    """Whether the pytest that tox calls has an option."""
    match call:
        case ["tox", "-e", name, *_]:
            return option in _options(name)
    return False


@cache
def environments() -> dict[str, str]:
    """The commands of each."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(ROOT / "tox.ini", encoding="utf-8")
    return {
        name.partition(":")[2]: settings[name].get("commands", "")
        for name in settings.sections()
        if ":" in name
    }


@cache
def variables() -> frozenset[str]:
    """The environment variables that the tests read."""
    files = [ROOT / "conftest.py", *(ROOT / "tests").rglob("*.py")]
    reads = re.compile(r'environ(?:\.get\(|\[)"(RUNBOOK_[A-Z_]+)"')
    return frozenset(name for file in files for name in reads.findall(file.read_text("utf-8")))


@cache
def _options(environment: str) -> frozenset[str]:
    done = _pytest(environment, "--help")
    assert done is None or done.returncode == 0, done.stderr
    # What an option does stands behind it, two blanks to the right or on the next line.
    heads = re.findall(r"^  (-.*?)(?:  |$)", done.stdout if done else "", re.MULTILINE)
    return frozenset(name for head in heads for name in re.findall(r"(?<![-\w])--?\w[-\w]*", head))


@cache
def _pytest(environment: str, *given: str) -> subprocess.CompletedProcess[str] | None:
    """Call pytest as an environment does; None where that one gives nothing on to a pytest."""
    command = shlex.split(environments().get(environment, "").replace("\\\n", " "))
    if command[:1] != ["pytest"] or GIVEN not in command:
        return None
    at = command.index(GIVEN)
    return subprocess.run(
        [sys.executable, "-m", *command[:at], *given, *command[at + 1 :]],
        cwd=ROOT,
        # As on the machine of a reader.
        env={name: value for name, value in os.environ.items() if name not in IN_CI},
        capture_output=True,
        text=True,
        check=False,
    )
