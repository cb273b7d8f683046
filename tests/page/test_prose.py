"""Every literal in a sentence names something that there is, or is marked as what it is.

Three sources: the pages, the troubles that they print, and the help texts of the command, which
the page *The command runbook* has.
"""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runbooks.book.procedure import paste
from runbooks.book.whose import whose
from runbooks.mailman.printed import steps_of
from runbooks.procedures import all_procedures
from runbooks.sphinxext.blocks import PACKAGE
from runbooks.sphinxext.roles import EXAMPLE
from runbooks.testing.containers.box import PROGRAMS, Box
from runbooks.testing.page import pages, reader, world
from runbooks.testing.page.pages import Page
from tests.page.asked import Server, files_of
from tests.page.literals import Literal, literals
from tests.page.lookup import Lookup, command_fault, words

#: For withlist.
HOLDS = """
import email
from Mailman import Message
def holds(m):
    m.Lock()
    try:
        text = "From: someone@example.com\\nSubject: held\\n\\nbody\\n"
        m.HoldMessage(email.message_from_string(text, Message.Message), "page", {})
        m.pend_new("S", "what")
        m.Save()
    finally:
        m.Unlock()
"""


@pytest.fixture(scope="session")
def every_literal(built: Path) -> list[Literal]:
    return [one for name in pages.names(built) for one in literals(Page(built, name))]


def faults(lookup: Lookup, found: list[Literal]) -> str:
    """A line for each literal that is false, or nothing."""
    lines = filter(None, map(lookup.fault, found))
    return "\n".join(["", *dict.fromkeys(lines)]).rstrip()


def test_a_literal_of_the_command_or_of_the_repository_names_something(every_literal):
    found = faults(Lookup(), every_literal)
    assert not found, found


WALK = "RUNBOOK_WALK_ONLY=moderation tox -e page -- -k test_step"

#: A literal of the pages, and a false one.
MISSPELT = (
    ("--record", "--recrod"),
    ("tox -e page -- --update", "tox -e page -- --updaet"),
    ("--layout", "--lay-out"),
    ("-k", "-K"),
    (WALK, WALK.replace("ONLY", "ONYL")),
    (WALK, WALK.replace("moder", "modre")),
    (WALK, WALK.replace("page", "pages")),
    (WALK, WALK.replace("page", "docs")),
    (WALK, WALK.replace("-k", "-K")),
    (WALK, WALK.replace("test_step", "tset_step")),
    ("runbook clear-lock --gone", "runbook clear-lock --gnoe"),
    ("runbook clear-lock --gone", "runbook clear-lok --gone"),
    ("runbook clear-lock --gone", "runbook ban --gone"),
    ("runbook clear-lock --gone", "runbook clear-lock --stael --gone"),
    ("{OWNERS:admin@example.com}", "{OWNER:admin@example.com}"),
    ("{LIST openstack:openstack-announce}", "{LIST_OF openstack:openstack-announce}"),
)


# With the texts as their names, `-k tset_step` would choose one of these.
@pytest.mark.parametrize(("true", "false"), MISSPELT, ids=range(len(MISSPELT)))
def test_a_misspelt_literal_in_the_place_of_a_true_one_is_refused(every_literal, true, false):
    """Of those about which no list server is asked."""
    place = next(one for one in every_literal if one.text == true)
    assert Lookup().fault(place) is None
    assert Lookup().fault(dataclasses.replace(place, text=false))


def test_each_command_line_of_runbook_in_a_block_is_one(built):
    """Those of the examples in `--help`, and of the pages."""
    seen, false = 0, []
    for name in pages.names(built):
        for block in Page(built, name).blocks:
            for line in re.sub(r"\s*\\\n\s*", " ", block.text).splitlines():
                example = re.split(r"\s{2,}", line.strip())[0]
                if re.match(r"runbook (?!.*\[)", example):
                    seen += 1
                    why = command_fault(words(example))
                    false += [f"{block.place}: {example}: {why}"] if why else []
    assert not false, "\n".join(["", *false])
    assert seen > 30


