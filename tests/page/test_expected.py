"""Expected outputs: what a page shows of them, and what they let pass."""

from __future__ import annotations

import pytest

from runbooks.expected import answers, as_shown, matches

BANNED = "{LIST:alpha}: banned\n{MORE}"


@pytest.mark.parametrize(
    ("expected", "printed", "unordered"),
    [
        ("", "\n", False),
        ("done", "done  \n", False),
        ("pid {PID}", "pid 4711", False),
        (BANNED, "alpha: banned\n", False),
        (BANNED, "alpha: banned\nbeta: banned\n", False),
        (f"first\n{BANNED}\nlast", "first\na: banned\nb: banned\nlast", False),
        ("a\n{MORE}\na", "a\na", False),
        ("b\na{NUMBER}", "a1\nb", True),
        ("a{ANY}\nab", "ab\naz", True),
        ("a{ANY}\n{MORE}\nab", "ab\naz\nay", True),
        ("a\n{MORE}\n{LIST}", "a\na\nb", True),
        ("Go on? [y/N] {ANSWER:y}", "Go on? [y/N] y", False),
    ],
)
def test_matches(expected, printed, unordered):
    assert matches(expected, printed, unordered)


@pytest.mark.parametrize(
    ("expected", "printed", "unordered"),
    [
        ("", "something", False),
        ("done", "", False),
        ("pid {PID}", "pid x", False),
        ("a.c", "abc", False),
        (BANNED, "", False),
        (BANNED, "alpha: banned\nbeta: already\n", False),
        (f"{BANNED}\nlast", "a: banned\nlast\na: banned", False),
        ("a\n{MORE}\na", "a", False),
        ("a\nb", "b\na", False),
        ("a\nb", "a\nb\nb", True),
        ("a\nb", "a\na", True),
        ("a{ANY}\nab", "ab", True),
        ("Go on? [y/N] {ANSWER:y}", "Go on? [y/N] n", False),
    ],
)
def test_does_not_match(expected, printed, unordered):
    assert not matches(expected, printed, unordered)


def test_more_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no line above it"):
        matches("{MORE}\na", "a")


def test_as_shown():
    text = "{LIST:alpha}: {PID} at {TIME:05:28}, {ANY}\n{MORE}\n$ {{PID}}"
    assert as_shown(text) == "alpha: pid at 05:28, …\n…\n$ {pid}"


def test_answers_are_given_at_their_prompts():
    asked = answers("plan for {NUMBER:3}\nBan {LIST:x}? [y/N] {ANSWER:y}\nName: {ANSWER:joe}")
    assert [answer for _, answer in asked] == ["y", "joe"]
    assert asked[0][0] == r"Ban\ (?:[-a-z0-9_.+=]+)\?\ \[y/N\]\ "
