"""What a command is expected to print: text in which some parts differ from run to run.

``{PID}`` stands for a process id, ``{PID:4711}`` for one that is written 4711 on the page.
A line ``{MORE}`` stands for any number of further lines like the one above it.
``{ANSWER:y}`` is what the reader types at the question before it on that line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: What may stand in place of text that differs from run to run.
PLACEHOLDERS: Mapping[str, str] = {
    "PID": r"[0-9]+",
    "SEQ": r"[0-9]+",
    "TIME": r"[0-9A-Za-z:. +-]+",
    "NUMBER": r"[0-9,]+",
    "LIST": r"[-a-z0-9_.+=]+",
    "VERSION": r"[0-9]+(?:\.[0-9]+)+(?: \(stand-in\))?",
    "BAR": r"━+",
    "RUN": r"[0-9]{8}-[0-9]{6}-[0-9a-f]{6}",
    "ANY": r".*",
}

#: The line that stands for further lines like the one above it.
MORE = "{MORE}"

_PART = re.compile(r"\{(" + "|".join([*PLACEHOLDERS, "ANSWER"]) + r")(?::([^{}]*))?\}")


@dataclass(frozen=True)
class Part:
    """A piece of a line, as the page shows it."""

    text: str
    #: a regular expression for what a run prints in its place; None: the text itself
    pattern: str | None = None
    #: typed by the reader
    is_answer: bool = False


def parts(line: str) -> list[Part]:
    """The pieces of one line."""
    if line.strip() == MORE:
        return [Part("…", pattern="")]
    found, end = [], 0
    for match in _PART.finditer(line):
        if match.start() > end:
            found.append(Part(line[end : match.start()]))
        name, example = match.groups()
        if name == "ANSWER":
            found.append(Part(example or "", is_answer=True))
        else:
            shown = name.lower() if example is None else example
            found.append(
                Part("…" if name == "ANY" and example is None else shown, PLACEHOLDERS[name])
            )
        end = match.end()
    if end < len(line):
        found.append(Part(line[end:]))
    return found


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
            prompt += _pattern(part)
    return found


def _pattern(part: Part) -> str:
    return re.escape(part.text) if part.pattern is None else f"(?:{part.pattern})"


@dataclass(frozen=True)
class _Line:
    """A line that is expected, and whether it may come more than once."""

    text: str
    regex: re.Pattern[str]
    repeats: bool


def _lines(expected: str) -> list[_Line]:
    found: list[_Line] = []
    for line in expected.strip().splitlines():
        if line.strip() != MORE:
            regex = re.compile("".join(_pattern(part) for part in parts(line.rstrip())))
            found.append(_Line(line.rstrip(), regex, False))
        elif found:
            found[-1] = _Line(found[-1].text, found[-1].regex, True)
        else:
            raise ValueError(f"{MORE} has no line above it that it could repeat")
    return found


def matches(expected: str, output: str, unordered: bool = False) -> bool:
    """Whether a run printed what was expected. Blanks at the ends of lines mean nothing."""
    lines = _lines(expected)
    printed = [line.rstrip() for line in output.strip().splitlines()]
    return _all_fit(lines, printed) if unordered else _all_follow(lines, printed)


def _all_follow(lines: Sequence[_Line], printed: Sequence[str]) -> bool:
    """Line by line. `reached`: how many of the expected lines the text so far may have used."""
    reached = {0}
    for text in printed:
        reached = {
            after
            for used in reached
            for after, line in ((used + 1, lines[used : used + 1]), (used, lines[:used][-1:]))
            if line and (after > used or line[0].repeats) and line[0].regex.fullmatch(text)
        }
    return len(lines) in reached


def _all_fit(lines: Sequence[_Line], printed: Sequence[str]) -> bool:
    """In any order: every expected line has a printed one of its own, and none is left over."""
    fits = [[i for i, line in enumerate(lines) if line.regex.fullmatch(text)] for text in printed]
    owner: dict[int, int] = {}

    def give(text: int, seen: set[int]) -> bool:
        for line in fits[text]:
            if line not in seen:
                seen.add(line)
                if line not in owner or give(owner[line], seen):
                    owner[line] = text
                    return True
        return False

    # Who finds a place keeps one. Lines that only one place is meant for choose first.
    for text in sorted(range(len(printed)), key=lambda t: any(lines[i].repeats for i in fits[t])):
        give(text, set())
    left = set(range(len(printed))) - set(owner.values())
    return len(owner) == len(lines) and all(any(lines[i].repeats for i in fits[t]) for t in left)
