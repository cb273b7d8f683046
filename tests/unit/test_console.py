"""What a person sees, and a program that reads the output."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from runbooks.terminal.console import Screen, clean, many


@given(st.text())
def test_nothing_from_a_host_is_obeyed_by_a_terminal(text):
    shown = clean(text)
    assert all(c.isprintable() or c == "\n" for c in shown)
    if text.isprintable():
        assert shown == text


def test_columns_are_as_wide_as_what_is_shown(capsys):
    Screen().table([("a\x1b", "1", "x\n→ y"), ("bbb", "22", "")])
    assert capsys.readouterr().out.splitlines() == [
        "  a\\x1b  1   x",
        "             → y",
        "  bbb    22",
    ]


def test_a_name_with_a_line_feed_stays_in_its_row(capsys):
    Screen().table([("a\nb", "1"), ("c", "2")])
    assert capsys.readouterr().out.splitlines() == ["  a\\nb  1", "  c     2"]


def test_a_table_without_rows_is_nothing(capsys):
    Screen().table([])
    assert capsys.readouterr().out == ""


def test_a_line_is_never_broken(capsys):
    Screen().say("x" * 5000)
    assert capsys.readouterr().out == "x" * 5000 + "\n"


def test_with_json_standard_output_has_objects_alone(capsys):
    screen = Screen(as_json=True)
    screen.say("for a person")
    screen.table([("a", "b")])
    screen.warn("careful")
    screen.object(name="caf\udce9\u2028", n=1)
    with screen.busy("working"), screen.progress(3) as bar:
        bar.advance(1)
        bar.waiting(2, 10)
    out, err = capsys.readouterr()
    assert [json.loads(line) for line in out.splitlines()] == [{"name": "caf\udce9\u2028", "n": 1}]
    assert err == "warning: careful\n"


def test_without_json_there_are_no_objects(capsys):
    Screen().object(a=1)
    assert capsys.readouterr().out == ""


def test_numbers_and_nouns():
    assert [many(n, "list") for n in (0, 1, 2, 1000)] == [
        "0 lists",
        "1 list",
        "2 lists",
        "1,000 lists",
    ]


def test_when_quiet_only_what_was_not_done_is_told(capsys):
    screen = Screen(quiet=True)
    screen.say("done")
    screen.table([("a", "done")])
    screen.say("1 not done", always=True)
    screen.table([("b", "not done")], always=True)
    screen.warn("careful")
    with screen.busy("working"), screen.progress(3) as bar:
        bar.advance(1)
    out, err = capsys.readouterr()
    assert out == "1 not done\n  b  not done\n"
    assert err == "warning: careful\n"


def test_a_question_comes_with_what_was_said_before_it(capsys, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    screen = Screen(quiet=True)
    screen.say("the plan")
    assert screen.ask("Do it?")
    screen.say("the result")
    assert capsys.readouterr().out == "the plan\n"
