"""``--update``: outputs that differ from what the page shows, written where they are defined."""

from __future__ import annotations

import difflib
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from runbooks.book import expected
from runbooks.mailman.printed import AnyProcedure
from runbooks.testing.page.parts import Part
from runbooks.testing.page.renewing import NotRenewedError, renewed
from runbooks.testing.page.rewriting import Key, Rewriting, Rewritten, Wanted
from runbooks.testing.page.walk import Outcome, Walk

#: As ruff has it.
LINE_LENGTH = 100


class Updating:
    """What was printed in this run of the tests, and which outputs are to be rewritten."""

    def __init__(self) -> None:
        self.printed: dict[Key, dict[tuple[Walk, str], Outcome]] = {}
        self.wanted: dict[Key, Wanted] = {}
        #: what a person reads at the end
        self.lines: list[str] = []
        #: whether anything is left to a person
        self.is_left = False

    def see(self, walk: Walk, part: Part) -> None:
        """Take notice of what all steps of a procedure have printed."""
        outcomes = walk.of(part.procedure, lambda records: None).outcomes
        for (way, step), outcome in outcomes.items():
            if outcome.ran.printed.status is None or not outcome.is_seen_here:
                continue
            key = (part.procedure.name, step, walk.box.version)
            if (walk, way) not in self.printed.setdefault(key, {}):
                self.printed[key][walk, way] = outcome
                # What is true of a server is asked when it is wanted: at the end it is gone.
                self.fits(key, outcome.step.shows)

    def rewrites(self, procedure: AnyProcedure) -> bool:
        """Whether something that the procedure prints is to be rewritten."""
        return any(name == procedure.name for name, _, _ in self.wanted)

    def want(self, walk: Walk, part: Part, outcome: Outcome) -> None:
        """Have the output of a step be what it printed. Raises NotRenewedError."""
        assert part.way is not None
        status = outcome.ran.printed.status
        if status is None or (part.way.status is not None and status != part.way.status):
            raise NotRenewedError(f"exit status {status}" if status else "it did not end")
        key = (part.procedure.name, outcome.step.name, walk.box.version)
        if not outcome.is_seen_here:
            # The same step by hand, where it prints the same, has said what to write.
            if key in self.wanted:
                return
            raise NotRenewedError(f"it differs {part.way.name} alone")
        shows = outcome.step.shows
        changes = renewed(shows, outcome.ran.printed.text, outcome.ran.truth)
        place = walk.reading.place(part.procedure, outcome.step.name)
        wanted = Wanted(key, place, outcome.step.defined, shows, tuple(changes))
        if self.wanted.setdefault(key, wanted).new != wanted.new:
            raise NotRenewedError("it does not print the same each time")

    def fits(self, key: Key, shows: str) -> bool | None:
        """Whether an output is what a step printed, each time; None for one that was not run."""
        outcomes = self.printed.get(key, {}).values()
        if not outcomes:
            return None
        return not any(
            expected.fault(shows, outcome.ran.printed.text, outcome.ran.truth)
            or expected.false_example(shows, outcome.ran.truth)
            for outcome in outcomes
        )

    # -- at the end -------------------------------------------------------------------------

    def finish(self, root: Path) -> None:
        """Rewrite what can be rewritten in a checkout, and say so."""
        if not self.wanted:
            return
        with tempfile.TemporaryDirectory(prefix="update-") as folder:
            rewriting = Rewriting(root, Path(folder), self.fits)
            found = rewriting.rewrite(list(self.wanted.values()))
        self.is_left = bool(found.left)
        self.lines += self._said(found)
        paths = list(dict.fromkeys(edit.path for edit in found.edits))
        for path in paths:
            old, new = rewriting.text(path, []), rewriting.text(path, found.edits)
            if (root / path).read_text(encoding="utf-8") != old:
                raise RuntimeError(f"{path} was changed meanwhile: nothing was rewritten in it")
            (root / path).write_text(new, encoding="utf-8")
            self.lines += ["rewritten:", *_diff(old, _formatted(root, path), path)]
        if paths and not _has_ruff():
            self.lines.append(f"ruff is not installed here: run ruff format {' '.join(paths)}")
        self.lines += _too_long(root, paths)

    def _said(self, found: Rewritten) -> Iterator[str]:
        for one in found.done:
            yield f"{one.place} ({one.defined}) prints something else:"
            yield from _diff(one.shows, one.new)
        for one, why in found.left:
            yield f"{one.place} ({one.defined}) prints something else, and is left to you: {why}:"
            yield from _diff(one.shows, one.new)
        for procedure, step, version in found.unseen:
            yield f"now shows something else, and was not run: {procedure}, {step} ({version})"


def _diff(old: str, new: str, path: str = "") -> Iterable[str]:
    lines = difflib.unified_diff(
        old.strip("\n").splitlines(), new.strip("\n").splitlines(), path, path, "", "", 1, ""
    )
    return [f"  {line}" for line in lines if path or not line.startswith(("---", "+++"))]


def _has_ruff() -> bool:
    return importlib.util.find_spec("ruff") is not None


def _formatted(root: Path, path: str) -> str:
    """The text of a file that was rewritten, once it is formatted as the others are."""
    if _has_ruff():
        words = [sys.executable, "-m", "ruff", "format", "-q", path]
        subprocess.run(words, cwd=root, check=True)
    return (root / path).read_text(encoding="utf-8")


def _too_long(root: Path, paths: Sequence[str]) -> Iterator[str]:
    for path in paths:
        for number, line in enumerate((root / path).read_text("utf-8").splitlines(), 1):
            if len(line) > LINE_LENGTH:
                yield f"{path}:{number} is longer than {LINE_LENGTH} characters now: break it"
