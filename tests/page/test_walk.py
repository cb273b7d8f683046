"""What a walk makes of steps that fail, that do not end, and of an end that comes too early."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from runbooks.book.steps import Printed, Ran
from runbooks.book.whose import whose
from runbooks.mailman.printed import STATE
from runbooks.procedures import all_procedures, find
from runbooks.sphinxext.verification import FAILED, PASSED
from runbooks.testing.page import state, world
from runbooks.testing.page.printing import Reading
from runbooks.testing.page.walk import Walk
from runbooks.testing.page.ways import ByCommand, ByHand

BOX = SimpleNamespace(version="2.1.39", is_standin=True, python="2.7", layout="multi")
PROCEDURE = find("scripted-change")
HAND = [step.name for step in ByHand().steps(PROCEDURE)]
WAYS = (ByCommand(), ByHand())


class Wrapped:
    """One of the real ways, whose steps print what a test has them print."""

    def __init__(self, way, printed, log):
        self.way, self.printed, self.log = way, printed, log
        self.name, self.status, self.steps = way.name, way.status, way.steps

    def go(self, server, steps):
        for step in steps:
            self.log.append((self.name, step.name))
            came = self.printed.get((self.name, step.name), "")
            if isinstance(came, BaseException):
                raise came
            status = None if came == "it did not end" else 0
            truth = SimpleNamespace(subjects=lambda part: [(part.text, None)])
            truth.value = lambda part, subject: part.text
            yield Ran(replace(step), Printed(came, status), truth, came)


@pytest.fixture
def run() -> set[str]:
    """The places of the blocks that were run."""
    return set()


@pytest.fixture
def walk_of(monkeypatch, tmp_path_factory, lists_page, run):
    """Walks through a procedure; what came of it, its records, and the steps that were begun."""
    monkeypatch.setattr(state, "put_back", lambda box, kept: None)
    monkeypatch.setattr(state, "keep", lambda box: None)
    monkeypatch.setattr(world, "befall", lambda box, folder, procedure: None)
    monkeypatch.setattr(Walk, "_begin", lambda self: (None, None))

    def walk(printed, ends=({}, {}), procedure=PROCEDURE, real=WAYS):
        run.clear()
        log, kept, left = [], [], iter(({}, *ends))
        monkeypatch.setattr(state, "state", lambda box: dict(next(left)))
        ways = [Wrapped(way, printed, log) for way in real]
        home = tmp_path_factory.mktemp("home")
        made = Walk(Reading(lists_page, all_procedures()), BOX, "image", home, "", run, ways)
        try:
            walked = made.of(procedure, kept.extend)
        except KeyboardInterrupt:
            walked = None
        assert made.of(procedure, kept.extend).outcomes.keys() <= {*log}
        return walked, kept, log

    return walk


def results(records):
    return [(record.step, record.result) for record in records]


ALL = [("command", PASSED), *((name, PASSED) for name in HAND), (STATE, PASSED)]


def test_each_way_and_the_states_it_ends_in_are_recorded_once(walk_of):
    walked, records, log = walk_of({})
    assert results(records) == ALL
    assert len(log) == len(ALL) - 1
    assert walked.differing == []
    assert not any(outcome.trouble for outcome in walked.outcomes.values())


def test_a_step_that_fails_hides_none_of_the_others(walk_of):
    walked, records, _ = walk_of({("by hand", HAND[0]): "something else"})
    troubles = {name: outcome.trouble for name, outcome in walked.outcomes.items()}
    assert troubles.pop(("by hand", HAND[0])) == "something else"
    assert len(troubles) == len(ALL) - 2
    assert not any(troubles.values())
    assert [result for _, result in results(records)].count(FAILED) == 1
    assert walked.differing == []


def test_a_step_that_does_not_end_stops_its_way_and_no_other(walk_of):
    walked, records, log = walk_of({("by command", "command"): "it did not end"})
    assert walked.outcomes["by command", "command"].trouble == "it did not end"
    assert {name for way, name in log if way == "by hand"} == {*HAND}
    assert walked.differing is None
    assert "lists.html#scripted-change-command stopped it" in walked.why_not("")
    assert STATE not in [record.step for record in records]
    walked, records, log = walk_of({("by hand", HAND[0]): "it did not end"})
    assert ("by hand", HAND[1]) not in log
    assert walked.why_not("by hand").startswith(f"lists.html#scripted-change-{HAND[0]} stopped it")
    assert results(records) == [("command", PASSED), (HAND[0], FAILED)]


def test_an_error_is_told_of_what_it_kept_from_being_run(walk_of):
    walked, records, _ = walk_of({("by hand", HAND[1]): OSError("no engine")})
    assert ("by hand", HAND[0]) in walked.outcomes
    assert ("by hand", HAND[1]) not in walked.outcomes
    assert walked.why_not("by hand") == f"after {HAND[0]}, by hand: OSError: no engine"
    assert walked.differing is None
    assert results(records) == ALL[:2]


def test_an_interrupt_leaves_the_records_of_what_was_run_and_no_more(walk_of, run):
    walked, records, log = walk_of({("by hand", HAND[1]): KeyboardInterrupt()})
    assert walked is None
    assert results(records) == ALL[:2]
    assert log[-1] == ("by hand", HAND[1])
    assert run == {f"lists.html#{PROCEDURE.name}-{name}" for name in ("command", HAND[0])}


def test_ends_that_differ_are_told_and_are_a_failure(walk_of):
    walked, records, _ = walk_of({}, ends=({"/a": "x"}, {"/a": "y"}))
    assert walked.differing == ["/a: 'y' by hand and 'x' by command"]
    assert results(records)[-1] == (STATE, FAILED)


def test_each_end_is_compared_with_that_of_the_first_way(walk_of):
    third = ByHand()
    third.name = "a third way"
    ends = ({"/a": "x"}, {"/a": "x"}, {"/a": "y"})
    walked, records, log = walk_of({}, ends=ends, real=(*WAYS, third))
    assert walked.differing == ["/a: 'y' a third way and 'x' by command"]
    assert {way for way, _ in log} == {"by command", "by hand", "a third way"}
    assert results(records)[-1] == (STATE, FAILED)


def test_what_only_the_reader_has_is_no_difference(walk_of):
    [path] = {step.creates.path for step in ByHand().steps(PROCEDURE) if step.creates}
    walked, _, _ = walk_of({}, ends=({}, {path: b"text"}))
    assert walked.differing == []
    walked, _, _ = walk_of({}, ends=({path: b"text"}, {path: b"other"}))
    assert walked.differing == [f"{path}: b'other' by hand and b'text' by command"]


def test_what_takes_back_has_to_leave_the_lists_as_they_were(walk_of):
    changed = {"/x/config.pck": {"a": 1}}
    walked, records, _ = walk_of({}, ends=(changed, changed), procedure=find("unban"))
    assert walked.differing == ["/x/config.pck: nothing before and a list afterwards"]
    assert results(records)[-1] == (STATE, FAILED)


def test_others_want_the_list_whose_lock_is_cleared_and_no_other():
    wanted = {one.name: one.wanted(one.example) for one in all_procedures() if one.wanted}
    assert wanted == {"clear-lock": (whose().first.name, whose().examples.list)}
