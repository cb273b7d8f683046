"""Expected outputs: what a page shows of them, and what they let pass."""

from __future__ import annotations

import pytest

from runbooks.book.expected import (
    FACTS,
    FORMS,
    SUBJECTS,
    Part,
    answers,
    as_shown,
    false_example,
    fault,
    parts,
    placeholder,
)
from tests.support.known import Known

OWNERS = {"alpha": "ann@example.com", "beta": "bob@example.com"}


SERVER = Known(OWNERS)
BOTH = "{LIST:alpha}: banned a\n{LIST:alpha}: banned b\n{MORE}"
BOTH_SAID = "beta: banned a\nbeta: banned b\nalpha: banned a\nalpha: banned b"
BANNED = "{LIST:alpha}: banned\n{MORE}"
OWNED = "{LIST:alpha}: {OWNERS:ann@example.com}\n{MORE}"


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ("", "\n"),
        ("done", "done  \n"),
        ("{LISTS:7} lists", "2 lists"),
        (BANNED, "alpha: banned\nbeta: banned\n"),
        (BANNED, "beta: banned\nalpha: banned\n"),
        (OWNED, "beta: bob@example.com\nalpha: ann@example.com"),
        (BOTH, BOTH_SAID),
        (f"first\n{BANNED}\nlast", "first\nalpha: banned\nbeta: banned\nlast"),
        ("{LINT:nothing to say}\nlast", "last"),
        ("{WARNINGS:Warning: …}\nlast", "last"),
        ("{WARNINGS:Warning: …}\nlast", "Warning: old\n   (file: a.yaml)\nlast"),
        ("Go on? [y/N] {ANSWER:y}", "Go on? [y/N] y"),
        ("at {CLOCK:05:28 UTC}", "at 23:59 UTC"),
        ("at {CLOCK:05:28 UTC}", "at 2026-11-22 23:59 +0530"),
        ("{BAR:━━━} {ELAPSED:0:00:01}", "━━━━━━━ 0:01:12"),
    ],
)
def test_matches(expected, printed):
    assert fault(expected, printed, SERVER) == ""


@pytest.mark.parametrize(
    ("expected", "printed", "why"),
    [
        ("", "something", "'something' is one too many"),
        ("done", "", "no line is 'done'"),
        ("a.c", "abc", "no line is 'a.c'"),
        ("{LISTS:7} lists", "0 lists", "no line is '2 lists'"),
        (BANNED, "", "no line is 'alpha: banned'"),
        (BANNED, "alpha: banned", "no line is 'beta: banned'"),
        (BANNED, "alpha: banned\nalpha: banned", "no line is 'beta: banned'"),
        (BANNED, "alpha: banned\nbeta: banned\ngamma: banned", "gamma: banned' is one too many"),
        (BANNED, "alpha: banned\nbeta: already\n", "no line is 'beta: banned'"),
        (OWNED, "alpha: bob@example.com\nbeta: ann@example.com", "'alpha: ann@example.com'"),
        (BOTH, "alpha: banned a\nalpha: banned b\nbeta: banned a", "no line is 'beta: banned b'"),
        (BOTH, f"{BOTH_SAID}\nbeta: banned b", "'beta: banned b' is one too many"),
        (f"{BANNED}\nlast", "alpha: banned\nlast\nbeta: banned", "no line is 'beta: banned'"),
        ("a\nb", "b\na", "no line is 'a'"),
        ("recorded as {RUN:x}", "recorded as x", "nothing is RUN"),
        ("{LINT:nothing to say}\nlast", "nothing to say\nlast", "'nothing to say' is one too many"),
        ("{WARNINGS:Warning: …}\nlast", "Error: new\nlast", "'Error: new' is one too many"),
        ("Go on? [y/N] {ANSWER:y}", "Go on? [y/N] n", "no line is"),
        ("at {CLOCK:05:28 UTC}", "at 05:28", "no line is 'at {CLOCK}'"),
        ("at {CLOCK:05:28 UTC}", "at noon", "no line is 'at {CLOCK}'"),
        ("at {CLOCK:05:28 UTC}", "at 5:28 UTC", "no line is 'at {CLOCK}'"),
        ("{ELAPSED:0:00:01}", "0:00:61", "no line is '{ELAPSED}'"),
        ("{BAR:━━━}", "---", "no line is '{BAR}'"),
    ],
)
def test_does_not_match(expected, printed, why):
    assert why in fault(expected, printed, SERVER)
    assert fault(expected, printed, SERVER)


@pytest.mark.parametrize("text", ["{MORE}\na", "a\n{MORE}", f"{BANNED}\n{{MORE}}"])
def test_more_of_nothing_is_refused(text):
    with pytest.raises(ValueError, match="no line above it"):
        fault(text, "alpha: banned\nbeta: banned\na", SERVER)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{LISTS:2} lists", ""),
        ("{LISTS:7} lists", "'7 lists' says '7' where it is '2'"),
        (OWNED, ""),
        (OWNED.replace("ann@", "bob@"), "says 'bob@example.com' where it is 'ann@example.com'"),
        (OWNED.replace("alpha", "gamma"), "'gamma' is not among alpha, beta"),
        ("recorded as {RUN:x} at {CLOCK:05:28 UTC}", ""),
    ],
)
def test_what_a_page_shows_is_so_there(text, why):
    found = false_example(text, SERVER)
    assert why in found
    assert bool(found) == bool(why)


def test_a_line_is_about_one_thing():
    with pytest.raises(ValueError, match="about one thing"):
        fault("{LIST:a} {LIST:b}", "alpha beta", SERVER)


def test_nothing_accepts_everything():
    for form in FORMS.values():
        for text in ("", "x", "anything at all", "target@example.com"):
            assert fault(f"{{{_name(form)}}}", text, SERVER)
    assert not {"ANY", "NUMBER"} & {*FORMS, *SUBJECTS, *FACTS}


def _name(form: str) -> str:
    return next(name for name, value in FORMS.items() if value == form)


def test_as_shown():
    text = (
        "{LIST openstack:alpha}: {LOCK pid openstack alpha} at {CLOCK:05:28 UTC}\n{MORE}\n$ {{RUN}}"
    )
    assert as_shown(text) == "alpha: lock at 05:28 UTC\n…\n$ {run}"


@pytest.mark.parametrize("address", [r"^a{2}(\+.*)?@example\.com$", "a b:c@example.com", "100%@a"])
def test_a_placeholder_may_be_about_anything(address):
    text = f"ban {placeholder('TO_BAN', address, shown=address)} now"
    assert parts(text) == [Part("ban "), Part(address, "TO_BAN", (address,)), Part(" now")]
    assert as_shown(text) == f"ban {address} now"
    assert not fault(text, f"ban {address} now", SERVER)
    assert fault(text, "ban x now", SERVER)


def test_answers_are_given_at_their_prompts():
    asked = answers(
        "plan for {LISTS:3}\nBan x from {LISTS:3}? [y/N] {ANSWER:y}\nName: {ANSWER:joe}"
    )
    assert [answer for _, answer in asked] == ["y", "joe"]
    assert asked[0][0] == r"Ban\ x\ from\ .+\?\ \[y/N\]\ "
