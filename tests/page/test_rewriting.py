"""Where a renewed output is written: tried on the sources of the procedures themselves."""

from __future__ import annotations

import difflib
import subprocess
import sys
from pathlib import Path

import pytest

from runbooks.book.defined import Defined
from runbooks.mailman.printed import by_command, steps_of
from runbooks.procedures import find
from runbooks.testing.page.renewing import Change
from runbooks.testing.page.rewriting import Rewriting, Wanted
from runbooks.testing.page.sourcetext import Source
from tests.page.conftest import ROOT

VERSION = "2.1.39"


def alike(one: str, other: str) -> int:
    """How many characters are the same, from the beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def wanted(procedure: str, step: str, old: str, new: str, version: str = VERSION) -> Wanted:
    """The output of a real step, with something else in the place of a part of it."""
    found = find(procedure)
    steps = (*by_command(found, version), *steps_of(found, version))
    [one] = [one for one in steps if one.name == step]
    assert one.shows.count(old) == 1, one.shows
    # Nothing but what is another, as it is when it is made of what was printed.
    same = alike(old, new)
    rest = alike(old[same:][::-1], new[same:][::-1])
    at = one.shows.index(old)
    changes = (Change(at + same, at + len(old) - rest, new[same : len(new) - rest]),)
    return Wanted((procedure, step, version), "lists.html#x", one.defined, one.shows, changes)


@pytest.fixture
def rewrite(tmp_path):
    """Rewrites outputs; what became of it, and the lines of the sources that are others."""

    def run(*those, kept=()):
        def fits(key, shows):
            return {**dict(kept), **{one.key: one.new for one in those}}.get(key, shows) == shows

        rewriting = Rewriting(ROOT, tmp_path, fits)
        found = rewriting.rewrite(those)
        changed = []
        for path in dict.fromkeys(edit.path for edit in found.edits):
            old, new = rewriting.text(path, []), rewriting.text(path, found.edits)
            lines = difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm="")
            changed += [
                f"{path} {line[0]}{' '.join(line[1:].split())}"
                for line in list(lines)[2:]
                if line[0] != "@"
            ]
            (tmp_path / "one.py").write_text(new, encoding="utf-8")
            words = [sys.executable, "-m", "ruff", "format", "--check", "--line-length", "100"]
            subprocess.run([*words, tmp_path / "one.py"], check=True, capture_output=True)
        return found, changed

    return run


SCRIPTED, LOCK = "runbooks/scripted_change/page.py", "runbooks/clear_lock/page.py"
SHOWN = "runbooks/terminal/shown.py"


@pytest.mark.parametrize(
    ("procedure", "step", "old", "new", "lines"),
    [
        # Between two expressions of an f-string, of which the module has many alike.
        (
            "scripted-change",
            "owners-openstack",
            "}: {OWNERS",
            "} is owned by {OWNERS",
            [
                f'{SCRIPTED} -f"{{every_list(site)}}: {{_OWNERS}}\\n{{MORE}}",',
                f'{SCRIPTED} +f"{{every_list(site)}} is owned by {{_OWNERS}}\\n{{MORE}}",',
            ],
        ),
        # A text of another function of the module, and one that an f-string of the command has too.
        (
            "close-lists",
            "close-check-zuul",
            "policy 2",
            "policy 7",
            [
                f'{SCRIPTED} -"close": ("Close", "closed", "closed (subscribe_policy 2, before'
                ' {POLICY:1})"),',
                f'{SCRIPTED} +"close": ("Close", "closed", "closed (subscribe_policy 7, before'
                ' {POLICY:1})"),',
            ],
        ),
        (
            "clear-lock",
            "lock-again",
            "can be",
            "is to be",
            [f'{LOCK} -f"{{name}}: can be locked",', f'{LOCK} +f"{{name}}: is to be locked",'],
        ),
        # What a page shows for a placeholder.
        (
            "close-lists",
            "close-check-openstack",
            "{POLICY:1}",
            "{POLICY:3}",
            [
                f'{SCRIPTED} -"close": ("Close", "closed", "closed (subscribe_policy 2, before'
                ' {POLICY:1})"),',
                f'{SCRIPTED} +"close": ("Close", "closed", "closed (subscribe_policy 2, before'
                ' {POLICY:3})"),',
            ],
        ),
        # Of the functions that all procedures share.
        (
            "clear-lock",
            "command",
            "recorded as",
            "kept as",
            [
                f'{SHOWN} -return f"recorded as {{{{RUN:{{run}}}}}} in'
                ' {found.server.hostname}:{journal}"',
                f'{SHOWN} +return f"kept as {{{{RUN:{{run}}}}}} in'
                ' {found.server.hostname}:{journal}"',
            ],
        ),
        # In a text of several pieces; quotes, braces and backslashes as the source has them.
        (
            "clear-lock",
            "find-holder",
            "taken at",
            "a {taken} \\at",
            [
                f"{LOCK} -f\"taken at {{of_lock('taken_at', _at(_TAKEN))}}\\n\"",
                f"{LOCK} +f\"a {{{{taken}}}} \\\\at {{of_lock('taken_at', _at(_TAKEN))}}\\n\"",
            ],
        ),
        # A line more, and a line less, where the output is one text.
        (
            "clear-lock",
            "find-holder",
            "\nlists has",
            "\nand this\nlists has",
            [
                f"{LOCK} -f\"taken at {{of_lock('taken_at', _at(_TAKEN))}}\\n\"",
                f"{LOCK} +f\"taken at {{of_lock('taken_at', _at(_TAKEN))}}\\nand this\\n\"",
            ],
        ),
        (
            "close-lists",
            "close-check-openstack",
            "\n{MORE}",
            "\n{MORE}\nand this",
            [
                f'{SCRIPTED} -f"{{every_list(site)}}: {{seen}}\\n{{MORE}}",',
                f'{SCRIPTED} +f"{{every_list(site)}}: {{seen}}\\n{{MORE}}\\nand this",',
            ],
        ),
    ],
)  # fmt: skip
def test_the_one_text_is_found_and_nothing_else_is_touched(
    rewrite, procedure, step, old, new, lines
):
    one = wanted(procedure, step, old, new)
    found, changed = rewrite(one)
    assert found.left == []
    assert changed == lines
    assert found.done == [one]


def test_steps_that_share_a_text_share_its_edit(rewrite):
    those = [wanted("close-lists", f"close-check-{site}", "policy 2", "policy 7")
             for site in ("openstack", "zuul")]  # fmt: skip
    found, changed = rewrite(*those)
    assert found.done == those
    assert len(found.edits) == 1
    assert len(changed) == 2
    assert found.unseen == []


def test_what_was_printed_of_another_step_stays_true(rewrite):
    one = wanted("close-lists", "close-check-openstack", "policy 2", "policy 7")
    other = wanted("close-lists", "close-check-zuul", "policy 2", "policy 7")
    found, changed = rewrite(one, kept={other.key: other.shows})
    assert [left for left, _ in found.left] == [one]
    assert changed == found.done == []


def test_two_steps_that_want_another_text_in_the_same_place_do_not_both_get_it(rewrite):
    one = wanted("close-lists", "close-check-openstack", "policy 2", "policy 7")
    other = wanted("close-lists", "close-check-zuul", "policy 2", "policy 8")
    found, changed = rewrite(one, other)
    assert found.done == [one]
    assert [left for left, _ in found.left] == [other]
    assert len(changed) == 2


@pytest.mark.parametrize(
    ("procedure", "step", "old", "new", "why"),
    [
        # Its text is the program's own: what the program says, the page says.
        (
            "ban",
            "ban-one",
            "target@example.com:already",
            "target@example.com:had",
            "no text of runbooks/ban/page.py",
        ),
        # Put together from lines.
        ("ban", "command", "\nBan 2", "\nnew\nBan 2", "not written as one text"),
        # The site's own.
        ("clear-lock", "find-holder", "lists has", "a host has", "no text of runbooks/clear_lock"),
    ],
)
def test_what_is_not_one_text_of_these_files_is_left_to_a_person(
    rewrite, procedure, step, old, new, why
):
    one = wanted(procedure, step, old, new)
    found, changed = rewrite(one)
    assert changed == found.done == []
    [(left, reason)] = found.left
    assert left == one
    assert why in reason


def test_a_source_that_has_changed_since_it_was_run_is_left_alone(rewrite):
    one = wanted("clear-lock", "remove-lock", "removed", "gone")
    other = Wanted(one.key, one.place, one.defined, "another", (Change(0, 7, "gone"),))
    found, changed = rewrite(other)
    assert changed == []
    assert found.left == [(other, "the source is not what was run")]


# The texts of a source

TEXTS = r'''
"""About it."""
def f(a):
    "About f."
    return ("plain 'it' \"q\" \n\t\x41\u00e9\\" f'{a} {{b}} "c"\n{a}{a:>{4}}' r"\raw\d" """x
