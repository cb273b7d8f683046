"""Makes the records of runs on GNU Mailman from what a walk wrote down, for ``--record``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from runbooks.book import records
from runbooks.book.records import RealRun
from runbooks.mailman.printed import STATE, by_command, steps_of, text_of
from runbooks.procedures import all_procedures, find
from runbooks.sphinxext.verification import PASSED, Record
from runbooks.testing.page.pages import Page
from runbooks.testing.page.printing import Reading

#: The name of what a test's report says of records.
PROPERTY = "record"


def texts() -> dict[str, str]:
    """The hash of the present text of each procedure."""
    return {procedure.name: text_of(procedure) for procedure in all_procedures()}


def record(path: Path, steps: Sequence[Record], page: Page) -> list[str]:
    """Keep in `path` what the steps of a walk over `page` prove; a line on each procedure.

    A procedure passes when every step passed, both ways, and both ended in the same state. One that
    failed anywhere has failed. One that was left before its end proves nothing and changes nothing.
    """
    if Reading(page, all_procedures()).faults:
        # A record would be of a text that nobody has run.
        return ["nothing is recorded: the page does not print the procedures as they are defined"]
    walked: dict[tuple[object, ...], list[Record]] = {}
    for step in steps:
        walked.setdefault((step.procedure, *step.where), []).append(step)
    made, said = [], []
    for group in walked.values():
        where = f"{group[0].procedure} on {group[0].on}, layout {group[0].layout}"
        one = _made(group)
        if one is None:
            said.append(f"not recorded, since it was left before its end: {where}")
        else:
            made.append(one)
            said.append(f"recorded as {'passed' if one.passed else 'failed'}: {where}")
    records.renew(path, made, texts())
    return said


def _made(steps: Sequence[Record]) -> RealRun | None:
    """The record of one procedure in one place; None if not all of it was run."""
    first = steps[0]
    if first.standin:
        raise ValueError("a run on the stand-in is no record of GNU Mailman")
    found = find(first.procedure)
    wanted = {STATE, *(step.name for step in (*by_command(found), *steps_of(found)))}
    passed = all(step.result == PASSED for step in steps)
    if passed and not wanted <= {step.step for step in steps}:
        return None
    return RealRun(
        procedure=first.procedure,
        mailman=first.mailman,
        python=first.python,
        layout=first.layout,
        date=max(datetime.fromisoformat(step.when) for step in steps)
        .astimezone(timezone.utc)
        .date(),
        passed=passed,
        text=text_of(found),
    )


def outdated(path: Path, root: Path) -> list[str]:
    """For the end of a run: the procedures whose text is not the one that is on record.

    `root`: of the project.
    """
    try:
        changed = records.changed(records.read(path), texts())
    except ValueError as problem:
        return [str(problem)]
    if not changed:
        return []
    return [
        f"text changed since its record in {os.path.relpath(path, root)}:",
        *(f"  {line}" for line in changed),
    ]
