"""Scripts that use Mailman's own functions for requests, and that want the list locked."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbooks.testing.containers.box import Box
from tests.container.test_scripted_story import attribute, no_locks, run_id, script, withlist
from tests.support.lockers import new_list, runbook

HOLDS = """
import email
from Mailman import Message
def holds(m):
    m.Lock()
    try:
        for number in (1, 2):
            text = "From: a@example.com\\nSubject: number %d\\n\\nbody\\n" % number
            m.HoldMessage(email.message_from_string(text, Message.Message), "why", {})
        m.pend_new("S", "what")
        m.Save()
    finally:
        m.Unlock()
"""

DISCARDS = """
from Mailman import mm_cfg
def discards(m, saves):
    m.Lock()
    try:
        for number in m.GetHeldMessageIds():
            m.HandleRequest(number, mm_cfg.DISCARD)
        if saves == "and saves":
            m.Save()
    finally:
        m.Unlock()
"""


def state(box: Box, site: str, name: str) -> dict[str, bytes]:
    """What a list's state is in, by the name of the file."""
    folder = box.prefix(site)
    found = box.sh(f"ls {folder}/lists/{name}/*.pck {folder}/data/heldmsg-{name}-*")
    return {path.rpartition("/")[2]: box.read_bytes(path) for path in found.stdout.split()}


def one(box: Box, name: str) -> tuple[str, list[str]]:
    """A new list, and the options that choose it."""
    site = next(iter(box.sites))
    new_list(box, site, name)
    return site, ["--list", name, *(["--site", site] if len(box.sites) > 1 else [])]


def test_holding_messages_can_be_taken_back(box: Box, tmp_path: Path) -> None:
    site, chosen = one(box, "alpha")
    before = state(box, site, "alpha")
    path = script(tmp_path, "holds", HOLDS)
    rehearsed = runbook(box, "withlist", path, *chosen, "--dry-run")
    assert rehearsed.rc == 0, rehearsed.stdout + rehearsed.stderr
    for shown in (
        "request.pck      + held message 1, + held message 2",
        "pending.pck      + subscription",
        "held messages    + heldmsg-alpha-1.pck, + heldmsg-alpha-2.pck",
    ):
        assert shown in rehearsed.stdout
    assert state(box, site, "alpha") == before
    result = withlist(box, path, *chosen)
    assert "changed attributes: next_request_id\n" in result.stdout
    assert "changed files: pending.pck, request.pck, 2 held messages\n" in result.stdout
    assert set(state(box, site, "alpha")) - set(before) == {
        *("pending.pck", "request.pck", "heldmsg-alpha-1.pck", "heldmsg-alpha-2.pck")
    }
    back = withlist(box, "--restore", run_id(result))
    assert back.rc == 0, back.stdout + back.stderr
    assert state(box, site, "alpha") == before
    no_locks(box)


@pytest.mark.parametrize("saves", ["no", "and saves"])
def test_messages_that_are_discarded_come_back(box: Box, tmp_path: Path, saves: str) -> None:
    site, chosen = one(box, "alpha")
    assert withlist(box, script(tmp_path, "holds", HOLDS), *chosen).rc == 0
    before = state(box, site, "alpha")
    assert {"heldmsg-alpha-1.pck", "heldmsg-alpha-2.pck"} < set(before)
    path = script(tmp_path, "discards", DISCARDS)
    rehearsed = runbook(box, "withlist", path, saves, *chosen, "--dry-run")
    assert "1 list: 1 would change" in rehearsed.stdout
    assert "- heldmsg-alpha-1.pck, - heldmsg-alpha-2.pck\n" in rehearsed.stdout
    assert ("- held message 1, - held message 2\n" in rehearsed.stdout) == (saves != "no")
    assert state(box, site, "alpha") == before
    result = withlist(box, path, saves, *chosen)
    assert "1 list: 1 changed\n" in result.stdout
    files = "2 held messages" if saves == "no" else "request.pck, 2 held messages"
    assert f"changed files: {files}\n" in result.stdout
    assert not {"heldmsg-alpha-1.pck", "heldmsg-alpha-2.pck"} & set(state(box, site, "alpha"))
    shown = runbook(box, "history", run_id(result)).stdout
    assert f"files {files}" in shown
    back = withlist(box, "--restore", run_id(result))
    assert back.rc == 0, back.stdout + back.stderr
    assert state(box, site, "alpha") == before
    # Mailman itself finds them again.
    again = runbook(box, "withlist", path, "and saves", *chosen, "--dry-run")
    assert "- held message 1, - held message 2\n" in again.stdout
    no_locks(box)


