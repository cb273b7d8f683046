"""Every procedure by hand, by command and step by step, on a host with one site.

On one with several, as the pages have it, the tests of the pages do the same.
"""

from __future__ import annotations

import shlex
from dataclasses import fields, replace
from typing import Any

import pytest

from runbooks.book.procedure import Event, Step, anchor, paste
from runbooks.book.steps import on_terminal
from runbooks.host.host import Host
from runbooks.mailman.installation import Installation, discover
from runbooks.procedures import all_procedures, find
from runbooks.testing.containers.box import Box, Result, shell_of
from runbooks.testing.page import state
from tests.support.command import runbook
from tests.support.lockers import new_list, objects
from tests.support.steps import faults

SITE = "mailman"
LISTS = ("openstack-announce", "openstack-discuss", "openstack-foo")
PASSWORD = "of a list"


def arguments(name: str) -> Any:
    """What the page has, for the one site that there is here, and without Puppet."""
    example = find(name).example
    names = {field.name for field in fields(example)}
    changes: dict[str, Any] = {"site": SITE} if "site" in names else {}
    if name == "add-list":
        changes |= {"direct": True, "name": "openstack-new"}
    if "single" in names:
        changes["single"] = LISTS[0]
    return replace(example, **changes)


def befall(box: Box, found: Installation, name: str) -> None:
    """Bring about what a procedure is there for."""
    procedure = find(name)
    if procedure.after:
        by_command(box, procedure.after)
    event = procedure.befalls(found, arguments(name)) if procedure.befalls else Event()
    done = box.sh(event.script)
    assert done.rc == 0, done


def by_command(box: Box, name: str) -> None:
    words = find(name).command(arguments(name))
    done = runbook(box.spec, *words, "--yes", env={"RUNBOOK_LIST_PASSWORD": PASSWORD})
    assert done.returncode == 0, done.stdout + done.stderr


def by_hand(box: Box, found: Installation, steps: tuple[Step, ...]) -> None:
    """Each step as a reader pastes it, as root; what it prints has to be true."""

    def run(step: Step) -> str:
        if step.asks:
            words = ["docker", "exec", "-it", box.id, "sh", "-c", paste(step)]
            return on_terminal(shlex.join(words), step.asks, PASSWORD).text
        done: Result = box.sh(f"{{ {paste(step)}\n}} 2>&1 < /dev/null")
        return done.stdout

    assert faults(found, shell_of(box), steps, run) == []


def step_by_step(box: Box, name: str, steps: tuple[Step, ...]) -> None:
    procedure = find(name)
    words = (procedure.by_steps or procedure.command)(arguments(name))
    variable = {"RUNBOOK_LIST_PASSWORD": PASSWORD}
    done = runbook(box.spec, *words, "--steps", "--yes", "--json", env=variable)
    assert done.returncode == 0, done.stdout + done.stderr
    ran = [one for one in objects(done) if "step" in one]
    assert [one["step"] for one in ran] == [anchor(name, step.name) for step in steps]
    assert [one["command"] for one in ran] == [paste(step) for step in steps]
    assert [one["differs"] for one in ran] == [""] * len(steps)


@pytest.mark.layout("single")
@pytest.mark.parametrize("name", [procedure.name for procedure in all_procedures()])
def test_three_ways_to_the_same_state(box: Box, name: str) -> None:
    new_list(box, SITE, *LISTS, SITE)
    found = discover(Host(box.spec))
    assert [site.name for site in found.sites] == [SITE]
    befall(box, found, name)
    start = state.keep(box)
    steps = find(name).steps(found, arguments(name))
    made = {step.creates.path for step in steps if step.creates}

    by_command(box, name)
    ends = {"by command": state.state(box)}
    state.put_back(box, start)
    by_hand(box, found, steps)
    ends["by hand"] = state.state(box)
    state.put_back(box, start)
    step_by_step(box, name, steps)
    ends["step by step"] = state.state(box)

    commanded = ends.pop("by command")
    for way, end in ends.items():
        kept = {path: what for path, what in end.items() if path not in made}
        assert state.differences(kept, commanded, way, "by command") == []
