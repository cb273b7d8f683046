"""What this project reads and writes in manifests, against Puppet itself in a container."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from runbooks.add_list.manifest.insertion import NotUnderstood, read
from runbooks.add_list.manifest.language import Kind, scan
from runbooks.testing.containers.box import Box
from tests.fuzz.manifests import LISTDOMAIN, LISTPASSWORD, WISHES, Made, Wish, manifests

JUDGE = Path(__file__).with_name("puppet_judge.rb")

# The kinds of tokens that Puppet's lexer names otherwise.
KINDS = {
    "NAME": Kind.NAME,
    "WORD": Kind.WORD,
    "CLASSREF": Kind.TYPE,
    "VARIABLE": Kind.VARIABLE,
    "NUMBER": Kind.NUMBER,
    "STRING": Kind.STRING,
    "HEREDOC": Kind.HEREDOC,
    "REGEX": Kind.REGEX,
}


def added_to(text: str, name: str, **asked: Any) -> str:
    """The manifest with a list in it."""
    new = read(text).insertion(name, **asked)
    return text[: new.offset] + new.text + text[new.offset :]


def judged(box: Box, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Puppet's word on each case: {"code": text, "classes": names}."""
    path = "/tmp/puppet_judge.rb"
    box.put(path, JUDGE.read_text(encoding="utf-8"))
    asked = "\n".join(json.dumps(case) for case in cases) + "\n"
    answer = box.run(["ruby", "-W0", path], stdin=asked, timeout=280)
    assert (answer.rc, answer.timed_out) == (0, False), answer.stderr
    # Not splitlines(): JSON text may hold other line separators.
    lines = [line for line in answer.stdout.split("\n") if line]
    assert not [line for line in lines if not line.startswith("{")], answer.stderr[-500:]
    answers = [json.loads(line) for line in lines]
    assert len(answers) == len(cases)
    return answers


def drawn(number: int) -> list[tuple[Made, Wish]]:
    """Manifests and wishes, the same whenever the same modules are loaded."""
    found: list[tuple[Made, Wish]] = []

    @settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(manifests(), WISHES)
    def collect(made: Made, wish: Wish) -> None:
        found.append((made, wish))

    collect()
    return found


@pytest.mark.layout("single")
@pytest.mark.python("2.7")  # Puppet is the same beside either
@pytest.mark.needs("puppet", "ruby")
def test_puppet_sees_one_list_more_with_exactly_these_values(box: Box) -> None:
    cases: list[dict[str, Any]] = []
    added: list[tuple[Made, Wish]] = []
    refused = 0
    for made, wish in drawn(300):
        site = made.sites[0] if made.sites else None
        holder = made.holders[-1] if made.holders else None
        try:
            result = added_to(
                made.text,
                wish.name,
                admin=wish.admin,
                description=wish.description,
                site=site,
                class_name=holder,
            )
        except NotUnderstood:
            refused += 1
            continue
        added.append((made, wish))
        cases += [{"code": code, "classes": made.classes} for code in (made.text, result)]
    assert refused < len(added) / 4
    answers = judged(box, cases)
    for index, (made, wish) in enumerate(added):
        before, after = answers[2 * index : 2 * index + 2]
        text = made.text
        assert "lists" in before, (before.get("syntax") or before.get("compile_error"), text)
        assert "lists" in after, (after.get("syntax") or after.get("compile_error"), text)
        left = list(after["lists"])
        for entry in before["lists"]:
            left.remove(entry)
        assert len(left) == 1, text
        kind, title, parameters = left[0]
        assert kind == ("mailman_list" if made.sites else "maillist")
        assert title == (f"{wish.name}@{made.sites[0]}" if made.sites else wish.name)
        assert parameters["ensure"] == "present"
        assert parameters["admin"] == wish.admin
        assert parameters["description"] == wish.description
        assert parameters["password"] == LISTPASSWORD
        if made.sites:
            assert parameters["require"] == f"Mailman::Site[{made.sites[0]}]"
        else:
            assert parameters["webserver"] == parameters["mailserver"] == LISTDOMAIN


CLEAN = """\
# == Class: lists
#
class lists(
  $listpassword = ''
) {
  $listdomain = 'lists.example.org'

  maillist { 'openstack-es':
    ensure      => present,
    admin       => 'es@example.com',
    password    => $listpassword,
    description => "It's a list",
    webserver   => $listdomain,
    mailserver  => $listdomain,
  }
}
"""


@pytest.mark.layout("single")
@pytest.mark.python("2.7")  # Puppet is the same beside either
@pytest.mark.needs("puppet", "ruby", "puppet-lint")
def test_puppet_lint_has_nothing_to_say(box: Box) -> None:
    descriptions = [
        "",
        "Discussion of Foo",
        "it's",
        '"Foo"',
        "a\\b\\",
        "costs $5, $x",
        "é 日本",
        "a\nb",
    ]
    cases = [
        {
            "code": added_to(text, "openstack-foo", admin="a@example.com", description=description),
            "classes": ["lists"],
            "lint": True,
        }
        for text in (CLEAN, CLEAN[: CLEAN.index("  maillist")] + "}\n")
        for description in descriptions
    ]
    bad = CLEAN.replace("ensure      =>", "ensure =>")
    *answers, worse = judged(box, [*cases, {"code": bad, "classes": ["lists"], "lint": True}])
    assert worse["lint"] == ["arrow_alignment"]
    for case, answer in zip(cases, answers, strict=True):
        assert answer["lint"] == [], case["code"]


