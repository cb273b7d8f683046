"""`runbook verify` on a Mailman 2 in a container: what holds, what differs, and no trace of it."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from runbooks.book.shell import split
from runbooks.book.whose import whose
from runbooks.host.host import Host
from runbooks.mailman.documented import INSTALLATION
from runbooks.mailman.installation import discover
from runbooks.mailman.printed import steps_of
from runbooks.mailman.stepping import OnHost
from runbooks.mailman.target import Target
from runbooks.procedures import all_procedures, find
from runbooks.testing.containers.box import PROGRAMS, Box, Result
from runbooks.testing.page import world
from runbooks.verify.here import look
from runbooks.verify.rehearsal import call_of, rehearse, scripts_of
from tests.support.lockers import new_list, objects, runbook, until

FIRST, LAST = whose().sites[0], whose().sites[-1]
FOLDER = whose().folder(FIRST)
ADDRESSES = ("target@example.com", "victim@example.org")


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


def verify(box: Box, *arguments: str) -> Result:
    return runbook(box, "verify", *arguments, timeout=240)


def differing(answer: list[dict[str, Any]]) -> list[str]:
    """Why steps differ, each once."""
    return list(dict.fromkeys(cause["why"] for one in answer[:-1] for cause in one["causes"]))


@pytest.mark.layout("multi")
@pytest.mark.needs("puppet")
def test_the_page_holds_on_the_server_it_speaks_of(server: Box) -> None:
    before = state(server)
    done = verify(server, "--json")
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
        # As in Debian's package; runbook becomes no user who is a stranger to the programs.
        f"chgrp list {PROGRAMS}; useradd -M -g list mailman2\n"
        "echo \"MAILMAN_USER = 'mailman2'\" >> /etc/mailman/mm_cfg.py",
    ),
    Change("there is no program puppet here", "mv $(command -v puppet) /usr/bin/puppet.moved"),
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
    try:
        names(server, TEN)
    finally:
        # Nobody else puts it back: it belongs to Debian's packages.
        server.sh("mv /usr/bin/puppet.moved /usr/bin/puppet")


def names(server: Box, changes: Sequence[Change]) -> None:
    """Make the changes; what is then said to differ has to begin as they say, and nothing else."""
    for change in changes:
        done = server.sh(change.script)
        assert done.rc == 0, f"{change.why}: {done.stderr}"
    before = state(server)
    done = verify(server, "--json")
    found, wanted = sorted(differing(objects(done))), sorted(change.why for change in changes)
    begun = [one[: len(why)] for one, why in zip_longest(found, wanted, fillvalue="")]
    assert begun == wanted, "\n".join(found)
    assert (done.rc, done.stderr) == (1, "")
    assert state(server) == before


@pytest.mark.layout("multi")
@pytest.mark.needs("puppet")
def test_each_program_of_the_system_is_tried(server: Box) -> None:
    names(
        server,
        [
            Change(
                "ls does not show times as on the page: it says ls: no such style",
                wrapper("ls", unless("*full-iso*", "ls: no such style")),
            ),
            Change(
                "stat does not show times as on the page: it says stat: no such format",
                wrapper("stat", unless("*%.19z*", "stat: no such format")),
            ),
            Change(
                "touch does not take the time '+1 hour': it says touch: no such time",
                wrapper("touch", unless('*"+1 hour"*', "touch: no such time")),
            ),
            Change(
                "grep does not find what the page has it find: it says grep: no such option",
                wrapper("grep", unless("*-iF*", "grep: no such option")),
            ),
            Change("tee passes nothing on", wrapper("tee", "exec /bin/cat > /dev/null")),
            Change("cat passes nothing on", wrapper("cat", "exit 0")),
            Change("rm says nothing of a file that is not there", wrapper("rm", "exit 0")),
            Change(
                "puppet apply does not take the options of the page: it says no such option",
                wrapper("puppet", unless("*--modulepath*", "no such option")),
            ),
        ],
    )


@pytest.mark.layout("multi")
@pytest.mark.needs("puppet")
def test_puppet_makes_none_of_its_folders(server: Box) -> None:
    """It makes some whatever it is asked, where it was never run."""
    assert server.sh("mv /etc/puppet /etc/puppet.moved").rc == 0
    before = state(server)
    steps = objects(verify(server, "add-list", "--json"))[:-1]
    (one,) = [one for one in steps if one["anchor"] == "add-list-puppet"]
    assert (one["state"], one["why"]) == ("holds", "")
    assert state(server) == before


@pytest.mark.layout("multi")
@pytest.mark.needs("puppet")
def test_each_program_of_mailmans_is_tried(server: Box) -> None:
    names(
        server,
        [
            Change(
                "list_lists does not name the lists that there are",
                mailmans("list_lists", 'exec $real "$@" | grep -v nnounce'),
            ),
            Change(
                "find_member does not name the lists that have such a member",
                mailmans(
                    "find_member",
                    'case "$*" in --help) exec $real --help;; esac;'
                    f" printf 'x found in:\\n     {FIRST.first_list}\\n'",
                ),
            ),
            Change(
                "config_list here has no option -v",
                mailmans("config_list", 'exec $real "$@" | sed "s/-v//g"'),
            ),
            Change(
                "remove_members here has no option --fromall",
                mailmans("remove_members", 'exec $real "$@" | sed "s/--fromall//g"'),
            ),
            Change(
                "withlist does not give a function each list once, and what follows it",
                "sed -i 's/func(m, \\*args)/func(m)/;"
                " s/function(load(name), \\*arguments)/function(load(name))/'"
                f" {PROGRAMS}/withlist",
            ),
        ],
    )


@pytest.mark.layout("multi")
@pytest.mark.needs("puppet")
def test_sudo_that_refuses_is_the_only_thing_that_is_named(server: Box) -> None:
    names(
        server,
        [
            Change(
                "sudo does not let the login run this as list",
                "echo 'Defaults !root_sudo' > /etc/sudoers.d/page",
            )
        ],
    )


@pytest.mark.layout("multi")
@pytest.mark.needs("puppet")
def test_a_list_that_mailman_would_repair_is_named_and_left_alone(server: Box) -> None:
    """Any of Mailman's programs that loads it would change it."""
    lists = f"{FOLDER}/lists/{FIRST.first_list}"
    names(
        server,
        [
            Change(
                f"the list {FIRST.first_list} of {FIRST.name} cannot be loaded as it is:"
                " config.pck is missing; Mailman goes back to config.pck.last",
                f"mv {lists}/config.pck {lists}/config.pck.last",
            ),
            Change(
                f"the list {LAST.first_list} of {LAST.name} cannot be loaded as it is:"
                " [Errno 13] Permission denied",
                f"chown root:root {whose().folder(LAST)}/lists/{LAST.first_list}/config.pck;"
                f" chmod 600 {whose().folder(LAST)}/lists/{LAST.first_list}/config.pck",
            ),
        ],
    )


