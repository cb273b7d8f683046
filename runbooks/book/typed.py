"""Where in a command or a file the arguments of its procedure stand.

A reader types an address once, and has it in every command of a page. The places are not searched
for in a text that is printed: the procedure is asked for the same text with marks for arguments,
and where the marks come out is where the arguments go. A place is kept only if filling it gives
what the procedure itself makes of such arguments, for each of `PROBES`; a text of which that is not
so has no places.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import Any, TypeVar

from runbooks.book.procedure import Step, paste

ADDRESS = "address"
LIST = "list"
HOST = "host"

#: What a reader types for an argument of that name. Where it is a tuple, it may be several.
ARGUMENTS: Mapping[str, str] = {
    "address": ADDRESS,
    "addresses": ADDRESS,
    "list": LIST,
    "name": LIST,
    "single": LIST,
}

#: By what is typed: what a page takes, and a shell or a file may need to have quoted.
PROBES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    ADDRESS: (("a@b.org",), ("o'brien@x.org", "!#%&'*+/=?_{}~-@x.org", "q@x.org"), ("#'@x.org",)),
    LIST: (("a",), ("x+y=z_1.2-3",)),
}

#: How it may stand there: as it is, or as a part of a regular expression that matches it alone.
FORMS: Mapping[str, Callable[[str], str]] = {"plain": str, "expression": re.escape}

#: What is typed, by its kind. A kind that is not there is left as in the example.
Values = Mapping[str, Sequence[str]]

A = TypeVar("A")

#: Characters that nobody uses, for each argument and each of several.
_MARKS = range(0xE000, 0xF8FF)
_MARK = re.compile("([\ue000-\uf8ff])")

#: A word as `shlex.quote` writes it where it has to, and other pieces of what a shell reads.
_WORD = r"'[^']*'(?:\"'\"'[^']*')*"
_SHELL = re.compile(rf"""({_WORD})|("(?:\\.|[^"\\])*"|\\.|[^'"\\]+|.)""", re.DOTALL)


@dataclass(frozen=True)
class Value:
    """What is typed, where the page has an example."""

    kind: str
    example: str
    #: which of `FORMS` it has there
    form: str = "plain"

    def given(self, text: str) -> str:
        return FORMS[self.form](text)


@dataclass(frozen=True)
class Place:
    """A part of a text that is made of arguments."""

    start: int
    end: int
    pieces: tuple[str | Value, ...]
    #: one word for a shell
    is_word: bool = True
    #: what stands between, where the part is there once for each of several; "" where it is not
    between: str = ""

    @property
    def values(self) -> list[Value]:
        return [piece for piece in self.pieces if isinstance(piece, Value)]


def filled(text: str, places: Sequence[Place], values: Values) -> str:
    """The text with what is typed in its places. The page's script does the same."""
    for place in sorted(places, key=lambda place: -place.start):
        if any(values.get(value.kind) for value in place.values):
            text = text[: place.start] + _filled(place, values) + text[place.end :]
    return text


def _filled(place: Place, values: Values) -> str:
    """The place, once or for each of several."""
    number = len(values[place.values[0].kind]) if place.between else 1
    return place.between.join(_part(place, values, at) for at in range(number))


def _part(place: Place, values: Values, at: int) -> str:
    text = "".join(
        piece
        if isinstance(piece, str)
        else piece.given((values.get(piece.kind) or [piece.example])[at])
        for piece in place.pieces
    )
    return shlex.quote(text) if place.is_word else text


def with_values(arguments: A, values: Values) -> A:
    """The arguments of a procedure, with what is typed in place of the example."""
    changes: dict[str, object] = {}
    for name, kind, was in _typed_arguments(arguments):
        if values.get(kind):
            given = tuple(values[kind])
            changes[name] = given if isinstance(was, tuple) else given[0]
    return replace(arguments, **changes)  # type: ignore[type-var]


def _typed_arguments(arguments: Any) -> Iterator[tuple[str, str, str | tuple[str, ...]]]:
    """The name, the kind and the value of each argument that can be typed."""
    for field in fields(arguments):
        value = getattr(arguments, field.name)
        if field.name in ARGUMENTS and value:
            yield field.name, ARGUMENTS[field.name], value


def places_of_steps(
    steps: Callable[[A], Sequence[Step]], example: A
) -> Mapping[str, tuple[Place, ...]]:
    """The places in what is pasted for each of the steps, by the names of the steps."""
    made: dict[A, dict[str, Step]] = {}

    def of(name: str, part: Callable[[Step], str]) -> Callable[[A], str]:
        def text(arguments: A) -> str:
            if arguments not in made:
                made[arguments] = {step.name: step for step in steps(arguments)}
            step = made[arguments].get(name)
            return part(step) if step else ""

        return text

    found = {}
    for step in steps(example):
        places = list(_places(of(step.name, lambda step: step.command), example, _words))
        places += _host(step.command)
        if step.creates is not None:
            start = paste(step).index("\n") + 1
            inside = _places(of(step.name, _content), example, _marks)
            places += [replace(one, start=one.start + start, end=one.end + start) for one in inside]
        found[step.name] = tuple(places)
    return found


