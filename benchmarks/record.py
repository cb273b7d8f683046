"""The record of a run, results.md: what the docs show of it, and why goals are not met.

After notes.md was changed, put it into the record:

    python -m benchmarks.record
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from benchmarks.goals import HEAD, NOT_MET

RESULTS = Path(__file__).with_name("results.md")
#: A heading for each goal that is not met, and under it why.
NOTES = Path(__file__).with_name("notes.md")

#: The docs show what is between the first and the last of these: the table of the goals, then,
#: between the second and the third, the notes.
BEGIN = "<!-- the docs show from here -->\n"
WHY = "<!-- why goals are not met -->\n"
EXPLAINED = "<!-- over ssh -->\n"
END = "<!-- the docs show to here -->\n"


@dataclass(frozen=True)
class Row:
    """A goal in a record, and what the record says of it on one server."""

    goal: str
    server: str
    said: str


def rows(text: str) -> list[Row]:
    """The table of the goals in a record."""
    lines = text.partition(BEGIN)[2].partition(WHY)[0].splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    if not cells:
        return []
    head, _, *found = cells
    return [
        Row(row[0], server, said)
        for row in found
        for server, said in zip(head[len(HEAD) :], row[len(HEAD) :], strict=True)
    ]


def unmet(text: str) -> list[str]:
    """The goals that a record says are not met, each once."""
    return list(dict.fromkeys(row.goal for row in rows(text) if NOT_MET in row.said))


def paragraphs(notes: str) -> dict[str, str]:
    """What notes.md says, by the goal."""
    _, *parts = re.split(r"^## (.+)\n", notes, flags=re.MULTILINE)
    return {key.strip(): said.strip() for key, said in zip(parts[::2], parts[1::2], strict=True)}


def unexplained(text: str, notes: str) -> list[str]:
    """The goals that are not met, and of which notes.md says nothing."""
    said = paragraphs(notes)
    return [key for key in unmet(text) if not said.get(key)]


def with_notes(text: str, notes: str) -> str:
    """The record with what notes.md says of the goals that are not met."""
    said = paragraphs(notes)
    missed = unmet(text)
    why = ["What is not met, and why:"] if missed else []
    why += [f"**{key}**: {said.get(key) or 'not explained yet.'}" for key in missed]
    head, _, rest = text.partition(WHY)
    return "\n".join(
        [head + WHY, *(f"{one}\n" for one in why), EXPLAINED + rest.partition(EXPLAINED)[2]]
    )


if __name__ == "__main__":
    found, notes = RESULTS.read_text(encoding="utf-8"), NOTES.read_text(encoding="utf-8")
    RESULTS.write_text(with_notes(found, notes), encoding="utf-8")
    if lacking := unexplained(found, notes):
        raise SystemExit(f"not met, and not explained in notes.md: {', '.join(lacking)}")
