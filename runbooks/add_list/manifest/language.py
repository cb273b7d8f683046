"""The Puppet language as far as its tokens and its literals: where each begins and ends.

Made for changing one place of a manifest and leaving every other byte alone, so it knows exact
positions and refuses (`NotUnderstood`) what it cannot place, where a highlighter would guess.
Of the parsers on PyPI (2026-11), `puppetparser` 0.2.14 stops at CRLF line ends and at heredocs,
and `tree-sitter-puppet` 1.3.0 at heredocs, `* => $hash` and `\\u{...}`.

The rules are those of Puppet 5.5.22, compared with it token by token in
`tests/fuzz/test_puppet_judge.py`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum, auto

from runbooks.errors import BadInputError

__all__ = ["Kind", "NotUnderstood", "Source", "Token", "line_of", "quote", "scan"]


class NotUnderstood(BadInputError):
    """The manifest holds something that is not understood; one line: where, what."""


class Kind(Enum):
    """What a token is. A string with `${...}` or `$name` in it is one `STRING` token."""

    NAME = auto()
    WORD = auto()
    TYPE = auto()
    KEYWORD = auto()
    VARIABLE = auto()
    NUMBER = auto()
    STRING = auto()
    HEREDOC = auto()
    REGEX = auto()
    OPERATOR = auto()


@dataclass(frozen=True)
class Token:
    """One token: `text` as the manifest writes it, at `start:end` (characters).

    `literal` is the string that Puppet makes of a string or a bare word, `None` where that is
    only known at run time or the token is not a string.
    """

    kind: Kind
    start: int
    end: int
    text: str
    literal: str | None = None

    def is_operator(self, *texts: str) -> bool:
        """Whether this is one of the operators or brackets in `texts`."""
        return self.kind is Kind.OPERATOR and self.text in texts

    def is_keyword(self, *texts: str) -> bool:
        """Whether this is one of the keywords in `texts`."""
        return self.kind is Kind.KEYWORD and self.text in texts


@dataclass(frozen=True)
class Source:
    """A manifest's text with its tokens, its comments and the texts of its heredocs (spans)."""

    text: str
    tokens: tuple[Token, ...]
    comments: tuple[tuple[int, int], ...]
    heredocs: tuple[tuple[int, int], ...]


KEYWORDS = frozenset(
    {"and", "application", "attr", "case", "class", "consumes", "default", "define", "else"}
    | {"elsif", "false", "function", "if", "in", "inherits", "node", "or", "private", "produces"}
    | {"site", "true", "type", "undef", "unless"}
)

# The longest that fits wins. `@(` begins a heredoc and is looked at before these.
_OPERATORS = (
    *("<<|", "|>>"),
    *("==", "!=", "=~", "!~", ">=", "<=", "=>", "+>", "+=", "-=", "<<", ">>", "<|", "|>"),
    *("->", "~>", "<-", "<~", "@@"),
    *"[]{}()=><+-/*%!.|@:,;?~",
)

_WORD = re.compile(r"(?:(?:::)?[a-z_](?:[\w-]*\w)?)+", re.ASCII)
_NAME = re.compile(r"(?:::)?[a-z]\w*(?:::[a-z]\w*)*", re.ASCII)
_TYPE = re.compile(r"(?:(?:::)?[A-Z]\w*)+", re.ASCII)
_VARIABLE = re.compile(r"(?:::)?(?:\w+::)*\w+", re.ASCII)
_NUMBER = re.compile(r"(?:0[xX][0-9A-Fa-f]+|0?\d+(?:\.\d+)?(?:[eE]-?\d+)?)\b", re.ASCII)
_COMMENT = re.compile(r"#[^\n]*")
_HEREDOC = re.compile(
    r"@\(([^:/\r\n)]+)(?::[^\S\r\n]*[a-z][a-zA-Z0-9_+]+[^\S\r\n]*)?(?:/[\w$]*[^\S\r\n]*)?\)",
    re.ASCII,
)
_SINGLE_ESCAPE = re.compile(r"\\([\\'])")
_DOUBLE_ESCAPE = re.compile(
    r"\\(?:u(?:([0-9A-Fa-f]{4})|\{([0-9A-Fa-f]{1,6})\})|(\r?\n)|([^\r\n]))", re.ASCII
)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "s": " ", "\\": "\\", "$": "$", "'": "'", '"': '"'}