y""")
'''


def test_every_text_of_a_source_is_found_where_it_is():
    source = Source.read("x.py", TEXTS)
    found = [literal.text for literal in source.literals]
    assert found[0] == "plain 'it' \"q\" \n\tAé\\"
    assert [text for text in found if text][1:] == [
        ' {b} "c"\n', ">", "\\raw\\d", "x\ny",
    ]  # fmt: skip
    for literal in source.literals:
        end = literal.start + len(literal.written)
        assert TEXTS[literal.start : end] == literal.written


@pytest.mark.parametrize("new", ["a", "{x}", "it's", 'a "b"', "\\", "\n", "é", "\x07", "\u202e"])
def test_what_is_written_is_read_as_what_it_should_be(new):
    source = Source.read("x.py", TEXTS)
    for number, literal in enumerate(source.literals):
        if literal.text == ">" and new != "a":
            continue
        edit = literal.changed(0, min(1, len(literal.text)), new)
        if edit is None:
            assert literal.is_raw
            continue
        text = TEXTS[: edit.start] + edit.new + TEXTS[edit.end :]
        compile(text, "x.py", "exec")
        again = Source.read("x.py", text).literals
        assert again[number].text == new + literal.text[1:]


def test_the_sources_of_all_procedures_can_be_read():
    paths = [*(ROOT / "runbooks").glob("*/page.py"), ROOT / SHOWN]
    for path in paths:
        text = path.read_text(encoding="utf-8")
        source = Source.read(str(path), text)
        assert source.literals
        for literal in source.literals:
            end = literal.start + len(literal.written)
            assert text[literal.start : end] == literal.written
    assert Defined(str(Path("/x.py")), 1).path == "/x.py"
