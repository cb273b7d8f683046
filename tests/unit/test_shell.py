"""What a printed command is split into."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbooks.book.procedure import paste
from runbooks.book.shell import split
from runbooks.mailman.printed import steps_of
from runbooks.procedures import all_procedures


def words(command: str) -> list[list[str]]:
    return [list(simple.texts) for simple in split(command)]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("ls -l /a", [["ls", "-l", "/a"]]),
        ("a b; c\nd & e", [["a", "b"], ["c"], ["d"], ["e"]]),
        ("a && b || c | d", [["a"], ["b"], ["c"], ["d"]]),
        ("a 'b  c' \"d 'e'\" f\\ g", [["a", "b  c", "d 'e'", "f g"]]),
        ("a 'b'\"c\"d", [["a", "bcd"]]),
        ("a ''", [["a", ""]]),
        ("a # b\nc", [["a"], ["c"]]),
        ("a b#c", [["a", "b#c"]]),
        ("a &&  # why\n  b", [["a"], ["b"]]),
        ("a \\\n b", [["a", "b"]]),
        ("a $(b 'c)' d) e", [["b", "c)", "d"], ["a", "$(b 'c)' d)", "e"]]),
        (
            '[ "$(cat "$lock")" = "$x" ]',
            [["cat", "$lock"], ["[", '$(cat "$lock")', "=", "$x", "]"]],
        ),
        ('a "${b##*/}" ${c%.*}', [["a", "${b##*/}", "${c%.*}"]]),
        ("a <<'EOF'\nb c\n'\nEOF\nd", [["a"], ["d"]]),
        ("a 2>&1 > /dev/null < b c", [["a", "c"]]),
        ("x=1 a; y=2", [["a"], []]),
        ("a x=1", [["a", "x=1"]]),
        ('"a"=b', [["a=b"]]),
        ("", []),
        ("\n# nothing\n", []),
    ],
)
def test_a_command_is_split(command, expected):
    assert words(command) == expected


def test_assignments_and_redirections_are_kept():
    (simple,) = split("A=/b C=$d sudo E=/f g >> /h 2>&1")
    assert [(name, word.text, word.is_literal) for name, word in simple.assignments] == [
        ("A", "/b", True),
        ("C", "$d", False),
    ]
    assert simple.texts == ("sudo", "E=/f", "g")
    assert [(how, word.text) for how, word in simple.redirections] == [(">>", "/h"), ("2>&", "1")]


@pytest.mark.parametrize(
    ("word", "is_literal"),
    [
        ("a*", False),
        ("'a*'", True),
        ("[", True),
        ("a[b]", False),
        ("[ab]", False),
        ("'$a'", True),
        ('"$a"', False),
        ("~/a", False),
        (r"\$a", True),
    ],
)
def test_a_word_is_literal_when_nothing_is_put_in_its_place(word, is_literal):
    (simple,) = split(f"a {word}")
    assert simple.words[1].is_literal is is_literal


@pytest.mark.parametrize(
    "command",
    [
        *("a 'b", 'a "b', "a $(b", "a ${b", "a <<E\nb", "a )", "( a )", "a `b`", "a $((1))"),
        *("if a; then b; fi", "for a in b; do c; done", "! a", "{ a; }", "a() { b; }"),
        *('a "`b`"', "while a; do b; done", "case a in b) c;; esac", "> "),
    ],
)
def test_what_is_not_known_is_refused(command):
    with pytest.raises(ValueError, match=r".+"):
        split(command)


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="\0\r")), min_size=1))
def test_words_are_what_a_shell_makes_of_them(arguments):
    line = f"printf '%s\\0' {shlex.join(arguments)}"
    printed = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=True)
    (simple,) = split(line)
    assert list(simple.texts[2:]) == printed.stdout.split("\0")[:-1]
    assert all(word.is_literal for word in simple.words)


@pytest.mark.parametrize("procedure", all_procedures(), ids=lambda procedure: procedure.name)
def test_every_printed_step_can_be_split(procedure):
    for step in steps_of(procedure):
        assert split(step.command), step.name
        assert split(paste(step)) == split(
            f"{step.command} <<'EOF'\nEOF" if step.creates else step.command
        )
