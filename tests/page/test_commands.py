"""Every command of the page, run as it is printed, in a container like the server it is about.

A procedure is walked through once in a container, when the first of its tests is to be run; each
test then tells what came of its own step.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from runbooks.host.host import Host
from runbooks.mailman.documented import INSTALLATION
from runbooks.mailman.installation import discover
from runbooks.procedures import all_procedures
from tests.page import world
from tests.page.counting import Blocks
from tests.page.failure import NotTrueError, texts
from tests.page.parts import Part, parts
from tests.page.printing import Reading
from tests.page.renewing import NotRenewedError
from tests.page.updating import Updating
from tests.page.walk import Outcome, Walk, image_of
from tests.support.selection import Slot, skip_without

#: The procedures to walk, where not all are meant: for mutants.py, and while one is being written.
ONLY = os.environ.get("RUNBOOK_WALK_ONLY", "").split() or None


@pytest.mark.layout("multi")
def test_the_page_is_about_such_a_server(box):
    """What the commands are made from is what a server with these sites says of itself."""
    world.make(box)
    found = discover(Host(f"docker://{box.id}"))
    same = ("host", "version", "note", "python", "interpreter", "clock", "processors")
    assert dataclasses.replace(found, **{name: getattr(INSTALLATION, name) for name in same}) == (
        INSTALLATION
    )


@pytest.fixture(scope="session")
def walks(lists_page, boxes, ssh_boxes, tmp_path_factory) -> Callable[[Slot], Walk]:
    """The walk through the page in the container of a slot, begun when it is first asked for."""
    reading = Reading(lists_page, all_procedures())
    made: dict[Slot, Walk] = {}

    def get(slot: Slot) -> Walk:
        if slot not in made:
            box = boxes(slot)
            reached = ssh_boxes.get(box)
            assert not isinstance(reached, str), f"the page's commands need ssh: {reached}"
            folder = tmp_path_factory.mktemp("walk")
            programs, home = folder / "bin", folder / "home"
            programs.mkdir()
            home.mkdir()
            ssh = programs / "ssh"
            ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {reached.config} "$@"\n')
            ssh.chmod(0o755)
            made[slot] = Walk(
                reading, reached.box, image_of(box), home, f"{programs}:{os.environ['PATH']}"
            )
        return made[slot]

    return get


@pytest.fixture
def walk(slot, boxes, walks, request) -> Walk:
    (programs,) = [mark.args for mark in request.node.iter_markers("needs")]
    skip_without(boxes(slot), programs, request.config.getoption("--mailman-image"))
    return walks(slot)


@pytest.mark.layout("multi")
@pytest.mark.needs("puppet")
@pytest.mark.timeout(1500)
@pytest.mark.filterwarnings("ignore:record_xml_attribute is an experimental feature")
@pytest.mark.parametrize("part", parts(ONLY), ids=str)
def test_step(
    part: Part,
    walk: Walk,
    write_records,
    blocks_run: Blocks,
    record_of_part,
    updating: Updating | None,
):
    walked = walk.of(part.procedure, write_records)
    if updating is not None:
        updating.see(walk, part)
    blocks_run.run.update(outcome.block.place for outcome in walked.outcomes.values())
    on = f"Mailman {walk.box.version} on Python {walk.box.python}"
    place = f"{walk.reading.page.name}.html#{part}, on {on}"
    if part.step is None or part.way is None:
        if walked.differing is None:
            raise NotTrueError(place, part.defined, f"not compared: {walked.why_not('')}")
        if walked.differing:
            told = {"differs": "\n".join(walked.differing)}
            raise NotTrueError(place, part.defined, "the ways do not end in the same state", told)
        return
    outcome = walked.outcomes.get((part.way.name, part.step.name))
    step = outcome.step if outcome else part.step
    printed = outcome.ran.printed.text if outcome else ""
    told = texts(step.command, step.shows, printed)
    record_of_part(told)
    here = walk.reading.place(part.procedure, part.step.name)
    if wrong := [fault.what for fault in walk.reading.faults if fault.place == here]:
        raise NotTrueError(place, part.defined, "; ".join(wrong), told)
    if outcome is None:
        raise NotTrueError(place, part.defined, f"not reached: {walked.why_not(part.way.name)}")
    if outcome.trouble and updating is not None:
        with told_of(place, outcome, told):
            updating.want(walk, part, outcome)
        pytest.xfail("it prints something else: see the end of this run")
    if outcome.trouble:
        raise NotTrueError(place, step.defined, outcome.trouble, told)


@contextmanager
def told_of(place: str, outcome: Outcome, told: Mapping[str, str]) -> Iterator[None]:
    """Says of an output that is not rewritten what it is, and why it is left to a person."""
    try:
        yield
    except NotRenewedError as problem:
        why = f"{outcome.trouble}; left to you: {problem}"
        raise NotTrueError(place, outcome.step.defined, why, told) from None
