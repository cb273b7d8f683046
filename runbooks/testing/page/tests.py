"""Every command of the page, run as it is printed, in a container like the server it is about.

A project has them by ``from runbooks.testing.page.tests import *`` in one of its own tests.

A procedure is walked through once in a container, when the first of its tests is to be run; each
test then tells what came of its own step.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from runbooks.host.host import Host
from runbooks.mailman.documented import INSTALLATION
from runbooks.mailman.installation import discover
from runbooks.procedures import all_procedures
from runbooks.sphinxext.verification import Record
from runbooks.testing.containers.box import Box
from runbooks.testing.page import world
from runbooks.testing.page.failure import NotTrueError, texts
from runbooks.testing.page.options import PLUGIN
from runbooks.testing.page.pages import Page
from runbooks.testing.page.parts import Part, parts
from runbooks.testing.page.printing import Reading
from runbooks.testing.page.renewing import NotRenewedError
from runbooks.testing.page.walk import Outcome, Walk, Walked

if TYPE_CHECKING:
    from runbooks.testing.page.updating import Updating

#: pytest itself loads what a module of tests names so; the name goes along with the tests.
pytest_plugins = [PLUGIN]

__all__ = [
    "pytest_plugins",
    "test_step",
    "test_the_page_is_about_such_a_server",
    "test_the_page_prints_every_procedure_and_nothing_that_no_test_runs",
]

#: The procedures to walk, where not all are meant: for mutants.py, and while one is being written.
ONLY = os.environ.get("RUNBOOK_WALK_ONLY", "").split() or None


@pytest.mark.layout("multi")
def test_the_page_is_about_such_a_server(box: Box) -> None:
    """What the commands are made from is what a server with these sites says of itself."""
    world.make(box)
    found = discover(Host(f"docker://{box.id}"))
    same = ("host", "version", "note", "python", "interpreter", "clock", "processors")
    assert dataclasses.replace(found, **{name: getattr(INSTALLATION, name) for name in same}) == (
        INSTALLATION
    )


def test_the_page_prints_every_procedure_and_nothing_that_no_test_runs(lists_page: Page) -> None:
    reading = Reading(lists_page, all_procedures())
    assert not reading.faults, "\n".join(["", *map(str, reading.faults)])
    printed = [printing.procedure.name for printing in reading.printings]
    assert printed == [procedure.name for procedure in all_procedures()]


@pytest.mark.layout("multi")
@pytest.mark.needs("puppet")
@pytest.mark.timeout(1500)
@pytest.mark.filterwarnings("ignore:record_xml_attribute is an experimental feature")
@pytest.mark.parametrize("part", parts(ONLY), ids=str)
def test_step(
    part: Part,
    walk: Walk,
    write_records: Callable[[Sequence[Record]], None],
    record_of_part: Callable[[Mapping[str, str]], None],
    updating: Updating | None,
) -> None:
    walked = walk.of(part.procedure, write_records)
    if updating is not None:
        updating.see(walk, part)
    on = f"Mailman {walk.box.version} on Python {walk.box.python}"
    place = f"{walk.reading.page.name}.html#{part}, on {on}"
    if part.step is None or part.way is None:
        if walked.differing is None:
            leave_for_the_next_run(updating, part, walked)
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
    if outcome is None or outcome.ran.printed.status is None:
        leave_for_the_next_run(updating, part, walked)
    if outcome is None:
        raise NotTrueError(place, part.defined, f"not reached: {walked.why_not(part.way.name)}")
    if outcome.trouble and updating is not None:
        with told_of(place, outcome, told):
            updating.want(walk, part, outcome)
        pytest.xfail("it prints something else: see the end of this run")
    if outcome.trouble:
        raise NotTrueError(place, step.defined, outcome.trouble, told)


def leave_for_the_next_run(updating: Updating | None, part: Part, walked: Walked) -> None:
    """End a test with ``--update`` where a way ended early, at an output that is rewritten."""
    if updating is not None and walked.left and updating.rewrites(part.procedure):
        pytest.xfail("not run, behind what prints something else: run it again")


@contextmanager
def told_of(place: str, outcome: Outcome, told: Mapping[str, str]) -> Iterator[None]:
    """Says of an output that is not rewritten what it is, and why it is left to a person."""
    try:
        yield
    except NotRenewedError as problem:
        why = f"{outcome.trouble}; left to you: {problem}"
        raise NotTrueError(place, outcome.step.defined, why, told) from None
