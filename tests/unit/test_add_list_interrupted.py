"""Ctrl-C while ``add-list --direct`` has the list made, on practice sites: what is said is true."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

SITE = "zuul"


@pytest.fixture
def slow(any_sites: Any) -> Any:
    """A site whose newlist says that it is called, and takes its time."""
    any_sites.unlock()
    newlist = any_sites.folder / "bin/newlist"
    newlist.rename(newlist.with_name("newlist.real"))
    newlist.write_text(
        f"#!/bin/sh\ntouch {any_sites.folder}/called\nsleep 2\n"
        f'exec {any_sites.folder}/bin/newlist.real "$@"\n'
    )
    newlist.chmod(0o755)
    return any_sites


def interrupted(slow: Any, times: int) -> tuple[int, str]:
    child = subprocess.Popen(
        [
            *(sys.executable, "-m", "runbooks", "add-list", "new", "--admin", "a@example.com"),
            *("--description", "D", "--direct", "--site", SITE, "--yes", "--host", slow.spec),
        ],
        env={**os.environ, "RUNBOOK_LIST_PASSWORD": "secret"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until(lambda: (slow.folder / "called").exists())
    for _ in range(times):
        child.send_signal(signal.SIGINT)
        time.sleep(0.2)
    return child.wait(timeout=30), child.communicate()[0]


def until(is_so: Any) -> None:
    ends = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_once_ends_what_was_begun_and_tells_it(slow: Any) -> None:
    status, said = interrupted(slow, 1)
    assert "new was created, as read back" in said
    assert "recorded as" in said
    assert status == 0
    assert slow.list_folder(SITE, "new").is_dir()


def test_twice_does_not_wait_and_says_how_to_see_what_became_of_it(slow: Any) -> None:
    status, said = interrupted(slow, 2)
    assert status == 1
    # Repeating the command would only say that the list is there.
    assert "the same command" not in said
    check = f"runbook add-list new --check --site {SITE} --host {slow.spec}"
    assert f"interrupted; what the host has begun it ends: '{check}' shows how" in said
    until(lambda: (slow.list_folder(SITE, "new") / "config.pck").exists())
