"""Steps as a reader pastes them."""

from __future__ import annotations

import subprocess
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from runbooks.book.defined import Defined
from runbooks.book.procedure import File, Step, paste


def step(**members: object) -> Step:
    return Step(**{"name": "n", "title": "t", "why": "w", "command": "true", **members})


#: Text of a file as an editor makes it: whole lines.
TEXT = st.lists(
    st.sampled_from(
        ["EOF", "EOFF", "EOFFF", "$(id)", "`id`", "\\", "'\"", "", "é", "  x\t", "$HOME"]
    )
).map(lambda lines: "".join(f"{line}\n" for line in lines))


@given(TEXT)
def test_what_is_pasted_writes_the_file_to_the_letter(text):
    pasted = paste(step(command="cat", creates=File("/x", text)))
    done = subprocess.run(["/bin/sh", "-c", pasted], capture_output=True, check=True, timeout=10)
    assert done.stdout.decode() == text or (text == "" and done.stdout == b"\n")


def test_a_step_without_a_file_is_its_command():
    assert paste(step(command="ls -l 'a b'")) == "ls -l 'a b'"


# Where it is defined

MADE = step(shows="a")


def test_a_step_knows_the_line_it_is_made_on():
    made = Step(
        "n",
        "t",
        "w",
        "true",
    )
    code = test_a_step_knows_the_line_it_is_made_on.__code__
    assert str(made.defined) == f"tests/unit/test_procedure.py:{code.co_firstlineno + 1}"


def test_it_is_no_part_of_what_a_step_is():
    moved = replace(MADE, defined=Defined("/elsewhere.py", 7))
    assert moved == MADE
    assert hash(moved) == hash(MADE)
    assert repr(moved) == repr(MADE)
    assert str(moved.defined) == "/elsewhere.py:7"


def test_a_step_that_another_was_made_of_is_defined_where_that_one_is():
    assert replace(MADE, shows="b").defined == MADE.defined
