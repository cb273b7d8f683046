"""What ``runbook verify --json`` found on a server, for the page that is built with it.

It is read from ``build/verify.json``, and counts for a procedure whose text is the one that was
held against the server. A file of anything else, or one that was cut off, fails the build.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from runbooks.book.dates import Words
from runbooks.mailman.fromjson import made
from runbooks.terminal.console import many
from runbooks.verify.result import DIFFERS, HOLDS, NOT_RUN

HELD = "verify.json"


@dataclass(frozen=True)
class _Step:
    procedure: str
    anchor: str
    state: str
    why: str


@dataclass(frozen=True)
class _Summary:
    server: str
    mailman: str
    note: str
    when: str
    steps: int
    holding: int
    texts: Mapping[str, str]


@dataclass(frozen=True)
class Held:
    """What was found on one server."""

    summary: _Summary
    steps: tuple[_Step, ...] = ()

    def of(self, procedure: str, anchors: Sequence[str], text: str) -> tuple[Words, bool]:
        """What is to be said of a procedure that has these steps and this text; () for nothing.

        And whether any of it differed there.
        """
        mine = [one for one in self.steps if one.procedure == procedure]
        if not mine:
            return (), False
        found, day = self.summary, datetime.fromisoformat(self.summary.when).date()
        note = f" ({found.note})" if found.note else ""
        on = f"{found.server}, Mailman {found.mailman}{note}"
        if found.texts.get(procedure) != text or [one.anchor for one in mine] != list(anchors):
            return (f"changed since it was held against {on} (", day, ")"), False
        differing = [one for one in mine if one.state == DIFFERS]
        if not differing:
            return (f"every step held on {on} (", day, ")"), False
        first, *more = dict.fromkeys(one.why for one in differing)
        also = f", and {len(more)} more" if more else ""
        number = f"{len(differing)} of {many(len(mine), 'step')} did not hold on {on} ("
        return (number, day, f"): {first}{also}"), True


def read(path: Path) -> Held | None:
    """What was found; None where there is no file. Raises ValueError for another file."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        *steps, summary = [json.loads(line) for line in text.splitlines()]
        held = Held(made(_Summary, summary), tuple(made(_Step, one) for one in steps))
        _check(held)
    except ValueError as problem:
        raise ValueError(
            f"{path} is not what runbook verify --json prints ({problem}): make it again"
        ) from None
    return held


def _check(held: Held) -> None:
    """Raise ValueError unless it is all there, and agrees with itself."""
    holding = sum(one.state != DIFFERS for one in held.steps)
    if (len(held.steps), holding) != (held.summary.steps, held.summary.holding):
        raise ValueError("its last line counts other steps")
    unknown: set[Any] = {one.state for one in held.steps} - {HOLDS, DIFFERS, NOT_RUN}
    if unknown:
        raise ValueError(f"there is no state {unknown.pop()!r}")
    if {one.procedure for one in held.steps} != set(held.summary.texts):
        raise ValueError("its last line has the texts of other procedures")
    if datetime.fromisoformat(held.summary.when).tzinfo is None:
        raise ValueError("its time has no zone")