def _content(step: Step) -> str:
    return step.creates.content if step.creates else ""


def _host(command: str) -> list[Place]:
    """Where the host stands in a command of ``runbook``."""
    return [
        Place(*match.span(1), (Value(HOST, match[1]),))
        for match in re.finditer(rf"(?<= --host )({_WORD}|\S+)", command)
        if command.startswith("runbook ")
    ]


# -- how places are found -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Mark:
    """What a mark in a text stands for."""

    kind: str
    #: which of several
    index: int
    #: all that the example has
    examples: tuple[str, ...]


@dataclass(frozen=True)
class _Unit:
    """A part of a text that has marks in it: itself, and what is a mark in it."""

    text: str
    is_word: bool

    @property
    def pieces(self) -> list[str]:
        return [piece for piece in _MARK.split(self.text) if piece]


def _places(
    text: Callable[[A], str], example: A, units: Callable[[str], Iterator[str | _Unit]]
) -> tuple[Place, ...]:
    marked, marks = _marked(example)
    found = list(units(text(marked)))
    standing = [one for unit in found if isinstance(unit, _Unit) for one in unit.pieces]
    used = sorted({one for one in standing if one in marks})
    for forms in product(FORMS, repeat=len(used)):
        values = {
            one: Value(marks[one].kind, marks[one].examples[0], form)
            for one, form in zip(used, forms, strict=True)
        }
        places = _tried(text, example, list(found), marks, values)
        if places:
            return places
    return ()


def _tried(
    text: Callable[[A], str],
    example: A,
    found: list[str | _Unit],
    marks: Mapping[str, _Mark],
    values: Mapping[str, Value],
) -> tuple[Place, ...]:
    """The places, if filling them gives what the procedure makes of each of `PROBES`."""
    printed, places = "", []
    for unit, between in _joined(found, marks):
        if isinstance(unit, str):
            printed += unit
            continue
        pieces = tuple(values.get(one, one) for one in unit.pieces)
        place = Place(0, 0, pieces, unit.is_word, between)
        if between and len(place.values) != 1:
            return ()
        examples = next(marks[one].examples for one in unit.pieces if one in marks)
        shown = _filled(place, {place.values[0].kind: examples} if between else {})
        places.append(replace(place, start=len(printed), end=len(printed) + len(shown)))
        printed += shown
    if printed != text(example):
        return ()
    kinds = sorted({value.kind for place in places for value in place.values})
    for probe in product(*([(), *PROBES[kind]] for kind in kinds)):
        typed = dict(zip(kinds, probe, strict=True))
        if filled(printed, places, typed) != text(with_values(example, typed)):
            return ()
    return tuple(places)


def _marked(example: A) -> tuple[A, dict[str, _Mark]]:
    """The arguments with a mark for each that can be typed, and two where it may be several."""
    unused = map(chr, _MARKS)
    changes: dict[str, object] = {}
    marks: dict[str, _Mark] = {}
    for name, kind, value in _typed_arguments(example):
        examples = value if isinstance(value, tuple) else (value,)
        chosen = [next(unused) for _ in range(2 if isinstance(value, tuple) else 1)]
        marks |= {one: _Mark(kind, index, examples) for index, one in enumerate(chosen)}
        changes[name] = tuple(chosen) if isinstance(value, tuple) else chosen[0]
    return replace(example, **changes), marks  # type: ignore[type-var]


def _words(text: str) -> Iterator[str | _Unit]:
    """What a shell reads, with the words that have marks in them."""
    for match in _SHELL.finditer(text):
        is_word = match[1] is not None and _MARK.search(match[1])
        yield _Unit(shlex.split(match[1])[0], is_word=True) if is_word else match[0]


def _marks(text: str) -> Iterator[str | _Unit]:
    """A file, in which a mark stands for itself."""
    for piece in _MARK.split(text):
        yield _Unit(piece, is_word=False) if _MARK.match(piece) else piece


def _joined(
    found: list[str | _Unit], marks: Mapping[str, _Mark]
) -> Iterator[tuple[str | _Unit, str]]:
    """The parts of a text; of those that are there for each of several the first, and what stands
    between them."""
    while found:
        unit = found.pop(0)
        match unit, found[:2]:
            case _Unit(), [str(between), _Unit() as other] if between and other == _next(
                unit, marks
            ):
                del found[:2]
                yield unit, between
            case _:
                yield unit, ""


def _next(unit: _Unit, marks: Mapping[str, _Mark]) -> _Unit | None:
    """The same for the second of several; None where there is none."""
    second = {
        one: other
        for one, mark in marks.items()
        for other, following in marks.items()
        if following == replace(mark, index=1) and mark.index == 0
    }
    if not any(one in second for one in unit.pieces):
        return None
    return replace(unit, text="".join(second.get(one, one) for one in unit.pieces))
