"""Printed steps, carried out one at a time."""

from __future__ import annotations

import os
from collections.abc import Sequence

from runbooks.book.expected import Part
from runbooks.book.procedure import Step, paste
from runbooks.book.steps import Printed, go_through, in_shell, on_terminal


class Count:
    """Of a file whose length is what `LISTS` means: true before a step is not true after it."""

    def __init__(self, path, shows: Sequence[str]) -> None:
        self.path, self.shows, self.seen = path, list(shows), []

    def sees(self, shows: str) -> None:
        self.seen.append((shows, self.path.read_text()))

    def truth(self):
        return Truth(str(len(self.path.read_text())))


class Truth:
    def __init__(self, length: str) -> None:
        self.length = length

    def subjects(self, part: Part):
        raise AssertionError(part)

    def value(self, part: Part, subject: object) -> str:
        return self.length


def step(command: str, shows: str) -> Step:
    return Step(command, command, "", command, shows)


def in_a_shell(step: Step) -> Printed:
    return in_shell(paste(step), lambda line: None)


def test_each_step_is_judged_by_what_is_true_once_it_has_ended(tmp_path):
    path = tmp_path / "file"
    path.write_text("x")
    steps = [
        step(f"printf x >> {path}; echo 2", "{LISTS:7}"),
        step(f"printf x >> {path}; echo 2", "{LISTS:7}"),
        step("echo oops >&2; exit 3", "oops"),
    ]
    made = []

    def witness(shows):
        made.append(Count(path, shows))
        return made[0]

    found = list(go_through(steps, in_a_shell, witness))
    assert [bool(ran.fault) for ran in found] == [False, True, False]
    assert found[1].fault == "no line is '3' where one has to be"
    assert [ran.step for ran in found] == steps
    assert [ran.printed.status for ran in found] == [0, 0, 3]
    assert made[0].shows == [one.shows for one in steps]
    assert made[0].seen == [("{LISTS:7}", "x"), ("{LISTS:7}", "xx"), ("oops", "xxx")]


def test_no_step_is_carried_out_before_it_is_asked_for(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    steps = [step(f"printf x >> {path}", ""), step(f"printf y >> {path}", "")]
    going = go_through(steps, in_a_shell, lambda shows: Count(path, shows))
    assert not next(going).fault
    assert path.read_text() == "x"


def test_a_step_that_does_not_end_is_wrong_whatever_it_printed(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    (ran,) = go_through(
        [step("sleep 600", "")], lambda step: Printed("", None), lambda shows: Count(path, shows)
    )
    assert ran.fault == "it did not end"


def test_a_shell_is_heard_line_by_line_and_has_no_input():
    heard = []
    kept, (reading, writing) = os.dup(0), os.pipe()
    try:
        os.write(writing, b"of the caller's own\n")
        os.close(writing)
        os.dup2(reading, 0)
        printed = in_shell("echo one; echo two >&2; cat; exit 4", heard.append)
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(reading)
    assert printed == Printed("one\ntwo\n", 4)
    assert heard == ["one", "two"]


def test_a_secret_is_typed_when_it_is_asked_for_and_not_before():
    ask = "stty -echo; printf 'user: '; sleep 0.1; printf '\\nInitial password: '; read it; echo; "
    printed = on_terminal(f'{ask} echo "it is $it"; exit 5', "password", "s3cret")
    assert printed.text.split("\r\n") == ["user: ", "Initial password: ", "it is s3cret", ""]
    assert printed.status == 5
