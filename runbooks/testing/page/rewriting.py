"""Writes a renewed output where it is defined: in the one text of a source that it comes from.

An expected output is put together by functions, so that a text of it is in the source somewhere, or
in several places. Which text is the right one is not guessed: it is changed in a copy of the
package, the procedures of the copy are asked what they show, and only what then shows exactly what
it should is taken.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path

from runbooks.book.defined import Defined
from runbooks.testing.page.renewing import Change, applied
from runbooks.testing.page.sourcetext import Edit, Literal, Source, edited

#: What several procedures put their outputs together from.
SHARED = "runbooks/terminal/shown.py"

#: How many ways to write one output are tried.
_TRIES = 60

#: A procedure, a step, and the version of Mailman.
Key = tuple[str, str, str]

_ASK = """
import json, sys
from runbooks.procedures import all_procedures
from runbooks.mailman.printed import by_command, steps_of
found = [
    [[procedure.name, step.name, version], step.shows]
    for version in sys.argv[1:]
    for procedure in all_procedures()
    for way in (by_command, steps_of)
    for step in way(procedure, version)
]
json.dump(found, sys.stdout)
"""


@dataclass(frozen=True)
class Wanted:
    """An output that is to be another."""

    key: Key
    #: on the page
    place: str
    defined: Defined
    shows: str
    changes: tuple[Change, ...]

    @property
    def new(self) -> str:
        return applied(self.shows, self.changes)


class _LeftError(Exception):
    """An output is left to a person. The message says why."""


@dataclass
class Rewritten:
    """What became of it."""

    edits: list[Edit] = field(default_factory=list)
    done: list[Wanted] = field(default_factory=list)
    #: with the reason
    left: list[tuple[Wanted, str]] = field(default_factory=list)
    #: what shows something else now, and was not run
    unseen: list[Key] = field(default_factory=list)


class Rewriting:
    """The rewriting of outputs in the files of one checkout."""

    def __init__(self, root: Path, folder: Path, fits: Callable[[Key, str], bool | None]) -> None:
        """`folder`: for a copy. `fits`: whether an output is what was printed; None: not run."""
        self.root = root
        self.copy = folder / "copy"
        self.fits = fits
        self.versions: list[str] = []
        self._sources: dict[str, Source] = {}
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / "runbooks", self.copy / "runbooks", ignore=ignored)

    def source(self, path: str) -> Source:
        if path not in self._sources:
            text = (self.root / path).read_text(encoding="utf-8")
            self._sources[path] = Source.read(path, text)
        return self._sources[path]

    def rewrite(self, wanted: Sequence[Wanted]) -> Rewritten:
        """Find what to edit; the checkout is left as it is."""
        self.versions = sorted({one.key[2] for one in wanted})
        found = Rewritten()
        first = self._shown([])
        if first is None:
            raise RuntimeError("the procedures cannot be read in a copy")
        now = first
        for one in wanted:
            try:
                if first[one.key] != one.shows:
                    raise _LeftError("the source is not what was run")
                if now[one.key] != one.new:
                    found.edits, now = self._edits(one, found.edits, now)
            except _LeftError as problem:
                found.left.append((one, str(problem)))
            else:
                found.done.append(one)
        changed = [key for key in now if now[key] != first[key]]
        found.unseen = [key for key in changed if self.fits(key, now[key]) is None]
        return found

    def _edits(
        self, wanted: Wanted, before: Sequence[Edit], now: Mapping[Key, str]
    ) -> tuple[list[Edit], dict[Key, str]]:
        """The edits before, and those that make an output what it should be; and all outputs then.

        No other output may become what was not printed.
        """
        ways = [list(self._candidates(wanted, change)) for change in wanted.changes]
        for chosen in islice(product(*ways), _TRIES):
            edits = _together([*before, *chosen])
            shown = self._shown(edits) if edits is not None else None
            if edits is None or shown is None or shown.keys() != now.keys():
                continue
            if shown[wanted.key] == wanted.new:
                for key in shown:
                    if self.fits(key, now[key]) and not self.fits(key, shown[key]):
                        raise _LeftError(f"the same text is in the output of {key[0]}, {key[1]}")
                return edits, shown
        if any(_has_line(wanted, change) for change in wanted.changes):
            raise _LeftError("it has a line more or less, and is not written as one text")
        where = f"{wanted.defined.path} or {SHARED}"
        raise _LeftError(f"no text of {where} alone makes it what is printed")

    def _candidates(self, wanted: Wanted, change: Change) -> Iterator[Edit]:
        """What may be edited for one change, beginning with what is nearest to the definition."""
        here = self.source(wanted.defined.path)
        first, last = here.scope(wanted.defined.line)
        near = [one for one in here.literals if first <= one.line <= last]
        others = [one for one in here.literals if one not in near]
        scopes = [near, others, self.source(SHARED).literals]
        if _has_line(wanted, change):
            # A line more or less: only of a text that has all lines.
            start, end = here.whole.get(wanted.defined.line, (0, 0))
            scopes = [[one for one in near if start <= one.start < end]]
        for literals in scopes:
            for literal in sorted(literals, key=lambda one: -len(one.text)):
                yield from _of(literal, wanted.shows, change)

    def _shown(self, edits: Sequence[Edit]) -> dict[Key, str] | None:
        """What each step shows when the sources are edited; None where they do not even load."""
        paths = {edit.path for edit in edits}
        for path in {*self._sources, *paths}:
            (self.copy / path).write_text(self.text(path, edits), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-B", "-c", _ASK, *self.versions],
            cwd=self.copy,
            env={**os.environ, "PYTHONPATH": str(self.copy)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return None
        return {(key[0], key[1], key[2]): shows for key, shows in json.loads(done.stdout)}

    def text(self, path: str, edits: Sequence[Edit]) -> str:
        its = [edit for edit in edits if edit.path == path]
        return edited(self.source(path).text, its)


def _has_line(wanted: Wanted, change: Change) -> bool:
    """Whether it makes a line more or less."""
    return "\n" in change.new + wanted.shows[change.start : change.end]


def _of(literal: Literal, shows: str, change: Change) -> Iterator[Edit]:
    """The edits of a literal that make a change, where the literal may stand in the output."""
    text = literal.text
    at = shows.find(text)
    while at >= 0:
        if at <= change.start and change.end <= at + len(text):
            edit = literal.changed(change.start - at, change.end - at, change.new)
            if edit is not None:
                yield edit
        at = shows.find(text, at + 1) if text else (change.start if at < change.start else -1)


def _together(edits: Sequence[Edit]) -> list[Edit] | None:
    """The edits, each once; None where two are of the same place."""
    found = list(dict.fromkeys(edits))
    for at, one in enumerate(found):
        if any(one.overlaps(other) for other in found[at + 1 :]):
            return None
    return found
