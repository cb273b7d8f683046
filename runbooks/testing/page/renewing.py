"""Makes of an expected output one that a new run fits, with every placeholder that it has.

Only what stands between placeholders is renewed, and what the page shows for one. A placeholder is
found again in what was printed by its value, which the server itself has told; where that is not
there any more, or where the new text would have such a value in it, a person has to decide.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, product
from typing import Any

from runbooks.book import expected
from runbooks.book.expected import DOCUMENTED, FACTS, FORMS, LINES, SUBJECTS, Part, Truth, Untrue
from runbooks.book.whose import whose

#: How many ways to find the placeholders in a line are looked at.
_WAYS = 500

#: How much of a line has to be as it was, where lines were added or are gone.
_SAME_LINE = 0.5


class NotRenewedError(Exception):
    """A person has to decide. The message says why, in one line."""


@dataclass(frozen=True)
class Change:
    """A part of an expected output, and what is to be there."""

    start: int
    end: int
    new: str


def applied(text: str, changes: Sequence[Change]) -> str:
    for change in sorted(changes, key=lambda change: (-change.start, -change.end)):
        text = text[: change.start] + change.new + text[change.end :]
    return text


def renewed(shows: str, printed: str, truth: Truth[Any]) -> list[Change]:
    """What to change in `shows` so that a server of which `truth` is true may print `printed`.

    Raises NotRenewedError.
    """
    try:
        renewal = _Renewal(shows, printed, truth)
        changes = renewal.changes()
        if expected.false_example(applied(shows, changes), truth):
            changes += renewal.examples()
        new = applied(shows, changes)
        wrong = expected.fault(new, printed, truth) or expected.false_example(new, truth)
    except Untrue as problem:
        raise NotRenewedError(str(problem)) from None
    if wrong:
        raise NotRenewedError(wrong)
    if _kept(new) != _kept(shows):
        raise NotRenewedError("a placeholder would be lost")
    return changes


def _kept(shows: str) -> Counter[tuple[str, tuple[str, ...]]]:
    """The placeholders, whatever the page shows for them."""
    lines = shows.splitlines()
    found = [part for line in lines for part in expected.parts(line) if part.name]
    return Counter((part.name, part.of) for part in found)


# -- the lines of an expected output --------------------------------------------------------


@dataclass(frozen=True)
class Piece:
    """A part of a line, and where it is in the whole text."""

    part: Part
    start: int
    end: int


@dataclass(frozen=True)
class Row:
    """A line of the text."""

    start: int
    end: int
    pieces: tuple[Piece, ...]

    @cached_property
    def shown(self) -> str:
        return "".join(piece.part.text for piece in self.pieces)

    @property
    def about(self) -> list[Part]:
        return [piece.part for piece in self.pieces if piece.part.name in SUBJECTS]

    @property
    def names(self) -> list[str]:
        """Its placeholders."""
        return [piece.part.name for piece in self.pieces if piece.part.name]

    @property
    def is_any_number(self) -> bool:
        return any(name in LINES for name in self.names[:1])

    @property
    def is_more(self) -> bool:
        return self.names == ["MORE"]


def _rows(shows: str) -> Iterator[Row]:
    start = len(shows) - len(shows.lstrip())
    for line in shows.strip().splitlines():
        at = start
        pieces: list[Piece] = []
        for part in expected.parts(line.rstrip()):
            if not part.name:
                end = at + len(part.text)
            else:
                end = shows.index("}", at) + 1
                if not pieces or pieces[-1].part.name:
                    # Where there is no text yet, there may be one.
                    pieces.append(Piece(Part(""), at, at))
            pieces.append(Piece(part, at, end))
            at = end
        if not pieces or pieces[-1].part.name:
            pieces.append(Piece(Part(""), at, at))
        yield Row(start, start + len(line), tuple(pieces))
        start += len(line) + 1


@dataclass(frozen=True)
class Unit:
    """Lines that are printed together: one, or one for each of several things, in any order."""

    rows: tuple[Row, ...]
    #: for each thing that the lines are about: for each row the value of each of its pieces, as a
    #: regular expression; None for text that is printed as it is
    values: tuple[tuple[tuple[str | None, ...], ...], ...]
    #: where it ends, with the line that says that there are more
    end: int

    @property
    def is_any_number(self) -> bool:
        return self.rows[0].is_any_number

    @property
    def number(self) -> int:
        """How many lines it takes."""
        return len(self.rows) * len(self.values)

    def instances(self) -> Iterator[str]:
        """A regular expression for each line."""
        if self.is_any_number:
            yield LINES[self.rows[0].names[0]]
            return
        for of_rows in self.values:
            for row, values in zip(self.rows, of_rows, strict=True):
                yield _regex(values, [piece.part.text for piece in row.pieces])


def _regex(values: Sequence[str | None], texts: Sequence[str]) -> str:
    """A line with other texts between its placeholders."""
    return "".join(
        re.escape(text) if value is None else value
        for value, text in zip(values, texts, strict=True)
    )


class _Renewal:
    """One text that is being renewed."""

    def __init__(self, shows: str, printed: str, truth: Truth[Any]) -> None:
        self.shows = shows
        self.truth = truth
        self.printed = [line.rstrip() for line in printed.strip().splitlines()]
        self.units = list(self._units())

    def _units(self) -> Iterator[Unit]:
        rows = list(_rows(self.shows))
        while rows:
            group = [rows.pop(0)]
            while rows and group[0].about and rows[0].about == group[0].about:
                group.append(rows.pop(0))
            last = rows.pop(0) if rows and rows[0].is_more else group[-1]
            yield Unit(tuple(group), tuple(self._values(group)), last.end)

    def _values(self, rows: Sequence[Row]) -> Iterator[tuple[tuple[str | None, ...], ...]]:
        if rows[0].is_any_number:
            return
        about = rows[0].about
        for text, subject in self.truth.subjects(about[0]) if about else [("", None)]:
            yield tuple(
                tuple(self._value(piece.part, text, subject) for piece in row.pieces)
                for row in rows
            )

    def _value(self, part: Part, text: str, subject: Any) -> str | None:
        if not part.name:
            return None
        if part.is_answer:
            return re.escape(part.text)
        if part.name in FORMS:
            return FORMS[part.name]
        return re.escape(text if part.name in SUBJECTS else self.truth.value(part, subject))

    # -- which lines have changed ---------------------------------------------------------

    def changes(self) -> list[Change]:
        if not self.printed and self.units:
            raise NotRenewedError("it prints nothing any more")
        if self.printed and not self.units:
            raise NotRenewedError("the page shows that it prints nothing")
        found: list[Change] = []
        units: list[Unit] = []
        lines: list[str] = []
        above: Unit | None = None
        for unit, its in self._aligned():
            if unit is not None and _fits(unit, its):
                found += self._between(above, units, lines)
                units, lines, above = [], [], unit
            else:
                units += [unit] if unit is not None else []
                lines += its
        return [*found, *self._between(above, units, lines)]

    def _aligned(self) -> Iterator[tuple[Unit | None, list[str]]]:
        """The units and the lines in their order, as many lines as possible at their units.

        A line that belongs to none stands alone.
        """
        units, lines = self.units, self.printed
        fits = [
            [any(re.fullmatch(regex, line) for regex in unit.instances()) for line in lines]
            for unit in units
        ]
        # How many of the lines that are left find their units, from the end.
        best = [[0] * (len(lines) + 1) for _ in range(len(units) + 1)]
        for i in reversed(range(len(units))):
            for j in reversed(range(len(lines))):
                one = 1 + best[i][j + 1] if fits[i][j] else 0
                best[i][j] = max(best[i + 1][j], best[i][j + 1], one)
        j = 0
        for i, unit in enumerate(units):
            its: list[str] = []
            while j < len(lines) and best[i][j] > best[i + 1][j]:
                if its or fits[i][j]:
                    its.append(lines[j])
                else:
                    yield None, [lines[j]]
                j += 1
            yield unit, its
        for line in lines[j:]:
            yield None, [line]

    def _between(
        self, above: Unit | None, units: Sequence[Unit], lines: Sequence[str]
    ) -> Iterator[Change]:
        """Of units that were not printed as they are, and of the lines that were in their place."""
        for unit, its in self._paired(units, lines):
            if unit is None:
                yield self._added(above, its)
            elif not its:
                yield self._gone(unit)
            else:
                yield from self._renewed(unit, its)
            above = unit or above

    def _paired(
        self, units: Sequence[Unit], lines: Sequence[str]
    ) -> list[tuple[Unit | None, Sequence[str]]]:
        """Each unit with its lines; without any where it is gone; alone the lines that are new."""
        if sum(unit.number for unit in units) == len(lines):
            left = list(lines)
            found: list[tuple[Unit | None, Sequence[str]]] = []
            for unit in units:
                found.append((unit, left[: unit.number]))
                left = left[unit.number :]
            return found
        if not units:
            return [(None, lines)] if lines else []
        first, number = units[0], units[0].number
        alike = _likeness(first, lines[:number])
        candidates = [[(first, ()), *self._paired(units[1:], lines)]]
        if alike >= _SAME_LINE:
            rest = self._paired(units[1:], lines[number:])
            candidates.append([(first, lines[:number]), *rest])
        if lines:
            rest = self._paired(units, lines[1:])
            candidates.append([(None, lines[:1]), *rest])
        return max(candidates, key=_score)

    def examples(self) -> list[Change]:
        """What the page has to show for placeholders, on the very server that it is about."""
        return [
            Change(piece.start + raw.index(":") + 1, piece.end - 1, _shown(value))
            for row in _rows(self.shows)
            for piece, value in self._facts(row)
            if ":" in (raw := self.shows[piece.start : piece.end]) and value != piece.part.text
        ]

    def _facts(self, row: Row) -> Iterator[tuple[Piece, str]]:
        subject = None
        for part in row.about:
            if part.name in DOCUMENTED:
                subject = dict(self.truth.subjects(part)).get(part.text)
        for piece in row.pieces:
            if piece.part.name in FACTS & DOCUMENTED:
                yield piece, self.truth.value(piece.part, subject)

    # -- what is written of them ----------------------------------------------------------

    def _added(self, above: Unit | None, lines: Sequence[str]) -> Change:
        for line in lines:
            self._check("", line)
        text = "\n".join(lines)
        if above is not None:
            return Change(above.end, above.end, f"\n{text}")
        start = self.units[0].rows[0].start
        return Change(start, start, f"{text}\n")

    def _gone(self, unit: Unit) -> Change:
        (row, *others) = unit.rows
        if others or row.names:
            raise NotRenewedError(f"no line is like {row.shown!r}, which has a placeholder")
        if row.start > self.units[0].rows[0].start:
            return Change(row.start - 1, row.end, "")
        return Change(row.start, row.end + 1, "")

    def _renewed(self, unit: Unit, lines: Sequence[str]) -> list[Change]:
        """New text between the placeholders, the same for each thing that the lines are about."""
        found: dict[tuple[tuple[str, ...], ...], float] = {}
        options = [_texts(values, lines) for values in unit.values[0]]
        for texts in islice(product(*options), _WAYS):
            if not _stands_for(unit, texts, lines):
                continue
            found[texts] = sum(
                _alike(piece.part.text, new)
                for row, news in zip(unit.rows, texts, strict=True)
                for piece, new in zip(row.pieces, news, strict=True)
                if not piece.part.name
            )
        best = [texts for texts, alike in found.items() if alike == max(found.values())]
        if not best:
            raise NotRenewedError(_values_are_gone(unit, lines))
        if len(best) > 1:
            raise NotRenewedError(f"{lines[0]!r} has more than one place for a placeholder")
        return [
            change
            for row, news in zip(unit.rows, best[0], strict=True)
            for piece, new in zip(row.pieces, news, strict=True)
            if not piece.part.name
            for change in self._text(piece, new)
        ]

    def _text(self, piece: Piece, new: str) -> Iterator[Change]:
        """The words of a text that are others."""
        old = piece.part.text
        if new == old:
            return
        self._check(old, new)
        olds, news = (re.findall(r"\w+|\s+|[^\w\s]", text) for text in (old, new))
        ends = [0]
        for word in olds:
            ends.append(ends[-1] + len(word))
        matcher = difflib.SequenceMatcher(None, olds, news, autojunk=False)
        for kind, i, k, j, m in matcher.get_opcodes():
            if kind != "equal":
                words = "".join(news[j:m])
                yield Change(piece.start + ends[i], piece.start + ends[k], words)

    def _check(self, old: str, new: str) -> None:
        """No text has in it what a placeholder stands for, or a name of the site."""
        if any(part.name for part in expected.parts(new)):
            raise NotRenewedError(f"{new!r} would be read as a placeholder")
        for what, regex in self._not_text():
            pattern = rf"(?<![\w]){regex}(?![\w])"
            more = list(re.finditer(pattern, new))
            if len(more) > len(re.findall(pattern, old)):
                raise NotRenewedError(f"it prints {more[0].group()!r} in a new place: {what}")

    def _not_text(self) -> Iterator[tuple[str, str]]:
        """What no text may have, as a regular expression, and what that is."""
        for form in FORMS:
            yield f"that is a {form}", FORMS[form]
        for unit in self.units:
            for of_rows in unit.values:
                for row, values in zip(unit.rows, of_rows, strict=True):
                    for piece, value in zip(row.pieces, values, strict=True):
                        if piece.part.varies and piece.part.name not in FORMS and value:
                            yield f"{piece.part.name} stands for it", value
        for name in names():
            yield "that is a name of the site", re.escape(name)


def _shown(value: str) -> str:
    """A value as it is written behind the colon of a placeholder."""
    return expected.placeholder("", shown=value)[len("{:") : -len("}")]


def names() -> list[str]:
    """What a page is about, and no text may name by itself."""
    found = whose()
    of_sites = [name for site in found.sites for name in (site.name, site.domain, *site.lists)]
    said = found.examples
    return [found.server.hostname, *of_sites, said.list, said.administrator, said.description]


def _fits(unit: Unit, lines: Sequence[str]) -> bool:
    """Whether these are the lines that a unit stands for."""
    return unit.is_any_number or _are(unit.instances(), lines)


def _are(regexes: Iterable[str], lines: Sequence[str]) -> bool:
    """Whether each of the lines is one of those that are described, and none is left."""
    left = list(lines)
    for regex in regexes:
        found = next((line for line in left if re.fullmatch(regex, line)), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def _stands_for(unit: Unit, texts: Sequence[Sequence[str]], lines: Sequence[str]) -> bool:
    """Whether a unit would stand for these lines, with other texts between its placeholders."""
    return _are(
        (
            _regex(values, news)
            for of_rows in unit.values
            for values, news in zip(of_rows, texts, strict=True)
        ),
        lines,
    )


def _texts(values: Sequence[str | None], lines: Sequence[str]) -> list[tuple[str, ...]]:
    """What may stand between these placeholders, if they are in one of the lines."""
    ways = (texts for line in lines for texts in _ways(values, line, 0))
    return list(dict.fromkeys(islice(ways, _WAYS)))


def _ways(values: Sequence[str | None], line: str, at: int) -> Iterator[tuple[str, ...]]:
    """The texts of a line, beginning at a place of it, with nothing for each placeholder."""
    _, *rest = values
    if not rest:
        yield (line[at:],)
        return
    regex = re.compile(rest[0] or "")
    for start in range(at, len(line)):
        found = regex.match(line, start)
        if found and _is_whole(line, start, found.end()):
            for others in _ways(rest[1:], line, found.end()):
                yield (line[at:start], "", *others)


def _is_whole(line: str, start: int, end: int) -> bool:
    """Whether what stands there is no part of a longer word or number."""
    return start < end and not (_is_inside(line, start) or _is_inside(line, end))


def _is_inside(line: str, at: int) -> bool:
    """Whether a place is within a word or a number."""
    if re.fullmatch(r"\w\w", line[max(at - 1, 0) : at + 1]):
        return True
    around = (line[max(at - 2, 0) : at + 1], line[max(at - 1, 0) : at + 2])
    return any(re.fullmatch(r"\d[.,]\d", text) for text in around)


def _values_are_gone(unit: Unit, lines: Sequence[str]) -> str:
    return f"{lines[0]!r} does not have what stands for the placeholders of {unit.rows[0].shown!r}"


def _alike(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()


def _likeness(unit: Unit, lines: Sequence[str]) -> float:
    """How much lines are like those that a unit shows."""
    if unit.is_any_number or len(lines) != unit.number:
        return 0
    return _alike(unit.rows[0].shown, lines[0])


def _score(paired: Sequence[tuple[Unit | None, Sequence[str]]]) -> float:
    return sum(_likeness(unit, its) for unit, its in paired if unit is not None)