@pytest.mark.layout("single")
@pytest.mark.python("2.7")  # Puppet is the same beside either
@pytest.mark.needs("puppet", "ruby")
def test_what_is_read_is_what_puppet_declares(box: Box) -> None:
    cases = drawn(300)
    answers = judged(box, [{"code": made.text, "classes": made.classes} for made, _ in cases])
    compared = 0
    for (made, _), answer in zip(cases, answers, strict=True):
        manifest = read(made.text)
        declared = {(kind, title): values for kind, title, values in answer["lists"]}
        for entry in manifest.lists:
            if entry.conditional:
                continue
            values = declared.pop((("mailman_list" if entry.site else "maillist"), entry.title))
            for name, value in entry.attributes.items():
                if value.text is not None:
                    assert values[name] == value.text, (name, made.text)
                    compared += 1
        if not manifest.notes and not any(entry.conditional for entry in manifest.lists):
            assert not declared, made.text
    assert compared > 1000


FRAGMENTS = [
    *["'", "'a'", "'\\''", "'\\\\'", "'\\n'", "'\n'", '"', '"a"', '"\\""', '"\\\\"', '"$"', '"$a"'],
    *[
        '"\\$a"',
        '"${a}"',
        "\"${'}'}\"",
        "\"${a['b']}\"",
        '"\\u{1F600}\\u00e9\\s\\t\\x"',
        '"\\',
        "\\",
    ],
    *['"$a$b\\\\"', '"${a.map |$x| { "y${x}" }}"', '"${# }\n a}"', '"\\\n"', '"$ $$ $\\\\"'],
    *[
        "$a",
        "$::a::b",
        "$",
        "$1",
        "a",
        "a-b",
        "a::b",
        "::a",
        "A",
        "A::B",
        "::A",
        "_a",
        "A::b",
        "a-",
    ],
    *["1", "0x1F", "1.5", "1e3", "09", "1a", "if", "true", "default", "in", "undef", "a1::b2"],
    *[
        "/",
        "/a/",
        "/a\\/b/",
        "/[/]'/",
        "/*",
        "*/",
        "/* ' */",
        "# '\n",
        "#\n",
        "\n",
        "\r\n",
        " ",
        "\t",
    ],
    *[
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "=>",
        "+>",
        "=",
        "==",
        "=~",
        "!",
        "!~",
        "<|",
        "|>",
        "<<|",
        "|>>",
    ],
    *[
        "->",
        "~>",
        "<-",
        "<~",
        "@",
        "@@",
        "@(E)",
        '@("E")',
        "@(E/L)",
        "\n x ' E y\n",
        "\nE\n",
        "\n|-E\n",
    ],
    *[":", "::", ";", ",", ".", "?", "*", "%", "-", "+", "|", "é", "\u00a0", "\u2003", "'é'", "\f"],
    *["@(E:json)", "@( E )", "@(", "%>", "~", "<", ">", "<=", ">>", '"a\n', "'b\n", "$a ", "} / 2"],
]


@pytest.mark.layout("single")
@pytest.mark.python("2.7")  # Puppet is the same beside either
@pytest.mark.needs("puppet", "ruby")
def test_tokens_are_puppets_tokens(box: Box) -> None:
    """Random heaps of fragments: what both accept, both cut in the same places."""
    dice = random.Random(5)
    heaps = ["".join(dice.choices(FRAGMENTS, k=dice.randint(1, 9))) for _ in range(6000)]
    heaps += [made.text for made, _ in drawn(100)]
    answers = judged(box, [{"code": heap, "classes": []} for heap in heaps])
    compared = strings = 0
    only_puppet: Counter[str] = Counter()
    for heap, answer in zip(heaps, answers, strict=True):
        try:
            tokens = scan(heap).tokens
        except NotUnderstood as error:
            if answer.get("syntax", "") is None:
                only_puppet[str(error).partition(": ")[2]] += 1
            continue
        if "tokens" not in answer:
            continue
        compared += 1
        expected = [(KINDS.get(kind), offset, value) for kind, offset, value in answer["tokens"]]
        found = [
            (
                None if t.kind in (Kind.OPERATOR, Kind.KEYWORD) else t.kind,
                len(heap[: t.start].encode()),
            )
            for t in tokens
        ]
        assert found == [(kind, offset) for kind, offset, _ in expected], heap
        for token, (kind, _, value) in zip(tokens, expected, strict=True):
            if kind is Kind.STRING and token.literal is not None:
                assert token.literal == value, heap
                strings += 1
            elif kind is None:
                assert token.text == value, heap
    assert compared > 1500
    assert strings > 1000
    # Puppet looks for a string's end from the second character on, so '' with another quote or
    # \\' behind it goes on. Nobody writes that, and refusing it costs nothing.
    assert set(only_puppet) <= {
        "a carriage return that does not end a line",
        "a string right behind another",
        "the character \\ outside of quotes and comments",
    }, only_puppet