# What a value may end with: a slash after it divides, any other slash starts a regex.
_VALUE_KINDS = {
    Kind.NAME,
    Kind.WORD,
    Kind.TYPE,
    Kind.VARIABLE,
    Kind.NUMBER,
    Kind.STRING,
    Kind.HEREDOC,
    Kind.REGEX,
}
# Interpolations in interpolations; nobody writes more, and each costs a level of recursion.
_DEEPEST = 40


def line_of(text: str, offset: int) -> int:
    """The number of the line, from 1, that the character at `offset` is on."""
    return text.count("\n", 0, offset) + 1


def scan(text: str) -> Source:
    """The tokens of a manifest.

    Raises `NotUnderstood` at a character, string, comment, number or heredoc that Puppet would
    not accept, and at the few that it accepts and this scanner does not follow: a carriage
    return that does not end a line, a string, comment or regex that runs into a heredoc's text,
    and a heredoc inside `${...}`.
    """
    scanner = _Scanner(text)
    end, _ = scanner.run(0, depth=0)
    assert end == len(text)
    return Source(
        text, tuple(scanner.tokens), tuple(scanner.comments), tuple(sorted(scanner.heredocs))
    )


def quote(value: str, mark: str = "'") -> str:
    """`value` as a Puppet string literal, exactly.

    In single quotes as long as the value can be read that way; a value with control characters
    or line ends, or with characters that reorder or hide text, is written in double quotes with
    escapes, so that it stays on one line and survives a change of the file's line ends. `mark`
    is the quote to prefer: `'` or `"`.

    Raises `BadInputError` for what Puppet or the host cannot carry: NUL, lone surrogates.
    """
    for character in value:
        if character == "\0":
            raise BadInputError("the text holds a NUL character, which no program can be given")
        if unicodedata.category(character) == "Cs":
            raise BadInputError("the text holds half a character (a lone surrogate)")
    if mark == "'" and not any(map(_needs_escape, value)):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return '"' + "".join(map(_in_double_quotes, value)) + '"'


def _needs_escape(character: str) -> bool:
    # Cc: controls; Zl, Zp: line and paragraph separators. The rest reorders text or is invisible
    # at the start of a file. ZWNJ and ZWJ stay: Persian and Hindi need them.
    return (
        unicodedata.category(character) in ("Cc", "Zl", "Zp")
        or "\u202a" <= character <= "\u202e"
        or "\u2066" <= character <= "\u2069"
        or character == "\ufeff"
    )


def _in_double_quotes(character: str) -> str:
    if character in '\\"$':
        return "\\" + character
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    if _needs_escape(character):
        return f"\\u{{{ord(character):x}}}"
    return character