@pytest.mark.layout("multi")
@pytest.mark.needs("puppet")
@pytest.mark.timeout(600)
def test_a_literal_names_something_on_the_list_server(box, every_literal, tmp_path):
    world.make(box)
    there = files_of(box)
    for procedure in all_procedures():
        world.befall(box, tmp_path, procedure)
        there |= files_of(box)
        with reader.Shell(box) as shell:
            for step in steps_of(procedure):
                shell.paste(paste(step))
        there |= files_of(box)
    site = whose().first
    have_an_error_logged(box, site.name, site.first_list)
    hold_a_message(box, site.name, site.first_list)
    there |= after_a_command(box, site.name)
    lookup = Lookup(Server(box, site.name, site.first_list, there))
    found = faults(lookup, every_literal)
    assert not found, found
    passed = [text for text in FALSE if lookup.fault(literal(text)) is None]
    assert not passed
    assert lookup.fault(literal("remove_members", EXAMPLE))
    assert lookup.fault(literal("target@example.com", EXAMPLE)) is None


#: One of each kind that this list server has to refuse.
FALSE = (
    "remove_member",
    "withlist -z",
    "mailmanctl strat",
    "find /srv -mindepht 1",
    "rm -r /srv/mailman/opnstack/runbook",
    "/etc/mailman/sitez",
    "MAILMAN_SITE_DIR=/srv/mailman/opnstack",
    "MAILMAN_SITES_DIR",
    "GLOBAL_BAN_LISTS",
    "admin_imed_notify",
    "MMCorruptListDatabasError",
    "config.pkc",
    "qfiles/shnut",
    "m.Lok()",
    "m.Lock(timeuot=10)",
    "Please set MAILMAN_SITEDIR",
    "ImportError: No module called owners",
    "$listpasword",
    "Z",
    "kill -KLIL",
    "kill -CNOT",
    "pgrep -az bin/qrunner",
    "pgrep -af bin/qrunenr",
    "fgg",
    "NotLockdError",
    "AsertionError",
    "retruned 1",
    "Eror",
    "requests.pck",
    "doc/record.json",
    "record.json",
    "procedurs",
    "ssh_boxs",
    ".. shared-page:: backgruond",
    ".. procedur:: ban",
)


def literal(text: str, mark: str = "") -> Literal:
    """One that has nothing around it."""
    return Literal("lists", "mailing-lists", text, mark, (), (), (), ())


@pytest.mark.layout("single")
def test_a_path_of_a_host_with_one_site_is_there(box, every_literal):
    (site,) = box.sites
    for name in ("mailman", "alpha"):
        world.mailman(box, site, ["newlist", "-q", name, world.ADMIN, "page"])
    lookup = Lookup(Server(box, site, "alpha", after_a_command(box, site)))
    paths = [one for one in every_literal if one.text.startswith("/var/lib/mailman/")]
    assert paths
    found = faults(lookup, paths)
    assert not found, found
    assert lookup.fault(literal("/var/lib/mailman/runbok"))


def have_an_error_logged(box: Box, site: str, name: str) -> None:
    """A subscription meets a ban that is no regular expression; Mailman logs that and goes on."""
    world.configure(box, site, name, {"ban_list": ["^[bad"]})
    add = ["add_members", "-w", "n", "-a", "n", "-r", "-", name]
    world.mailman(box, site, add, stdin="someone@example.com\n")


def hold_a_message(box: Box, site: str, name: str) -> None:
    """A list holds a message, and waits for a confirmation; both have files of their own."""
    box.put("/tmp/page_holds.py", HOLDS)
    done = box.run(
        [f"{PROGRAMS}/withlist", "-q", "-r", "page_holds.holds", name],
        user="list",
        env={**box.environment(site), "PYTHONPATH": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.rc == 0, done.stdout + done.stderr
    assert box.run(["rm", "/tmp/page_holds.py"]).rc == 0


def after_a_command(box: Box, site: str) -> set[str]:
    """The files that Mailman and ``runbook`` leave where they have been at work."""
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "runbooks",
                "withlist",
                str(PACKAGE / "onhost" / "pasted" / "closing.py"),
            ),
            *("--function", "close", "--yes", "--host", box.spec),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    start = [f"{PROGRAMS}/mailmanctl", "-q", "start"]
    assert box.run(start, env=box.environment(site)).rc == 0
    deadline = "for try in $(seq 100); do [ -e locks/master-qrunner ] && exit; sleep 0.1; done"
    assert box.sh(f"cd {box.prefix(site)} && {deadline}").rc == 0
    return files_of(box)
