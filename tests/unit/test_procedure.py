"""Steps as a reader pastes them, and what they are expected to show."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.procedure import File, Step, paste


def step(**members: object) -> Step:
    return Step(**{"name": "n", "title": "t", "why": "w", "command": "true", **members})


@pytest.mark.parametrize(
    ("shows", "printed", "fits"),
    [
        ("alpha: banned", "alpha: banned\n", True),
        ("alpha: banned", "alpha: banned\nbeta: banned\n", False),
        ("alpha: banned", "", False),
        ("", "", True),
        ("", "anything", False),
        ("{LIST:alpha}: banned\n{MORE}", "b: banned\na: banned\n", True),
        ("{LIST:alpha}: banned\n{MORE}", "b: banned\na: locked\n", False),
        ("{LIST:alpha}: banned\n{MORE}", "", False),
        ("process {PID:83}", "process 4711", True),
        ("process {PID:83}", "process x", False),
        ("a.b", "axb", False),
        ("(matched ^a.*$)", "(matched ^a.*$)", True),
    ],
)
def test_an_output_is_what_the_step_shows_or_not(shows, printed, fits):
    assert step(shows=shows).matches(printed) is fits


def test_the_order_of_lines_can_mean_nothing():
    assert not step(shows="a\nb").matches("b\na")
    assert step(shows="a\nb", unordered=True).matches("b\na")
    assert not step(shows="a\nb", unordered=True).matches("b\nb")


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
