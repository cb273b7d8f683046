"""`runbook verify` on a Mailman 2 in a container: what holds, what differs, and no trace of it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runbooks.book.whose import whose
from runbooks.procedures import all_procedures, find
from tests.page import world
from tests.support.box import PROGRAMS, Box
from tests.support.lockers import objects, runbook

FIRST, LAST = whose().sites[0], whose().sites[-1]
FOLDER = whose().folder(FIRST)


@pytest.fixture
def server(box: Box, tmp_path: Path) -> Box:
    """The server that the page speaks of."""
    world.make(box)
    add_list = find("add-list")
    world.happen(box, tmp_path, add_list, add_list.befalls)
    return box


def state(box: Box) -> dict[str, str]:
    """The whole file system but what the kernel makes: kinds, modes, owners, times, contents.

    The copies of a rehearsal are in a folder of their own in /tmp, which alone shows that.
    """
    done = box.sh(
        "find / \\( -path /proc -o -path /sys -o -path /dev/pts \\) -prune"
        " -o -printf '%p\\t%y %m %U %G %T@ %s %n %l\\n'\n"
        "find / -xdev \\( -path /proc -o -path /sys \\) -prune"
        " -o -type f -newermt '-1 day' -exec cksum {} +",
        timeout=120,
    )
    assert done.rc == 0, done.stderr
    lines = [line.rpartition("\t") for line in done.stdout.splitlines()]
    return {name or said: said for name, _, said in lines if name != "/tmp"}


def differing(answer: list[dict[str, Any]]) -> list[str]:
    """Why steps differ, each once."""
    whys = [one["why"].split("; ") for one in answer[:-1] if one["state"] == "differs"]
    return list(dict.fromkeys(why for some in whys for why in some))


@pytest.mark.layout("multi")
@pytest.mark.needs("puppet")
def test_the_page_holds_on_the_server_it_speaks_of(server: Box) -> None:
    before = state(server)
    done = runbook(server, "verify", "--json")
    *steps, summary = objects(done)
    assert differing([*steps, summary]) == []
    assert (done.rc, done.stderr) == (0, "")
    assert {one["procedure"] for one in steps} == {one.name for one in all_procedures()}
    assert summary["steps"] == summary["holding"] == len(steps)
    assert summary["mailman"] == server.version
    not_run = {one["anchor"]: one["why"] for one in steps if one["state"] == "not run"}
    example = whose().examples.list
    lock = f"checked, not run: there is no lock {FOLDER}/locks/{example}.lock"
    assert not_run == {
        "clear-lock-see-lock": lock,
        "clear-lock-read-lock": lock,
        "clear-lock-find-holder": lock,
        "add-list-catch-up": f"checked, not run: there is no list {example} on {FIRST.name}",
    }
    assert state(server) == before


@dataclass(frozen=True)
class Change:
    """Something that is changed on the server, and what is then said to differ."""

    why: str
    script: str


def wrapper(program: str, script: str) -> str:
    """Puts another program of a name on the PATH; ``$real`` is the one that was there."""
    text = f"#!/bin/sh\nreal=/usr/lib/mailman/real/{program}\n{script}\n"
    path = program if "/" in program else f"/usr/local/bin/{program}"
    return (
        f"real=$(command -v {program})\n"
        f'printf %s {shlex.quote(text)} | sed "s,^real=.*,real=$real," > /tmp/wrapper\n'
        f"chmod 755 /tmp/wrapper; mv /tmp/wrapper {path}"
    )


def mailmans(program: str, script: str) -> str:
    """The same for one of Mailman's programs."""
    path = f"{PROGRAMS}/{program}"
    text = f"#!/bin/sh\nreal={path}.real\n{script}\n"
    return f"mv {path} {path}.real\nprintf %s {shlex.quote(text)} > {path}\nchmod 755 {path}"


def unless(arguments: str, complaint: str) -> str:
    """A script that does what the real program does, unless it gets such arguments."""
    return f'case "$*" in {arguments}) echo {complaint}; exit 1;; esac; exec $real "$@"'


BAN = f"{PROGRAMS}/ban.py"

TEN = (
    Change(
        f"there is no program {PROGRAMS}/remove_members here",
        f"mv {PROGRAMS}/remove_members /root",
    ),
    Change(
        "sudo does not let the login run this as list: it says nothing, and ends with status 1",
        f"echo 'root ALL=(ALL) ALL, !{PROGRAMS}/find_member' > /etc/sudoers.d/page",
    ),
    Change(
        f"the site {LAST.name} has no list: its lines on the page stand for none",
        f"rm -r {whose().folder(LAST)}/lists/*",
    ),
    Change(
        "Mailman's user here is mailman2, and the page says list",
        "useradd -M -g list mailman2; echo \"MAILMAN_USER = 'mailman2'\" >> /etc/mailman/mm_cfg.py",
    ),
    Change("there is no program puppet here", "mv $(command -v puppet) /root"),
    Change(
        "ps does not show what the page has it show: it says error: unknown lstart",
        wrapper("ps", unless("*lstart*", "error: unknown lstart")),
    ),
    Change(
        "sed has no command 'e': it says unknown command: e",
        wrapper("sed", unless('*"e cat"*', "unknown command: e")),
    ),
    Change(f"others than root may write in {PROGRAMS}", f"chmod o+w {PROGRAMS}"),
    Change(
        "there is a ban.py with another text, which this step would replace",
        f"echo 'def ban(m): pass' > {BAN}",
    ),
    Change(
        f"this host calls itself other, and the page says {whose().server.hostname}",
        wrapper("uname", "echo other"),
    ),
)


@pytest.mark.layout("multi")
@pytest.mark.needs("puppet")
def test_each_of_ten_things_that_were_changed_is_named_and_nothing_else(server: Box) -> None:
    for change in TEN:
        done = server.sh(change.script)
        assert done.rc == 0, f"{change.why}: {done.stderr}"
    before = state(server)
    done = runbook(server, "verify", "--json")
    assert sorted(differing(objects(done))) == sorted(change.why for change in TEN)
    assert (done.rc, done.stderr) == (1, "")
    assert state(server) == before
