"""``--update``: what was printed, on its way into the source; what is left, and what is said."""

from __future__ import annotations

import functools
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from runbooks.book.steps import Printed, Ran
from runbooks.procedures import find
from runbooks.testing.page.pages import Block
from runbooks.testing.page.parts import Part
from runbooks.testing.page.renewing import NotRenewedError
from runbooks.testing.page.updating import Updating
from runbooks.testing.page.walk import Outcome
from runbooks.testing.page.ways import ByCommand, ByHand, StepByStep
from tests.page.conftest import ROOT

PROCEDURE = find("scripted-change")
HAND = {step.name: step for step in ByHand().steps(PROCEDURE)}
OPENSTACK, ZUUL = "owners-openstack", "owners-zuul"


class Walking:
    """A walk, as far as it is asked here."""

    def __init__(self, version: str = "2.1.39") -> None:
        self.box = SimpleNamespace(version=version)
        self.outcomes: dict[tuple[str, str], Outcome] = {}
        self.reading = SimpleNamespace(place=lambda procedure, step: f"lists.html#{step}")

    def of(self, procedure, keep):
        return self

    def printed(self, name: str, text: str, status: int | None = 0) -> Outcome:
        step = HAND[name]
        ran = Ran(step, Printed(text, status), Owned(), "another")
        found = Outcome(step, Block("lists", "command", step.command, name), ran, "another")
        self.outcomes["by hand", name] = found
        return found


class Owned:
    """Each of two lists has an owner; the page's example is one of them, and right."""

    def subjects(self, part):
        return [(part.text, "admin@example.com"), ("other", "bob@example.com")]

    def value(self, part, subject):
        return subject


def lines(name: str, between: str) -> str:
    first = HAND[name].shows.partition(":")[2].partition("}")[0]
    return f"other{between}bob@example.com\n{first}{between}admin@example.com\n"


def update(*printed: tuple[str, str], refused: tuple[str, ...] = ()) -> Updating:
    """What is to be rewritten when steps print these between a list and its owner."""
    made, walking = Updating(), Walking()
    outcomes = {name: walking.printed(name, lines(name, between)) for name, between in printed}
    for name, outcome in outcomes.items():
        part = Part(PROCEDURE, HAND[name], ByHand())
        made.see(walking, part)
        if name not in refused:
            made.want(walking, part, outcome)
    return made


@pytest.fixture
def project(checkout: Path) -> Path:
    """A copy of the checkout that ruff knows how to format."""
    shutil.copy(ROOT / "pyproject.toml", checkout)
    return checkout


PAGE = "runbooks/scripted_change/page.py"
OLD, NEW = "{every_list(site)}: {_OWNERS}", "{every_list(site)} is {_OWNERS}"


def test_what_is_printed_now_is_in_the_source_and_said(project: Path):
    before = (project / PAGE).read_text(encoding="utf-8")
    made = update((OPENSTACK, " is "), (ZUUL, " is "))
    made.finish(project)
    assert (project / PAGE).read_text(encoding="utf-8") == before.replace(OLD, NEW)
    assert not made.is_left
    step = HAND[OPENSTACK]
    assert f"lists.html#{OPENSTACK} ({step.defined}) prints something else:" in made.lines
    at = made.lines.index("rewritten:")
    assert made.lines[at + 1] == f"  --- {PAGE}"
    assert [line.strip() for line in made.lines if OLD in line or NEW in line] == [
        f'-                f"{OLD}\\n{{MORE}}",',
        f'+                f"{NEW}\\n{{MORE}}",',
    ]


def test_what_is_left_is_said_and_nothing_is_rewritten(project: Path):
    """One step prints something else; the other one, of the same text, what it did before."""
    before = (project / PAGE).read_text(encoding="utf-8")
    made = update((OPENSTACK, " is "), (ZUUL, ": "), refused=(ZUUL,))
    made.finish(project)
    assert (project / PAGE).read_text(encoding="utf-8") == before
    assert made.is_left
    assert "rewritten:" not in made.lines
    [line] = [line for line in made.lines if line.startswith(f"lists.html#{OPENSTACK} (")]
    assert "left to you: the same text is in the output of scripted-change, owners-zuul" in line


