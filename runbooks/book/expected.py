"""What a command is expected to print: text with placeholders for what no page can know.

``{LISTS openstack:4}`` stands for the number of lists that the site has, and is written 4 on the
page. What may stand there is what is true of the server that the command was run on: a `Truth`
says. Only what nobody can know beforehand (a time that has passed, a progress bar) is free, within
a strict form. Behind the name is what the placeholder is about, behind the colon what the page
shows; ``%`` and two hexadecimal digits mean a character, as in a URL (see `placeholder`).

A line with one of `SUBJECTS`, like ``{LIST openstack:openstack-announce}: banned``, stands for one
line for each of them: all are printed, each once, in any order. Several such lines about the same,
one after the other, are printed for each of them. A line ``{MORE}`` below tells the reader so.
``{ANSWER:y}`` is what the reader types at the question before it on that line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import quote, unquote

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[0-2][0-9]:[0-5][0-9]"

#: What is free, and its form.
FORMS: Mapping[str, str] = {
    "CLOCK": rf"(?:{_DATE} )?{_TIME} (?:UTC|[-+][0-9]{{4}})",
    "STAMP": rf"{_DATE} {_TIME}:[0-6][0-9]\.[0-9]{{9}} [-+][0-9]{{4}}",
    "ELAPSED": r"[0-9]+:[0-5][0-9]:[0-5][0-9]",
    "SECONDS": r"[0-9]+\.[0-9]{2}",
    "BAR": "━+",
}

#: Lines of which there may be any number, or none, and their form.
LINES: Mapping[str, str] = {
    "WARNINGS": r"(?:Warning: .+|   \(.+\))",
    # Puppet's word for a newlist that asks a question and reads the end of its input.
    "NEWLIST_FAILS": (
        r"(?:Error: (?:\S+: change from 'absent' to 'present' failed: )?"
        r"Execution of '\S*newlist .+' returned 1: .*Traceback \(most recent call last\):"
        r"|  File \".*newlist\", line [0-9]+, in .+|    .+|EOFError: EOF when reading a line)"
    ),
}

#: What a line is about; it is printed once for each.
SUBJECTS = frozenset(
    (
        "LIST",
        "LIST_KNOWING",
        "LIST_WITH_MEMBER",
        "NAMED_LIST",
        "NO_MEMBER",
        "CLAIM",
        "NEW_ALIAS",
        "NEW_ALIAS_OF_OTHERS",
        "LINT",
    )
)

#: What has one value, of the server or of what the line is about: `runbooks.mailman.truth` has it.
FACTS = frozenset(
    (
        *("HOST", "HOST_OPTION", "MAILMAN", "PYTHON", "INTERPRETER", "VALIDATION", "RUN"),
        *("LISTS", "OTHERS", "TO_BAN", "TO_UNBAN", "BANNED", "UNBANNED", "MISSING_BANS"),
        *("TO_UNSUBSCRIBE", "UNSUBSCRIBED", "MEMBERSHIPS", "CONFIRMATIONS", "REQUESTS"),
        "CAUGHT_UP",
        *("OUTCOME", "MATCH", "ACCEPTED", "OWNERS", "ROLES", "POLICY", "WAITING"),
        *("LOCK", "DEAD", "WAITER", "LINKS", "SIZE"),
    )
)

#: What is the same whenever the commands are run on the server that the page is about.
DOCUMENTED = frozenset(
    (
        "CAUGHT_UP",
        *("LIST", "LIST_KNOWING", "HOST", "LISTS", "OTHERS", "MISSING_BANS", "OUTCOME", "MATCH"),
        *("TO_BAN", "TO_UNBAN", "BANNED", "UNBANNED", "ACCEPTED", "OWNERS", "ROLES", "POLICY"),
        *("LIST_WITH_MEMBER", "NAMED_LIST", "TO_UNSUBSCRIBE", "UNSUBSCRIBED", "MEMBERSHIPS"),
        *("CONFIRMATIONS", "REQUESTS", "WAITING", "HOST_OPTION"),
    )
)

#: The line that tells a reader that there are further lines like the one above it.
MORE = "{MORE}"

_NAMES = sorted({*FORMS, *LINES, *SUBJECTS, *FACTS, "ANSWER"}, key=len, reverse=True)
_PART = re.compile(r"\{(" + "|".join(_NAMES) + r")((?: [^{}: ]+)*)(?::([^{}]*))?\}")


def placeholder(name: str, *of: str, shown: str) -> str:
    """A placeholder about anything: what it is about may have any characters."""
    words = " ".join([name, *(quote(word, safe="@+") for word in of)])
    return f"{{{words}:{re.sub('[%{}]', lambda c: quote(c.group()), shown)}}}"


@dataclass(frozen=True)
class Part:
    """A piece of a line."""

    #: as the page shows it
    text: str
    #: the placeholder; "" for text that is printed as it is
    name: str = ""
    #: what it is about
    of: tuple[str, ...] = ()

    @property
    def is_answer(self) -> bool:
        """Whether the reader types it."""
        return self.name == "ANSWER"

    @property
    def varies(self) -> bool:
        """Whether another server, or another run, prints something else there."""
        return bool(self.name) and not self.is_answer


S = TypeVar("S")


class Truth(Protocol[S]):
    """What is true of a server. Raises `Untrue` where nothing that is true can stand."""

    def subjects(self, part: Part) -> Sequence[tuple[str, S]]:
        """Each thing that a line with `part` is printed for: its text, and what it is."""
        ...

    def value(self, part: Part, subject: S | None) -> str:
        """What stands for `part` in a line about `subject`."""
        ...


class Untrue(Exception):
    """Nothing that is true of the server can stand for a placeholder."""


def parts(line: str) -> list[Part]:
    """The pieces of one line."""
    if line.strip() == MORE:
        return [Part("…", "MORE")]
    found, end = [], 0
    for match in _PART.finditer(line):
        if match.start() > end:
            found.append(Part(line[end : match.start()]))
        name, of, shown = match.groups()
        text = name.lower().replace("_", " ") if shown is None else unquote(shown)
        found.append(Part(text, name, tuple(unquote(word) for word in of.split())))
        end = match.end()
    if end < len(line):
        found.append(Part(line[end:]))
    return found


def placeholders(expected: str) -> list[Part]:
    """All placeholders of a text."""
    return [part for line in expected.splitlines() for part in parts(line) if part.varies]


def as_shown(expected: str) -> str:
    """The text as the page shows it."""
    lines = expected.strip("\n").splitlines()
    return "\n".join("".join(part.text for part in parts(line)) for line in lines)


def answers(expected: str) -> list[tuple[str, str]]:
    """What the reader types, in order: a regular expression for the prompt, and the answer."""
    found = []
    for line in expected.splitlines():
        prompt = ""
        for part in parts(line):
            if part.is_answer:
                found.append((prompt, part.text))
            prompt += ".+" if part.varies else re.escape(part.text)
    return found


# -- what was printed ---------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """Lines that have to be printed one after the other, in any order among themselves.

    Each is a regular expression; `any_number`: there is one, for any number of lines or none.
    """

    lines: tuple[str, ...]
    any_number: bool = False


def wanted(expected: str, truth: Truth[S]) -> list[Wanted]:
    """What a server of which `truth` is true prints. Raises ValueError for wrong text.

    Where nothing that is true can stand, no line will do.
    """
    groups: list[Wanted] = []
    above: list[Part] = []
    for line in expected.strip().splitlines():
        found = parts(line.rstrip())
        about = [part for part in found if part.name in SUBJECTS]
        if [part.name for part in found] == ["MORE"]:
            if not above:
                raise ValueError(f"{MORE} has no line above it that is printed for several things")
        elif found and found[0].name in LINES:
            groups.append(Wanted((LINES[found[0].name],), any_number=True))
        else:
            try:
                lines = tuple(_lines(found, about, truth))
            except Untrue as e:
                lines = (_never(e),)
            if about and about == above:
                lines = (*groups.pop().lines, *lines)
            groups.append(Wanted(lines))
        above = about
    return groups


def _lines(found: Sequence[Part], about: Sequence[Part], truth: Truth[S]) -> Iterator[str]:
    if len(about) > 1:
        raise ValueError(f"a line is about one thing, and not {[part.name for part in about]}")
    if not about:
        yield "".join(_regex(part, lambda part: truth.value(part, None)) for part in found)
        return
    for text, subject in truth.subjects(about[0]):

        def value(part: Part, text: str = text, subject: S = subject) -> str:
            return text if part is about[0] else truth.value(part, subject)

        try:
            yield "".join(_regex(part, value) for part in found)
        except Untrue as e:
            yield _never(e)


#: Begins an expression for no line at all; behind it is why.
_NEVER = "(?!)"


def _never(why: Untrue) -> str:
    return _NEVER + re.escape(str(why))


def _regex(part: Part, value: Callable[[Part], str]) -> str:
    if part.name in FORMS:
        return FORMS[part.name]
    return re.escape(value(part) if part.varies else part.text)


@dataclass(frozen=True)
class Line:
    """A line that was printed, or had to be."""

    #: " " when it is as it has to be, "-" when it was not printed, "+" when it is one too many;
    #: "!" where none could be right: why
    sign: str
    text: str


def judged(expected: str, output: str, truth: Truth[S]) -> list[Line]:
    """What a run printed, line by line, beside what it has to print.

    Blanks at the ends of lines mean nothing.
    """
    groups = wanted(expected, truth)
    missing = [list(group.lines) for group in groups]
    found: list[Line] = []
    now = 0
    for line in (line.rstrip() for line in output.strip().splitlines()):
        fitting = (
            (number, regex)
            for number, group in enumerate(groups[now:], now)
            for regex in (group.lines if group.any_number else missing[number])
            if re.fullmatch(regex, line)
        )
        number, regex = next(fitting, (now, None))
        found += _not_printed(groups[now:number], missing[now:number])
        now = number
        if regex is not None and not groups[number].any_number:
            missing[number].remove(regex)
        found.append(Line("+" if regex is None else " ", line))
    return found + _not_printed(groups[now:], missing[now:])


def _not_printed(groups: Sequence[Wanted], missing: Sequence[Sequence[str]]) -> list[Line]:
    return [
        Line("!" if regex.startswith(_NEVER) else "-", _readable(regex.removeprefix(_NEVER)))
        for group, lines in zip(groups, missing, strict=True)
        for regex in (() if group.any_number else lines)
    ]


def fault(expected: str, output: str, truth: Truth[S]) -> str:
    """What is wrong with what a run printed; "" when nothing is. See `judged`."""
    lines = judged(expected, output, truth)
    if untrue := next((line.text for line in lines if line.sign == "!"), None):
        return untrue
    if lacking := next((line.text for line in lines if line.sign == "-"), None):
        return f"no line is {lacking!r} where one has to be"
    extra = next((line.text for line in lines if line.sign == "+"), None)
    return f"the line {extra!r} is one too many" if extra is not None else ""


def false_example(expected: str, truth: Truth[S]) -> str:
    """What a text shows that is not so on the very server it is about; "" when all is.

    Of `DOCUMENTED` alone: a process id, say, is another one each time.
    """
    for line in expected.strip().splitlines():
        found = parts(line)
        about = next((part for part in found if part.name in SUBJECTS & DOCUMENTED), None)
        subject = None
        if about:
            subjects = dict(truth.subjects(about))
            if about.text not in subjects:
                return f"{about.text!r} is not among {', '.join(subjects) or 'nothing'}"
            subject = subjects[about.text]
        for part in found:
            if part.name in FACTS & DOCUMENTED and part.text != truth.value(part, subject):
                value = truth.value(part, subject)
                return f"{as_shown(line)!r} says {part.text!r} where it is {value!r}"
    return ""


def _readable(regex: str) -> str:
    """A regular expression of ours as a person reads it."""
    for name, form in FORMS.items():
        regex = regex.replace(form, f"{{{name}}}")
    return re.sub(r"\\(.)", r"\1", regex)