def _unescape_double(text: str) -> str | None:
    """What Puppet makes of a stretch of a double-quoted string; `None`: not known here."""
    known = True

    def one(match: re.Match[str]) -> str:
        nonlocal known
        four, braced, line_end, character = match.groups()
        if four or braced:
            point = int(four or braced, 16)
            # Puppet replaces \u first and the other escapes afterwards, so a backslash written
            # as \u escapes whatever follows it. Surrogates and points past the end fail there.
            if point == 0x5C or 0xD800 <= point <= 0xDFFF or point > 0x10FFFF:
                known = False
                return ""
            return chr(point)
        if line_end:
            return ""
        return _ESCAPED.get(character, "\\" + character)

    value = _DOUBLE_ESCAPE.sub(one, text)
    return value if known else None


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[Token] = []
        self.comments: list[tuple[int, int]] = []
        self.heredocs: list[tuple[int, int]] = []
        self.jump: int | None = None  # where the line after the current one's heredocs begins

    def fail(self, offset: int, what: str) -> NotUnderstood:
        return NotUnderstood(f"line {line_of(self.text, offset)}: {what}")

    def run(self, at: int, depth: int) -> tuple[int, list[Token]]:
        """Scan from `at` to the end, or inside `${` to the brace that closes it.

        Tokens inside an interpolation are part of their string and are not kept. Returns where
        it stopped: behind the closing brace, or at the end of the text.
        """
        text = self.text
        kept: list[Token] = self.tokens if depth == 0 else []
        opened = at
        braces = 0
        while at < len(text):
            character = text[at]
            if character == "\n":
                if self.jump is not None:
                    if depth:
                        self.stay_on_line(at, "string")
                    at, self.jump = self.jump, None
                else:
                    at += 1
            elif character == "\r":
                if text[at + 1 : at + 2] != "\n":
                    raise self.fail(at, "a carriage return that does not end a line")
                at += 1
            elif character == "\t" or unicodedata.category(character) == "Zs":
                at += 1
            elif character == "#":
                match = _COMMENT.match(text, at)
                assert match
                at = self.comment(at, match.end(), depth)
            elif text.startswith("/*", at):
                end = text.find("*/", at + 2)
                if end < 0:
                    raise self.fail(at, "a comment /* that is never closed")
                at = self.comment(at, end + 2, depth)
            else:
                token = self.token(at, kept[-1] if kept else None, depth)
                if token.is_operator("{"):
                    braces += 1
                elif token.is_operator("}"):
                    if depth and not braces:
                        return token.end, kept
                    braces -= 1
                kept.append(token)
                at = token.end
        if depth:
            raise self.fail(opened, "a ${ that is never closed")
        return at, kept

    def comment(self, start: int, end: int, depth: int) -> int:
        if "\n" in self.text[start:end]:
            self.stay_on_line(start, "comment")
        if not depth:
            self.comments.append((start, end))
        return end

    def stay_on_line(self, start: int, what: str) -> None:
        if self.jump is not None:
            raise self.fail(start, f"a {what} that runs into the text of a heredoc")

    def token(self, at: int, previous: Token | None, depth: int) -> Token:
        text = self.text
        character = text[at]
        if character == "'":
            return self.single_quoted(at)
        if character == '"':
            return self.double_quoted(at, depth)
        if character == "$":
            match = _VARIABLE.match(text, at + 1)
            if not match:
                raise self.fail(at, "a $ without a variable's name")
            return Token(Kind.VARIABLE, at, match.end(), text[at : match.end()])
        if text.startswith("@(", at):
            return self.heredoc(at, depth)
        if character == "/" and _regex_may_follow(previous):
            token = self.regex(at)
            if token:
                return token
        if character.isascii() and character.isdigit():
            match = _NUMBER.match(text, at)
            if not match:
                raise self.fail(at, "a number that is not one")
            return Token(Kind.NUMBER, at, match.end(), match.group())
        if match := _TYPE.match(text, at):
            if text.startswith("::", match.end()):
                raise self.fail(at, f"{match.group()}:: is not a type's name")
            return Token(Kind.TYPE, at, match.end(), match.group())
        if match := _WORD.match(text, at):
            word = match.group()
            if word in KEYWORDS:
                return Token(Kind.KEYWORD, at, match.end(), word)
            kind = Kind.NAME if _NAME.fullmatch(word) else Kind.WORD
            return Token(kind, at, match.end(), word, word)
        if text.startswith("::", at):
            raise self.fail(at, ":: without a name")
        for operator in _OPERATORS:
            if text.startswith(operator, at):
                return Token(Kind.OPERATOR, at, at + len(operator), operator)
        shown = character if character.isprintable() else f"U+{ord(character):04X}"
        raise self.fail(at, f"the character {shown} outside of quotes and comments")

    def single_quoted(self, start: int) -> Token:
        at = self.closing(start, "'")
        if "\n" in self.text[start:at]:
            self.stay_on_line(start, "string")
        self.end_of_string(at, "'")
        literal = _SINGLE_ESCAPE.sub(r"\1", self.text[start + 1 : at])
        return Token(Kind.STRING, start, at + 1, self.text[start : at + 1], literal)

    def end_of_string(self, at: int, marks: str) -> None:
        # Puppet looks for the end from the second character on: of '' followed by ' it makes a
        # string that goes on. Two strings side by side are an error anyway.
        if self.text[at + 1 : at + 2] and self.text[at + 1] in marks:
            raise self.fail(at, "a string right behind another")

    def closing(self, start: int, mark: str) -> int:
        at = start + 1
        while at < len(self.text):
            if self.text[at] == "\\":
                at += 2
            elif self.text[at] == mark:
                return at
            else:
                at += 1
        raise self.fail(start, f"a {mark} that is never closed")

    def double_quoted(self, start: int, depth: int) -> Token:
        text = self.text
        at = stretch = start + 1
        literal: str | None = ""
        while at < len(text):
            character = text[at]
            if character == "\\":
                at += 2
                continue
            if character not in '"$':
                at += 1
                continue
            if literal is not None:
                value = _unescape_double(text[stretch:at])
                literal = None if value is None else literal + value
            if character == '"':
                if "\n" in text[start:at]:
                    self.stay_on_line(start, "string")
                self.end_of_string(at, '"$')
                return Token(Kind.STRING, start, at + 1, text[start : at + 1], literal)
            if text.startswith("${", at):
                if depth >= _DEEPEST:
                    raise self.fail(at, f"more than {_DEEPEST} strings inside one another")
                literal = None
                at, _ = self.run(at + 2, depth + 1)
            elif match := _VARIABLE.match(text, at + 1):
                literal = None
                at = match.end()
            else:  # a dollar sign that is only that
                literal = None if literal is None else literal + "$"
                at += 1
            stretch = at
        raise self.fail(start, 'a " that is never closed')

    def regex(self, start: int) -> Token | None:
        end = self.text.find("/", start + 1)
        while end >= 0:
            body = self.text[start + 1 : end]
            if (len(body) - len(body.rstrip("\\"))) % 2 == 0:
                if "\n" in body:
                    self.stay_on_line(start, "regular expression")
                return Token(Kind.REGEX, start, end + 1, self.text[start : end + 1])
            end = self.text.find("/", end + 1)
        return None

    def heredoc(self, start: int, depth: int) -> Token:
        text = self.text
        match = _HEREDOC.match(text, start)
        if not match:
            raise self.fail(start, "a heredoc @( that is not understood")
        if depth:
            raise self.fail(start, "a heredoc inside ${...}")
        tag = match.group(1).strip()
        if len(tag) > 1 and tag[0] == tag[-1] == '"':
            tag = tag[1:-1].strip()
        if not tag:
            raise self.fail(start, "a heredoc without an end tag")
        begin = self.jump if self.jump is not None else text.find("\n", match.end()) + 1
        if not begin:
            raise self.fail(start, "a heredoc without a text")
        # Puppet takes any line that ends with the tag for the end.
        ending = re.compile(re.escape(tag) + r"[^\S\r\n]*\r?(?:\n|\Z)")
        at = begin
        while at < len(text):
            line_end = text.find("\n", at) + 1 or len(text)
            if ending.search(text[at:line_end]):
                self.heredocs.append((begin, line_end))
                self.jump = line_end
                return Token(Kind.HEREDOC, start, match.end(), match.group())
            at = line_end
        raise self.fail(start, f"a heredoc without its end {tag}")


def _regex_may_follow(previous: Token | None) -> bool:
    if previous is None:
        return True
    if previous.kind in _VALUE_KINDS or previous.is_keyword("true", "false"):
        return False
    return not previous.is_operator(")", "]", "|>", "|>>")
