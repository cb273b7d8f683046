"""``add-list --direct``: what newlist did decides, not that there is a list; on practice sites.

Under Postfix, newlist makes the list, waits for the lock ``creator`` without a limit, and ends with
a RuntimeError when ``postalias`` fails, which was seen on GNU Mailman 2.1.39 and 2.2.0. A practice
site has no mail server: a program in newlist's place does here what comes of that.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import pytest

SITE = "zuul"


@pytest.fixture
def newlist(any_sites: Any) -> Any:
    """Puts a shell script around newlist, which is `real` in it."""
    any_sites.unlock()
    program = any_sites.folder / "bin/newlist"
    real = program.with_name("newlist.real")
    program.rename(real)

    def make(script: str) -> Any:
        program.write_text(f'#!/bin/sh\nreal() {{ {real} "$@"; }}\n{script}\n')
        program.chmod(0o755)
        return any_sites

    return make


def start(sites: Any, description: str, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "runbooks", "add-list", "new", "--admin", "a@example.com"),
            *("--description", description, "--direct", "--site", SITE, "--yes"),
            *("--host", sites.spec, *options),
        ],
        env={**os.environ, "RUNBOOK_LIST_PASSWORD": "secret"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def add(sites: Any, *options: str) -> tuple[int, str]:
    process = start(sites, "D", *options)
    said = process.communicate(timeout=60)[0]
    return process.returncode, said


def history(sites: Any) -> str:
    return subprocess.run(
        [sys.executable, "-m", "runbooks", "history", "--host", sites.spec],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_a_newlist_that_fails_after_it_made_the_list_is_told(newlist: Any) -> None:
    """It said: was created, as read back, exit 0."""
    sites = newlist('real "$@"; echo "RuntimeError: command failed: postalias" >&2; exit 1')
    status, said = add(sites)
    assert status == 1
    assert "new: error: newlist made the list and ended with status 1: RuntimeError" in said
    assert "was created" not in said


def test_of_several_at_once_one_makes_the_list(newlist: Any) -> None:
    """Two or three of four said created, and each overwrote the other's description."""
    # Until the others have made their plans as well, on a busy machine too.
    sites = newlist('sleep 3; real "$@"')
    runs = [start(sites, f"number {n}", "--timeout", "60") for n in range(4)]
    said = {run: run.communicate(timeout=90)[0] for run in runs}
    created = [run for run in runs if run.returncode == 0]
    assert len(created) == 1, said
    assert all("it is there already" in said[run] for run in runs if run not in created), said
    shown = sites.code(
        SITE, "from Mailman import MailList\nprint(MailList.MailList('new', lock=0).description)"
    )
    assert shown == f"number {runs.index(created[0])}\n"
    assert history(sites).count(" created ") == 1


def test_a_list_that_somebody_else_makes_in_the_same_moment_is_not_ours(newlist: Any) -> None:
    """The history advised the rmlist that removes the other's list."""
    sites = newlist('echo theirs | real -q new other@example.com; real "$@"')
    status, said = add(sites)
    assert status == 1
    assert "new: error: somebody else made it in the same moment" in said
    run = next(line.split()[0] for line in history(sites).splitlines() if "add-list" in line)
    shown = subprocess.run(
        [sys.executable, "-m", "runbooks", "history", run, "--host", sites.spec],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "rmlist" not in shown


def test_a_lock_that_newlist_waits_for_is_named_and_newlist_ended(newlist: Any) -> None:
    """It waited for as long as the lock lived, without a word."""
    sites = newlist(
        'real "$@"\n'
        'locks="$MAILMAN_SITE_DIR/locks"; mine="creator.$(hostname).$$.0"\n'
        'printf %s "$locks/$mine" > "$locks/$mine"\n'
        "exec sleep 60"
    )
    locks = sites.prefix(SITE) / "locks"
    dead = subprocess.Popen(["true"])
    dead.wait()
    claim = locks / f"creator.{os.uname().nodename}.{dead.pid}.0"
    claim.write_text(str(claim))
    os.link(claim, locks / "creator")
    began = time.monotonic()
    status, said = add(sites, "--timeout", "1")
    assert time.monotonic() - began < 30
    assert status == 1
    assert f"newlist was ended after 1 seconds: it waited for the lock {locks}/creator" in said
    assert f"whose process {dead.pid} no longer runs" in said
    # The lock is not ours to clear; the claim of the newlist that we ended is.
    assert sites.locks(SITE) == ["creator", claim.name]
