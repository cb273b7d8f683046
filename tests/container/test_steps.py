"""``--steps``: the printed steps on a host, one at a time, by somebody at a terminal."""

from __future__ import annotations

import os
import pickle
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runbooks.testing.containers.box import PROGRAMS, Box
from tests.support.command import run_id
from tests.support.lockers import Actor, Cast, names, new_list, objects, play, runbook, until
from tests.support.terminal import Terminal

ADDRESS, OTHER = "target@example.com", "other@example.com"
PROMPT = "[q]uit, [?]"
AS_SHOWN = "as on the page"


@pytest.fixture
def lists(box: Box) -> dict[str, list[str]]:
    """Two lists on each site."""
    made = {site: [f"{site}-announce", f"{site}-discuss"] for site in box.sites}
    for site, names_there in made.items():
        new_list(box, site, *names_there)
    return made


def bans(box: Box, site: str, name: str) -> Any:
    data = box.read_bytes(f"{box.prefix(site)}/lists/{name}/config.pck")
    return pickle.loads(data, encoding="latin1")["ban_list"]


def decide(terminal: Terminal, key: str, then: str) -> str:
    """Wait for the question, type a key, and wait for what comes of it."""
    terminal.until(PROMPT)
    terminal.type(key)
    return terminal.until(then)


def again(text: str) -> list[str]:
    """The arguments of the command that is said to go on."""
    (line,) = re.findall(r"to go on: runbook (.+)", text)
    return shlex.split(line)


def editor(folder: Path) -> str:
    """An editor that puts one address in the place of the other."""
    path = folder / "editor"
    path.write_text(
        f'#!/bin/sh\nif grep -q {OTHER} "$1"; then sed -i s/{OTHER}/{ADDRESS}/ "$1"\n'
        f'else sed -i s/{ADDRESS}/{OTHER}/ "$1"; fi\n'
    )
    path.chmod(0o755)
    return str(path)


def test_a_ban_with_every_key(box, lists, tmp_path):
    first, *more = box.sites
    name = lists[first][0]
    terminal = Terminal(
        ["ban", ADDRESS, "--steps", "--host", box.spec], EDITOR=editor(tmp_path), VISUAL=""
    )
    terminal.until("Create ban.py beside Mailman's programs")
    decide(terminal, "x", "type one of the letters")
    shown = decide(terminal, "?", "Utils.list_names = lambda")
    assert "back to the step before" in shown
    decide(terminal, "b", "this is the first step")
    decide(terminal, "r", AS_SHOWN)
    # Another command than the page has does something else, and is not taken for what it shows.
    decide(terminal, "e", f"ban {OTHER}")
    shown = decide(terminal, "r", "not as on the page")
    assert f"{name}: banned" in shown
    assert bans(box, first, name) == [OTHER]
    terminal.until(f"{name} does not refuse {ADDRESS}")
    decide(terminal, "e", f"ban {ADDRESS}")
    decide(terminal, "r", AS_SHOWN)
    assert bans(box, first, name) == [OTHER, ADDRESS]
    for site in more:
        terminal.until(f"every list of the site {site}")
        terminal.until(PROMPT)
        done = box.run(
            [f"{PROGRAMS}/withlist", "-q", "-a", "-r", "ban", ADDRESS],
            user="list",
            env=box.environment(site),
        )
        assert done.rc == 0, done
        terminal.type("d")
    terminal.until("The same for a single list")
    decide(terminal, "s", "See that every list")
    decide(terminal, "b", "The same for a single list")
    decide(terminal, "r", AS_SHOWN)
    for _ in box.sites:
        decide(terminal, "r", AS_SHOWN)
    shown = terminal.until("journal.jsonl")
    assert terminal.end() == 0, terminal.text
    number = 2 + 2 * len(box.sites)
    assert f"{number - len(more)} of {number} steps run, as on the page" in shown
    for site, there in lists.items():
        for one in there:
            assert ADDRESS in bans(box, site, one)
    # All of it is on record.
    run = re.findall(r"recorded as (\S+) in", terminal.text)[0]
    (told,) = objects(runbook(box, "history", run, "--json"))
    taken = [(step["name"], step["how"], step["differs"] != "") for step in told["steps"]]
    one = f"ban-{first}"
    assert taken[:9] == [
        ("ban-create-ban-py", "begun", False),
        ("ban-create-ban-py", "run", False),
        ("ban-create-ban-py", "judged", False),
        (one, "begun", False),
        (one, "run", False),
        (one, "judged", True),
        (one, "begun", False),
        (one, "run", False),
        (one, "judged", False),
    ]
    edited = [step for step in told["steps"] if step["name"] == one and step["how"] == "run"]
    assert [OTHER in step["command"] for step in edited] == [True, False]
    assert f"{name}: banned" in edited[0]["printed"]
    assert [name for name, how, _ in taken if how == "by hand"] == [f"ban-{s}" for s in more]
    assert ("ban-one", "skipped", False) in taken
    assert told["command"] == "steps"
    assert told["state"] == "done"
    (undone,) = [runbook(box, "undo", run, "--yes")]
    assert (undone.rc, "not on record" in undone.stderr) == (2, True)


def test_a_lock_is_cleared_step_by_step_and_left_in_between(box, lists):
    site = list(box.sites)[-1]
    name = lists[site][0]
    play(box, site, [Actor(name, "hold", "killed")])
    before = names(box, site)
    terminal = Terminal(["clear-lock", name, "--steps", "--host", box.spec])
    decide(terminal, "r", AS_SHOWN)
    decide(terminal, "r", AS_SHOWN)
    decide(terminal, "r", AS_SHOWN)
    decide(terminal, "q", "to go on: ")
    assert terminal.end() == 1
    assert names(box, site) == before
    words = again(terminal.text)
    assert words[-2:] == ["--from-step", "clear-lock-remove-lock"]
    terminal = Terminal(words)
    terminal.until("4 of 5")
    decide(terminal, "r", AS_SHOWN)
    assert names(box, site) == set()
    decide(terminal, "r", AS_SHOWN)
    assert terminal.end() == 0, terminal.text


