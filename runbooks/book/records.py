"""Records: what real runs have proved of the procedures, and of which text.

They are kept in the repository, in ``doc/records.json``, since not every machine can have GNU
Mailman 2. A record is of one procedure on one GNU Mailman with one site layout, and holds for the
text that was run: a hash of the commands, the files that they create, and the output that is shown.
Only that counts, so that moving a module or mending a sentence leaves a record as good as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from enum import Enum
from pathlib import Path

from runbooks.book.dates import Words, joined, plain
from runbooks.book.procedure import Step, paste

RECORDS = "records.json"

#: What the package has of them: in a checkout, a link to those that are made.
SHIPPED = Path(__file__).resolve().parents[1] / RECORDS


@dataclass(frozen=True, order=True)
class RealRun:
    """One procedure, as it was last run on one GNU Mailman with one site layout."""

    procedure: str
    #: Mailman's version, and that of its Python
    mailman: str
    python: str
    layout: str
    #: in UTC
    date: date
    #: both ways did what the page says, and ended in the same state
    passed: bool
    #: the hash of the text that was run
    text: str

    @property
    def where(self) -> tuple[str, str, str, str]:
        """What there is one record of."""
        return (self.procedure, self.mailman, self.python, self.layout)


def text_hash(by_command: Iterable[Step], by_hand: Iterable[Step]) -> str:
    """Changes with what is run and what it is expected to print, and with nothing else."""
    text = [
        [[paste(step), step.shows.strip("\n")] for step in way] for way in (by_command, by_hand)
    ]
    return hashlib.sha256(json.dumps(text).encode("ascii")).hexdigest()[:16]


# -- the file -------------------------------------------------------------------------------


def replace_file(path: Path, text: str) -> None:
    """Write a file that has its name only when it is complete."""
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def write(path: Path, runs: Iterable[RealRun]) -> None:
    """Write the records, in an order that does not depend on when they were made."""
    records = [{**asdict(run), "date": run.date.isoformat()} for run in sorted(runs)]
    replace_file(path, json.dumps({"records": records}, indent=1) + "\n")


def read(path: Path) -> list[RealRun]:
    """The records; none where there is no file. Raises ValueError for a file of something else."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    try:
        found = [_run(record) for record in json.loads(text)["records"]]
    except (TypeError, KeyError, ValueError) as problem:
        raise ValueError(f"{path} holds no records of runs on GNU Mailman: {problem}") from None
    places = [run.where for run in found]
    for place in places:
        if places.count(place) > 1:
            raise ValueError(f"{path} has more than one record of {', '.join(place)}")
    return found


def _run(record: Mapping[str, object]) -> RealRun:
    values = {**record, "date": date.fromisoformat(str(record["date"]))}
    run = RealRun(**values)  # type: ignore[arg-type]
    # Any text would count as a pass.
    if not isinstance(run.passed, bool):
        raise ValueError(f"passed: {run.passed!r} is neither true nor false")
    if not all(isinstance(part, str) for part in (*run.where, run.text)):
        raise ValueError(f"not all is text in {record}")
    return run


def renew(path: Path, made: Sequence[RealRun], procedures: Iterable[str]) -> None:
    """Put new records in the place of those of the same procedure, Mailman and layout.

    The others stay, but for those of procedures that there are no longer: `procedures` are all.
    """
    known, replaced = set(procedures), {run.where for run in made}
    kept = [run for run in read(path) if run.procedure in known and run.where not in replaced]
    write(path, [*kept, *made])


# -- what they say --------------------------------------------------------------------------


class Standing(Enum):
    """How a procedure as it is now stands with one GNU Mailman."""

    PASSED = "run in a test container, not on this server:"
    #: it passed, and its text has changed since
    CHANGED = "changed since it ran in a test container:"
    FAILED = "failed in a test container:"


@dataclass(frozen=True)
class OnMailman:
    """What the records say of one procedure on one version of GNU Mailman."""

    mailman: str
    standing: Standing
    #: of the run that decided; of several, the oldest
    date: date


def of_procedure(runs: Iterable[RealRun], procedure: str, text: str) -> list[OnMailman]:
    """What is known of a procedure whose text now has the hash `text`, by Mailman's version.

    It passed on a Mailman if it passed with every layout that there is a record of.
    """
    mine: dict[str, list[RealRun]] = {}
    for run in sorted(runs):
        if run.procedure == procedure:
            mine.setdefault(run.mailman, []).append(run)
    return [_on_mailman(mailman, group, text) for mailman, group in mine.items()]


def _on_mailman(mailman: str, runs: Sequence[RealRun], text: str) -> OnMailman:
    failed = [run for run in runs if not run.passed]
    changed = [run for run in runs if run.text != text]
    standing = Standing.PASSED
    if failed:
        standing = Standing.FAILED
    elif changed:
        standing = Standing.CHANGED
    return OnMailman(mailman, standing, min(run.date for run in failed or changed or runs))


def said(found: Sequence[OnMailman]) -> list[Words]:
    """What is to be said of it, in parts of one sentence."""
    if not found:
        return [("never run on GNU Mailman",)]
    parts: list[Words] = []
    for standing in Standing:
        ran = _with(found, standing)
        if ran:
            advice = "; do not rely on it" if standing is Standing.FAILED else ""
            parts.append((f"{standing.value} GNU Mailman ", *_where(ran), advice))
    return parts


def _where(ran: Sequence[OnMailman]) -> Words:
    """The versions, with a date that they have in common once."""
    days = list(dict.fromkeys(one.date for one in ran))
    on = {day: " and ".join(one.mailman for one in ran if one.date == day) for day in days}
    return joined([(f"{on[day]} (", day, ")") for day in days], " and ")


def _with(found: Iterable[OnMailman], standing: Standing) -> list[OnMailman]:
    return [one for one in found if one.standing is standing]


def changed(runs: Sequence[RealRun], texts: Mapping[str, str]) -> list[str]:
    """A line for each procedure whose text has changed since its record."""
    return _lines(runs, texts, Standing.CHANGED)


def faults(runs: Sequence[RealRun], texts: Mapping[str, str]) -> list[str]:
    """A line for each procedure that has no record, or whose newest one on some Mailman failed."""
    unknown = [
        f"{procedure}: {plain(part)}"
        for procedure, text in texts.items()
        if not (found := of_procedure(runs, procedure, text))
        for part in said(found)
    ]
    return [*unknown, *_lines(runs, texts, Standing.FAILED)]


def _lines(runs: Sequence[RealRun], texts: Mapping[str, str], standing: Standing) -> list[str]:
    return [
        f"{procedure}: {plain(part)}"
        for procedure, text in texts.items()
        if (found := _with(of_procedure(runs, procedure, text), standing))
        for part in said(found)
    ]