def test_what_now_shows_something_else_and_was_not_run_is_named(project: Path):
    made = update((OPENSTACK, " is "))
    made.finish(project)
    assert not made.is_left
    shows = "now shows something else, and was not run: scripted-change, owners-zuul (2.1.39)"
    assert shows in made.lines


def test_a_line_that_has_become_too_long_is_named_and_the_file_is_formatted(project: Path):
    long = f" {'really ' * 12}is "
    made = update((OPENSTACK, long), (ZUUL, long))
    made.finish(project)
    told = [line for line in made.lines if "is longer than 100 characters now" in line]
    assert len(told) == 1
    assert told[0].startswith(f"{PAGE}:")


def test_without_anything_to_rewrite_nothing_is_done(project: Path):
    made = Updating()
    made.finish(project)
    assert made.lines == []
    assert not made.is_left


@pytest.mark.parametrize(
    ("way", "status", "why"),
    [
        (ByHand(), None, "it did not end"),
        (ByCommand(), None, "it did not end"),
        (ByCommand(), 1, "exit status 1"),
    ],
)
def test_a_step_that_failed_is_no_new_output(way, status, why):
    made, walking = Updating(), Walking()
    outcome = walking.printed(OPENSTACK, lines(OPENSTACK, " is "), status)
    with pytest.raises(NotRenewedError, match=why):
        made.want(walking, Part(PROCEDURE, HAND[OPENSTACK], way), outcome)
    assert made.wanted == {}


def test_what_another_judged_is_rewritten_only_as_it_was_seen_here():
    """``runbook --steps`` tells no more than that it differs."""
    made, walking = Updating(), Walking()
    hand, steps = (Part(PROCEDURE, HAND[OPENSTACK], way) for way in (ByHand(), StepByStep()))
    seen = walking.printed(OPENSTACK, lines(OPENSTACK, " is "))
    told = replace(seen, ran=replace(seen.ran, step=replace(seen.step, shows="")))
    walking.outcomes["step by step", OPENSTACK] = told
    with pytest.raises(NotRenewedError, match="step by step alone"):
        made.want(walking, steps, told)
    made.want(walking, hand, seen)
    made.want(walking, steps, told)
    assert len(made.wanted) == 1
    made.see(walking, hand)
    [wanted] = made.wanted.values()
    assert made.fits(wanted.key, wanted.new)
    assert not made.fits(wanted.key, wanted.shows)


class Gone(Owned):
    """Of a container that is removed before the end of the tests."""

    is_gone = False

    @functools.cache  # noqa: B019
    def subjects(self, part):
        assert not self.is_gone
        return super().subjects(part)


def test_a_server_is_asked_while_it_is_there(project: Path):
    made, walking = Updating(), Walking()
    for name, between in ((OPENSTACK, " is "), (ZUUL, " is ")):
        seen = walking.printed(name, lines(name, between))
        seen = replace(seen, ran=replace(seen.ran, truth=Gone()))
        walking.outcomes["by hand", name] = seen
        part = Part(PROCEDURE, HAND[name], ByHand())
        made.see(walking, part)
    made.want(walking, part, seen)
    Gone.is_gone = True
    made.finish(project)
    assert not made.is_left


def test_what_was_not_run_has_no_say():
    made, walking = Updating(), Walking()
    walking.printed(OPENSTACK, "", None)
    made.see(walking, Part(PROCEDURE, HAND[OPENSTACK], ByHand()))
    assert made.fits((PROCEDURE.name, OPENSTACK, "2.1.39"), "anything") is None


def test_what_is_not_printed_the_same_each_time_is_left_to_a_person():
    made, walking, other = Updating(), Walking(), Walking()
    part = Part(PROCEDURE, HAND[OPENSTACK], ByHand())
    made.want(walking, part, walking.printed(OPENSTACK, lines(OPENSTACK, " is ")))
    with pytest.raises(NotRenewedError, match="the same each time"):
        made.want(other, part, other.printed(OPENSTACK, lines(OPENSTACK, " was ")))