RESETS = """
def resets(m):
    for member in m.getMembers():
        m.setMemberPassword(member, "another")
    m.Save()
"""


def test_a_script_for_withlist_l(box: Box, tmp_path: Path) -> None:
    site, chosen = one(box, "alpha")
    done = box.run(
        ["add_members", "-w", "n", "-a", "n", "-r", "-", "alpha"],
        env=box.environment(site),
        stdin="bob@example.org\n",
    )
    assert done.rc == 0, done.stderr
    path = script(tmp_path, "resets", RESETS)
    before = state(box, site, "alpha")
    result = withlist(box, path, *chosen)
    assert result.rc == 1
    assert "AssertionError (resets.py, line 4)" in result.stdout
    assert "--lock locks it first, as withlist -l does" in result.stdout
    assert state(box, site, "alpha") == before
    result = withlist(box, path, *chosen, "--lock")
    assert result.rc == 0, result.stdout + result.stderr
    assert "changed attributes: passwords\n" in result.stdout
    no_locks(box)
    assert withlist(box, "--restore", run_id(result)).rc == 0
    assert state(box, site, "alpha")["config.pck"] == before["config.pck"]


def test_by_hand_a_script_is_given_the_lock_and_the_secret(box: Box, tmp_path: Path) -> None:
    site, chosen = one(box, "alpha")
    box.put("/root/secret", "S3cret of mine\n")
    (tmp_path / "secret").write_text("S3cret of mine\n")
    (tmp_path / "secret").chmod(0o600)
    path = script(
        tmp_path,
        "sets",
        "import os\ndef sets(m):\n    m.info = os.environ['RUNBOOK_SECRET']\n    m.Save()\n",
    )
    options = ["--lock", "--secret-file", str(tmp_path / "secret")]
    explained = runbook(box, "withlist", path, *chosen, *options, "--explain")
    assert explained.rc == 0, explained.stderr
    result = withlist(box, path, *chosen, *options)
    assert result.rc == 0, result.stdout + result.stderr
    assert attribute(box, site, "alpha", "info") == "S3cret of mine"
    assert withlist(box, "--restore", run_id(result)).rc == 0
    assert attribute(box, site, "alpha", "info") == ""
    done = box.sh(explained.stdout.replace(str(tmp_path / "secret"), "/root/secret"))
    assert done.rc == 0, done.stderr
    assert attribute(box, site, "alpha", "info") == "S3cret of mine"
    no_locks(box)


def test_nobody_sees_the_secret_of_a_script(box: Box, tmp_path: Path) -> None:
    """Not in the list of processes, their environments, the journal or what is printed."""
    site, chosen = one(box, "alpha")
    (tmp_path / "secret").write_text("S3cret\n")
    path = script(
        tmp_path,
        "looks",
        """
from __future__ import print_function
import glob, os
def looks(m):
    secret = os.environ["RUNBOOK_SECRET"]
    print("%d characters: %s" % (len(secret), secret))
    seen = 0
    for path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as f:
                data = f.read()
        except EnvironmentError:
            continue
        seen += 1
        assert secret.encode("ascii") not in data, path
    print("%s processes looked at" % ("some" if seen > 3 else "too few"))
""",
    )
    secret_file = ["--secret-file", str(tmp_path / "secret")]
    result = withlist(box, path, *chosen, *secret_file)
    assert result.rc == 0, result.stdout + result.stderr
    assert "alpha: 6 characters: ***\n" in result.stdout
    assert "alpha: some processes looked at\n" in result.stdout
    found = box.run(["grep", "-rl", "S3cret", box.prefix(site), "/tmp", "/var/log"])
    assert (found.rc, found.stdout) == (1, ""), found.stdout
