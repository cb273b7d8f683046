"""Taking back what ``add-list`` did, on practice sites: what can be, and what is named instead."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import command
from tests.support.command import run_id

SITE = "openstack"
NEW = "handmade"
OLD = "Ältere Beschreibung"
TEXT = "Discussion of Föö"
BANNED = "target@example.com"


@pytest.fixture
def practice(sites: Any) -> Any:
    """A site with a list that was made by hand, and an address that every other list refuses."""
    sites.unlock()
    sites.site.run(SITE, "newlist", "-q", NEW, "owner@example.com", "pw")
    for name in os.listdir(sites.prefix(SITE) / "lists"):
        if name != NEW:
            sites.code(
                SITE,
                "import sys\nfrom Mailman import MailList\nm = MailList.MailList(sys.argv[1])\n"
                "m.ban_list.append(sys.argv[2]); m.Save(); m.Unlock()",
                name,
                BANNED,
            )
    return sites


def runbook(practice: Any, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return command.runbook(practice.spec, *arguments, env=env)


def fixed(practice: Any) -> str:
    """The run of an ``add-list --fix`` that set the description and a ban."""
    set_description(practice, OLD)
    done = runbook(practice, "add-list", NEW, "--fix", "--description", TEXT, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert state(practice) == [TEXT, [BANNED]]
    return run_id(done)


def set_description(practice: Any, text: str) -> None:
    options = practice.folder / "options"
    literal = repr(text.encode()).removeprefix("b") if practice.is_python_2 else ascii(text)
    options.write_text(f"description = {literal}\n")
    practice.site.run(SITE, "config_list", "-i", str(options), NEW)


def state(practice: Any) -> list[Any]:
    """The description and the ban list of the list, as they are on the disk."""
    code = (
        "import json, sys\nfrom Mailman import MailList\n"
        "m = MailList.MailList(sys.argv[1], lock=0)\n"
        "print(json.dumps([m.description, m.ban_list]))"
    )
    return list(json.loads(practice.code(SITE, code, NEW)))


def journal(practice: Any) -> Path:
    return Path(practice.prefix(SITE)) / "runbook" / "journal.jsonl"


def test_what_fix_set_is_taken_back(practice: Any) -> None:
    run = fixed(practice)
    shown = runbook(practice, "history", run)
    assert f"to take it back: runbook undo {run} --host {practice.spec}" in shown.stdout
    planned = runbook(practice, "undo", run, "--dry-run")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert f"out of the ban lists: {BANNED}" in planned.stdout
    assert f"description back to: {OLD!r}" in planned.stdout
    assert state(practice) == [TEXT, [BANNED]]
    undone = runbook(practice, "undo", run, "--yes")
    assert undone.returncode == 0, undone.stdout + undone.stderr
    assert "taken back on 1 list and read back" in undone.stdout
    assert state(practice) == [OLD, []]
    again = runbook(practice, "undo", run, "--yes")
    assert again.returncode == 0
    assert "nothing is left to take back" in again.stdout
    (told,) = runbook(practice, "undo", run, "--yes", "--json").stdout.splitlines()
    assert (json.loads(told)["list"], json.loads(told)["outcome"]) == (NEW, "already")
    back = runbook(practice, "undo", run_id(undone), "--yes")
    assert back.returncode == 0, back.stdout + back.stderr
    assert state(practice) == [TEXT, [BANNED]]


def test_a_description_that_somebody_changed_since_is_left_alone_and_named(practice: Any) -> None:
    run = fixed(practice)
    set_description(practice, "By somebody else")
    told = runbook(practice, "undo", run, "--dry-run", "--json")
    outcomes = [json.loads(line)["outcome"] for line in told.stdout.splitlines()]
    assert outcomes == ["planned", "changed since"]
    undone = runbook(practice, "undo", run, "--yes")
    assert undone.returncode == 1
    assert "taken back on 1 list and read back" in undone.stdout
    assert "1 not taken back:" in undone.stdout
    assert f"somebody changed its description since: it was {OLD!r} before the run" in undone.stdout
    assert state(practice) == ["By somebody else", []]
    again = runbook(practice, "undo", run, "--dry-run")
    assert again.returncode == 1
    assert "somebody changed its description since" in again.stdout


def test_an_empty_description_is_taken_back_to(practice: Any) -> None:
    done = runbook(practice, "add-list", NEW, "--fix", "--description", TEXT, "--yes")
    undone = runbook(practice, "undo", run_id(done), "--yes", "--json")
    assert undone.returncode == 0, undone.stdout + undone.stderr
    assert state(practice) == ["", []]


def test_a_list_that_was_created_is_not_removed(practice: Any) -> None:
    done = runbook(
        practice,
        *("add-list", "direct", "--admin", "a@example.com", "--description", TEXT, "--direct"),
        *("--site", SITE, "--yes"),
        RUNBOOK_LIST_PASSWORD="secret",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = run_id(done)
    refused = runbook(practice, "undo", run, "--yes")
    assert refused.returncode == 2
    rmlist = f"MAILMAN_SITE_DIR={practice.prefix(SITE)} {practice.folder}/bin/rmlist -a direct"
    for text in (refused.stderr, runbook(practice, "history", run).stdout):
        assert f"run {run} cannot be taken back: it created the list direct" in text
        assert rmlist in text
    assert practice.list_folder(SITE, "direct").is_dir()


def test_a_run_that_changed_nothing_has_nothing_to_take_back(practice: Any) -> None:
    practice.hold(SITE, NEW)
    done = runbook(practice, "ban", BANNED, "--yes", "--list", NEW, "--timeout", "0")
    assert done.returncode == 1
    shown = runbook(practice, "history", run_id(done)).stdout
    assert "locked, 1 list" in shown
    assert "there is nothing to take back" in shown


def killed(practice: Any, run: str) -> None:
    """Have the journal look as if the run had been killed with its list in hand."""
    lines = []
    for line in journal(practice).read_text().splitlines(keepends=True):
        entry = json.loads(line)
        if entry["run"] == run and "end" in entry:
            continue
        if entry["run"] == run and "done" in entry.get("lists", {}):
            continue
        lines.append(line)
    journal(practice).write_text("".join(lines))


def test_a_run_that_was_killed_is_not_guessed_at(practice: Any) -> None:
    run = fixed(practice)
    undone = runbook(practice, "undo", run, "--yes")
    killed(practice, run_id(undone))
    refused = runbook(practice, "undo", run_id(undone), "--yes")
    assert refused.returncode == 2
    assert f"killed while it worked on {NEW}" in refused.stderr
    assert f"runbook undo {run} --host {practice.spec}" in refused.stderr
    killed(practice, run)
    refused = runbook(practice, "undo", run, "--yes")
    assert refused.returncode == 2
    assert f"killed while it worked on {NEW}" in refused.stderr
    assert f"runbook add-list {NEW} --check" in refused.stderr


def test_the_record_has_no_members_address(practice: Any) -> None:
    practice.site.run(SITE, "add_members", "-w", "n", "-a", "n", "-r", "-", NEW, stdin="m@x.org\n")
    fixed(practice)
    kept = journal(practice).read_text()
    assert BANNED in kept  # an entry of a ban list that the run put there
    assert "m@x.org" not in kept
    assert "owner@example.com" not in kept


def test_lines_that_are_no_record_are_counted(practice: Any) -> None:
    run = fixed(practice)
    with journal(practice).open("a") as file:
        file.write('{"run": "2\n')
    shown = runbook(practice, "history")
    assert shown.returncode == 0
    assert run in shown.stdout
    assert "journal.jsonl: 1 line is not a record (torn when a run was killed)" in shown.stderr
    with journal(practice).open("a") as file:
        file.write("x\n")
    assert "journal.jsonl: 2 lines are not records" in runbook(practice, "history").stderr