@pytest.mark.layout("multi")
def test_nobody_to_ask_and_a_process_that_runs(box, lists):
    """The first step that differs is the last one, and the trouble that fits is shown."""
    site = next(iter(box.sites))
    name = lists[site][0]
    cast = play(box, site, [Actor(name)])
    done = runbook(box, "clear-lock", name, "--steps", "--yes")
    assert done.rc == 1, done.stdout + done.stderr
    assert "not as on the page" in done.stdout
    assert "The process runs. The lock is in use." in done.stdout
    assert "3 of 5" in done.stdout
    assert "4 of 5" not in done.stdout
    assert f"{name}.lock" in names(box, site)
    assert again(done.stdout)[-1] == "clear-lock-find-holder"
    cast.finish()


def waiting(box: Box, site: str, name: str) -> tuple[Terminal, Cast]:
    """A ban whose second step waits for a list, for ten seconds, and who has that list."""
    terminal = Terminal(["ban", ADDRESS, "--steps", "--host", box.spec])
    decide(terminal, "r", AS_SHOWN)
    cast = play(box, site, [Actor(name)])
    decide(terminal, "r", "Ctrl-C stops it")
    return terminal, cast


@pytest.mark.layout("multi")
def test_ctrl_c_is_for_the_running_step_alone(box, lists):
    site = next(iter(box.sites))
    name = lists[site][0]
    terminal, cast = waiting(box, site, name)
    terminal.interrupt()
    terminal.until("interrupted: what it had begun may be half done")
    found = box.run(["pgrep", "-fl", "withlist"])
    assert found.rc == 1, f"it goes on: {found.stdout}"
    assert len(names(box, site)) == 2, "its claim is left"
    cast.finish()
    decide(terminal, "r", AS_SHOWN)
    terminal.until(PROMPT)
    terminal.interrupt()
    terminal.until("to go on: ")
    assert terminal.end() == 1
    assert bans(box, site, name) == [ADDRESS]
    done = runbook(box, "history", "--json")
    assert objects(done)[0]["state"].startswith("left at #ban-")


@pytest.mark.layout("multi")
def test_a_lost_connection_is_taken_up_again(box, lists):
    site = next(iter(box.sites))
    name = lists[site][0]
    terminal, cast = waiting(box, site, name)
    (child,) = subprocess.run(
        ["pgrep", "-P", str(terminal.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    os.kill(int(child), signal.SIGKILL)
    terminal.until("the connection was lost")
    assert terminal.end() == 1
    until(box, "! pgrep -f [b]in/withlist")
    cast.finish()
    line = terminal.text.replace("\n", " ")
    words = again(re.sub(r"\s+", " ", line))
    assert words[-1] == f"ban-{site}"
    done = subprocess.run(
        [sys.executable, "-m", "runbooks", *words, "--yes"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(ADDRESS in bans(box, site, one) for site in lists for one in lists[site])
    killed = objects(runbook(box, "history", "--json"))[1]
    assert killed["state"] == "killed"
    (told,) = objects(runbook(box, "history", killed["id"], "--json"))
    assert [step["how"] for step in told["steps"]][-1] in ("begun", "interrupted")


@pytest.mark.layout("multi")
def test_a_password_is_typed_where_it_is_asked_for_and_shown_nowhere(box, lists):
    site = next(iter(box.sites))
    words = ["add-list", "new-one", "--admin", "admin@example.com", "--description", "New"]
    words += ["--direct", "--steps", "--host", box.spec, "--site", site]
    terminal = Terminal(words)
    terminal.until(PROMPT)
    terminal.type("r")
    terminal.until("Password of new-one:")
    terminal.type("hunter2 hunter3")
    terminal.until("Repeat for confirmation:")
    terminal.type("hunter2 hunter3")
    terminal.until(AS_SHOWN)
    terminal.until(PROMPT)
    terminal.type("q")
    assert terminal.end() == 1
    assert "Initial new-one password:" in terminal.text
    assert "hunter2" not in terminal.text
    done = box.run(["grep", "-r", "hunter2", f"{box.prefix(site)}/runbook"])
    assert done.rc == 1, done.stdout
    data = box.read_bytes(f"{box.prefix(site)}/lists/new-one/config.pck")
    assert pickle.loads(data, encoding="latin1")["owner"] == ["admin@example.com"]


@pytest.mark.layout("multi")
def test_what_was_not_an_argument_is_not_on_record(box, lists):
    """A step may print members' addresses."""
    site = next(iter(box.sites))
    done = runbook(box, "withlist", "owners.py", "--steps", "--yes")
    assert done.rc == 0, done.stdout + done.stderr
    assert "admin@example.com" in done.stdout
    (told,) = objects(runbook(box, "history", run_id(done), "--json"))
    printed = "".join(step["printed"] for step in told["steps"])
    assert f"{lists[site][0]}: (an address)" in printed


@pytest.mark.layout("multi")
def test_the_steps_by_hand_are_those_that_are_printed(box, lists):
    """What ``--json`` tells to have been run is what ``--explain`` prints."""
    done = runbook(box, "unsubscribe", ADDRESS, "--steps", "--yes", "--json")
    assert done.rc == 0, done.stdout + done.stderr
    ran = [one["command"] for one in objects(done) if one.get("how") == "run"]
    printed = objects(runbook(box, "unsubscribe", ADDRESS, "--explain", "--json"))
    assert ran == [one["command"] for one in printed]
