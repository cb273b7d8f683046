"""A disk that is full when a run has done everything but to say so, for every command that does."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runbooks.practice.site import STALE_LIST
from tests.unit.conftest import Sites

#: The record of several lists has more or fewer lines, as the time allows.
ONE = ("--list", "openstack-i18n")
#: What each command needs to have something to do, and the command.
COMMANDS: dict[str, tuple[list[list[str]], list[str]]] = {
    "ban": ([], ["ban", "target@example.com", *ONE]),
    "unban": ([["ban", "target@example.com", *ONE]], ["unban", "target@example.com", *ONE]),
    "clear-lock": ([], ["clear-lock", STALE_LIST]),
    "add-list": (
        [],
        [
            *("add-list", "new", "--site", "openstack", "--admin", "a@example.com"),
            *("--description", "New", "--direct"),
        ],
    ),
    "withlist": ([], ["withlist", "SCRIPT.py", *ONE]),
}

SCRIPT = "def script(m):\n    m.Lock()\n    m.info = 'x'\n    m.Save()\n    m.Unlock()\n"

#: A limit on the size of files stands for the disk. The journal is the only file that is so large.
SIZE = 1 << 20


def run(sites: Sites, *arguments: str, limit: int | None = None) -> Any:
    def full() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, "-m", "runbooks", *arguments, "--host", sites.spec],
        env={**os.environ, "RUNBOOK_LIST_PASSWORD": "secret"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        preexec_fn=full,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_done_is_said_to_be_done(
    name: str, make_sites: Callable[[str], Sites], tmp_path: Path
) -> None:
    before, command = COMMANDS[name]
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [str(script) if word == "SCRIPT.py" else word for word in command]

    def ready() -> tuple[Sites, Path]:
        sites = make_sites(sys.executable)
        if name != "clear-lock":
            sites.unlock()
        for words in before:
            assert run(sites, *words, "--yes").returncode == 0
        return sites, sites.prefix("openstack") / "runbook" / "journal.jsonl"

    sites, journal = ready()
    began = journal.stat().st_size if journal.exists() else 0
    done = run(sites, *command, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    record = journal.read_bytes()[began:]
    to_lists = record.index(b"\n", record.rindex(b'"lists": ')) + 1

    sites, journal = ready()
    journal.parent.mkdir(mode=0o700, exist_ok=True)
    with open(journal, "ab") as file:
        file.write(b"\n" * (SIZE - file.tell()))
    # Up to what became of the last list. Records differ by some bytes, which an end is longer than.
    done = run(sites, *command, "--yes", limit=SIZE + to_lists + 30)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "could not be written" not in done.stdout + done.stderr
    [newest, *_] = [
        json.loads(line) for line in run(sites, "history", "--json").stdout.splitlines()
    ]
    assert (newest["command"], newest["state"]) == (command[0], "done")
    assert newest["ended"]
