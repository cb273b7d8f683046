"""How a test of a walk fails: at the line that defines what is wrong, with all that one needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runbooks.book import expected
from runbooks.book.defined import Defined

#: What is told, by the name that it has in JUnit's file.
TITLES = {
    "command": "the command",
    "expected": "the page shows",
    "printed": "and it printed",
    "differs": "what differs",
}

#: Of a longer text the beginning and the end are shown.
LINES = 40


class NotTrueError(Exception):
    """A page is not true."""

    def __init__(
        self,
        place: str,
        defined: Defined,
        why: str,
        texts: Mapping[str, str] | None = None,
    ) -> None:
        """`place`: on the page, and on which server. `texts`: what else is told, by its name."""
        self.place = place
        self.defined = defined
        self.why = why
        self.texts = texts or {}
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [self.place, f"{self.defined}: {self.why}"]
        for title, text in self.texts.items():
            lines += [f"  {TITLES[title]}", *(f"    | {line}" for line in _shortened(text))]
        return "\n".join(lines)


def texts(command: str, shows: str, printed: str) -> dict[str, str]:
    """What is told of a step: as the page prints and shows it, and what it printed."""
    return {
        "command": command,
        "expected": expected.as_shown(shows),
        "printed": printed,
    }


def _shortened(text: str) -> Sequence[str]:
    lines = text.strip("\n").splitlines() or ["(nothing)"]
    half = LINES // 2
    return lines if len(lines) <= LINES else [*lines[:half], "…", *lines[-half:]]


class At:
    """Where a failure is, as pytest's own reports have it."""

    def __init__(self, defined: Defined, message: str) -> None:
        self.path = defined.path
        self.lineno = defined.line
        self.message = message


class Told:
    """What pytest shows of such a failure."""

    def __init__(self, problem: NotTrueError) -> None:
        self.text = str(problem)
        self.reprcrash = At(problem.defined, f"{problem.defined}: {problem.why}")

    def __str__(self) -> str:
        return self.text

    def toterminal(self, writer: Any) -> None:
        for line in self.text.splitlines():
            writer.line(line)
