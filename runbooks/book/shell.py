"""Splits a printed command into the simple commands that a POSIX shell makes of it.

So much of the shell as the pages use: words and quotes, ``$name``, ``${name…}``, ``$(command)``,
assignments, redirections, here-documents, comments, and what stands between commands. Whatever
else there is in a shell raises ValueError, so that nothing is overlooked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: What ends a simple command, the longest first.
_BETWEEN = ("&&", "||", ";", "|", "&", "\n")

_REDIRECTION = re.compile(r"[0-9]*(?:<<-?|>>|>\||>&|<&|<>|>|<)")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9?$!#@*-]")

#: What begins or ends a compound command.
_RESERVED = frozenset(
    (
        *("!", "{", "}", "case", "do", "done", "elif", "else", "esac", "fi", "for", "function"),
        *("if", "in", "then", "until", "while"),
    )
)


@dataclass(frozen=True)
class Word:
    """A word of a command, without its quotes."""

    #: what the shell puts in the place of something is left as it is written: ``$lock``
    text: str
    #: nothing is put in the place of any of it
    is_literal: bool
    #: as it is written
    raw: str


@dataclass(frozen=True)
class Simple:
    """A program and its arguments; of a line that only assigns, no word."""

    words: tuple[Word, ...] = ()
    #: by name, in their order
    assignments: tuple[tuple[str, Word], ...] = ()
    #: ``>``, ``2>`` and so on, and what follows
    redirections: tuple[tuple[str, Word], ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.words)


def split(command: str) -> tuple[Simple, ...]:
    """The simple commands of a script, those within others before these.

    Raises ValueError for what a shell would not take, or what is not known here.
    """
    reader = _Reader(command)
    reader.commands(end="")
    return tuple(reader.found)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: list[Simple] = []

    def _next(self) -> str:
        return self.text[self.at : self.at + 1]

    def commands(self, end: str) -> None:
        """Read commands up to `end`: a bracket, or "" for the end of the text."""
        words: list[Word] = []
        redirections: list[tuple[str, Word]] = []
        documents: list[str] = []

        def finish() -> None:
            if words or redirections:
                self.found.append(_simple(words, redirections))
            words.clear()
            redirections.clear()

        while True:
            self._skip_blanks()
            if not self._next() or self._next() == end:
                finish()
                if end and not self._next():
                    raise ValueError("a bracket is not closed")
                self.at += len(end)
                return
            between = next((one for one in _BETWEEN if self.text.startswith(one, self.at)), "")
            redirection = _REDIRECTION.match(self.text, self.at)
            if between:
                self.at += len(between)
                finish()
                if between == "\n":
                    self._skip_documents(documents)
            elif redirection:
                self.at = redirection.end()
                self._skip_blanks()
                redirections.append((redirection[0], self._word()))
                if redirection[0].startswith("<<"):
                    documents.append(redirections[-1][1].text)
            else:
                words.append(self._word())

    def _skip_blanks(self) -> None:
        """Skip blanks, continued lines and a comment."""
        found = re.compile(r"(?:[ \t]|\\\n)*(?:#[^\n]*)?").match(self.text, self.at)
        assert found
        self.at = found.end()

    def _skip_documents(self, ends: list[str]) -> None:
        while ends:
            line, feed, _ = self.text[self.at :].partition("\n")
            if not feed and line != ends[0]:
                raise ValueError(f"the here-document has no end {ends[0]}")
            self.at += len(line) + len(feed)
            if line == ends[0]:
                ends.pop(0)

    def _word(self) -> Word:
        begin, text, is_literal = self.at, "", True
        while (c := self._next()) and c not in " \t\n;&|<>()":
            self.at += 1
            if c == "'":
                text += self._until("'")
            elif c == '"':
                more, literal = self._double_quoted()
                text, is_literal = text + more, is_literal and literal
            elif c == "\\":
                text += self._next().replace("\n", "")
                self.at += 1
            elif c in "$`":
                text, is_literal = text + self._put_in(c), False
            else:
                text += c
                is_literal = is_literal and c not in "*?~["
        if self.at == begin:
            raise ValueError(f"what {self.text[begin : begin + 20]!r} means is not known here")
        raw = self.text[begin : self.at]
        return Word(text, is_literal or raw == "[", raw)

    def _until(self, quote: str) -> str:
        end = self.text.find(quote, self.at)
        if end < 0:
            raise ValueError("a quote is not closed")
        text, self.at = self.text[self.at : end], end + 1
        return text

    def _double_quoted(self) -> tuple[str, bool]:
        text, is_literal = "", True
        while (c := self._next()) != '"':
            self.at += 1
            if not c:
                raise ValueError("a quote is not closed")
            if c == "\\" and self._next() and self._next() in '$`"\\\n':
                text += self._next().replace("\n", "")
                self.at += 1
            elif c in "$`":
                text, is_literal = text + self._put_in(c), False
            else:
                text += c
        self.at += 1
        return text, is_literal

    def _put_in(self, sign: str) -> str:
        """What the shell puts something else for, with the `sign` that it follows, as written."""
        if sign == "`":
            raise ValueError("there are backquotes")
        begin = self.at - 1
        if self.text.startswith("((", self.at):
            raise ValueError("there is arithmetic")
        if self._next() == "(":
            self.at += 1
            self.commands(end=")")
        elif self._next() == "{":
            self._until("}")
        elif variable := _VARIABLE.match(self.text, self.at):
            self.at = variable.end()
        return self.text[begin : self.at]


def _simple(words: list[Word], redirections: list[tuple[str, Word]]) -> Simple:
    assignments = []
    rest = list(words)
    while rest and (name := _ASSIGNMENT.match(rest[0].raw)):
        word = rest.pop(0)
        size = name.end()
        value = Word(word.text[size:], word.is_literal, word.raw[size:])
        assignments.append((name[0][:-1], value))
    if rest and rest[0].raw in _RESERVED:
        raise ValueError(f"{rest[0].raw!r} is not known here")
    return Simple(tuple(rest), tuple(assignments), tuple(redirections))