@pytest.mark.layout("multi")
@pytest.mark.needs("puppet")
def test_steps_about_a_lock_are_run_when_there_is_one(server: Box, tmp_path: Path) -> None:
    clear = find("clear-lock")
    world.happen(server, tmp_path, clear, clear.befalls)
    before = state(server)
    done = verify(server, "--json")
    *steps, summary = objects(done)
    assert [one for one in steps if one["state"] != "holds"] == []
    assert (done.rc, summary["holding"]) == (0, len(steps))
    assert state(server) == before


@pytest.mark.layout("multi")
def test_what_a_step_prints_is_held_against_what_the_page_shows(
    server: Box, tmp_path: Path
) -> None:
    clear = find("clear-lock")
    world.happen(server, tmp_path, clear, clear.befalls)
    lock = f"{FOLDER}/locks/{whose().examples.list}.lock"
    # What the page says of a lock that Mailman made is not true of it any more.
    assert server.sh(f"chmod 600 {lock}").rc == 0
    done = verify(server, "clear-lock", "--json")
    (one,) = [one for one in objects(done)[:-1] if one["state"] == "differs"]
    assert one["anchor"] == "clear-lock-see-lock"
    assert "it does not print what the page shows: no line is '-rw-rw-r-- 2" in one["why"]


#: What is spoilt in ban.py, and what is said of the first step that this shows in.
SPOILT = (
    ("", "", {}),
    ("m.Save()", "pass", {f"ban-{FIRST.name}": "does not refuse target@example.com"}),
    ('say("%s: %s%s"', 'say("%s: not %s%s"', {f"ban-{FIRST.name}": "no line is"}),
    (
        "def add(m, address):",
        f"def add(m, address):\n    if m.internal_name() == {FIRST.lists[-1]!r}: raise KeyError(5)",
        {f"ban-{FIRST.name}": f"on a copy of the list {FIRST.lists[-1]}: KeyError: 5"},
    ),
    (
        'return "refuses", ',
        'return "refuses", "x" + ',
        {f"check-{FIRST.name}": "no line is"},
    ),
)


