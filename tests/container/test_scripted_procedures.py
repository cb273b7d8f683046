"""*Scripted Changes to Lists*, by hand and by command: the same output, the same lists after."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest

from runbooks.book import expected
from runbooks.book.procedure import Procedure, Step, paste
from runbooks.host.host import Host
from runbooks.mailman.installation import discover
from runbooks.mailman.truth import Witness
from runbooks.onhost import source
from runbooks.scripted_change.page import CLOSE, FIND, OPEN, PROCEDURE
from runbooks.testing.containers.box import PROGRAMS, Box, shell_of
from tests.support.lockers import Actor, names, new_list, play, runbook, until
from tests.support.steps import faults


def lists(box: Box) -> None:
    for site in box.sites:
        new_list(box, site, "mailman", f"{site}-announce", f"{site}-discuss")


def states(box: Box) -> dict[tuple[str, str], dict[str, Any]]:
    found = {}
    for site in box.sites:
        folder = f"{box.prefix(site)}/lists"
        for name in box.run(["ls", folder]).stdout.split():
            data = box.read_bytes(f"{folder}/{name}/config.pck")
            found[site, name] = pickle.loads(data, encoding="latin1")
    return found


def by_hand(box: Box, procedure: Procedure) -> None:
    installation = discover(Host(box.spec))

    def run(step: Step) -> str:
        done = box.sh(paste(step) + "\n")
        assert done.rc == 0, done.stderr
        return done.stdout + done.stderr

    steps = procedure.steps(installation, procedure.example)
    assert not faults(installation, shell_of(box), steps, run)


def by_command(box: Box, procedure: Procedure) -> list[str]:
    """Do it, and what the script printed."""
    wanted = next(line for line in procedure.shows.splitlines() if line.startswith("{LIST"))
    witness = Witness(discover(Host(box.spec)), shell_of(box), [wanted])
    witness.sees(wanted)
    done = runbook(box, *procedure.command(procedure.example), "--yes")
    assert done.rc == 0, done.stdout + done.stderr
    names = rf"{'|'.join(name for _, name in states(box))}"
    printed = [
        line for line in done.stdout.splitlines() if re.match(rf"({names})( \(\S+\))?: ", line)
    ]
    assert printed
    assert not expected.fault(wanted, "\n".join(printed), witness.truth())
    return printed


def set_policy(box: Box, site: str, name: str, policy: int) -> None:
    box.put("/tmp/policy", f"subscribe_policy = {policy}\n")
    done = box.run(
        [f"{PROGRAMS}/config_list", "-i", "/tmp/policy", name], env=box.environment(site)
    )
    assert done.rc == 0, done.stderr


@pytest.mark.parametrize("procedure", [PROCEDURE, FIND], ids=lambda one: one.name)
def test_looking_changes_nothing_either_way(box: Box, procedure: Procedure) -> None:
    lists(box)
    before = states(box)
    by_hand(box, procedure)
    assert states(box) == before
    assert len(by_command(box, procedure)) == len(before)
    assert states(box) == before


def test_closing_and_opening_end_in_the_same_state_either_way(box: Box) -> None:
    lists(box)
    site = next(iter(box.sites))
    set_policy(box, site, f"{site}-discuss", 3)
    before = states(box)
    by_hand(box, CLOSE)
    closed = states(box)
    assert {state["subscribe_policy"] for state in closed.values()} == {2}
    by_hand(box, OPEN)
    assert states(box) == before
    by_command(box, CLOSE)
    assert states(box) == closed
    by_command(box, OPEN)
    assert states(box) == before


def test_closing_twice_does_not_lose_what_was_there(box: Box) -> None:
    lists(box)
    site = next(iter(box.sites))
    set_policy(box, site, f"{site}-discuss", 3)
    before = states(box)
    arguments = CLOSE.command(CLOSE.example)
    assert runbook(box, *arguments, "--yes").rc == 0
    again = runbook(box, *arguments, "--yes")
    assert again.rc == 0
    assert f"{len(before)} lists: {len(before)} unchanged" in again.stdout
    # Somebody opened one list meanwhile: that is left as it is.
    set_policy(box, site, f"{site}-announce", 1)
    set_policy(box, site, "mailman", 3)
    opened = runbook(box, *OPEN.command(OPEN.example), "--yes")
    assert opened.rc == 0
    assert "open, and left as somebody set it since" in opened.stdout
    after = states(box)
    before[site, "mailman"]["subscribe_policy"] = 3
    assert after == before


def test_explain_prints_what_can_be_pasted(box: Box) -> None:
    lists(box)
    shown = runbook(box, "withlist", "closing.py", "--function", "close", "--explain")
    assert shown.rc == 0
    done = box.sh(shown.stdout)
    assert done.rc == 0, done.stderr
    assert {state["subscribe_policy"] for state in states(box).values()} == {2}


@pytest.mark.layout("single")
def test_a_list_that_is_removed_while_they_wait_for_it_does_not_end_the_scripts(box: Box) -> None:
    """``rmlist`` does not ask for the lock. ``withlist -a`` visits the lists after it as well."""
    (site,) = box.sites
    new_list(box, site, "alpha", "zeta")
    locks = f"{box.prefix(site)}/locks"
    play(box, site, [Actor("alpha", fate="killed")])
    stale = " ".join(f"{locks}/{name}" for name in names(box, site))
    calls = {
        "ban": "-a -r ban target@example.com",
        "closing": "-a -r closing.close",
        "waiting": "-a -r waiting.discard target@example.com",
        "catch_up": "-r catch_up alpha",
    }
    for module, call in calls.items():
        box.put(f"{PROGRAMS}/{module}.py", source(module))
        box.sh(f"{PROGRAMS}/withlist -q {call} > /tmp/{module}.said 2>&1 &", user="list")
    until(box, f"[ $(ls {locks}/alpha.lock.* | wc -l) -eq {1 + len(calls)} ]")
    assert box.run([f"{PROGRAMS}/rmlist", "-a", "alpha"]).rc == 0
    box.sh(f"rm {stale}")
    until(box, f"[ -z \"$(ls -A {locks})\" ] && ! pgrep -f '[b]in/withlist'", 30)
    said = {module: box.read(f"/tmp/{module}.said") for module in calls}
    assert said == {
        "ban": "alpha: removed by another process, not changed\nzeta: banned\n",
        "closing": "alpha: removed by another process, not changed\nzeta: closed\n",
        "waiting": "alpha: removed by another process, nothing discarded\nzeta: nothing waits\n",
        "catch_up": "alpha: removed by another process, not changed\n",
    }
