"""What becomes of an expected output when something else is printed."""

from __future__ import annotations

import pytest

from runbooks.book.expected import fault
from runbooks.book.whose import whose
from runbooks.testing.page.renewing import NotRenewedError, applied, renewed
from tests.support.known import Known

OWNERS = {"alpha": "ann@example.com", "beta": "bob@example.com", "gamma": "ann@example.com"}


SERVER = Known(OWNERS, HOST="lists9", RUN="20261126-125430-aa553d")
OWNED = "{LIST:alpha}: {OWNERS:ann@example.com}\n{MORE}"
PRINTED = "alpha: ann@example.com\nbeta: bob@example.com\ngamma: ann@example.com"
TWICE = "{LIST:alpha}: banned a\n{LIST:alpha}: banned b\n{MORE}"
RECORDED = "recorded as {RUN:20240501-120301-4f9a1c} in {HOST:lists9}:/a"


@pytest.mark.parametrize(
    ("shows", "printed", "new"),
    [
        # As it is.
        ("done", "done  \n", "done"),
        (OWNED, "beta: bob@example.com\nalpha: ann@example.com\ngamma: ann@example.com", OWNED),
        # Words.
        ("done", "ready", "ready"),
        ("all is done now", "all is ready now", "all is ready now"),
        ("\na\nb\n", "a\nc", "\na\nc\n"),
        ("{LISTS:3} lists banned", "3 lists barred", "{LISTS:3} lists barred"),
        ("{LISTS:3} lists banned", "barred: 3 lists", "barred: {LISTS:3} lists"),
        ("banned: {LISTS:3}", "3 are banned", "{LISTS:3} are banned"),
        ("{LISTS:3}/{LISTS:3} {ELAPSED:0:00:01}", "3 of 3 in 0:01:17", None),
        (RECORDED, "kept as 20261126-125430-aa553d on lists9:/a", "kept as {RUN:20240501-120301-4f"
         "9a1c} on {HOST:lists9}:/a"),
        ("at {CLOCK:05:28 UTC}", "since 23:59 UTC", "since {CLOCK:05:28 UTC}"),
        ("Go on? [y/N] {ANSWER:y}", "Go ahead? [y/N] y", "Go ahead? [y/N] {ANSWER:y}"),
        # For each of several things.
        (
            OWNED,
            "beta is bob@example.com's\ngamma is ann@example.com's\nalpha is ann@example.com's",
            "{LIST:alpha} is {OWNERS:ann@example.com}'s\n{MORE}",
        ),
        (
            TWICE,
            "alpha: barred a\nalpha: barred b\nbeta: barred a\nbeta: barred b\n"
            "gamma: barred a\ngamma: barred b",
            "{LIST:alpha}: barred a\n{LIST:alpha}: barred b\n{MORE}",
        ),
        # Beside what is as it was.
        (
            f"head\n{OWNED}\n{{LISTS:3}} lists",
            f"HEAD\n{PRINTED}\n3 lists",
            f"HEAD\n{OWNED}\n{{LISTS:3}} lists",
        ),
        (
            f"{{WARNINGS:Warning: …}}\n{OWNED}\nlast",
            f"Warning: x\n{PRINTED}\nend",
            f"{{WARNINGS:Warning: …}}\n{OWNED}\nend",
        ),
        # Lines that are new, or gone.
        ("a\nb", "a\nnew\nb", "a\nnew\nb"),
        ("a\nb", "new\na\nb", "new\na\nb"),
        ("a\nb", "a\nb\nnew\nnewer", "a\nb\nnew\nnewer"),
        ("a\nb\nc", "a\nc", "a\nc"),
        ("a\nb\nc", "b\nc", "b\nc"),
        ("a\nb\nc", "a\nb", "a\nb"),
        (
            f"{OWNED}\nlast",
            f"{PRINTED}\nnew\nlast",
            f"{OWNED}\nnew\nlast",
        ),
        (
            "first line here\nsecond line here",
            "first line there\nsecond line here\nand a third",
            "first line there\nsecond line here\nand a third",
        ),
        # What the page shows of the very server.
        ("{LISTS:7} lists", "3 lists", "{LISTS:3} lists"),
        ("{LISTS:7} lists", "3 of them", "{LISTS:3} of them"),
    ],
)  # fmt: skip
def test_it_is_what_is_printed_now_with_every_placeholder(shows, printed, new):
    if new is None:
        new = shows.replace("/", " of ").replace("} {E", "} in {E")
    got = applied(shows, renewed(shows, printed, SERVER))
    assert got == new
    assert not fault(got, printed, SERVER)


NAME = whose().first.first_list


@pytest.mark.parametrize(
    ("shows", "printed", "why"),
    [
        ("", "x", "the page shows that it prints nothing"),
        ("x", "", "it prints nothing any more"),
        # A placeholder would be written away.
        ("{LISTS:3} lists", "some lists", "does not have what stands for the placeholders"),
        ("{LISTS:3} lists", "4 lists", "does not have what stands for the placeholders"),
        ("{LISTS:3} lists", "13 lists", "does not have what stands for the placeholders"),
        ("{LISTS:3} lists", "3.5 lists", "does not have what stands for the placeholders"),
        ("{LISTS:3} lists", "1,3 lists", "does not have what stands for the placeholders"),
        ("a\n{LISTS:3} lists", "a", "which has a placeholder"),
        ("at {CLOCK:05:28 UTC}", "at noon", "does not have what stands for the placeholders"),
        (OWNED, "alpha: ann@example.com\nbeta: bob@example.com", "placeholder"),
        (
            OWNED,
            "alpha: ann@example.com\nbeta: ann@example.com\ngamma: ann@example.com",
            "does not have what stands for the placeholders",
        ),
        # What comes of one list is not what comes of another.
        (
            OWNED,
            f"{PRINTED}!",
            "does not have what stands for the placeholders",
        ),
        # A value as text.
        ("{LISTS:3} lists", "3 lists, all 3", "LISTS stands for it"),
        (f"{OWNED}\nend", f"{PRINTED}\nend of beta", "LIST stands for it"),
        ("a", "a at 05:28 UTC", "that is a CLOCK"),
        ("a\nb", "a\nit took 0:00:07\nb", "that is a ELAPSED"),
        ("a", f"{NAME} a", "that is a name of the site"),
        ("a", "a on 3 of {LISTS:3}", "would be read as a placeholder"),
        # What is not true of the server.
        ("recorded as {TO_UNBAN:x}", "recorded x", "nothing is TO_UNBAN"),
        ("{LIST:delta} is here", "alpha is here\nbeta is here\ngamma is here", "not among"),
    ],
)  # fmt: skip
def test_a_person_has_to_decide(shows, printed, why):
    with pytest.raises(NotRenewedError) as problem:
        renewed(shows, printed, SERVER)
    assert why in str(problem.value)


@pytest.mark.parametrize("printed", ["3 or 3 lists", "3 3"])
def test_where_a_placeholder_may_stand_in_two_places_nothing_is_guessed(printed):
    with pytest.raises(NotRenewedError):
        renewed("{LISTS:3} lists", printed, SERVER)
