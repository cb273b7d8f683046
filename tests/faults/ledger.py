"""What a run of the fault tests tried, how often, and what was lost: the table at its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

#: How many losses of each kind are told in full.
SHOWN = 5


@dataclass
class Row:
    """One kind of fault."""

    fault: str
    tried: int = 0
    #: what was seen on the way, and how often: "locks left and cleared"
    seen: Counter[str] = field(default_factory=Counter)
    #: each a sentence that says what should not have been
    lost: list[str] = field(default_factory=list)


class Ledger:
    """All rows of a run, in the order in which they were first tried."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}
        self.notes: list[str] = []

    def row(self, fault: str) -> Row:
        return self._rows.setdefault(fault, Row(fault))

    def note(self, text: str) -> None:
        """A line below the table, once."""
        if text not in self.notes:
            self.notes.append(text)

    def lines(self) -> list[str]:
        """The table, ready to print."""
        if not self._rows:
            return []
        width = max(len(row.fault) for row in self._rows.values())
        table = [f"{'what was tried':<{width}}  {'times':>6}  lost     seen"]
        for row in self._rows.values():
            lost = f"{len(row.lost):,}" if row.lost else "nothing"
            seen = ", ".join(f"{number:,} {what}" for what, number in row.seen.items())
            table.append(f"{row.fault:<{width}}  {row.tried:>6,}  {lost:<7}  {seen}".rstrip())
        for row in self._rows.values():
            table += [f"lost: {row.fault}: {sentence}" for sentence in row.lost[:SHOWN]]
            if len(row.lost) > SHOWN:
                table.append(f"lost: {row.fault}: … and {len(row.lost) - SHOWN:,} more")
        return table + self.notes
