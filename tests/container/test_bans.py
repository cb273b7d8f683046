"""``runbook bans`` on a Mailman 2 in a container: what it says of an entry is what Mailman does."""

from __future__ import annotations

from typing import Any

from runbooks.testing.containers.box import PROGRAMS, Box
from tests.support.command import run_id
from tests.support.lockers import Actor, new_list, objects, play, runbook

MM_CFG = "/etc/mailman/mm_cfg.py"
ADD_MEMBERS = ("add_members", "-r", "-", "-w", "n", "-a", "n")
EVIL = "evil@example.com"

#: Entries, whom each bans, and an address that Mailman refuses by it, or subscribes despite it.
ENTRIES = [
    (EVIL, "somebody", EVIL, True),
    (" Spaced@Example.com ", "somebody", "spaced@example.com", True),
    (r"^loud(\+.*)?@example\.com$", "somebody", "LOUD+1@example.com", True),
    ("^[bad", "nobody", "[bad@example.org", False),
    (r" ^blank@example\.com$", "nobody", "blank@example.com", False),
    (".*@example.net", "nobody", "someone@example.net", False),
    ("@example.org", "nobody", "someone@example.org", False),
]
#: As each Python's pickles have it, in the settings that config_list reads.
NOT_ASCII = "caf\\xe9@example.com"


def mailman(box: Box, site: str, program: str, *arguments: str, stdin: str | None = None) -> str:
    done = box.run(
        [f"{PROGRAMS}/{program}", *arguments], user="list", env=box.environment(site), stdin=stdin
    )
    assert done.rc == 0, done
    return done.stdout


def have(box: Box, site: str, name: str, literal: str) -> None:
    box.put("/tmp/settings", f"ban_list = {literal}\n")
    mailman(box, site, "config_list", "-i", "/tmp/settings", name)
    box.run(["rm", "/tmp/settings"])


def told(box: Box, *arguments: str, status: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    done = runbook(box, "bans", "--json", *arguments)
    assert done.rc == status, done
    *rows, last = objects(done)
    return {row["entry"]: row for row in rows if "entry" in row}, last["summary"]


def lists_of(site: str) -> list[str]:
    return [f"{site}-one", f"{site}-two"]


def test_what_is_said_of_an_entry_is_what_mailman_does(box: Box) -> None:
    site = next(iter(box.sites))
    for one in box.sites:
        new_list(box, one, *lists_of(one))
    name = lists_of(site)[0]
    entries = ", ".join(ascii(entry) for entry, *_ in ENTRIES)
    have(box, site, name, f"[{entries}, '{NOT_ASCII}']")
    found, summary = told(box)
    for entry, whom, address, is_refused in ENTRIES:
        assert found[entry]["bans"] == whom, found[entry]
        assert (found[entry]["lists"], found[entry]["unrecorded"]) == (1, 1)
        said = mailman(box, site, *ADD_MEMBERS, name, stdin=f"{address}\n")
        assert ("Banned address" in said) == is_refused, (entry, said)
    (odd,) = found.keys() - {entry for entry, *_ in ENTRIES}
    assert found[odd]["bans"] == "nobody"
    assert "is not ASCII" in found[odd]["why"]
    assert (summary["nobody"], summary["not_read"]) == (5, 0)
    assert summary["lists"] == 2 * len(box.sites)

    have(box, site, name, "['^.*']")
    assert told(box)[0]["^.*"]["bans"] == "everybody"
    assert "Banned address" in mailman(box, site, *ADD_MEMBERS, name, stdin="any@example.com\n")


def test_an_entry_is_told_with_the_run_that_put_it_there(box: Box) -> None:
    for site in box.sites:
        new_list(box, site, *lists_of(site))
    lists = [(site, name) for site in box.sites for name in lists_of(site)]
    play(box, lists[0][0], [Actor(lists[0][1])])
    # One that is locked is not banned, and is read all the same.
    done = runbook(box, "ban", EVIL, "--yes", "--timeout", "0")
    assert done.rc == 1
    found, summary = told(box)
    assert (found[EVIL]["lists"], found[EVIL]["of"]) == (len(lists) - 1, len(lists))
    assert [one["run"] for one in found[EVIL]["runs"]] == [run_id(done)]
    left = found[EVIL].get("not_on") or [
        {"site": site, "list": name}
        for site, name in lists
        if {"site": site, "list": name} not in found[EVIL]["only_on"]
    ]
    assert left == [{"site": lists[0][0], "list": lists[0][1]}]
    assert summary["not_read"] == 0
    assert "1 on some lists only; 1 list without any" in runbook(box, "bans").stdout


def test_global_ban_list_is_named_and_is_on_no_list(box: Box) -> None:
    site = next(iter(box.sites))
    new_list(box, site, *lists_of(site))
    box.put(MM_CFG, box.read(MM_CFG) + "\nGLOBAL_BAN_LIST = ['everywhere@example.com', '^[bad']\n")
    found, _ = told(box, "--site", site)
    row = found["everywhere@example.com"]
    assert (row["global_ban_list"], row["lists"], row["of"]) == ([site], 2, 2)
    assert found["^[bad"]["bans"] == "nobody"
    said = mailman(box, site, *ADD_MEMBERS, lists_of(site)[0], stdin="everywhere@example.com\n")
    assert "Banned address" in said