@pytest.mark.layout("multi")
def test_what_a_script_does_on_copies_is_judged(box: Box) -> None:
    world.make(box)
    found = discover(Host(box.spec))
    target, shell = Target.of(found), OnHost(found).ask
    steps = steps_of(find("ban"))
    here = look(target, INSTALLATION, ADDRESSES)
    calling = [
        (step, call)
        for step in steps
        for simple in split(step.command)
        if (call := call_of(simple, ["ban"]))
    ]
    before = state(box)
    for old, new, wanted in SPOILT:
        text = scripts_of(steps)["ban"]
        script = {"ban": text.replace(old, new)}
        calls = [call for _, call in calling]
        came = rehearse(target, here, shell, calls, script, ADDRESSES)
        faults = {step.name: came.fault(n, step.shows) for n, (step, _) in enumerate(calling)}
        for name, fault in wanted.items():
            assert fault in faults[name], (new, faults)
        assert any(faults.values()) is bool(wanted), (new, faults)
    assert state(box) == before


@pytest.mark.layout("single")
def test_a_server_with_other_sites_is_told_so_in_one_line(box: Box) -> None:
    new_list(box, "mailman", "announce")
    before = state(box)
    done = verify(box, "ban", "clear-lock")
    theirs = " and ".join(site.prefix for site in INSTALLATION.sites)
    told = f"  this page is about other sites: about {theirs}, and here is {box.prefix('mailman')}"
    assert told in done.stdout.splitlines()
    assert "Traceback" not in done.stdout + done.stderr
    assert done.rc == 1
    for site in whose().sites:
        assert f"there is no folder {whose().folder(site)} here" in done.stdout
    assert state(box) == before


@pytest.mark.layout("multi")
@pytest.mark.needs("puppet")
@pytest.mark.parametrize(
    ("number", "ends"),
    [
        (signal.SIGKILL, (-signal.SIGKILL, "")),
        (signal.SIGINT, (2, "runbook: interrupted; nothing was changed")),
    ],
)
def test_one_that_is_ended_in_the_middle_leaves_no_trace(
    server: Box, number: int, ends: tuple[int, str]
) -> None:
    before = state(server)
    running = subprocess.Popen(
        [sys.executable, "-m", "runbooks", "verify", "--host", server.spec],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(server, "ls -d /tmp/runbook-rehearsal-*/*", 60)
    running.send_signal(number)
    said = running.communicate(timeout=60)[1]
    assert (running.returncode, said.strip()) == ends
    until(server, "! ls -d /tmp/runbook-rehearsal-* && ! pgrep -u list", 60)
    assert state(server) == before
