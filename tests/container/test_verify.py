"""`runbook verify` on a Mailman 2 in a container: what holds, what differs, and that no trace stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runbooks.book.whose import whose
from runbooks.procedures import all_procedures, find
from tests.page import world
from tests.support.box import Box
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
    """The whole file system, but for what the kernel makes: kind, mode, owner, time and content."""
    done = box.sh(
        "find / \\( -path /proc -o -path /sys -o -path /dev/pts \\) -prune -o \\( -type f -o -type l"
        " -o -type d -o -type p -o -type s \\) -printf '%p\\t%y %m %U %G %T@ %s %n %l\\n'"
        " | sort; find / -xdev -path /proc -prune -o -path /sys -prune -o -type f -newermt"
        " '-1 day' -exec cksum {} +",
        timeout=120,
    )
    found = {}
    for line in done.stdout.splitlines():
        name, _, said = line.rpartition("\t")
        found[name or line] = said
    return found


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
