"""The tokens of the Puppet language; tests/fuzz/test_puppet_judge.py asks Puppet itself."""

from __future__ import annotations

import pytest

from runbooks.add_list.manifest.language import Kind, NotUnderstood, quote, scan
from runbooks.errors import BadInputError


@pytest.mark.parametrize(
    ("written", "literal"),
    [
        (r"''", ""),
        (r"'a\'b'", "a'b"),
        (r"'a\\'", "a\\"),
        (r"'a\nb\"\$c'", r"a\nb\"\$c"),
        (r"'# { ${x}'", "# { ${x}"),
        ("'a\nb'", "a\nb"),
        (r'"a\"b\\\$c\'"', "a\"b\\$c'"),
        (r'"\n\t\s\r"', "\n\t \r"),
        (r'"\q\u00e9\u{1F600}\u12"', "\\qé😀\\u12"),
        ('"a\\\nb"', "ab"),
        (r'"5 $ and $"', "5 $ and $"),
        (r'"a $b"', None),
        (r'"a ${b}"', None),
        # Puppet makes \n of this, and then a line end of that.
        (r'"\u005cn"', None),
        (r'"\u{110000}"', None),
        ("a-b", "a-b"),
        ("present", "present"),
        ("12", None),
        ("true", None),
        ("$a", None),
    ],
)
def test_literals(written: str, literal: str | None) -> None:
    (token,) = scan(written).tokens
    assert token.text == written
    assert token.literal == literal


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("a # b ' {\nc", ["a", "c"]),
        ("a /* ' \n # */ c", ["a", "c"]),
        ("6 / 3 / 2", ["6", "/", "3", "/", "2"]),
        (r"=~ /a'\/{/ {", ["=~", r"/a'\/{/", "{"]),
        ("$x / 2 '/'", ["$x", "/", "2", "'/'"]),
        ('"${a["}"]}" b', ['"${a["}"]}"', "b"]),
        ('"${a.map |$x| { "y${x}" }}" b', ['"${a.map |$x| { "y${x}" }}"', "b"]),
        ('"${[{a => 1}, "x"]} y" b', ['"${[{a => 1}, "x"]} y"', "b"]),
        ("$a = @(E)\n ' { \n | E\nb", ["$a", "=", "@(E)", "b"]),
        ("[@(A), @(B)]\n'\n|- A\n\"\nB\nb", ["[", "@(A)", ",", "@(B)", "]", "b"]),
        ("A::B['x'] -> c::d <<| |>>", ["A::B", "[", "'x'", "]", "->", "c::d", "<<|", "|>>"]),
        ("a:'b' => $::c\r\n", ["a", ":", "'b'", "=>", "$::c"]),
    ],
)
def test_tokens(text: str, tokens: list[str]) -> None:
    source = scan(text)
    assert [token.text for token in source.tokens] == tokens
    assert [text[token.start : token.end] for token in source.tokens] == tokens


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n'a", "line 2: a ' that is never closed"),
        ('"a\n\n', 'line 1: a " that is never closed'),
        ('"${a', "line 1: a ${ that is never closed"),
        ("\n\n/* a", "line 3: a comment /* that is never closed"),
        ("a\rb", "line 1: a carriage return that does not end a line"),
        ("$ a", "line 1: a $ without a variable's name"),
        ("1a", "line 1: a number that is not one"),
        ("a\n^", "line 2: the character ^ outside of quotes and comments"),
        ("a\x0cb", "line 1: the character U+000C outside of quotes and comments"),
        ("A::b", "line 1: A:: is not a type's name"),
        (":: a", "line 1: :: without a name"),
        ("@(E)\nx", "line 1: a heredoc without its end E"),
        ("@(E)", "line 1: a heredoc without a text"),
        ("@()\nE\n", "line 1: a heredoc @( that is not understood"),
        ('@(" ")\nE\n', "line 1: a heredoc without an end tag"),
        ('"${@(E)}"\nE\n', "line 1: a heredoc inside ${...}"),
        ("@(E) 'a\nb'\nE\n'", "line 1: a string that runs into the text of a heredoc"),
        ("@(E) /* a\nb */\nE\n*/", "line 1: a comment that runs into the text of a heredoc"),
        ("''''", "line 1: a string right behind another"),
        ('"a${' * 50, "line 1: more than 40 strings inside one another"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(NotUnderstood) as caught:
        scan(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("value", "mark", "written"),
    [
        ("Foo", "'", "'Foo'"),
        ("it's a \\", "'", r"'it\'s a \\'"),
        ('$x ${y} "z"', "'", "'$x ${y} \"z\"'"),
        ('$x "y" \\ it\'s', '"', '"\\$x \\"y\\" \\\\ it\'s"'),
        ("a\nb", "'", r'"a\nb"'),
        ("a\r\n\t\x07", "'", r'"a\r\n\t\u{7}"'),
        ("a\u202eb\ufeff\u2028", "'", r'"a\u{202e}b\u{feff}\u{2028}"'),
        ("فارسی\u200c", "'", "'فارسی\u200c'"),
    ],
)
def test_quote(value: str, mark: str, written: str) -> None:
    assert quote(value, mark) == written
    (token,) = scan(written).tokens
    assert token.literal == value
    assert token.kind is Kind.STRING


@pytest.mark.parametrize(("value", "named"), [("a\0b", "NUL"), ("a\ud800", "surrogate")])
def test_what_no_manifest_can_hold(value: str, named: str) -> None:
    with pytest.raises(BadInputError, match=named):
        quote(value)
